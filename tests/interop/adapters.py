"""LoRA: the merged folder in transformers, and the adapter in PEFT over the base."""
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import peft
import torch
from peft import AutoPeftModelForSequenceClassification
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import bases
from compare import adapter_agrees, adapter_settings, export_agrees, largest_difference, logits_of, logits_said, must_have_moved, same
from models import FAMILIES, LAYERS
from rows import KINDS, Kind, test_rows
from workplace import TIMEOUT_S, Check, Disagreement, Run, Workplace

SINGLE = KINDS["single-label"]
LORA = {"recipe": "lora"}
ALL = {"recipe": "lora", "lora_targets": "all", "lora_dropout": 0.1}
# Targets, and how many linear layers these are in a layer of the encoder: usually, and where queries, keys and values come from one.
TARGETS = {"query,value": (2, 1), "all": (6, 4), "output": (1, 1), "attention-output": (1, 1), "key,intermediate": (2, 2)}
POOLER = ["bert.pooler.dense", "classifier"]
STOPPED_ON_REQUEST = 75

Base = Callable[[Workplace, str], Path]
# Where the families cannot differ: base, rows, settings, and the modules that PEFT takes from the adapter as they are.
OF_BERT: dict[str, tuple[Base, str, dict, list[str]]] = {
    "multi-label": (bases.bare, "multi-label", ALL, ["classifier"]),
    "scores of pairs": (bases.bare, "scores of pairs", ALL, ["classifier"]),
    "one logit": (bases.bare, "binary with one logit", {**ALL, "lora_rank": 4, "lora_alpha": 12}, ["classifier"]),
    "frozen layer": (bases.bare, "single-label", {**LORA, "freeze": "embeddings,layers.0"}, ["classifier"]),
    "averaged over steps": (bases.bare, "single-label", {**LORA, "ema": 0.9}, ["classifier"]),
    "averaged over epochs": (bases.bare, "single-label", {**LORA, "average_best": 2}, ["classifier"]),
    "unfrozen gradually": (
        bases.bare,
        "single-label",
        {**LORA, "gradual_unfreezing": 1, "epochs": 4, "max_steps": 20},
        ["classifier"],
    ),
    "base in bf16": (bases.bfloat16, "single-label", ALL, ["classifier"]),
    "base without a pooler": (bases.without_pooler, "single-label", LORA, POOLER),
    "base without a pooler, all targets": (bases.without_pooler, "scores of pairs", ALL, POOLER),
    "masked language model": (bases.masked, "single-label", LORA, POOLER),
}


def lora_agrees(work: Workplace, run: Run, base: Path, kind: Kind) -> float:
    return max(export_agrees(work, run.best, kind), adapter_agrees(work, run, base, kind))


def targets_agree(work: Workplace, family: str, targets: str) -> float:
    base = bases.bare(work, family)
    run = work.train(base, SINGLE, recipe="lora", lora_targets=targets, lora_rank=3)
    must_have_moved(base, run.best)
    adapters = sum("lora_A" in name for name in load_file(run.adapter / "adapter_model.safetensors"))
    same("adapted linear layers", adapters, LAYERS * TARGETS[targets][FAMILIES[family].one_projection])
    return lora_agrees(work, run, base, SINGLE)


def tokens_agree(work: Workplace, family: str) -> float:
    base = bases.bare(work, family)
    return lora_agrees(work, work.train(base, KINDS["tokens"], **ALL), base, KINDS["tokens"])


def over_a_classifier(work: Workplace, family: str, kind: Kind) -> float:
    """Its head is kept for the same labels, and new for others."""
    base = bases.classifier(work, family)
    run = work.train(base, kind, **LORA)
    same("that the head is replaced", "replaced by a new one" in run.output, kind != SINGLE)
    return lora_agrees(work, run, base, kind)


def over_labels_in_another_order(work: Workplace, family: str) -> float:
    """An adapter has no names of labels: PEFT takes those of the base, so that the head must have the base's order."""
    base = work.new("turned")
    shutil.copytree(bases.classifier(work, family), base)
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    turned = SINGLE.names[1:] + SINGLE.names[:1]
    config["id2label"] = {str(index): name for index, name in enumerate(turned)}
    config["label2id"] = {name: index for index, name in enumerate(turned)}
    (base / "config.json").write_text(json.dumps(config), encoding="utf-8")
    run = work.train(base, SINGLE, **LORA)
    same("that the head is kept in another order", "it has the labels in another order" in run.output, True)
    rows = test_rows(SINGLE)
    model = AutoModelForSequenceClassification.from_pretrained(base, dtype=torch.float32)
    names = [model.config.id2label[index] for index in range(len(turned))]
    adapted = peft.PeftModel.from_pretrained(model, run.adapter).eval()
    logits = logits_of(adapted, AutoTokenizer.from_pretrained(base), rows)
    own = [[row[names.index(name)] for name in SINGLE.names] for row in logits]
    return largest_difference("logits", logits_said(work.predict(run.best, rows)), own, rows)


def of_bert_agrees(work: Workplace, make_base: Base, kind: Kind, settings: dict, modules: list[str]) -> float:
    base = make_base(work, "bert")
    run = work.train(base, kind, **settings)
    same("modules_to_save", sorted(adapter_settings(run)["modules_to_save"]), modules)
    return lora_agrees(work, run, base, kind)


def base_is_found(work: Workplace) -> float:
    """AutoPeftModel reads the base from where the adapter says it is."""
    base = bases.bare(work, "bert")
    run = work.train(base, SINGLE, **ALL)
    rows = test_rows(SINGLE)
    said = logits_said(work.predict(run.best, rows))
    model = AutoPeftModelForSequenceClassification.from_pretrained(run.adapter, num_labels=len(SINGLE.labels), dtype=torch.float32)
    return largest_difference("logits", said, logits_of(model.eval(), AutoTokenizer.from_pretrained(base), rows), rows)


def new_layers_are_refused(work: Workplace) -> float:
    """The adapter would be of a base that nobody has."""
    flags = work.train_flags(bases.bare(work, "bert"), SINGLE, {**LORA, "reinit_layers": 1})
    return work.refusal("--reinit-layers", subcommand="train", **flags)


def stop(work: Workplace, flags: dict) -> None:
    """Begins a run, and interrupts it once it has a checkpoint."""
    command = work.command("train", flags)
    checkpoints = flags["output"] / "checkpoints"
    work.log(f"\n$ {' '.join(command)}  # and interrupted\n")
    with subprocess.Popen(command, cwd=work.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        ends = time.monotonic() + TIMEOUT_S
        while process.poll() is None and time.monotonic() < ends and not (checkpoints.is_dir() and any(checkpoints.iterdir())):
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        code = process.wait(TIMEOUT_S)
    if code != STOPPED_ON_REQUEST:
        raise Disagreement(f"the run was to be stopped and ended with {code}")


def resumed_agrees(work: Workplace) -> float:
    base = bases.without_pooler(work, "bert")
    flags = work.train_flags(base, SINGLE, {**LORA, "epochs": 200, "max_steps": 1000, "lr": 1e-3})
    stop(work, flags)
    done = work.ferrotune("train", **flags, resume=True)
    return lora_agrees(work, Run(flags["output"], done.stdout + done.stderr), base, SINGLE)


def checks(work: Workplace) -> Iterator[Check]:
    for family in FAMILIES:
        for targets in TARGETS:
            yield Check(f"LoRA, targets {targets}: {family}", partial(targets_agree, work, family, targets))
        yield Check(f"LoRA, tokens: {family}", partial(tokens_agree, work, family))
        yield Check(f"LoRA, over a classifier of the same labels: {family}", partial(over_a_classifier, work, family, SINGLE))
        yield Check(f"LoRA, over a classifier of labels in another order: {family}", partial(over_labels_in_another_order, work, family))
        others = KINDS["multi-label"]
        yield Check(f"LoRA, over a classifier of other labels: {family}", partial(over_a_classifier, work, family, others))
    for name, (base, kind, settings, modules) in OF_BERT.items():
        yield Check(f"LoRA, {name}: bert", partial(of_bert_agrees, work, base, KINDS[kind], settings, modules))
    yield Check("LoRA, AutoPeftModel finds the base: bert", partial(base_is_found, work))
    yield Check("LoRA, refused with new layers: bert", partial(new_layers_are_refused, work))
    yield Check("LoRA, resumed after an interruption: bert", partial(resumed_agrees, work))
