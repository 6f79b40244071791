"""Folders that `ferrotune train` saved, of every family and task, in transformers."""
import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, pipeline

import bases
from compare import export_agrees, largest_difference, load_clean, logits_of, must_have_moved, same
from models import FAMILIES
from rows import KINDS, SINGLE_LABEL, Kind, test_rows, training_rows, write
from workplace import MAX_LENGTH, Check, Workplace

SINGLE = KINDS["single-label"]
# Ways of training that decide which tensors a folder gets; those with LoRA are in adapters.py.
WAYS = {
    "BitFit": {"bitfit": "on"},
    "head-only": {"recipe": "head-only"},
    "new layers": {"reinit_layers": 1},
    "gradual unfreezing": {"recipe": "ulmfit", "epochs": 4, "max_steps": 20},
}
# A folder gets a pooler in each of these ways, also where the base had none.
WAYS_WITH_POOLER = {
    "all weights": {},
    "BitFit": {"bitfit": "on"},
    "head-only": {"recipe": "head-only"},
    "frozen encoder": {"freeze": "encoder"},
}
ODD_NAMES = ("NULL", 'a "b", c\\n', "日本 語")


def trained_agrees(work: Workplace, base: Path, kind: Kind, settings: dict, least: float | None = None) -> float:
    """least: how far weights of the encoder must have moved at least."""
    run = work.train(base, kind, **settings)
    if least:
        must_have_moved(base, run.best, least)
    same("a folder for an adapter", run.adapter.exists(), False)
    return export_agrees(work, run.best, kind)


def task_agrees(work: Workplace, family: str, kind: Kind) -> float:
    return trained_agrees(work, bases.bare(work, family), kind, {}, least=1e-3)


def way_agrees(work: Workplace, family: str, settings: dict) -> float:
    return trained_agrees(work, bases.bare(work, family), SINGLE, settings)


def bitfit_refused(work: Workplace, family: str) -> float:
    """Where the encoder has no biases, there is nothing to train."""
    flags = work.train_flags(bases.bare(work, family), SINGLE, WAYS["BitFit"])
    return work.refusal("--bitfit trains the biases of the encoder, and this model has none", subcommand="train", **flags)


def pooler_agrees(work: Workplace, settings: dict) -> float:
    return trained_agrees(work, bases.without_pooler(work, "bert"), SINGLE, settings)


def encoder_alone(work: Workplace, family: str) -> float:
    """AutoModel finds the whole encoder in a classifier's folder."""
    folder = bases.classifier(work, family)
    # BERT's pooler belongs to its encoder; others that are called so are in a head, or only in AutoModel.
    heads = ("classifier.", "pre_classifier.", "head.", *(() if family == "bert" else ("pooler.",)))
    encoder = load_clean(AutoModel, folder, but=heads)
    whole = load_clean(AutoModelForSequenceClassification, folder).base_model
    encoded = AutoTokenizer.from_pretrained(folder)("the river runs cold", return_tensors="pt")
    with torch.no_grad():
        ours, theirs = (model(**encoded).last_hidden_state.tolist() for model in (encoder, whole))
    return largest_difference("hidden states", ours, theirs)


def pipeline_agrees(work: Workplace) -> float:
    folder = bases.classifier(work, "bert")
    rows = test_rows(SINGLE)
    said = work.predict(folder, rows)
    classify = pipeline(
        "text-classification", model=str(folder), tokenizer=str(folder), top_k=None, truncation=True, max_length=MAX_LENGTH, device="cpu"
    )
    scores = [{answer["label"]: answer["score"] for answer in answers} for answers in classify([row["text"] for row in rows])]
    return largest_difference(
        "the pipeline's probabilities",
        [[row["probabilities"][name] for name in SINGLE.names] for row in said],
        [[row[name] for name in SINGLE.names] for row in scores],
        rows,
    )


def odd_names_agree(work: Workplace) -> float:
    """Labels with quotes, commas, backslashes and other scripts."""
    kind = Kind("text", "label", ODD_NAMES, SINGLE_LABEL)
    return export_agrees(work, work.train(bases.bare(work, "bert"), kind).best, kind)


def calibrated_agrees(work: Workplace) -> float:
    """After `calibrate` the logits are the same, and the probabilities those of logits over the temperature."""
    folder = work.new("calibrated")
    shutil.copytree(bases.classifier(work, "bert"), folder)
    data = write(work.new("calibrate", ".csv"), training_rows(SINGLE, 60, seed=7))
    work.ferrotune("calibrate", model=folder, data=data)
    rows = test_rows(SINGLE)
    said = work.predict(folder, rows)
    model = load_clean(AutoModelForSequenceClassification, folder)
    logits = torch.tensor(logits_of(model, AutoTokenizer.from_pretrained(folder), rows))
    temperature = json.loads((folder / "ferrotune.json").read_text(encoding="utf-8"))["calibration"]["temperature"]
    same("that there is a temperature", temperature != 1, True)
    probabilities = [[row["probabilities"][name] for name in SINGLE.names] for row in said]
    largest_difference("probabilities", probabilities, (logits / temperature).softmax(-1).tolist(), rows)
    return largest_difference("logits", [row["logits"] for row in said], logits.tolist(), rows)


def checks(work: Workplace) -> Iterator[Check]:
    for family in FAMILIES:
        for name, kind in KINDS.items():
            yield Check(f"export, {name}: {family}", partial(task_agrees, work, family, kind))
        for way, settings in WAYS.items():
            # One layer for queries, keys and values comes without biases.
            is_refused = way == "BitFit" and FAMILIES[family].one_projection
            check = partial(bitfit_refused, work, family) if is_refused else partial(way_agrees, work, family, settings)
            yield Check(f"export, {way}: {family}", check)
        yield Check(f"export, AutoModel finds the encoder: {family}", partial(encoder_alone, work, family))
    for way, settings in WAYS_WITH_POOLER.items():
        yield Check(f"export, base without a pooler, {way}: bert", partial(pooler_agrees, work, settings))
    yield Check("export, pipeline of text-classification: bert", partial(pipeline_agrees, work))
    yield Check("export, odd names of labels: bert", partial(odd_names_agree, work))
    yield Check("export, calibrated: bert", partial(calibrated_agrees, work))
