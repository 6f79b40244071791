"""The rows that all contestants read: the first of a fixed shuffle of a train.csv, written to one file. Standard library only."""

import csv
import random

TEXT_COLUMNS = ("sentence", "text")
SHUFFLE_SEED = 0


def read(folder):
    """The (text, label) pairs of FOLDER/train.csv, shuffled, always in the same order."""
    path = folder / "train.csv"
    if not path.is_file():
        raise ValueError(f"{path} is missing: --data wants a folder with train.csv")
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        names = reader.fieldnames or []
        text = next((name for name in TEXT_COLUMNS if name in names), None)
        if text is None or "label" not in names:
            raise ValueError(f"{path} has the columns {', '.join(names)}; wanted are sentence (or text) and label")
        pairs = [(row[text], row["label"]) for row in reader]
    random.Random(SHUFFLE_SEED).shuffle(pairs)
    return pairs


def write(pairs, path):
    """A CSV with the columns text and label."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["text", "label"])
        writer.writerows(pairs)


def load(path):
    """What `write` wrote: texts and labels."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"] for row in rows]
