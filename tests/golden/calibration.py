#!/usr/bin/env python3
"""Writes calibration.json: temperatures, figures of selective answering, thresholds and binomial limits, in float64.

    python tests/golden/calibration.py > tests/golden/calibration.json

Needs numpy, scipy and scikit-learn. A temperature is scipy's root of the slope of the mean negative log-likelihood by the inverse temperature, and
scipy's bounded minimisation of that loss in log T must agree with it. The loss is scikit-learn's. The risk-coverage curve is drawn row by row, and
thresholds come of trying every one of them; the guaranteed one is algorithm 1 of Geifman & El-Yaniv (2017) with scipy's binomial distribution,
with a first test whether all rows may be answered.
"""
import json
import sys
from importlib.metadata import version
from math import ceil, log2

import numpy as np
from scipy import optimize, special, stats
from sklearn import metrics
from sklearn.calibration import calibration_curve

random = np.random.default_rng(31)
BINS = 15
TARGETS = ((0.9, 0.95), (0.8, 0.9), (0.97, 0.5), (0.6, 0.99))


def probabilities(kind, z, temperature):
    return special.softmax(z / temperature, axis=1) if kind == "classes" else special.expit(z / temperature)


def log_loss(kind, z, truth, temperature):
    p = probabilities(kind, z, temperature)
    if kind == "classes":
        return metrics.log_loss(truth, p, labels=np.arange(z.shape[1]))
    return metrics.log_loss(truth.ravel(), p.ravel(), labels=[False, True])


def row_slopes(kind, z, truth, inverse):
    """Of each row's summed loss by the inverse temperature: first and second derivative, by central differences of complex steps."""
    step = 1e-20

    def slope(inverse):
        if kind == "classes":
            loss = np.log(np.exp(inverse * (z - z.max(1, keepdims=True))).sum(1)) - inverse * (z[np.arange(len(z)), truth] - z.max(1))
            return loss
        wrong = np.where(truth, -z, z)
        loss = np.log(1 + np.exp(inverse * wrong))
        return loss.sum(1) if kind == "labels" else loss

    first = lambda inverse: slope(inverse + 1j * step).imag / step
    second = (first(inverse + 1e-6) - first(inverse - 1e-6)) / 2e-6
    return first(inverse), second


def calibration_error(kind, z, truth, temperature):
    p = probabilities(kind, z, temperature)
    if kind == "classes":
        top, right = p.max(1), p.argmax(1) == truth
    elif kind == "binary":
        top, right = np.maximum(p, special.expit(-z / temperature)), (z >= 0) == truth
    else:
        top, right = p.ravel(), truth.ravel()
    counts = np.bincount(np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], top), minlength=BINS)
    accuracy, confidence = calibration_curve(right, top, n_bins=BINS)
    return float((counts[counts > 0] * np.abs(accuracy - confidence)).sum() / len(top))


def case(name, kind, z, truth):
    logits = z.astype(np.float32)
    z = logits.astype(np.float64)
    slope = lambda inverse: float(row_slopes(kind, z, truth, inverse)[0].sum())
    inverse = optimize.brentq(slope, 1 / 20, 1 / 0.05, xtol=1e-15, rtol=1e-14)
    temperature = 1 / inverse
    least = optimize.minimize_scalar(
        lambda t: log_loss(kind, z, truth, np.exp(t)), bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-10}
    )
    assert abs(np.log(temperature) - least.x) < 1e-5, (name, temperature, np.exp(least.x))
    first, second = row_slopes(kind, z, truth, inverse)
    return {
        "name": name,
        "kind": kind,
        "width": z.shape[1] if z.ndim == 2 else 1,
        "logits": logits.astype(float).ravel().tolist(),
        "truth": truth.astype(int).ravel().tolist(),
        "temperature": temperature,
        "standard_error": temperature**2 * float(np.sqrt((first**2).sum()) / second.sum()),
        "log_loss": [log_loss(kind, z, truth, t) for t in (1.0, temperature)],
        "calibration_error": [calibration_error(kind, z, truth, t) for t in (1.0, temperature)],
    }


def logits_of(rows, classes, strength, scale, noise=0.0):
    """Logits that are `scale` times the log-odds of the classes that were drawn from them; the share `noise` of the classes is drawn evenly."""
    z = strength * random.normal(size=(rows, classes))
    truth = np.array([random.choice(classes, p=p) for p in special.softmax(z, axis=1)])
    anew = random.random(rows) < noise
    truth[anew] = random.integers(classes, size=anew.sum())
    return scale * z, truth


def selective(name, confidence, right):
    """Figures of answering the surest rows alone."""
    order = np.argsort(-confidence, kind="stable")
    confidence, right = confidence[order], right[order]
    rows = len(right)
    # Errors of equal confidence count evenly.
    wrong = np.zeros(rows)
    for value in np.unique(confidence):
        same = confidence == value
        wrong[same] = (~right[same]).mean()
    area = float((np.cumsum(wrong) / np.arange(1, rows + 1)).mean())
    points = []
    for percent in (100, 95, 90, 80, 70, 60, 50, 40, 30, 20, 10):
        lowest = confidence[-(-rows * percent // 100) - 1]
        answered = confidence >= lowest
        points.append({"rows": int(answered.sum()), "accuracy": float(right[answered].mean()), "confidence": float(lowest)})
    thresholds = sorted(set(confidence.tolist()))
    accuracy = {t: float(right[confidence >= t].mean()) for t in thresholds}
    choices = []
    for target, certainty in TARGETS:
        meeting = next((t for t in thresholds if accuracy[t] >= target), None)
        tests = 1 + ceil(log2(len(thresholds)))
        tail = (1 - certainty) / tests

        def passes(t):
            answered = confidence >= t
            return stats.binom.cdf((~right[answered]).sum(), answered.sum(), 1 - target) <= tail

        descending = thresholds[::-1]
        best = descending[-1] if passes(descending[-1]) else None
        if best is None:
            low, high = 0, len(descending) - 1
            while low < high:
                middle = (low + high) // 2
                if passes(descending[middle]):
                    best, low = descending[middle], middle + 1
                else:
                    high = middle
        sure = None
        if best is not None:
            answered = confidence >= best
            errors, count = int((~right[answered]).sum()), int(answered.sum())
            limit = stats.beta.ppf(1 - tail, errors + 1, count - errors)
            sure = {"answered": count, "accuracy_at_least": float(1 - limit), "below": 0.0 if count == rows else float(best)}
        alone = None
        if meeting is not None:
            count = int((confidence >= meeting).sum())
            alone = {"answered": count, "accuracy": accuracy[meeting], "below": 0.0 if count == rows else float(meeting)}
        choices.append({"target": target, "certainty": certainty, "meeting": alone, "guaranteeing": sure})
    return {"name": name, "confidence": confidence.tolist(), "right": right.tolist(), "area": area, "points": points, "choices": choices}


def rows_of(rows, ties=None, sharpness=1.0):
    confidence = random.random(rows) ** 0.4
    if ties:
        confidence = np.round(confidence * ties) / ties
    return confidence, random.random(rows) < confidence**sharpness


FITS = [
    case("too sure", "classes", *logits_of(200, 5, 1.5, 2.2)),
    case("not sure enough", "classes", *logits_of(150, 3, 2.0, 0.4)),
    case("sharp and noisy", "classes", *logits_of(120, 12, 3.0, 4.0, 0.05)),
    case("one logit, too sure", "binary", *(lambda z: (3.0 * z, random.random(180) < special.expit(z)))(1.5 * random.normal(size=180))),
    case("one logit, not sure enough", "binary", *(lambda z: (0.3 * z, random.random(90) < special.expit(z)))(2.0 * random.normal(size=90))),
    case("labels", "labels", *(lambda z: (1.7 * z, random.random(z.shape) < special.expit(z)))(2.0 * random.normal(size=(60, 4)) - 1.0)),
]
SELECTIVE = [
    selective("confident and right", *rows_of(400)),
    selective("ties", *rows_of(300, ties=12)),
    selective("few", *rows_of(25)),
    selective("nearly always right", *rows_of(500, sharpness=0.05)),
    selective("one row", np.array([0.5]), np.array([True])),
    selective("all the same", np.full(60, 0.75), np.arange(60) % 5 > 0),
    selective("all wrong", random.random(40), np.zeros(40, dtype=bool)),
]
BINOMIAL = []
for count, trials in ((0, 1), (0, 300), (3, 10), (9, 10), (10, 10), (40, 2500), (1900, 100_000), (50_000, 100_000)):
    for tail in (0.05, 0.004):
        limit = 1.0 if count == trials else float(stats.beta.ppf(1 - tail, count + 1, trials - count))
        BINOMIAL.append({"count": count, "trials": trials, "tail": tail, "limit": limit})
AT_MOST = [
    {"count": c, "trials": n, "chance": p, "probability": float(stats.binom.cdf(c, n, p))}
    for c, n, p in ((0, 5, 0.3), (4, 5, 0.3), (5, 5, 0.3), (12, 1000, 0.02), (1900, 100_000, 0.02), (60_000, 100_000, 0.6), (3, 100, 0.9), (2, 9, 0.0), (2, 9, 1.0))
]

if __name__ == "__main__":
    made = {"fits": FITS, "selective": SELECTIVE, "upper_limits": BINOMIAL, "at_most": AT_MOST}
    made["versions"] = {name: version(name) for name in ("numpy", "scipy", "scikit-learn")}
    json.dump(made, sys.stdout, separators=(",", ":"))
    print()
