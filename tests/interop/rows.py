"""Rows to learn from and to predict, of words of our own. Standard library only."""
import csv
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

WORDS = """the river runs cold and clear old boat was slow but we like it not bad film very good bread is hard to find
here in town my friend plays violin every monday evening rain fell on stone road never again what bright garden
summer letter green window paper cloud winter market""".split()
TOPICS = ("rain", "bread", "violin")

SINGLE_LABEL = "single_label_classification"
MULTI_LABEL = "multi_label_classification"
REGRESSION = "regression"


@dataclass(frozen=True)
class Kind:
    """A kind of rows, and what is learned of them."""

    shape: str
    """text, pair or tokens"""
    target: str
    """The column that is learned: label, labels, score or tags."""
    labels: tuple[str, ...] = ()
    problem: str | None = None
    """transformers' problem_type; None for tokens."""
    outputs: tuple[str, ...] | None = None
    """The names of the logits in their order, where they are not the labels."""
    settings: dict = field(default_factory=dict, hash=False)
    """What `train` has to be told."""

    @property
    def names(self) -> list[str]:
        return list(self.labels if self.outputs is None else self.outputs)


KINDS = {
    "single-label": Kind("text", "label", ("calm", "rain", "storm"), SINGLE_LABEL),
    "multi-label": Kind("text", "labels", ("A", "B", "C"), MULTI_LABEL),
    "binary with one logit": Kind("text", "label", ("no", "yes"), MULTI_LABEL, ("yes",), {"task": "binary"}),
    "pairs": Kind("pair", "label", ("different", "same"), SINGLE_LABEL, settings={"max_length": 40}),
    "scores of pairs": Kind("pair", "score", (), REGRESSION, ("score",), {"max_length": 40}),
    "tokens": Kind("tokens", "tags", ("B-place", "I-place", "O")),
    "classes of words": Kind("tokens", "tags", ("ADJ", "NOUN", "VERB")),
}

# What a tokenizer may trip over: nothing, blanks, capitals, accents, other scripts, long texts, special tokens written out.
ODD_TEXTS = [
    "",
    "rain",
    "  The RIVER   runs, cold!? ",
    "Zürich 你好 crab 🦀 x\ty",
    "film " * 90,
    "it's a bright-garden 3.75 don't",
    "[MASK] <mask> [SEP] </s> market",
    "a\u0301 ﬁne ½ \u200b word",
    "the <pad> river [PAD] runs cold",
    "rain <pad><pad> fell",
]
ODD_PAIRS = [("film " * 50, "rain " * 50), ("rain fell", "film " * 80), *zip(ODD_TEXTS, ODD_TEXTS[2:] + ODD_TEXTS[:2])]
ODD_WORDS = [
    ["Zürich", "Rain", "bright-garden", "🦀", "it's", "3.75", "river"],
    ["river", "\u200b", "\u00ad", "[SEP]", "</s>", "<mask>", "cold rain"],
]


def training_rows(kind: Kind, count: int, seed: int) -> list[dict]:
    """Rows with a target, that has to do with the words."""
    chance = random.Random(seed)
    rows = []
    for _ in range(count):
        words = [chance.choice(WORDS) for _ in range(chance.randint(2, 14))]
        topic = chance.randrange(len(TOPICS))
        words.insert(chance.randrange(len(words)), TOPICS[topic])
        second = [chance.choice(WORDS) for _ in range(chance.randint(1, 9))]
        row: dict = {
            "text": {"text": " ".join(words)},
            "pair": {"text_a": " ".join(words), "text_b": " ".join(second)},
            "tokens": {"tokens": words},
        }[kind.shape]
        if kind.target == "label":
            row["label"] = kind.labels[topic % len(kind.labels)]
        elif kind.target == "labels":
            row["labels"] = "|".join(label for label, word in zip(kind.labels, TOPICS) if word in words or chance.random() < 0.2)
        elif kind.target == "score":
            row["score"] = round(topic + chance.random(), 3)
        else:
            row["tags"] = [kind.labels[sum(map(ord, word)) % len(kind.labels)] for word in words]
        rows.append(row)
    return rows


def test_rows(kind: Kind) -> list[dict]:
    """Rows to predict, without a target: ordinary ones, then odd ones."""
    rows = training_rows(kind, 10, seed=99)
    for row in rows:
        del row[kind.target]
    if kind.shape == "tokens":
        return rows + [{"tokens": words} for words in ODD_WORDS]
    if kind.shape == "pair":
        return rows + [{"text_a": first, "text_b": second} for first, second in ODD_PAIRS]
    return rows + [{"text": text} for text in ODD_TEXTS]


def write(path: Path, rows: list[dict]) -> Path:
    """As CSV or JSON Lines, by the name's ending."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return path


def write_texts(path: Path, texts: list[str]) -> Path:
    """One text a line, as `pretrain` reads them."""
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return path
