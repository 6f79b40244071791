#!/usr/bin/env python3
"""Writes classification.json: figures of classifiers from scikit-learn, in float64.

    python tests/golden/classification.py > tests/golden/classification.json

Needs numpy and scikit-learn. A figure that scikit-learn does not define, or defines by a convention with a warning (a class without rows, rows of
one class alone), is null here. `mean` takes the classes that have a value, and says how many they are.
"""
import json
import sys
import warnings
from importlib.metadata import version

import numpy as np
from sklearn import metrics
from sklearn.calibration import calibration_curve

random = np.random.default_rng(29)
BINS = 15


def softmax(logits):
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def optional(value):
    return None if np.isnan(value) else float(value)


def mean(values):
    known = [value for value in values if value is not None]
    return {"value": float(np.mean(known)) if known else None, "classes": len(known)}


def figures(labels, said, p):
    classes = p.shape[1]
    every = np.arange(classes)
    ovr = [labels == c for c in every]
    ranked = lambda f: [float(f(is_c, p[:, c])) if 0 < is_c.sum() < len(labels) else None for c, is_c in enumerate(ovr)]
    auc, precision = ranked(metrics.roc_auc_score), ranked(metrics.average_precision_score)
    top = p[np.arange(len(p)), said]
    right = said == labels
    # scikit-learn leaves empty bins out.
    counts = np.bincount(np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], top), minlength=BINS)
    filled = iter(zip(*calibration_curve(right, top, n_bins=BINS)))
    table = []
    for count in counts.tolist():
        accuracy, confidence = next(filled) if count else (None, None)
        table.append({"rows": count, "confidence": confidence, "accuracy": accuracy})
    error = sum(row["rows"] * abs(row["confidence"] - row["accuracy"]) for row in table if row["rows"]) / len(p)
    present = int(sum(is_c.any() for is_c in ovr))
    wrong = metrics.confusion_matrix(labels, said, labels=every)
    np.fill_diagonal(wrong, 0)
    truth = (labels, p) if classes > 2 else (labels == 1, p[:, 1])
    return {
        "accuracy": metrics.accuracy_score(labels, said),
        "f1_macro": metrics.f1_score(labels, said, average="macro", zero_division=0),
        "mcc": metrics.matthews_corrcoef(labels, said),
        "balanced_accuracy": {"value": metrics.balanced_accuracy_score(labels, said), "classes": present},
        "f1_weighted": metrics.f1_score(labels, said, average="weighted", zero_division=0),
        "cohen_kappa": optional(metrics.cohen_kappa_score(labels, said, labels=every)),
        "most_confused": int(wrong.max()),
        "log_loss": metrics.log_loss(labels, p, labels=every) if (p[np.arange(len(p)), labels] > 0).all() else None,
        "brier": metrics.brier_score_loss(*truth, labels=every if classes > 2 else [False, True], scale_by_half=False),
        "roc_auc": mean(auc),
        # Of two classes the usual figure is that of the second.
        "roc_auc_binary": float(metrics.roc_auc_score(labels, p[:, 1])) if classes == 2 and auc[1] is not None else None,
        "average_precision": mean(precision),
        "roc_auc_of": auc,
        "average_precision_of": precision,
        "calibration_error": error,
        "bins": table,
    }


def case(name, labels, p, logits=None, said=None):
    labels, p = np.array(labels), np.array(p, dtype=float)
    said = p.argmax(axis=1) if said is None else said
    made = {"name": name, "labels": labels.tolist(), "said": said.tolist(), "probabilities": p.tolist(), "figures": figures(labels, said, p)}
    if logits is not None:
        made["logits"] = logits.astype(float).tolist()
    return made


def of_logits(name, labels, logits):
    """One logit a row is that of class 1."""
    z = logits.astype(np.float64)
    if z.ndim == 1:
        positive = 1 / (1 + np.exp(-z))
        return case(name, labels, np.stack([1 / (1 + np.exp(z)), positive], axis=1), logits, (z >= 0).astype(int))
    return case(name, labels, softmax(z), logits)


def noisy(rows, classes, strength, twice=0):
    """Logits that know something of the labels; the last `twice` rows have the logits of the first ones."""
    labels = random.integers(classes, size=rows)
    logits = (random.normal(size=(rows, classes)) + strength * np.eye(classes)[labels]).astype(np.float32)
    if twice:
        logits[-twice:] = logits[:twice]
    return labels, logits


def tied(rows, classes, allowed=None):
    """Twentieths: few values, so many ties, some on the edges of bins."""
    labels = random.choice(allowed if allowed is not None else classes, size=rows)
    shares = [random.multinomial(20, random.dirichlet(0.6 * np.ones(classes) + 2.0 * np.eye(classes)[label])) for label in labels]
    return labels, np.array(shares) / 20


CASES = []
for classes in (2, 3, 4, 5):
    CASES.append(of_logits(f"{classes} classes", *noisy(60, classes, 1.2, twice=12)))
    CASES.append(case(f"{classes} classes, ties", *tied(80, classes)))
labels, logits = noisy(50, 2, 1.0, twice=10)
CASES.append(of_logits("one logit", labels, logits[:, 1] - logits[:, 0]))
CASES.append(case("a class without rows", *tied(60, 4, [0, 1, 3])))
CASES.append(case("two classes without rows", *tied(40, 5, [1, 4])))
CASES.append(case("rows of one class", *tied(25, 3, [2])))
CASES.append(case("rows of one of two classes", *tied(20, 2, [0])))
labels, logits = noisy(30, 3, 30.0)
CASES.append(of_logits("perfectly separated", labels, logits))
CASES.append(of_logits("perfectly separated, one logit", np.arange(20) % 2, np.where(np.arange(20) % 2, 3.5, -2.5).astype(np.float32)))
CASES.append(of_logits("ranked backwards", np.arange(20) % 2, np.where(np.arange(20) % 2, -1.5, 2.5).astype(np.float32)))
CASES.append(case("the same answer for all", random.integers(3, size=20), np.tile([0.25, 0.5, 0.25], (20, 1))))
CASES.append(case("nothing but one class said and true", [1] * 8, np.tile([0.3, 0.7], (8, 1))))
CASES.append(case("one row", [0], [[0.4, 0.35, 0.25]]))

if __name__ == "__main__":
    json.dump({"cases": CASES, "versions": {name: version(name) for name in ("scikit-learn", "numpy")}}, sys.stdout, separators=(",", ":"))
    print()
