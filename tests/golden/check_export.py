#!/usr/bin/env python3
"""Checks that a folder saved by ferrotune loads in Hugging Face transformers and gives the logits that ferrotune gave.

A developer runs it after changing the exporter:

    ferrotune predict --model DIR --input F.csv --output F.jsonl --format jsonl --logits
    python tests/golden/check_export.py --model DIR --csv F.csv --logits F.jsonl

The CSV holds `text`, or `text_a` and `text_b`, in the row order of the JSONL; a JSONL row holds "logits" in id order.
Both sides must cut at the same --max-length. Exit code 0: the first rows (up to --rows) agree within --tolerance;
1: they do not, or the files do not fit together. Needs torch and transformers; no network.
"""
import argparse
import csv
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers
from transformers import AutoModelForSequenceClassification, AutoTokenizer


def read_texts(path, limit):
    """The text columns of the first rows: one list, or two for pairs."""
    with open(path, newline="", encoding="utf-8-sig") as f:
        rows = list(csv.DictReader(f))
    if not rows:
        sys.exit(f"{path}: no rows")
    columns = ("text_a", "text_b") if "text_a" in rows[0] else ("text",)
    for name in columns:
        if name not in rows[0]:
            sys.exit(f"{path}: no column {name}; expected text, or text_a and text_b")
    return [[row[name] for row in rows[:limit]] for name in columns], len(rows)


def read_jsonl(path, limit):
    with open(path, encoding="utf-8") as f:
        rows = [json.loads(line) for line in f if line.strip()]
    for i, row in enumerate(rows[:limit], 1):
        if "logits" not in row:
            sys.exit(f"{path}: row {i} has no logits; run ferrotune predict with --logits")
    return rows[:limit], len(rows)


def main():
    parser = argparse.ArgumentParser(description="Compare a saved folder's logits in transformers with ferrotune's.")
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--csv", required=True, type=Path)
    parser.add_argument("--logits", required=True, type=Path, help="JSONL of ferrotune predict --logits")
    parser.add_argument("--rows", type=int, default=50)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    args = parser.parse_args()
    if args.rows < 1:
        parser.error("--rows must be at least 1")

    texts, in_csv = read_texts(args.csv, args.rows)
    rows, in_jsonl = read_jsonl(args.logits, args.rows)
    if in_csv != in_jsonl:
        sys.exit(f"{args.csv} has {in_csv} rows, {args.logits} has {in_jsonl}")
    transformers.utils.logging.disable_progress_bar()
    model, loading = AutoModelForSequenceClassification.from_pretrained(
        args.model, output_loading_info=True, dtype=torch.float32)
    model.eval()
    # transformers fills a missing tensor with random numbers and goes on; here that is a failure.
    wrong = {kind: sorted(names) for kind, names in loading.items() if names}
    if wrong:
        sys.exit(f"{args.model}: transformers did not load it cleanly: {wrong}")
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    print("id2label:", model.config.id2label)

    names = set(model.config.id2label.values())
    worst, failed = 0.0, 0
    # Columns, not one call a row: given a single pair, transformers drops an empty second text with its [SEP].
    encoded = tokenizer(*texts, truncation=True, max_length=args.max_length)
    for i, row in enumerate(rows):
        if "probabilities" in row and set(row["probabilities"]) != names:
            sys.exit(f"{args.logits}: row {i + 1} names {sorted(row['probabilities'])}, id2label names {sorted(names)}")
        with torch.no_grad():
            want = model(**{k: torch.tensor([v[i]]) for k, v in encoded.items()}).logits[0].double()
        got = torch.tensor(row["logits"], dtype=torch.float64)
        if got.shape != want.shape:
            sys.exit(f"{args.logits}: row {i + 1} has {got.numel()} logits, the model has {want.numel()}")
        difference = (got - want).abs().max().item()
        worst = max(worst, difference) if difference == difference else float("nan")
        if not difference <= args.tolerance:  # also true for NaN
            failed += 1
            print(f"row {i + 1}: largest difference {difference:.3e}: "
                  f"ferrotune {got.tolist()}, transformers {want.tolist()}")
    print(f"{len(rows)} rows compared, {failed} differ by more than {args.tolerance:g}; largest difference {worst:.3e}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
