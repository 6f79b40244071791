"""Fine-tuning on a GPU with PyTorch and transformers: times optimizer steps and prints one JSON object a measure. An opponent.

Its best: weights in f32 under autocast to bf16, SDPA, the fused AdamW, rows tokenized before, padded to the longest of their batch, copied from pinned
memory; nothing is read back within a step. With --compile the model is compiled, with dynamic shapes. All batches run once before the clock starts and once
after it, so that every shape has been met.
"""

import argparse
import json
import time

import torch
from transformers import AutoModelForSequenceClassification, logging

import rows
import tokens


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--measure", nargs=3, action="append", metavar=("ROWS", "MAX_LENGTH", "BATCH_SIZE"), required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args()


def batches_of(ids, targets, size, steps):
    """Padded batches in pinned memory, in a random order of the rows."""
    order = torch.randperm(len(ids)).tolist()
    for start in range(0, steps * size, size):
        batch = [order[(start + i) % len(order)] for i in range(size)]
        width = max(len(ids[row]) for row in batch)
        padded = torch.zeros(size, width, dtype=torch.long)
        mask = torch.zeros(size, width, dtype=torch.long)
        for i, row in enumerate(batch):
            padded[i, : len(ids[row])] = torch.tensor(ids[row])
            mask[i, : len(ids[row])] = 1
        wanted = torch.tensor([targets[row] for row in batch])
        yield [tensor.pin_memory() for tensor in (padded, mask, wanted)]


def step(model, adamw, batch):
    padded, mask, wanted = (tensor.cuda(non_blocking=True) for tensor in batch)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss = model(input_ids=padded, attention_mask=mask, labels=wanted).loss
    adamw.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    adamw.step()


def measure(model, adamw, batches):
    """Seconds of a pass over the batches, the second one."""
    for batch in batches:
        step(model, adamw, batch)
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for batch in batches:
        step(model, adamw, batch)
    torch.cuda.synchronize()
    return time.perf_counter() - begin


def main():
    a = arguments()
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model = AutoModelForSequenceClassification.from_pretrained(
        a.model, num_labels=2, dtype=torch.float32, attn_implementation="sdpa"
    ).cuda()
    model.train()
    weights = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=2e-5, fused=True)
    run = torch.compile(model, dynamic=True) if a.compile else model
    for file, max_length, batch_size in a.measure:
        texts, labels = rows.load(file)
        names = sorted(set(labels))
        targets = [names.index(label) % 2 for label in labels]
        ids = tokens.encode(a.model, texts, int(max_length))
        seconds = measure(run, adamw, list(batches_of(ids, targets, int(batch_size), a.steps)))
        figure = {"rows": file, "batch_size": int(batch_size), "rows_per_second": a.steps * int(batch_size) / seconds}
        print(json.dumps(figure), flush=True)


if __name__ == "__main__":
    main()
