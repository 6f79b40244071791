#!/usr/bin/env python3
"""Writes the golden fixture of weights that PyTorch pickled: pickled.

    python tests/golden/pickled.py [--out tests/golden]

`mixed.zip.bin` and `mixed.legacy.bin` are what torch.save writes of one state dictionary in its two layouts, and
`mixed.safetensors` has the same tensors, each made contiguous: every element type, views (transposed, a column, rows in the
middle, permuted), two names for one tensor, a parameter, a scalar, an empty tensor. `model/` is a tiny masked language model by
save_pretrained; `model.zip.bin` and `model.legacy.bin` hold its weights as an old release would: tied weights under all their
names, gamma and beta, the buffer position_ids. `sharded/` has them in two shards with an index. Keys in the old layout are
addresses, so another run gives other bytes.
"""
import argparse
import json
from collections import OrderedDict
from pathlib import Path

import generate as g  # sets the environment before torch is imported
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForMaskedLM

SIZES = dict(vocab_size=13, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=6,
             max_position_embeddings=9, initializer_range=0.2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def mixed():
    torch.manual_seed(81)
    base = torch.randn(4, 6)
    cube = torch.randn(2, 3, 4)
    half = torch.randn(3, 5).half()
    tied = torch.randn(2, 3)
    return OrderedDict([
        ("float", base),
        ("float.transposed", base.t()),
        ("float.column", base[:, 2]),
        ("float.middle", base[1:3]),
        ("float.block", base[1:3, 2:5]),
        ("cube.permuted", cube.permute(2, 0, 1)),
        ("half", half),
        ("half.transposed", half.t()),
        ("bfloat", torch.randn(5).bfloat16()),
        ("tied.one", tied),
        ("tied.other", tied),
        ("parameter", torch.nn.Parameter(torch.randn(7))),
        ("scalar", torch.tensor(0.625)),
        ("empty", torch.empty(0, 3)),
        ("buffer.double", torch.randn(2).double()),
        ("buffer.positions", torch.arange(6).expand((1, -1))),
        ("buffer.int", torch.arange(3, dtype=torch.int32)),
        ("buffer.short", torch.arange(3, dtype=torch.int16)),
        ("buffer.char", torch.arange(3, dtype=torch.int8)),
        ("buffer.byte", torch.arange(3, dtype=torch.uint8)),
        ("buffer.bool", torch.tensor([True, False])),
    ])


def old_names(model):
    """The weights as an old release of transformers would have saved them."""
    state = OrderedDict()
    for name, tensor in model.state_dict().items():
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        state[name] = tensor
    state["bert.embeddings.position_ids"] = torch.arange(SIZES["max_position_embeddings"]).expand((1, -1))
    state._metadata = model.state_dict()._metadata
    return state


def save(state, folder, stem):
    torch.save(state, folder / f"{stem}.zip.bin")
    torch.save(state, folder / f"{stem}.legacy.bin", _use_new_zipfile_serialization=False)
    for layout in ["zip", "legacy"]:
        again = torch.load(folder / f"{stem}.{layout}.bin", weights_only=True)
        g.check(list(again) == list(state) and all(torch.equal(again[name], state[name]) for name in state), layout)


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    state = mixed()
    save(state, folder, "mixed")
    g.check(not state["float.transposed"].is_contiguous(), "a view stays a view")
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in state.items()}, folder / "mixed.safetensors")

    torch.manual_seed(82)
    model = BertForMaskedLM(BertConfig(**SIZES)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    model.save_pretrained(folder / "model")
    (folder / "model" / "generation_config.json").unlink(missing_ok=True)
    state = old_names(model)
    decoder, words = state["cls.predictions.decoder.weight"], state["bert.embeddings.word_embeddings.weight"]
    g.check(decoder.data_ptr() == words.data_ptr(), "the decoder is tied")
    save(state, folder, "model")

    sharded = folder / "sharded"
    sharded.mkdir(exist_ok=True)
    names = list(state)
    shards = {"pytorch_model-00001-of-00002.bin": names[:9], "pytorch_model-00002-of-00002.bin": names[9:]}
    for shard, inside in shards.items():
        torch.save({name: state[name] for name in inside}, sharded / shard)
    where = {name: shard for shard, inside in shards.items() for name in inside}
    (sharded / "pytorch_model.bin.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": where}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    write(parser.parse_args().out / "pickled")
