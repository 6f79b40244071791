"""A real BERT folder that `--model` names, such as MiniLM, trained a few steps each way."""
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModel

from adapters import lora_agrees
from compare import export_agrees, load_clean, must_have_moved, same
from pretraining import load_masked, pretrain
from rows import KINDS, Kind
from workplace import Check, Workplace

# Real weights are trained gently, and move as little.
SETTINGS = {"max_steps": 3, "lr": 2e-4}
LORA = {"recipe": "lora", "max_steps": 3, "lr": 2e-3}
MOVED = 1e-5


def fine_tuned_agrees(work: Workplace, model: Path, kind: Kind) -> float:
    best = work.train(model, kind, **SETTINGS).best
    must_have_moved(model, best, MOVED)
    load_clean(AutoModel, best, but=("classifier.",) if kind.shape != "tokens" else ("classifier.", "pooler."))
    return export_agrees(work, best, kind)


def lora_of_model_agrees(work: Workplace, model: Path, kind: Kind) -> float:
    run = work.train(model, kind, **LORA)
    must_have_moved(model, run.best, MOVED)
    return lora_agrees(work, run, model, kind)


def pretrained_agrees(work: Workplace, model: Path) -> float:
    """It loads as a masked language model, and the pooler is kept."""
    best = pretrain(work, model, max_steps=2, lr=1e-4) / "best"
    must_have_moved(model, best, MOVED)
    load_masked(best)
    pooler = load_clean(AutoModel, best, but=("cls.",)).pooler.dense.weight
    same("that the pooler is kept", torch.equal(pooler, load_file(model / "model.safetensors")["pooler.dense.weight"]), True)
    return 0.0


def checks(work: Workplace, model: Path) -> Iterator[Check]:
    for name in ("single-label", "tokens"):
        yield Check(f"real model, {name}", partial(fine_tuned_agrees, work, model, KINDS[name]))
        yield Check(f"real model, LoRA, {name}", partial(lora_of_model_agrees, work, model, KINDS[name]))
    yield Check("real model, pretrain", partial(pretrained_agrees, work, model))
