"""`ferrotune pretrain` beside transformers' masked language models: folders both ways, and the loss on held-out text."""
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining, AutoTokenizer, PreTrainedModel

import bases
import models
from compare import export_agrees, largest_difference, load_clean, must_have_moved, same
from models import FAMILIES
from rows import KINDS, training_rows, write_texts
from workplace import MAX_LENGTH, Check, Disagreement, Workplace

SINGLE = KINDS["single-label"]
SHORT = {"max_length": MAX_LENGTH, "threads": 1, "batch_size": 8, "max_steps": 6, "epochs": 2, "lr": 0.01}
# Of so few tokens most seeds hide one.
SHORT_TEXTS = ["the river runs", "bad film very good", "rain cloud", "my friend plays", "cold winter", "old boat"]
# Both sides compute one loss in f32.
LOSS_TOLERANCE = 1e-5


def texts(work: Workplace) -> Path:
    return write_texts(work.new("texts", ".txt"), [row["text"] for row in training_rows(SINGLE, 40, seed=5)])


def pretrain(work: Workplace, base: Path, **settings) -> Path:
    """The run's folder."""
    output = work.new("pretrain")
    work.ferrotune("pretrain", model=base, text=texts(work), output=output, **{**SHORT, **settings})
    return output


def load_masked(folder: Path) -> PreTrainedModel:
    """The masked language model loads, its decoder tied to the embeddings."""
    # A pooler that the base had is kept for the fine-tuning that follows, and no masked language model has one.
    model = load_clean(AutoModelForMaskedLM, folder, but=("pooler.", "bert.pooler.", "roberta.pooler."))
    tied = model.get_input_embeddings().weight.data_ptr() == model.get_output_embeddings().weight.data_ptr()
    same("that embeddings are tied", tied, True)
    same("architectures", model.config.architectures, [type(model).__name__])
    return model


def folder_agrees(work: Workplace, family: str) -> float:
    """Every value that is stored is where transformers looks for it; what is not stored is tied. The folder can be fine-tuned."""
    base = bases.bare(work, family)
    best = pretrain(work, base, held_out=0.2) / "best"
    must_have_moved(base, best)
    model = load_masked(best)
    stored, inside = load_file(best / "model.safetensors"), model.state_dict()
    names = [name for name in stored if "pooler" not in name]
    difference = max((stored[name] - inside[name]).abs().max().item() for name in names)
    same("values that differ", difference, 0.0)
    lacking = [name for name in inside if name not in stored and "decoder" not in name and "vocab_projector" not in name]
    same("values that are not stored", lacking, [])
    bias = stored[FAMILIES[family].masked_bias]
    same("that the decoder's bias is the stored one", torch.equal(model.get_output_embeddings().bias, bias), True)
    return export_agrees(work, work.train(best, SINGLE).best, SINGLE)


def head_is_kept(work: Workplace, family: str) -> float:
    """A masked language model of transformers can be fine-tuned, and pretrained at a rate of almost nothing it gives the same logits."""
    base = bases.masked(work, family)
    run = work.train(base, SINGLE)
    must_have_moved(base, run.best)
    difference = export_agrees(work, run.best, SINGLE)
    output = pretrain(work, base, max_steps=1, lr=1e-12, warmup=0, weight_decay=0)
    before, after = load_clean(AutoModelForMaskedLM, base), load_masked(output / "best")
    tokenizer = AutoTokenizer.from_pretrained(base)
    encoded = tokenizer(["the river runs", f"rain {tokenizer.mask_token} cold"], padding=True, return_tensors="pt")
    with torch.no_grad():
        ours, theirs = (model(**encoded).logits.tolist() for model in (after, before))
    return max(difference, largest_difference("logits", ours, theirs))


@torch.no_grad()
def possible_losses(model: PreTrainedModel, ids: list[int], special: set[int]) -> dict[tuple[int, int], float]:
    """transformers' loss for each place that may be hidden and each token that may stand there instead."""
    losses = {}
    tokens = model.config.vocab_size
    for place, real in enumerate(ids):
        if real in special:
            continue
        inputs = torch.tensor([ids] * tokens)
        inputs[:, place] = torch.arange(tokens)
        logits = model(input_ids=inputs, attention_mask=torch.ones_like(inputs)).logits[:, place].double()
        every = torch.nn.functional.cross_entropy(logits, torch.full((tokens,), real), reduction="none")
        losses |= {(place, token): loss for token, loss in enumerate(every.tolist())}
    return losses


def held_out_agrees(work: Workplace, base: Path) -> float:
    """Of a held-out text of which one token is hidden, ferrotune's loss is one that transformers gives for one place and one token there.

    Which one that is ferrotune does not say. Mostly it must be the mask token.
    """
    largest, masks = 0.0, 0
    for seed, text in enumerate(SHORT_TEXTS):
        one = write_texts(work.new("one", ".txt"), [text])
        run = pretrain(work, base, validation=one, lr=3e-3, seed=seed)
        said = json.loads((run / "results.json").read_text(encoding="utf-8"))["validation"]
        if said["tokens"] != 1:
            continue
        tokenizer = AutoTokenizer.from_pretrained(run / "best")
        losses = possible_losses(load_masked(run / "best"), tokenizer(text).input_ids, set(tokenizer.all_special_ids))
        place, token = min(losses, key=lambda key: abs(losses[key] - said["loss"]))
        difference = abs(losses[place, token] - said["loss"])
        work.log(f"{text!r}: {said['loss']}, nearest {losses[place, token]} with token {token} in place {place}\n")
        if difference > LOSS_TOLERANCE:
            raise Disagreement(f"the loss {said['loss']} of {text!r} is none that transformers gives")
        largest = max(largest, difference)
        masks += token == tokenizer.mask_token_id
    if masks < 2:
        raise Disagreement(f"the mask token stood only in {masks} of {len(SHORT_TEXTS)} texts")
    return largest


def bare_held_out_agrees(work: Workplace, family: str) -> float:
    return held_out_agrees(work, bases.bare(work, family))


def pooler_is_kept(work: Workplace) -> float:
    """BertForPreTraining: its masked head is used, and its pooler stays for the fine-tuning that follows."""
    base = models.make(work.new("for-pre-training"), "bert", AutoModelForPreTraining)
    best = pretrain(work, base) / "best"
    load_masked(best)
    pooler = load_clean(AutoModel, best, but=("cls.",)).pooler.dense.weight
    same("that the pooler is kept", torch.equal(pooler, load_file(base / "model.safetensors")["bert.pooler.dense.weight"]), True)
    return held_out_agrees(work, base)


def is_refused(work: Workplace, family: str) -> float:
    base, output = bases.bare(work, family), work.new("pretrain")
    return work.refusal("cannot be adapted", subcommand="pretrain", model=base, text=texts(work), output=output, max_length=MAX_LENGTH)


def checks(work: Workplace) -> Iterator[Check]:
    for name, family in FAMILIES.items():
        if family.masked_bias is None:
            yield Check(f"pretrain, refused: {name}", partial(is_refused, work, name))
            continue
        yield Check(f"pretrain, the folder and its fine-tuning: {name}", partial(folder_agrees, work, name))
        yield Check(f"pretrain, a masked language model's head is kept: {name}", partial(head_is_kept, work, name))
        yield Check(f"pretrain, the held-out loss: {name}", partial(bare_held_out_agrees, work, name))
    yield Check("pretrain, BertForPreTraining keeps its pooler: bert", partial(pooler_is_kept, work))
