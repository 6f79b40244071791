#!/usr/bin/env python3
"""Writes tokens.json: entities and their metrics from seqeval in its default mode, and words cut into tokens and scored by transformers.

    python tests/golden/tokens.py > tests/golden/tokens.json

Needs seqeval, numpy, torch and transformers; no network. The random sequences hold every order of tags, most of them malformed.
"""
import json
import os
import warnings
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
import transformers
from importlib.metadata import version
from seqeval.metrics import accuracy_score
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoModelForTokenClassification, AutoTokenizer

HERE = Path(__file__).parent
warnings.filterwarnings("ignore")
random = np.random.default_rng(11)

# The situations of seqeval's own tests, with tags of ours: a wrong begin, a wrong type, nothing said, an entity that splits or runs on, E and S
# where B and I should be, types with hyphens, tags without a type.
CHOSEN = [
    (["O O O B-food I-food I-food O", "B-place I-place O"], ["O O B-food I-food I-food I-food O", "B-place I-place O"]),
    (["B-place I-place O O", "O B-food"], ["B-food I-food O O", "O B-food"]),
    (["B-place I-place O", "B-food"], ["O O O", "O"]),
    (["O O", "O O O"], ["B-food I-food", "O O O"]),
    (["O O", "O"], ["O O", "O"]),
    (["B-food I-food I-food O"], ["B-food I-food O O"]),
    (["B-food I-food I-food O"], ["B-food B-food I-food O"]),
    (["B-food I-food B-food I-food"], ["B-food I-food I-food I-food"]),
    (["I-food I-food O I-place"], ["B-food I-food O B-place"]),
    (["B-food I-place I-food"], ["B-food I-food I-food"]),
    (["S-food O B-place I-place E-place"], ["B-food O I-place I-place E-place"]),
    (["B-place E-place E-place S-place S-place"], ["B-place E-place I-place S-place S-food"]),
    (["E-food I-food E-food O E-food"], ["E-food B-food E-food O S-food"]),
    (["B-work-of-art I-work-of-art O"], ["B-work-of-art I-work-of-art B-work-of"]),
    (["B I O B", "S E"], ["B I O O", "S S"]),
    (["B-food", "I-food"], ["I-food", "B-food"]),
]
SCHEMES = [
    ["O", "B-a", "I-a"],
    ["O", "B-a", "I-a", "B-b", "I-b"],
    ["O", "B-a", "I-a", "E-a", "S-a", "B-b", "I-b", "E-b", "S-b"],
    ["O", "O", "O", "B-x-y", "I-x-y", "S-x", "E-x", "B", "I"],
]


def entities(real, said):
    real_tags, said_tags = [row.split() for row in real], [row.split() for row in said]
    figures = lambda average: precision_recall_fscore_support(real_tags, said_tags, average=average, zero_division=0)
    found = [[f"{kind} {first} {last + 1}" for kind, first, last in get_entities(row)] for row in real_tags]
    kinds = sorted({kind for row in real_tags + said_tags for kind, _, _ in get_entities(row)})
    case = {"real": real, "said": said, "entities": found, "accuracy": float(accuracy_score(real_tags, said_tags))}
    for average in ["micro", "macro"]:
        # seqeval averages nothing to an error where no type is there at all.
        numbers = figures(average) if kinds else (0.0, 0.0, 0.0)
        case |= {f"{name}_{average}": float(value) for name, value in zip(["precision", "recall", "f1"], numbers)}
    by_type = figures(None) if kinds else ([], [], [], [])
    case["types"] = {kind: {name: float(value) for name, value in zip(["precision", "recall", "f1", "support"], numbers)}
                     for kind, *numbers in zip(kinds, *by_type)}
    return case


def random_case():
    tags = SCHEMES[random.integers(len(SCHEMES))]
    real, said = [], []
    for _ in range(random.integers(1, 4)):
        row = [tags[i] for i in random.integers(len(tags), size=random.integers(1, 12))]
        real.append(" ".join(row))
        # Half of the tags are right.
        said.append(" ".join(tag if random.random() < 0.5 else tags[random.integers(len(tags))] for tag in row))
    return entities(real, said)


ROWS = [
    "the old boat was slow".split(),
    ["rain"],
    ["My", "friend's", "garden", "\u200d", "is", "clear-ish,", "again!?", "", "evening"],
    ["Good", "bread", "unbelievably-hard", "to", "find", "in", "the", "town", "of", "rivers", "..."],
    ["\u200d"],
    ["two words", "caf\u00e9", "[SEP]", "x"],
]


def tokenized(name):
    tokenizer = AutoTokenizer.from_pretrained(HERE / name / "model")
    if isinstance(tokenizer.backend_tokenizer.pre_tokenizer, ByteLevel):
        # What add_prefix_space=True says for single words; transformers 5 ignores it in folders without vocab.json.
        tokenizer.backend_tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)
    rows = []
    for words in ROWS:
        encoded = tokenizer(words, is_split_into_words=True)
        places = {}
        for place, word in enumerate(encoded.word_ids()):
            if word is not None:
                places.setdefault(word, place)
        rows.append({"words": words, "ids": encoded["input_ids"], "first": [[place, word] for word, place in places.items()]})
    return {"model": name, "rows": rows}


def loss(name):
    """Mean cross-entropy over first tokens; all others have the label -100, as in transformers' example for tokens."""
    model = AutoModelForTokenClassification.from_pretrained(HERE / name / "model", dtype=torch.float32).eval()
    rows = tokenized(name)["rows"]
    tags, labels = [], []
    for row in rows:
        row_tags = random.integers(3, size=len(row["words"])).tolist()
        own = [-100] * len(row["ids"])
        for place, word in row["first"]:
            own[place] = row_tags[word]
        tags.append([model.config.id2label[tag] for tag in row_tags])
        labels.append(own)
    longest = max(map(len, labels))
    pad = lambda values, with_: torch.tensor([row + [with_] * (longest - len(row)) for row in values])
    ids = [row["ids"] for row in rows]
    mask = pad([[1] * len(row) for row in ids], 0)
    with torch.no_grad():
        value = model(input_ids=pad(ids, 0), attention_mask=mask, labels=pad(labels, -100)).loss
    return {"model": name, "tags": tags, "value": value.item()}


def main():
    cases = [entities(real, said) for real, said in CHOSEN] + [random_case() for _ in range(120)]
    written = {
        "versions": {"seqeval": version("seqeval"), "transformers": transformers.__version__},
        "words": [tokenized("tiny-tokens"), tokenized("tiny-roberta")],
        "loss": loss("tiny-tokens"),
    }
    head = json.dumps(written)[:-1]
    print(head + ', "entities": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]}")


if __name__ == "__main__":
    main()
