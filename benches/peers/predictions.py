"""Writes predictions as `ferrotune predict` does: text, label, score and the probability of each class. Standard library only."""

import csv
import json
import math


def softmax(scores):
    """Probabilities of one row of logits."""
    powers = [math.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


def write(path, texts, logits, model):
    """A CSV file; `model` is the folder whose config.json names the labels."""
    with open(f"{model}/config.json", encoding="utf-8") as file:
        names = json.load(file)["id2label"]
    labels = [names[str(i)] for i in range(len(names))]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["text", "predicted_label", "score", *(f"p_{label}" for label in labels)])
        for text, scores in zip(texts, logits):
            probabilities = softmax(scores)
            best = max(range(len(labels)), key=probabilities.__getitem__)
            writer.writerow([text, labels[best], f"{probabilities[best]:.6f}", *(f"{p:.6f}" for p in probabilities)])
