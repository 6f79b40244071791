"""Inference with PyTorch and transformers: times the batches of a pass and prints one JSON object. An opponent.

With --output it is the opponent of the whole `ferrotune predict`: no warm-up, and the predictions are written as CSV.
"""

import argparse
import json
import time

import torch
from transformers import AutoModelForSequenceClassification, logging

import batching
import predictions
import rows
import tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--batching", choices=[batching.DYNAMIC, batching.GROUPED], required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--max-length", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--warm-up", type=int, default=0, help="batches before the clock starts")
    parser.add_argument("--bf16", action="store_true", help="autocast to bf16")
    parser.add_argument("--output", help="write predictions there instead of printing logits")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    texts, _ = rows.load(a.rows)
    ids = tokens.encode(a.model, texts, a.max_length)
    lengths = [len(row) for row in ids]
    batches = batching.plan(lengths, a.batch_size, a.batching)
    model = AutoModelForSequenceClassification.from_pretrained(a.model, dtype=torch.float32).eval()

    def run(batch):
        id_rows, mask_rows = batching.padded(ids, batch, batching.width(lengths, batch, a.batching))
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=a.bf16):
            return model(input_ids=torch.tensor(id_rows), attention_mask=torch.tensor(mask_rows)).logits.tolist()

    for batch in batches[: a.warm_up]:
        run(batch)
    logits = [None] * len(ids)
    clock = time.perf_counter()
    for batch in batches:
        for row, scores in zip(batch, run(batch)):
            logits[row] = scores
    seconds = time.perf_counter() - clock
    if a.output:
        predictions.write(a.output, texts, logits, a.model)
        logits = None
    print(json.dumps({
        "rows": len(ids), "seconds": seconds, "logits": logits,
        "padding": batching.padding_share(lengths, batches, a.batching),
    }))


if __name__ == "__main__":
    main()
