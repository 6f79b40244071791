"""Shows that the other checks can fail: each of these spoils something on one side, and what compares the two sides must see it."""
import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import bases
from compare import adapter_agrees, export_agrees, largest_difference, logits_of, logits_said, must_have_moved
from rows import KINDS, test_rows
from workplace import Check, Disagreement, Run, Workplace

SINGLE = KINDS["single-label"]
# tensors, configuration
Spoil = Callable[[dict, dict], object]


def drop(text: str) -> Spoil:
    """Drops the tensors whose names have this in them."""

    def spoil(tensors: dict, _config: dict) -> None:
        for name in [name for name in tensors if text in name]:
            del tensors[name]

    return spoil


def turn_labels(_tensors: dict, config: dict) -> None:
    names = list(reversed(SINGLE.names))
    config["id2label"] = {str(index): name for index, name in enumerate(names)}
    config["label2id"] = {name: index for index, name in enumerate(names)}


# Of an adapter over a base without a pooler.
OF_ADAPTER: dict[str, Spoil] = {
    "an adapter without one of its matrices": drop("layer.1.attention.self.value.lora_B"),
    "an adapter without the pooler": drop("pooler"),
    "an adapter with another alpha": lambda _, config: config.update(lora_alpha=config["lora_alpha"] * 1.01),
    "an adapter whose pooler is not named": lambda _, config: config.update(modules_to_save=["classifier"]),
}
OF_EXPORT: dict[str, Spoil] = {
    "labels in another order": turn_labels,
    "another problem_type": lambda _, config: config.update(problem_type="multi_label_classification"),
    "a tensor too many": lambda tensors, _: tensors.update(surplus=tensors["classifier.bias"].clone()),
}


def must_see(work: Workplace, check: Callable[[], object]) -> float:
    try:
        check()
    except Disagreement as seen:
        work.log(f"seen: {seen}\n")
        return 0.0
    raise Disagreement("nothing was seen")


def spoilt(folder: Path, weights: str, config: str, spoil: Spoil) -> None:
    tensors, settings = load_file(folder / weights), json.loads((folder / config).read_text(encoding="utf-8"))
    before = (set(tensors), json.dumps(settings))
    spoil(tensors, settings)
    if before == (set(tensors), json.dumps(settings)):
        raise ValueError("nothing was spoilt")
    save_file(tensors, folder / weights, metadata={"format": "pt"})
    (folder / config).write_text(json.dumps(settings), encoding="utf-8")


def sees_adapter(work: Workplace, spoil: Spoil) -> float:
    base = bases.without_pooler(work, "bert")
    run = work.train(base, SINGLE, recipe="lora")
    other = Run(work.new("spoilt"), "")
    shutil.copytree(run.folder, other.folder)
    adapter_agrees(work, other, base, SINGLE)
    spoilt(other.adapter, "adapter_model.safetensors", "adapter_config.json", spoil)
    return must_see(work, lambda: adapter_agrees(work, other, base, SINGLE))


def sees_export(work: Workplace, spoil: Spoil) -> float:
    folder = work.new("spoilt")
    shutil.copytree(bases.classifier(work, "bert"), folder)
    export_agrees(work, folder, SINGLE)
    spoilt(folder, "model.safetensors", "config.json", spoil)
    return must_see(work, lambda: export_agrees(work, folder, SINGLE))


def sees_another_model(work: Workplace) -> float:
    rows = test_rows(SINGLE)
    said = logits_said(work.predict(bases.classifier(work, "bert"), rows))
    other = work.train(bases.bare(work, "bert"), SINGLE, seed=1).best
    logits = logits_of(AutoModelForSequenceClassification.from_pretrained(other).eval(), AutoTokenizer.from_pretrained(other), rows)
    return must_see(work, lambda: largest_difference("logits", said, logits))


def sees_what_is_no_number(work: Workplace) -> float:
    for theirs in ([[0.0, float("nan")]], [[float("nan"), 0.0]], [[0.0]], [[0.0, None]], []):
        must_see(work, lambda: largest_difference("numbers", [[0.0, 0.0]], theirs))
    return 0.0


def sees_weights_that_stay(work: Workplace) -> float:
    base = bases.bare(work, "bert")
    return must_see(work, lambda: must_have_moved(base, base))


def checks(work: Workplace) -> Iterator[Check]:
    for name, spoil in OF_ADAPTER.items():
        yield Check(f"control, sees {name}", partial(sees_adapter, work, spoil))
    for name, spoil in OF_EXPORT.items():
        yield Check(f"control, sees {name}", partial(sees_export, work, spoil))
    yield Check("control, sees another model's logits", partial(sees_another_model, work))
    yield Check("control, sees what is no number", partial(sees_what_is_no_number, work))
    yield Check("control, sees weights that stay", partial(sees_weights_that_stay, work))
