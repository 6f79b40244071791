"""Fine-tuning with PyTorch and transformers: times optimizer steps and prints one JSON object. An opponent.

A step is what ferrotune times too: gather and pad the rows, forward, backward, clip the global norm at 1.0, AdamW.
After the warm-up steps, every batch of the file is run once and timed as a whole.
"""

import argparse
import json
import time

import torch
from transformers import AutoModelForSequenceClassification, logging

import batching
import rows
import tokens


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--batching", choices=[batching.STATIC, batching.DYNAMIC, batching.GROUPED], required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--max-length", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--warm-up", type=int, required=True, help="steps before the clock starts")
    parser.add_argument("--fused", action="store_true", help="the fused AdamW")
    parser.add_argument("--bf16", action="store_true", help="autocast to bf16")
    parser.add_argument("--train-layers", type=int, help="train only the last layers, the pooler and the head")
    parser.add_argument("--frozen-eval", action="store_true", help="no dropout in frozen layers")
    parser.add_argument("--first-step", action="store_true", help="end after one step and say when it was done")
    return parser.parse_args()


def freeze(model, train_layers, frozen_eval):
    """Freezes the embeddings and all layers but the last ones."""
    layers = model.bert.encoder.layer
    frozen = [model.bert.embeddings, *layers[: len(layers) - train_layers]]
    for part in frozen:
        part.requires_grad_(False)
        if frozen_eval:
            part.eval()


def optimizer(model, fused):
    """AdamW, with decay for weights and none for biases and layer norms."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    weights = [p for _, p in trained if p.ndim > 1]
    vectors = [p for _, p in trained if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
    # None is PyTorch's own choice, which on the CPU is a loop over the tensors.
    return torch.optim.AdamW(groups, lr=2e-5, fused=fused or None)


def main():
    a = arguments()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    texts, labels = rows.load(a.rows)
    names = sorted(set(labels))
    targets = [names.index(label) for label in labels]
    ids = tokens.encode(a.model, texts, a.max_length)
    lengths = [len(row) for row in ids]
    batches = batching.plan(lengths, a.batch_size, a.batching)

    model = AutoModelForSequenceClassification.from_pretrained(a.model, num_labels=len(names), dtype=torch.float32)
    config = model.config
    if config.hidden_dropout_prob != 0.1 or config.attention_probs_dropout_prob != 0.1:
        raise SystemExit("torch_train: the model's dropout is not 0.1, as the comparison wants it")
    model.train()
    if a.train_layers is not None:
        freeze(model, a.train_layers, a.frozen_eval)
    adamw = optimizer(model, a.fused)
    trained = [p for p in model.parameters() if p.requires_grad]

    def step(batch):
        id_rows, mask_rows = batching.padded(ids, batch, batching.width(lengths, batch, a.batching))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=a.bf16):
            loss = model(
                input_ids=torch.tensor(id_rows),
                attention_mask=torch.tensor(mask_rows),
                labels=torch.tensor([targets[row] for row in batch]),
            ).loss
        adamw.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        adamw.step()
        return loss.item()

    if a.first_step:
        step(batches[0])
        print(json.dumps({"first_step_at": time.time()}))
        return
    for batch in batches[: a.warm_up]:
        step(batch)
    clock = time.perf_counter()
    losses = [step(batch) for batch in batches]
    seconds = time.perf_counter() - clock
    print(json.dumps({
        "rows": len(ids), "seconds": seconds, "steps": len(batches), "mean_loss": sum(losses) / len(losses),
        "padding": batching.padding_share(lengths, batches, a.batching),
    }))


if __name__ == "__main__":
    main()
