#!/usr/bin/env python3
"""Writes baselines.json: TF-IDF and logistic regression by scikit-learn, in float64, on sentences made of random words.

    python tests/golden/baselines.py > tests/golden/baselines.json

Needs numpy and scikit-learn. Both solvers of scikit-learn that reach the optimum exactly enough must agree to 1e-6, or the generator stops.
"""
import json
import sys

import numpy as np
import sklearn
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

random = np.random.default_rng(17)
WORDS = "Ärger Bus café DATA ein_2 für go 7 q x9 naïve zu, Zeit; word's end. λόγος слово 日本 tab\tnew".split(" ")


def sentences(rows, classes):
    labels = np.concatenate([np.arange(classes), random.integers(0, classes, rows - classes)])
    texts = []
    for label in labels:
        preference = np.ones(len(WORDS))
        preference[label :: classes] = 2.5
        texts.append(" ".join(random.choice(WORDS, random.integers(1, 8), p=preference / preference.sum())))
    return texts, labels


def case(rows, classes, c):
    texts, labels = sentences(rows, classes)
    measured, _ = sentences(12, classes)
    measured[0] = "nothing known"
    vectorizer = TfidfVectorizer()
    x, y = vectorizer.fit_transform(texts), vectorizer.transform(measured)
    fit = lambda solver: LogisticRegression(C=c, solver=solver, tol=1e-12, max_iter=100000).fit(x, labels).predict_proba(y)
    p, other = fit("newton-cholesky"), fit("lbfgs")
    if np.abs(p - other).max() > 1e-6:
        sys.exit("two solvers differ by %g" % np.abs(p - other).max())
    names = list(vectorizer.get_feature_names_out())
    weights = [{names[j]: float(v) for j, v in zip(row.indices, row.data)} for row in y]
    return {"classes": classes, "c": c, "texts": texts, "labels": labels.tolist(), "measured": measured, "weights": weights, "probabilities": p.ravel().tolist()}


cases = [case(40, 2, 1.0), case(60, 2, 10.0), case(60, 3, 1.0), case(90, 5, 10.0)]
json.dump({"scikit-learn": sklearn.__version__, "cases": cases}, sys.stdout, indent=1, ensure_ascii=False)
print()
