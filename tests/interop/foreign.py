"""Folders that transformers or PEFT wrote: ferrotune predicts and evaluates with them, trains them further and keeps their heads."""
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import peft
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedModel,
)

import adapters
import bases
import models
from compare import (
    answers_agree,
    auto_class,
    export_agrees,
    flat,
    foreign_agrees,
    foreign_tokenizer,
    label_names,
    largest_difference,
    load_clean,
    logits_of,
    logits_said,
    must_have_moved,
    same,
)
from models import FAMILIES
from rows import KINDS, MULTI_LABEL, REGRESSION, SINGLE_LABEL, Kind, test_rows, training_rows, write
from workplace import MAX_LENGTH, Check, Disagreement, Workplace

SINGLE = KINDS["single-label"]


def named(*labels: str) -> dict:
    return {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}


@dataclass(frozen=True)
class Head:
    kind: Kind
    config: dict = field(hash=False)
    """How its config.json differs from a bare encoder's."""


UNSORTED = ("zeta", "alpha", "mid")
TAGS = ("O", "B-z", "I-z", "B-a", "I-a")
HEADS = {
    "labels out of order": Head(Kind("text", "label", UNSORTED, SINGLE_LABEL), named(*UNSORTED)),
    "tags out of order": Head(Kind("tokens", "tags", TAGS), named(*TAGS)),
    "labels in order": Head(Kind("text", "label", ("a", "b"), SINGLE_LABEL), named("a", "b")),
    "labels without names": Head(Kind("text", "label", ("LABEL_0", "LABEL_1"), SINGLE_LABEL), {"num_labels": 2}),
    "one output": Head(Kind("text", "score", (), REGRESSION), {"num_labels": 1}),
    "regression": Head(Kind("text", "score", (), REGRESSION), {"num_labels": 1, "problem_type": REGRESSION}),
    "multi-label": Head(Kind("text", "labels", UNSORTED, MULTI_LABEL), {"problem_type": MULTI_LABEL, **named(*UNSORTED)}),
    "multi-label of one": Head(Kind("text", "labels", ("LABEL_0",), MULTI_LABEL), {"num_labels": 1, "problem_type": MULTI_LABEL}),
    "pairs": Head(Kind("pair", "label", UNSORTED, SINGLE_LABEL), named(*UNSORTED)),
}
STORED = {"f32": {}, "fp16": {"dtype": torch.float16}, "bf16, several files": {"dtype": torch.bfloat16, "shard": "20KB"}}
# Every family with a head of either shape; the rest where the families cannot differ.
OF_EVERY_FAMILY = [("labels out of order", "f32"), ("tags out of order", "bf16, several files")]
OF_BERT = [("labels out of order", "fp16"), *((name, "f32") for name in HEADS if name != "labels out of order")]

# Bases with something to leave behind, or of another shape: family, class, changes of the configuration.
BASES = [
    ("bert", AutoModelForPreTraining, {}),
    ("bert", AutoModelForTokenClassification, {}),
    ("bert", AutoModelForQuestionAnswering, {}),
    ("bert", AutoModel, {"type_vocab_size": 1}),
    ("roberta", AutoModelForTokenClassification, {}),
    ("roberta", AutoModel, {"type_vocab_size": 2}),
    ("distilbert", AutoModelForMaskedLM, {}),
    ("electra", AutoModelForPreTraining, {}),
    ("electra", AutoModel, {"embedding_size": 32}),
    # Its head has the names of the classifiers' own.
    ("modernbert", AutoModelForMaskedLM, {}),
    ("modernbert", AutoModelForTokenClassification, {}),
    ("modernbert", AutoModel, {"classifier_pooling": "cls"}),
]


@cache
def folder_of(work: Workplace, family: str, head: str, stored: str) -> Path:
    kind, config = HEADS[head].kind, HEADS[head].config
    return models.make(work.new("foreign"), family, auto_class(kind), **STORED[stored], **config)


def metrics_of(logits: list, rows: list[dict], kind: Kind, model: PreTrainedModel) -> dict[str, float]:
    """What `evaluate` must say of the rows."""
    ids = model.config.label2id
    if kind.target == "score":
        errors = torch.tensor(flat(logits)) - torch.tensor([row["score"] for row in rows])
        return {"mse": errors.square().mean().item(), "mae": errors.abs().mean().item()}
    if kind.target == "labels":
        numbers = torch.tensor(logits, dtype=torch.float64)
        truth = torch.tensor([[float(label in row["labels"].split("|")) for label in kind.labels] for row in rows], dtype=torch.float64)
        right = ((numbers > 0) == (truth > 0.5)).all(-1).double()
        return {"loss": binary_cross_entropy_with_logits(numbers, truth).item(), "subset_accuracy": right.mean().item()}
    if kind.target == "tags":
        words = [(word, tag) for row_logits, row in zip(logits, rows) for word, tag in zip(row_logits, row["tags"]) if word]
    else:
        words = [(row_logits, row["label"]) for row_logits, row in zip(logits, rows)]
    numbers, truth = torch.tensor([word for word, _ in words]), torch.tensor([ids[label] for _, label in words])
    right = (numbers.argmax(-1) == truth).double()
    return {"loss": cross_entropy(numbers, truth).item(), "accuracy": right.mean().item()}


def evaluation_agrees(work: Workplace, folder: Path, kind: Kind) -> float:
    rows = training_rows(kind, 12, seed=2)
    data = write(work.new("evaluate", ".jsonl" if kind.shape == "tokens" else ".csv"), rows)
    said = json.loads(work.ferrotune("evaluate", model=folder, data=data, json=True, threads=1, max_length=MAX_LENGTH).stdout)
    said |= said.get("metrics", {})
    model = load_clean(auto_class(kind), folder)
    expected = metrics_of(logits_of(model, foreign_tokenizer(folder, kind), rows), rows, kind, model)
    return largest_difference(f"{list(expected)}", [said.get(name) for name in expected], list(expected.values()))


def is_read(work: Workplace, family: str, head: str, stored: str) -> float:
    folder, kind = folder_of(work, family, head, stored), HEADS[head].kind
    return max(foreign_agrees(work, folder, kind), evaluation_agrees(work, folder, kind))


def is_trained(work: Workplace, family: str, head: str, stored: str) -> float:
    """The folder that comes of it loads, is f32, and gives ferrotune's logits."""
    folder, kind = folder_of(work, family, head, stored), HEADS[head].kind
    best = work.train(folder, kind).best
    must_have_moved(folder, best)
    model = load_clean(auto_class(kind), best)
    same("dtype", auto_class(kind).from_pretrained(best).dtype, torch.float32)
    if kind.labels:
        same("labels", set(label_names(model.config)), set(kind.labels))
    rows = test_rows(kind)
    said = work.predict(best, rows)
    logits = logits_of(model, AutoTokenizer.from_pretrained(best), rows)
    difference = largest_difference("logits", logits_said(said), logits, rows)
    answers_agree(said, logits, model.config, kind)
    return difference


def logits_by_name(folder: Path, kind: Kind, rows: list[dict]) -> list:
    """transformers' logits, in the order of the labels' names."""
    model = load_clean(auto_class(kind), folder)
    names = label_names(model.config)
    order = sorted(range(len(names)), key=names.__getitem__)
    logits = logits_of(model, foreign_tokenizer(folder, kind), rows)
    if kind.shape == "tokens":
        return [[word and [word[index] for index in order] for word in row] for row in logits]
    return [[row[index] for index in order] for row in logits]


def head_is_kept(work: Workplace, family: str, head: str, stored: str) -> float:
    """Training at a rate of almost nothing leaves every logit as it was, whatever the order of labels is afterwards."""
    folder, kind = folder_of(work, family, head, stored), HEADS[head].kind
    run = work.train(folder, kind, lr=1e-9, weight_decay=0)
    same("that the head is replaced", "replaced by a new one" in run.output, False)
    rows = test_rows(kind)
    return largest_difference("logits", logits_by_name(run.best, kind, rows), logits_by_name(folder, kind, rows), rows)


def base_is_read(work: Workplace, family: str, auto: type, changes: dict) -> float:
    base = models.make(work.new("base"), family, auto, **changes)
    # With one type of token transformers itself cannot read pairs.
    texts = SINGLE if family == "bert" and changes else KINDS["pairs"]
    difference = 0.0
    for kind in (texts, KINDS["tokens"]):
        run = work.train(base, kind)
        must_have_moved(base, run.best)
        adapted = work.train(base, kind, **adapters.ALL)
        difference = max(difference, export_agrees(work, run.best, kind), adapters.lora_agrees(work, adapted, base, kind))
    return difference


def round_trip(work: Workplace, family: str) -> float:
    """ferrotune trains, transformers reads that and trains on, and ferrotune again."""
    first = bases.classifier(work, family)
    model, tokenizer = load_clean(AutoModelForSequenceClassification, first), AutoTokenizer.from_pretrained(first)
    rows = training_rows(SINGLE, 16, seed=3)
    encoded = tokenizer([row["text"] for row in rows], padding=True, return_tensors="pt")
    labels = torch.tensor([SINGLE.labels.index(row["label"]) for row in rows])
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    model.train()
    for _ in range(2):
        optimizer.zero_grad()
        model(**encoded, labels=labels).loss.backward()
        optimizer.step()
    second = work.new("trained-by-transformers")
    model.save_pretrained(second)
    tokenizer.save_pretrained(second)
    must_have_moved(first, second)
    third = work.train(second, SINGLE)
    must_have_moved(second, third.best)
    if "replaced by a new one" in third.output:
        raise Disagreement("the head is replaced")
    return max(foreign_agrees(work, second, SINGLE), export_agrees(work, third.best, SINGLE))


def peft_merged_agrees(work: Workplace) -> float:
    """A model that PEFT merged with an adapter of its own."""
    base = bases.bare(work, "bert")
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=3, dtype=torch.float32)
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=4, task_type="SEQ_CLS", target_modules="all-linear"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    folder = work.new("merged-by-peft")
    adapted.merge_and_unload().save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    must_have_moved(base, folder)
    return foreign_agrees(work, folder, SINGLE)


def checks(work: Workplace) -> Iterator[Check]:
    cases = [(family, *case) for family in FAMILIES for case in OF_EVERY_FAMILY] + [("bert", *case) for case in OF_BERT]
    for family, head, stored in cases:
        name = f"{head}, {stored}: {family}"
        yield Check(f"foreign, predict and evaluate, {name}", partial(is_read, work, family, head, stored))
        yield Check(f"foreign, train, {name}", partial(is_trained, work, family, head, stored))
        yield Check(f"foreign, head is kept, {name}", partial(head_is_kept, work, family, head, stored))
    for family, auto, changes in BASES:
        base = " ".join([auto.__name__, *(f"{key}={value}" for key, value in changes.items())])
        yield Check(f"foreign, base of {base}: {family}", partial(base_is_read, work, family, auto, changes))
    for family in FAMILIES:
        yield Check(f"foreign, trained by ferrotune, transformers, ferrotune: {family}", partial(round_trip, work, family))
    yield Check("foreign, merged by PEFT: bert", partial(peft_merged_agrees, work))
