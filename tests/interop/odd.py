"""Folders that lack something or contradict themselves: ferrotune refuses them by name, warns, or reads what transformers reads."""
import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import bases
import models
from compare import largest_difference, load_clean, logits_of, logits_said
from models import FAMILIES
from rows import KINDS, test_rows, training_rows, write
from workplace import Check, Disagreement, Workplace

SINGLE = KINDS["single-label"]
# What tokenizer_config.json says against tokenizer.json.
CONTRADICTIONS = [("bert", {"do_lower_case": False}), ("roberta", {"add_prefix_space": True})]


def copy_of_classifier(work: Workplace, family: str) -> Path:
    folder = work.new("odd")
    shutil.copytree(bases.classifier(work, family), folder)
    return folder


def predict_is_refused(work: Workplace, folder: Path, *expected: str) -> float:
    asked = write(work.new("rows", ".jsonl"), test_rows(SINGLE))
    return work.refusal(*expected, subcommand="predict", model=folder, input=asked)


def bare_encoder(work: Workplace, family: str) -> float:
    return predict_is_refused(work, bases.bare(work, family), "ferrotune train")


def pickled_weights(work: Workplace, family: str, zipped: bool) -> float:
    """Weights in pytorch_model.bin alone, in the layouts of torch.save from 1.6 on and before, give the logits of safetensors."""
    folder = models.make(work.new("pickled"), family, AutoModelForSequenceClassification, num_labels=3)
    rows, weights = test_rows(SINGLE), folder / "model.safetensors"
    expected = logits_said(work.predict(folder, rows))
    torch.save(load_file(weights), folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    weights.unlink()
    difference = largest_difference("logits", logits_said(work.predict(folder, rows)), expected, rows)
    work.train(folder, SINGLE)
    return difference


def pickled_objects(work: Workplace) -> float:
    """A pickled model, and a checkpoint of training, are refused: the message says what they hold and how to save weights."""
    folder = models.make(work.new("pickled"), "bert", AutoModelForSequenceClassification, num_labels=3)
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    weights.unlink()
    torch.save(torch.nn.Linear(2, 2), folder / "pytorch_model.bin")
    expected = ("pytorch_model.bin", "torch.nn.modules.linear.Linear", "safe_serialization=True")
    rows = write(work.new("train", ".csv"), training_rows(SINGLE, 40, seed=1))
    work.refusal(*expected, subcommand="train", model=folder, train=rows, output=work.new("run"))
    work.refusal(*expected, subcommand="evaluate", model=folder, data=rows)
    predict_is_refused(work, folder, *expected)
    torch.save({"state_dict": tensors, "epoch": 3}, folder / "pytorch_model.bin")
    return predict_is_refused(work, folder, "pytorch_model.bin", "state_dict", "torch.save")


def adapter_alone(work: Workplace) -> float:
    run = work.train(bases.bare(work, "bert"), SINGLE, recipe="lora")
    return predict_is_refused(work, run.adapter, "config.json", "adapter_config.json")


def no_tokenizer(work: Workplace) -> float:
    folder = copy_of_classifier(work, "bert")
    (folder / "tokenizer.json").unlink()
    return predict_is_refused(work, folder, "no tokenizer.json")


def no_tokenizer_config(work: Workplace, family: str) -> float:
    """transformers chooses its class of tokenizer by the model's type and reads the same tokens from tokenizer.json."""
    folder = copy_of_classifier(work, family)
    (folder / "tokenizer_config.json").unlink()
    rows = test_rows(SINGLE)
    said = logits_said(work.predict(folder, rows))
    model = load_clean(AutoModelForSequenceClassification, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # Its name is lost with the file, and a batch cannot be padded without.
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(model.config.pad_token_id)
    return largest_difference("logits", said, logits_of(model, tokenizer, rows), rows)


def contradiction(work: Workplace, family: str, changes: dict) -> float:
    """transformers follows tokenizer_config.json and ferrotune tokenizer.json: that cannot agree, and a warning says so."""
    folder = copy_of_classifier(work, family)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
    asked = write(work.new("rows", ".jsonl"), test_rows(SINGLE))
    said = work.ferrotune("predict", model=folder, input=asked, output=work.new("predictions", ".jsonl"), threads=1).stderr
    if "make them agree" not in said or not all(name in said for name in changes):
        raise Disagreement(f"no warning: {said}")
    return 0.0


def checks(work: Workplace) -> Iterator[Check]:
    for family in FAMILIES:
        yield Check(f"odd, predict refuses a bare encoder: {family}", partial(bare_encoder, work, family))
        yield Check(f"odd, no tokenizer_config.json: {family}", partial(no_tokenizer_config, work, family))
    for family in ["bert", "modernbert"]:
        for zipped in [True, False]:
            layout = "an archive" if zipped else "the old layout"
            yield Check(f"odd, pytorch_model.bin alone, {layout}: {family}", partial(pickled_weights, work, family, zipped))
    yield Check("odd, pytorch_model.bin of other objects is refused: bert", partial(pickled_objects, work))
    yield Check("odd, an adapter alone is refused: bert", partial(adapter_alone, work))
    yield Check("odd, no tokenizer.json is refused: bert", partial(no_tokenizer, work))
    for family, changes in CONTRADICTIONS:
        yield Check(f"odd, a warning of {', '.join(changes)}: {family}", partial(contradiction, work, family, changes))
