#!/usr/bin/env python3
"""Writes comparison.json: exact tests, intervals, permutation tests and assignments from scipy and scikit-learn, in float64.

    python tests/golden/comparison.py > tests/golden/comparison.json

Needs numpy, scipy and scikit-learn. McNemar's exact test is `binomtest` of the rows on which one of two models alone is right, which is what
`statsmodels.stats.contingency_tables.mcnemar(exact=True)` computes.
"""
import json
import sys
from importlib.metadata import version

import numpy as np
from scipy import optimize, stats
from sklearn import metrics

random = np.random.default_rng(31)


def f1(labels, said):
    return metrics.f1_score(labels, said, average="macro", zero_division=0)


def mcnemar(first_only, second_only):
    n = first_only + second_only
    return float(stats.binomtest(first_only, n, 0.5).pvalue) if n else 1.0


def wilson(right, rows):
    interval = stats.binomtest(right, rows).proportion_ci(confidence_level=0.95, method="wilson")
    return {"of": [right, rows], "low": float(interval.low), "high": float(interval.high)}


def paired(labels, first, second, classes):
    labels, first, second = map(np.asarray, (labels, first, second))
    a, b = first == labels, second == labels
    counts = [int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum()), int((~a & ~b).sum())]
    differing = first != second
    rows = int(differing.sum())
    all_of_them = 2**rows <= 10_000
    made = {"labels": labels.tolist(), "first": first.tolist(), "second": second.tolist(), "classes": classes, "counts": counts,
            "all": all_of_them, "mcnemar_p": mcnemar(counts[1], counts[2])}
    for name, figure in (("accuracy", metrics.accuracy_score), ("f1_macro", f1)):
        def statistic(x, y):
            x_all, y_all = first.copy(), second.copy()
            x_all[differing], y_all[differing] = x, y
            return figure(labels, x_all) - figure(labels, y_all)

        # Of one differing row both exchanges give the same difference but for its sign.
        if rows > 1:
            test = stats.permutation_test((first[differing], second[differing]), statistic, permutation_type="samples", vectorized=False,
                                          n_resamples=np.inf if all_of_them else 20_000, alternative="two-sided", rng=np.random.default_rng(3))
            p = float(test.pvalue)
        else:
            p = 1.0
        one, other = float(figure(labels, first)), float(figure(labels, second))
        made[name] = {"first": one, "second": other, "difference": one - other, "p": p}
    return made


def drawn(rows, classes, right_first, right_second, together=0.5):
    """Predictions of two models; a part of the second's are the first's."""
    labels = random.integers(classes, size=rows)
    said = lambda share: np.where(random.random(rows) < share, labels, random.integers(classes, size=rows))
    first, second = said(right_first), said(right_second)
    return labels, first, np.where(random.random(rows) < together, first, second), classes


def counts(classes, high, diagonal=0):
    return (random.integers(high, size=(classes, classes)) + diagonal * np.eye(classes, dtype=int)).tolist()


def assignment(table):
    rows, columns = optimize.linear_sum_assignment(np.array(table), maximize=True)
    return {"counts": table, "sum": int(np.array(table)[rows, columns].sum())}


PAIRS = [(0, 0), (1, 0), (0, 1), (5, 5), (12, 5), (5, 12), (1, 9), (0, 20), (40, 61), (200, 150), (1000, 1003), (0, 900), (80, 600), (5300, 4800)]
TABLES = [(0, 1, 0, 1), (1, 0, 0, 1), (3, 1, 2, 4), (8, 2, 1, 5), (0, 10, 10, 0), (10, 0, 100, 0), (0, 7, 0, 9), (20, 20, 324, 36), (85, 15, 900, 100),
          (60, 40, 900, 100), (2, 1, 4000, 400), (500, 500, 5000, 5001), (1, 9, 11, 3), (6, 6, 6, 6), (3, 0, 0, 3), (5, 0, 1, 4), (100, 1, 1, 100), (7, 3, 7, 3)]
SHARES = [(0, 1), (1, 1), (0, 10), (10, 10), (1, 2), (7, 9), (50, 100), (95, 100), (985, 1000), (1, 3000), (2999, 3000), (12345, 54321)]

if __name__ == "__main__":
    cases = [paired(*drawn(24, 2, 0.9, 0.3)), paired(*drawn(16, 3, 0.9, 0.2, 0.3)), paired(*drawn(12, 5, 0.9, 0.3, 0.2)),
             # Of four classes two are neither labels nor said by the first.
             paired([0, 1, 0, 1, 0, 1, 1], [0, 1, 0, 1, 1, 1, 0], [0, 1, 2, 1, 0, 3, 0], 4),
             paired([0, 1, 2], [0, 1, 1], [0, 1, 1], 3), paired([1, 0, 0, 1, 1], [1, 0, 0, 1, 1], [0, 1, 1, 0, 0], 2),
             paired(*drawn(120, 2, 0.85, 0.7)), paired(*drawn(150, 4, 0.8, 0.75, 0.3))]
    json.dump({
        "mcnemar": [{"of": pair, "p": mcnemar(*pair)} for pair in PAIRS],
        "fisher": [{"of": t, "p": float(stats.fisher_exact([t[:2], t[2:]]).pvalue)} for t in TABLES],
        "wilson": [wilson(*share) for share in SHARES],
        "paired": cases,
        "assignment": [assignment(table) for table in (
            counts(1, 9), counts(2, 9), counts(3, 9), counts(4, 5), counts(5, 100), counts(7, 3), counts(9, 50, 20), counts(12, 4), counts(30, 40, 30))],
        "versions": {name: version(name) for name in ("scipy", "scikit-learn", "numpy")},
    }, sys.stdout, separators=(",", ":"))
    print()
