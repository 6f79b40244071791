#!/usr/bin/env python3
"""Writes by_length.json: groups of rows by the quantiles of their lengths from numpy.

    python tests/golden/by_length.py > tests/golden/by_length.json

Needs numpy. A group holds the lengths above the quantile before it and up to its own (`inverted_cdf`); equal quantiles make one group.
"""
import json
import sys
from importlib.metadata import version

import numpy as np

random = np.random.default_rng(31)


def bins(lengths, values, asked):
    edges = np.unique(np.quantile(lengths, np.arange(1, asked + 1) / asked, method="inverted_cdf"))
    below, found = -1, []
    for edge in edges:
        of = (lengths > below) & (lengths <= edge)
        below = edge
        found.append({"from": int(lengths[of].min()), "to": int(lengths[of].max()), "rows": int(of.sum()),
                      "mean": float(values[of].mean())})
    return {"asked": asked, "lengths": lengths.tolist(), "values": values.tolist(), "bins": found}


cases = []
for rows, longest, asked in [(1, 5, 5), (3, 9, 5), (7, 4, 4), (20, 300, 5), (41, 30, 10), (60, 3, 5), (33, 1, 3), (50, 90, 1)]:
    cases.append(bins(random.integers(0, longest, rows), random.random(rows).round(3), asked))

json.dump({"versions": {name: version(name) for name in ["numpy"]}, "bins": cases}, sys.stdout, indent=1)
print()
