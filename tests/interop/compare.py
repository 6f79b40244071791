"""Loads folders in transformers and PEFT and compares what they say of the same rows with what `ferrotune predict` says."""
import json
import math
import re
import warnings
from pathlib import Path

import peft
import torch
from safetensors.torch import load_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from rows import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Kind, test_rows
from workplace import MAX_LENGTH, Disagreement, Run, Workplace

# Of logits around 1. Both sides compute in f32, and sums in another order make differences of about 1e-6.
TOLERANCE = 1e-4
# What training must change at least in one weight.
MOVED = 1e-3


def same(what: str, ours, theirs) -> None:
    if ours != theirs:
        raise Disagreement(f"{what}: ferrotune {ours}, expected {theirs}")


def flat(value) -> list:
    return [number for part in value for number in flat(part)] if isinstance(value, list) else [value]


def largest_difference(what: str, ours: list, theirs: list, rows: list[dict] | None = None) -> float:
    """Of numbers in lists in lists, a row each. None stands where there is no number, and must stand on both sides."""
    same(f"rows of {what}", len(ours), len(theirs))
    largest = 0.0
    for index, (mine, other) in enumerate(zip(ours, theirs)):
        mine, other = flat(mine), flat(other)
        place = f"{what}, row {index} {rows[index] if rows else ''}"
        same(f"missing numbers of {place}", [number is None for number in mine], [number is None for number in other])
        differences = [abs(number - expected) for number, expected in zip(mine, other) if number is not None]
        if not all(difference <= TOLERANCE for difference in differences):
            raise Disagreement(f"{place}: a difference of {max(differences):.1e}: ferrotune {mine}, expected {other}")
        largest = max([largest, *differences])
    return largest


def auto_class(kind: Kind) -> type:
    return AutoModelForTokenClassification if kind.shape == "tokens" else AutoModelForSequenceClassification


def load_clean(auto: type, folder: Path, *, but: tuple[str, ...] = (), **options) -> PreTrainedModel:
    """Every tensor of the folder has its place and every place its tensor, but those whose name begins with one of `but`."""
    model, loading = auto.from_pretrained(folder, output_loading_info=True, dtype=torch.float32, **options)
    for problem, names in loading.items():
        odd = sorted(name for name in map(str, names) if not name.startswith(but))
        if odd:
            raise Disagreement(f"{auto.__name__} says {problem}: {odd}")
    return model.eval()


def foreign_tokenizer(folder: Path, kind: Kind) -> PreTrainedTokenizerBase:
    """Of a folder that ferrotune did not write: words of RoBERTa are read with the blank before them only if one asks for that."""
    tokenizer = AutoTokenizer.from_pretrained(folder, **({"add_prefix_space": True} if kind.shape == "tokens" else {}))
    if kind.shape == "tokens" and isinstance(tokenizer.backend_tokenizer.pre_tokenizer, ByteLevel):
        # The class of ModernBERT's tokenizer is deaf to it.
        tokenizer.backend_tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=True)
    return tokenizer


def word_logits(model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, words: list[str]) -> list[list[float] | None]:
    """Of each word's first token; None for a word without tokens."""
    encoded = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    logits = model(**encoded).logits[0].double()
    first: dict[int, int] = {}
    for place, word in enumerate(encoded.word_ids()):
        if word is not None:
            first.setdefault(word, place)
    return [logits[first[word]].tolist() if word in first else None for word in range(len(words))]


@torch.no_grad()
def logits_of(model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, rows: list[dict], max_length: int = MAX_LENGTH) -> list:
    """As transformers computes them: texts as one padded batch, words row by row."""
    if "tokens" in rows[0]:
        return [word_logits(model, tokenizer, row["tokens"]) for row in rows]
    columns = [[row[name] for row in rows] for name in ("text", "text_a", "text_b") if name in rows[0]]
    encoded = tokenizer(*columns, truncation=True, max_length=max_length, padding=True, return_tensors="pt")
    return model(**encoded).logits.double().tolist()


def label_names(config: PretrainedConfig) -> list[str]:
    return [config.id2label[index] for index in range(len(config.id2label))]


def best_label(names: list[str], logits: list[float]) -> str:
    return names[max(range(len(names)), key=logits.__getitem__)]


def logits_said(said: list[dict]) -> list:
    return [row["logits"] for row in said]


def answers_agree(said: list[dict], logits: list, config: PretrainedConfig, kind: Kind) -> None:
    """The labels, probabilities, scores or tags that follow from transformers' logits are those that ferrotune says."""
    names = label_names(config)
    problem = config.problem_type or (REGRESSION if len(names) == 1 else SINGLE_LABEL)
    if kind.shape == "tokens":
        # A word without a token is outside of entities, and has no class.
        silent = "O" if "O" in names else None
        tags = [[best_label(names, word) if word else silent for word in row] for row in logits]
        same("tags", [row["tags"] for row in said], tags)
    elif problem == REGRESSION:
        largest_difference("scores", [row["score"] for row in said], logits)
    else:
        numbers = torch.tensor(logits, dtype=torch.float64)
        expected = numbers.sigmoid() if problem == MULTI_LABEL else numbers.softmax(-1)
        largest_difference("probabilities", [[row["probabilities"][name] for name in names] for row in said], expected.tolist())
        if problem == SINGLE_LABEL:
            same("labels", [row["label"] for row in said], [best_label(names, row) for row in logits])


def export_agrees(work: Workplace, folder: Path, kind: Kind) -> float:
    """A folder that ferrotune wrote: it loads without a missing or left tensor, has the names, and gives the same logits and answers."""
    rows = test_rows(kind)
    said = work.predict(folder, rows)
    model = load_clean(auto_class(kind), folder)
    same("problem_type", model.config.problem_type, kind.problem)
    same("id2label", label_names(model.config), kind.names)
    same("label2id", model.config.label2id, {name: index for index, name in enumerate(kind.names)})
    logits = logits_of(model, AutoTokenizer.from_pretrained(folder), rows, kind.settings.get("max_length", MAX_LENGTH))
    difference = largest_difference("logits", logits_said(said), logits, rows)
    answers_agree(said, logits, model.config, kind)
    return difference


def foreign_agrees(work: Workplace, folder: Path, kind: Kind) -> float:
    """A folder that transformers wrote: the same logits and answers."""
    rows = test_rows(kind)
    said = work.predict(folder, rows, max_length=MAX_LENGTH)
    model = load_clean(auto_class(kind), folder)
    logits = logits_of(model, foreign_tokenizer(folder, kind), rows)
    difference = largest_difference("logits", logits_said(said), logits, rows)
    answers_agree(said, logits, model.config, kind)
    return difference


def adapter_agrees(work: Workplace, run: Run, base: Path, kind: Kind) -> float:
    """PEFT with the run's adapter over the base, as it is and merged, gives the logits of the run's merged model."""
    rows = test_rows(kind)
    said = logits_said(work.predict(run.best, rows))
    outputs = AutoConfig.from_pretrained(run.best).num_labels
    # The base's own head may have another size; the adapter brings its head along.
    model = auto_class(kind).from_pretrained(base, dtype=torch.float32, num_labels=outputs, ignore_mismatched_sizes=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            adapted = peft.PeftModel.from_pretrained(model, run.adapter).eval()
        except KeyError as missing:
            raise Disagreement(f"PEFT misses {missing} in the adapter") from missing
    wrong = [str(warning.message) for warning in caught if re.search("missing|unexpected|mismatch", str(warning.message).lower())]
    if wrong:
        raise Disagreement(f"PEFT warns: {wrong}")
    stored = set(load_file(run.adapter / "adapter_model.safetensors"))
    inside = set(peft.get_peft_model_state_dict(adapted))
    if stored != inside:
        raise Disagreement(f"tensors only of the file {sorted(stored - inside)}, only of PEFT's model {sorted(inside - stored)}")
    tokenizer = foreign_tokenizer(base, kind)
    max_length = kind.settings.get("max_length", MAX_LENGTH)
    difference = largest_difference("PEFT's logits", said, logits_of(adapted, tokenizer, rows, max_length), rows)
    merged = adapted.merge_and_unload().eval()
    return max(difference, largest_difference("merged logits", said, logits_of(merged, tokenizer, rows, max_length), rows))


def adapter_settings(run: Run) -> dict:
    return json.loads((run.adapter / "adapter_config.json").read_text(encoding="utf-8"))


def encoder_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of the folder, without the family's name before theirs."""
    tensors = {}
    for file in folder.glob("*.safetensors"):
        for name, tensor in load_file(file).items():
            tensors[re.sub(r"^(bert|roberta|distilbert|electra|model|mpnet|deberta)\.", "", name)] = tensor.float()
    return tensors


def must_have_moved(base: Path, trained: Path, least: float = MOVED) -> None:
    """Else two folders that agree would say nothing of what training wrote."""
    before, after = encoder_tensors(base), encoder_tensors(trained)
    shared = [name for name in before if name in after and before[name].shape == after[name].shape]
    distance = max(((before[name] - after[name]).abs().max().item() for name in shared), default=math.nan)
    if not distance >= least:
        raise Disagreement(f"the weights moved by {distance} over {len(shared)} tensors")
