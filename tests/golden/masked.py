#!/usr/bin/env python3
"""Writes the golden fixtures of masked language modelling: masked-bert, masked-roberta, masked-distilbert,
masked-modernbert, masked-mpnet.

    python tests/golden/masked.py [--out tests/golden] [--only masked-bert]

Each folder holds `model/` (config.json and model.safetensors by save_pretrained, no tokenizer) and `golden.safetensors`:
`ids` (already masked), `type_ids`, `offsets`, `places` (which tokens are asked for, counted over all rows), `labels` (what
really stands there), `logits` [places, vocabulary], `loss` (the mean over places), `grad.*` (of the word embeddings the sum of
both uses, since the decoder is tied to them). The rules of generate.py hold, whose helpers it uses.
"""

import families as f  # sets the environment before torch is imported
import generate as g
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForMaskedLM, BertConfig, DistilBertConfig, MPNetConfig, RobertaConfig

SIZES = dict(vocab_size=61, initializer_range=0.2)
FAMILIES = {
    "masked-bert": (BertConfig(
        **SIZES, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, max_position_embeddings=20,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0), 71),
    "masked-roberta": (RobertaConfig(
        **SIZES, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, max_position_embeddings=22,
        type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0), 72),
    "masked-distilbert": (DistilBertConfig(
        **SIZES, dim=16, n_layers=2, n_heads=2, hidden_dim=24, max_position_embeddings=20, dropout=0.0, attention_dropout=0.0),
        73),
    "masked-modernbert": (f.modernbert(
        0, (2000.0, 50.0), **SIZES, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=20), 74),
    "masked-mpnet": (MPNetConfig(
        **SIZES, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, max_position_embeddings=22,
        layer_norm_eps=1e-5, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0), 75),
}
LENGTHS = [6, 3, 17, 9]
MASK, FIRST_WORD = 4, 5
TIED = ["decoder.weight", "vocab_projector.weight"]


def inputs():
    """Rows of ids, and of them the places that are asked for: masked, replaced and kept in turn."""
    torch.manual_seed(70)
    rows, asked, n = [], [], 0
    for length in LENGTHS:
        real = torch.randint(FIRST_WORD, SIZES["vocab_size"], (length,))
        row, places = real.clone(), list(range(1, length - 1, 3))
        for place in places:
            row[place] = [MASK, MASK, FIRST_WORD + n % 50, real[place]][n % 4]
            n += 1
        rows.append(row.tolist())
        asked.append([(place, real[place].item()) for place in places])
    return rows, asked


def write(folder, config, seed):
    model_folder = folder / "model"
    model_folder.mkdir(parents=True, exist_ok=True)
    config._attn_implementation = "eager"
    model = AutoModelForMaskedLM.from_config(config).eval()
    f.randomise(model, seed)
    model.save_pretrained(model_folder)
    for name in ["generation_config.json"]:
        (model_folder / name).unlink(missing_ok=True)
    stored = load_file(model_folder / "model.safetensors")
    g.check(not any(name.endswith(tuple(TIED)) for name in stored), "the decoder is tied and not stored")

    rows, asked = inputs()
    types = [[0] * len(row) for row in rows]
    batch = g.pad(rows, types)
    if config.model_type in ("roberta", "modernbert", "mpnet"):
        batch["input_ids"] = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, config.pad_token_id)
    if config.model_type != "bert":
        del batch["token_type_ids"]
    labels = torch.full(batch["input_ids"].shape, f.SKIPPED)
    for row, places in enumerate(asked):
        for place, real in places:
            labels[row, place] = real
    chosen = labels != f.SKIPPED

    def run(model):
        model.zero_grad(set_to_none=True)
        out = model(**batch, labels=labels)
        out.loss.backward()
        grads = {f"grad.{n}": torch.zeros_like(p) if p.grad is None else p.grad.clone().contiguous()
                 for n, p in model.named_parameters()}
        return {"logits": out.logits.detach()[chosen].contiguous(), "loss": out.loss.detach().reshape(1)} | grads

    golden = run(model)
    g.check({n.removeprefix("grad.") for n in golden if n.startswith("grad.")} == set(stored), "a gradient for each tensor")
    with f.attention_in_float64():
        exact = run(model.double())
    for name, value in exact.items():
        g.check(g.deviation(golden[name], value) < (1e-5 if name.startswith("grad.") else 3e-6), f"{name}: near float64")
        if name.startswith("grad."):
            size = value.abs().max().item()
            g.check(size < 1e-6 if f.is_shift(name) else size > 1e-3, f"size of {name}: {size}")
    starts = [sum(LENGTHS[:i]) for i in range(len(LENGTHS))]
    flat = [(start + place, real) for start, places in zip(starts, asked) for place, real in places]
    golden |= g.ragged(rows, types) | {
        "places": torch.tensor([place for place, _ in flat], dtype=torch.int32),
        "labels": torch.tensor([real for _, real in flat], dtype=torch.int32)}
    reloaded = AutoModelForMaskedLM.from_pretrained(model_folder, attn_implementation="eager").eval()
    g.check(torch.equal(run(reloaded)["logits"], golden["logits"]), "the saved folder gives the same logits")
    save_file(golden, folder / "golden.safetensors", metadata={"format": "pt"})
    print(f"{folder.name}: {len(flat)} places, loss {golden['loss'].item():.4f}")


if __name__ == "__main__":
    f.write_all(FAMILIES, write, "Write the golden fixtures of masked language modelling.")
