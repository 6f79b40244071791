#!/usr/bin/env python3
"""Writes tasks.json: losses from PyTorch, metrics from scikit-learn and scipy, that the Rust tests of losses and metrics compare with.

    python tests/golden/tasks.py > tests/golden/tasks.json

Needs torch, numpy, scikit-learn and scipy; no network. Everything is computed in float64 from seeded numbers that f32 holds exactly.
"""
import json

import numpy as np
import scipy
import sklearn
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    mean_absolute_error,
    mean_squared_error,
    precision_recall_fscore_support,
)
from torch.nn import functional as F

random = np.random.default_rng(5)


def numbers(*shape):
    return random.normal(size=shape).astype(np.float32).astype(np.float64) * 2.0


def loss(name, logits, function, **arguments):
    x = torch.tensor(logits, requires_grad=True)
    value = function(x)
    value.backward()
    flat = [float(v) for v in np.ravel(logits)]
    return {"loss": name, "shape": list(np.shape(logits)), "logits": flat, **arguments,
            "value": value.item(), "gradient": [float(g) for g in x.grad.ravel()]}


def losses():
    cases = []
    logits, labels = numbers(6, 4), [2, 0, 1, 3, 3, 0]
    weights = [0.5, 1.0, 2.0, 0.25]
    y, w = torch.tensor(labels), torch.tensor(weights, dtype=torch.float64)
    for smoothing, weight in [(0.0, None), (0.125, None), (0.0, w), (0.25, w)]:
        used = weights if weight is not None else [1.0] * 4
        cases.append(loss("weighted_cross_entropy", logits,
                          lambda x: F.cross_entropy(x, y, weight=weight, label_smoothing=smoothing),
                          labels=labels, weights=used, smoothing=smoothing,
                          scale=1.0 / sum(used[label] for label in labels)))
    for gamma in [0.0, 0.5, 2.0]:
        def focal(x):
            log_p = F.log_softmax(x, -1).gather(1, y[:, None])[:, 0]
            return (w[y] * (1 - log_p.exp()) ** gamma * -log_p).mean()
        cases.append(loss("focal", logits, focal, labels=labels, weights=weights, gamma=gamma, scale=1.0 / 6.0))
    logits, targets = numbers(8), [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0]
    t = torch.tensor(targets, dtype=torch.float64)
    for gamma in [0.0, 2.0]:
        # As torchvision.ops.sigmoid_focal_loss with alpha -1.
        def binary_focal(x):
            p = x.sigmoid()
            p_t = p * t + (1 - p) * (1 - t)
            return (F.binary_cross_entropy_with_logits(x, t, reduction="none") * (1 - p_t) ** gamma).mean()
        cases.append(loss("binary_focal", logits, binary_focal, targets=targets, gamma=gamma, scale=1.0 / 8.0))
    cases.append(loss("binary_cross_entropy", logits, lambda x: F.binary_cross_entropy_with_logits(x, t),
                      targets=targets, scale=1.0 / 8.0))
    predictions, targets = numbers(8), [float(v) for v in numbers(8)]
    t = torch.tensor(targets, dtype=torch.float64)
    cases.append(loss("squared_error", predictions, lambda x: F.mse_loss(x, t), targets=targets, scale=1.0 / 8.0))
    for delta in [0.5, 1.0, 3.0]:
        cases.append(loss("huber", predictions, lambda x: F.huber_loss(x, t, delta=delta),
                          targets=targets, delta=delta, scale=1.0 / 8.0))
    return cases


def regression(predictions, targets):
    p, t = np.asarray(predictions, np.float64), np.asarray(targets, np.float64)
    return {"predictions": [float(v) for v in p], "targets": [float(v) for v in t],
            "pearson": float(pearsonr(p, t).statistic), "spearman": float(spearmanr(p, t).statistic),
            "mse": float(mean_squared_error(t, p)), "mae": float(mean_absolute_error(t, p))}


def regressions():
    noisy = numbers(50)
    ties = [0.5, 1.0, 1.0, 2.5, 2.5, 2.5, 4.0, 0.5, 3.0, 1.0]
    return [
        regression(noisy, (noisy + 0.5 * numbers(50)).astype(np.float32)),
        regression([1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 5.0, 1.0, 0.0, 2.0], ties),
        regression([3.0, 2.0, 1.0], [1.0, 2.0, 4.0]),
        # A large common offset: sums of squares would lose the differences.
        regression([1e6 + 1, 1e6 + 2, 1e6 + 4, 1e6 + 3], [1e6 + 2, 1e6 + 4, 1e6 + 6, 1e6 + 8]),
    ]


def multi_label(probabilities, targets, thresholds):
    t, said = np.asarray(targets), (np.asarray(probabilities) >= np.asarray(thresholds)).astype(int)
    precision, recall, f1, support = precision_recall_fscore_support(t, said, zero_division=0)
    return {"probabilities": np.asarray(probabilities).tolist(), "targets": t.tolist(), "thresholds": list(thresholds),
            "f1_micro": float(f1_score(t, said, average="micro", zero_division=0)),
            "f1_macro": float(f1_score(t, said, average="macro", zero_division=0)),
            "subset_accuracy": float(accuracy_score(t, said)),
            "precision": precision.tolist(), "recall": recall.tolist(), "f1": f1.tolist(), "support": support.tolist()}


def multi_labels():
    probabilities = np.round(random.uniform(size=(30, 4)), 3)
    targets = (random.uniform(size=(30, 4)) < probabilities).astype(int)
    rare = targets.copy()
    rare[:, 3] = 0
    return [
        multi_label(probabilities, targets, [0.5] * 4),
        multi_label(probabilities, targets, [0.3, 0.4, 0.6, 0.9]),
        multi_label(probabilities, rare, [0.5, 0.5, 0.5, 1.1]),
        multi_label(np.zeros((3, 2)), np.zeros((3, 2), int), [0.5, 0.5]),
    ]


versions = {"torch": torch.__version__, "numpy": np.__version__, "sklearn": sklearn.__version__, "scipy": scipy.__version__}
document = {"losses": losses(), "regression": regressions(), "multi_label": multi_labels()}
lines = [f'"{name}": [\n' + ",\n".join(map(json.dumps, cases)) + "\n]" for name, cases in document.items()]
print("{" + f'"versions": {json.dumps(versions)},\n' + ",\n".join(lines) + "}")
