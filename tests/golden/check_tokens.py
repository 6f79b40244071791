#!/usr/bin/env python3
"""Checks that a folder of a tagger of words saved by ferrotune loads in Hugging Face transformers and gives the logits that ferrotune gave.

    ferrotune predict --model DIR --input F.jsonl --output P.jsonl --logits
    python tests/golden/check_tokens.py --model DIR --data F.jsonl --logits P.jsonl

Rows of more than --max-length tokens, which ferrotune reads in windows, are left out and counted. Exit code 0: the first rows (up to --rows) agree
within --tolerance, and words without a token are the same; 1: they do not. With --tags it also compares seqeval's figures of the predicted tags
with a report of `ferrotune evaluate --json`. Needs torch and transformers, and seqeval for --tags; no network.
"""
import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers
from transformers import AutoModelForTokenClassification, AutoTokenizer


def read(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


def compare(model, tokenizer, row, said):
    """The largest difference of the logits of a row's words."""
    encoded = tokenizer(row["tokens"], is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**encoded).logits[0].double()
    first = {}
    for place, word in enumerate(encoded.word_ids()):
        if word is not None:
            first.setdefault(word, place)
    worst = 0.0
    for word, got in enumerate(said["logits"]):
        if (got is None) != (word not in first):
            sys.exit(f"word {word} of {row['tokens']} has a token on one side only")
        if got is not None:
            difference = (torch.tensor(got, dtype=torch.float64) - logits[first[word]]).abs().max().item()
            worst = max(worst, difference) if difference == difference else float("nan")
    return worst


def check_figures(rows, said, report):
    from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score
    real, predicted = [row["tags"] for row in rows], [row["tags"] for row in said]
    wanted = {"accuracy": accuracy_score(real, predicted)}
    for name, score in [("f1", f1_score), ("precision", precision_score), ("recall", recall_score)]:
        for average in ["micro", "macro"]:
            wanted[f"{name}_{average}"] = score(real, predicted, average=average)
    for name, value in wanted.items():
        print(f"{name}: seqeval {value:.6f}, ferrotune {report[name]:.6f}")
        if abs(value - report[name]) > 1e-9:
            sys.exit(f"{name} differs")


def main():
    parser = argparse.ArgumentParser(description="Compare a saved tagger's logits in transformers with ferrotune's.")
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--data", required=True, type=Path, help="JSONL with tokens")
    parser.add_argument("--logits", required=True, type=Path, help="JSONL of ferrotune predict --logits")
    parser.add_argument("--tags", type=Path, help="JSON of ferrotune evaluate --json on the same data, which then has tags")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    args = parser.parse_args()
    rows, said = read(args.data), read(args.logits)
    if len(rows) != len(said):
        sys.exit(f"{args.data} has {len(rows)} rows, {args.logits} has {len(said)}")
    transformers.utils.logging.disable_progress_bar()
    model, loading = AutoModelForTokenClassification.from_pretrained(
        args.model, output_loading_info=True, dtype=torch.float32)
    model.eval()
    # transformers fills a missing tensor with random numbers and goes on; here that is a failure.
    wrong = {kind: sorted(names) for kind, names in loading.items() if names}
    if wrong:
        sys.exit(f"{args.model}: transformers did not load it cleanly: {wrong}")
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    short = [(row, answer) for row, answer in zip(rows, said)
             if len(tokenizer(row["tokens"], is_split_into_words=True)["input_ids"]) <= args.max_length]
    print(f"{len(rows) - len(short)} of {len(rows)} rows are longer than {args.max_length} tokens and left out")
    compared = short[:args.rows]
    differences = [compare(model, tokenizer, row, answer) for row, answer in compared]
    failed = sum(not difference <= args.tolerance for difference in differences)  # also counts NaN
    print(f"{len(compared)} rows compared, {failed} differ by more than {args.tolerance:g}; largest {max(differences):.3e}")
    if args.tags:
        check_figures(rows, said, json.loads(args.tags.read_text()))
    return 1 if failed or not compared else 0


if __name__ == "__main__":
    sys.exit(main())
