"""Fine-tuning on a GPU with PyTorch and transformers: times optimizer steps and prints one JSON object. An opponent.

Its best: weights in f32 under autocast to bf16, SDPA, the fused AdamW, rows tokenized before, padded to the longest of their batch, copied from pinned
memory; nothing is read back within a step. With --compile the model is compiled, with dynamic shapes.
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
    parser.add_argument("--rows", required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--max-length", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--warm-up", type=int, required=True, help="steps before the clock starts")
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args()


def main():
    a = arguments()
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    texts, labels = rows.load(a.rows)
    names = sorted(set(labels))
    targets = [names.index(label) for label in labels]
    ids = tokens.encode(a.model, texts, a.max_length)
    model = AutoModelForSequenceClassification.from_pretrained(
        a.model, num_labels=len(names), dtype=torch.float32, attn_implementation="sdpa"
    ).cuda()
    model.train()
    weights = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=2e-5, fused=True)
    run = torch.compile(model, dynamic=True) if a.compile else model

    order = torch.randperm(len(ids)).tolist()
    batches = []
    for start in range(0, a.steps * a.batch_size, a.batch_size):
        batch = [order[(start + i) % len(order)] for i in range(a.batch_size)]
        width = max(len(ids[row]) for row in batch)
        padded = torch.zeros(len(batch), width, dtype=torch.long)
        mask = torch.zeros(len(batch), width, dtype=torch.long)
        for i, row in enumerate(batch):
            padded[i, : len(ids[row])] = torch.tensor(ids[row])
            mask[i, : len(ids[row])] = 1
        wanted = torch.tensor([targets[row] for row in batch])
        batches.append([tensor.pin_memory() for tensor in (padded, mask, wanted)])

    begin = 0.0
    for step, batch in enumerate(batches):
        if step == a.warm_up:
            torch.cuda.synchronize()
            begin = time.perf_counter()
        padded, mask, wanted = (tensor.cuda(non_blocking=True) for tensor in batch)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = run(input_ids=padded, attention_mask=mask, labels=wanted).loss
        adamw.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
    torch.cuda.synchronize()
    seconds = time.perf_counter() - begin
    timed = (len(batches) - a.warm_up) * a.batch_size
    print(json.dumps({"rows_per_second": timed / seconds, "loss": loss.item(), "torch": torch.__version__}))


if __name__ == "__main__":
    main()
