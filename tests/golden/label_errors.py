#!/usr/bin/env python3
"""Writes label_errors.json: confident learning by cleanlab, in float64, on rows with labels that were changed.

    python tests/golden/label_errors.py > tests/golden/label_errors.json

Needs numpy and cleanlab. Where a row reaches several thresholds, cleanlab counts it for its most probable class, the paper for the most probable of
those whose threshold it reaches; the generator refuses rows for which the two differ.
"""
import json
import sys
from importlib.metadata import version

import numpy as np
from cleanlab.count import compute_confident_joint, get_confident_thresholds
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_normalized_margin_for_each_label, get_self_confidence_for_each_label

random = np.random.default_rng(31)


def case(rows, classes, missing):
    truth = random.integers(0, classes, rows)
    truth[truth == missing] = (missing or 0) + 1
    logits = random.normal(size=(rows, classes)) + 2.5 * np.eye(classes)[truth]
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    # What the library reads is f32: the reference gets the same numbers.
    p = (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32).astype(np.float64)
    labels = truth.copy()
    flipped = random.choice(rows, rows // 8, replace=False)
    others = [c for c in range(classes) if c != missing]
    labels[flipped] = random.choice(others, len(flipped))
    thresholds = get_confident_thresholds(labels, p)
    reached = p >= thresholds
    best = np.where(reached, p, -1).argmax(axis=1)
    several = reached.sum(axis=1) > 1
    assert (best[several] == p[several].argmax(axis=1)).all(), "the paper and cleanlab differ here"
    joint = compute_confident_joint(labels, p, calibrate=False)
    counts = np.zeros((classes, classes), dtype=int)
    np.add.at(counts, (labels[reached.any(axis=1)], best[reached.any(axis=1)]), 1)
    # cleanlab puts at least 1 on the diagonal.
    np.fill_diagonal(joint, np.where(counts.diagonal() == 0, 0, joint.diagonal()))
    return {
        "classes": classes,
        "labels": labels.tolist(),
        "probabilities": p.ravel().tolist(),
        "thresholds": thresholds.tolist(),
        "counts": joint.ravel().tolist(),
        "suspects": find_label_issues(labels, p, filter_by="confident_learning", n_jobs=1).tolist(),
        "self_confidence": get_self_confidence_for_each_label(labels, p).tolist(),
        "normalized_margin": get_normalized_margin_for_each_label(labels, p).tolist(),
    }


def attempt(*arguments):
    for _ in range(200):
        try:
            return case(*arguments)
        except AssertionError:
            continue
    sys.exit("no rows on which the paper and cleanlab agree")


cases = [attempt(120, 3, None), attempt(60, 2, None), attempt(150, 5, 2)]
json.dump({"versions": {name: version(name) for name in ["cleanlab", "numpy"]}, "cases": cases}, sys.stdout)
print()
