#!/usr/bin/env python3
"""Writes the golden fixtures of the encoder families beside BERT: tiny-roberta, tiny-xlm-roberta, tiny-camembert,
tiny-distilbert, tiny-electra, tiny-tokens, tiny-modernbert, tiny-modernbert-cls, tiny-modernbert-tokens, tiny-mpnet,
tiny-deberta, tiny-deberta-tokens.

    python tests/golden/families.py [--out tests/golden] [--only tiny-electra]

The rules of generate.py hold, whose helpers it uses. `tiny-tokens` is a BERT token classifier, `tiny-modernbert-tokens`
one of ModernBERT, `tiny-deberta-tokens` one of DeBERTa. Each folder holds `model/` (a Hugging Face folder with a tokenizer), `inputs.json` (texts, ids, type
ids) and `golden.safetensors`: `ids`, `type_ids`, `offsets`, `labels` (a row's, or of token classifiers a token's, of
which -1 is not scored), `hidden.*` (as transformers lists them: hidden.0 after ELECTRA's projection, the last one after
ModernBERT's final norm), `logits`, `loss`, `grad.*`.
"""
import argparse
import collections
import contextlib
import json
import math
from pathlib import Path
from unittest import mock

import generate as g  # sets the environment before torch is imported
import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from transformers import (AutoModelForSequenceClassification, AutoModelForTokenClassification, BertConfig,
                          CamembertConfig, DebertaV2Config, DistilBertConfig, ElectraConfig, ModernBertConfig,
                          MPNetConfig, RobertaConfig, XLMRobertaConfig)
from transformers.models.modernbert import modeling_modernbert as modern

COMMON = dict(initializer_range=0.2, vocab_size=107, num_labels=3)
FAIRSEQ = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, type_vocab_size=1,
    max_position_embeddings=46, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=1,
    bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5)
MODERN_SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]  # in the order of the hub's ids, from `first` on


def modernbert(first, theta, **sizes):
    """Windows of 4 tokens to either side, shorter than most rows; `theta` of global and of local layers, no defaults."""
    ids = dict(zip(["cls_token_id", "sep_token_id", "pad_token_id"], range(first + 1, first + 4)))
    ids |= {"bos_token_id": ids["cls_token_id"], "eos_token_id": ids["sep_token_id"]}
    ropes = [{"rope_type": "default", "rope_theta": base} for base in theta]
    return ModernBertConfig(
        **ids, **sizes, local_attention=8, rope_parameters=dict(zip(["full_attention", "sliding_attention"], ropes)))


def deberta(buckets, furthest):
    return DebertaV2Config(
        **COMMON, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, relative_attention=True,
        position_buckets=buckets, max_relative_positions=furthest, norm_rel_ebd="layer_norm", share_att_key=True,
        pos_att_type="p2c|c2p", position_biased_input=False)


SMALL = dict(hidden_size=16, num_attention_heads=2, intermediate_size=24, max_position_embeddings=64)
FAMILIES = {
    "tiny-roberta": (RobertaConfig(**COMMON, **FAIRSEQ), AutoModelForSequenceClassification, "roberta", 51),
    "tiny-xlm-roberta": (XLMRobertaConfig(**COMMON, **FAIRSEQ), AutoModelForSequenceClassification, "xlm-roberta", 55),
    "tiny-camembert": (CamembertConfig(**COMMON, **FAIRSEQ), AutoModelForSequenceClassification, "camembert", 56),
    "tiny-distilbert": (DistilBertConfig(
        **COMMON, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=44, dropout=0.0,
        attention_dropout=0.0, seq_classif_dropout=0.0), AutoModelForSequenceClassification, "distilbert", 52),
    "tiny-electra": (ElectraConfig(
        **COMMON, embedding_size=16, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=44, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
        AutoModelForSequenceClassification, "electra", 53),
    "tiny-tokens": (BertConfig(
        **COMMON, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=44, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
        AutoModelForTokenClassification, "bert", 54),
    # Every third layer looks at all tokens, from the first one on; the last one does here.
    "tiny-modernbert": (modernbert(
        102, (2000.0, 50.0), **COMMON, hidden_size=32, num_hidden_layers=4, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=64, classifier_pooling="mean"), AutoModelForSequenceClassification, "modernbert", 57),
    # The last layer, of which only the first token is read, has a window.
    "tiny-modernbert-cls": (modernbert(
        102, (900.0, 30.0), **COMMON, **SMALL, num_hidden_layers=5, classifier_pooling="cls"),
        AutoModelForSequenceClassification, "modernbert", 58, True),
    "tiny-modernbert-tokens": (modernbert(
        102, (2000.0, 50.0), **COMMON, **SMALL, num_hidden_layers=4),
        AutoModelForTokenClassification, "modernbert", 59),
    # Its buckets are 32 in transformers' code, of which the longest row has 11 in each direction.
    "tiny-mpnet": (MPNetConfig(**COMMON, **{key: n for key, n in FAIRSEQ.items() if key != "type_vocab_size"}),
                   AutoModelForSequenceClassification, "mpnet", 60),
    # Distances share rows from 5 tokens on, and from 19 on the last one.
    "tiny-deberta": (deberta(8, 20), AutoModelForSequenceClassification, "deberta-v2", 61),
    "tiny-deberta-tokens": (deberta(64, -1), AutoModelForTokenClassification, "deberta-v2", 62),
}
LABELS = ["calm", "rain", "storm"]
TAGS = ["O", "B-WEATHER", "I-WEATHER"]
TEXTS = [text for *text, _ in g.PAIRS] + [[text] for text, _ in g.SINGLE]
SKIPPED = -100  # transformers' label of a token that is not scored


def write_bpe(folder, size):
    """A byte-level BPE tokenizer with RoBERTa's special tokens and template, trained on the fixtures' own texts."""
    tok = tokenizers.Tokenizer(tokenizers.models.BPE())
    tok.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = tokenizers.decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    tok.train_from_iterator([part for text in TEXTS for part in text], trainer)
    g.check(tok.get_vocab_size() == size, f"a vocabulary of {tok.get_vocab_size()}")
    tok.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tok.save(str(folder / "tokenizer.json"))
    write_fairseq_names(folder)


def write_unigram(folder, size):
    """A SentencePiece unigram model with XLM-R's special tokens and template: frequent words, then single letters."""
    words = collections.Counter(w for text in TEXTS for part in text for w in part.split())
    letters = sorted({c for w in words for c in w} - {"q"})  # one letter stays unknown
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    room = size - len(special) - len(letters) - 1
    frequent = sorted(words, key=lambda w: (-words[w], w))
    pieces = {"\u2581" + w: words[w] for w in frequent if len(w) > 1}
    total = sum(words.values())
    vocab = [(t, 0.0) for t in special] + [(w, math.log(n / total)) for w, n in list(pieces.items())[:room]]
    vocab += [("\u2581", -6.0)] + [(c, -7.0 - i / 64) for i, c in enumerate(letters)]
    g.check(len(dict(vocab)) == len(vocab) <= size, f"a vocabulary of {len(vocab)}")
    tok = tokenizers.Tokenizer(tokenizers.models.Unigram(vocab, unk_id=3, byte_fallback=False))
    tok.add_special_tokens(special)
    tok.normalizer = tokenizers.normalizers.Sequence([
        tokenizers.normalizers.NFKC(), tokenizers.normalizers.Replace(tokenizers.Regex(" {2,}"), " ")])
    tok.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tok.decoder = tokenizers.decoders.Metaspace()
    tok.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tok.save(str(folder / "tokenizer.json"))
    write_fairseq_names(folder)


def write_fairseq_names(folder):
    names = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>",
             "unk_token": "<unk>"}
    g.write_json(folder / "tokenizer_config.json", {**names, "tokenizer_class": "PreTrainedTokenizerFast"})


def write_modern_bpe(folder, size):
    """ModernBERT's: byte-level BPE, its special tokens behind all others, with BERT's template but no token types."""
    tok = tokenizers.Tokenizer(tokenizers.models.BPE())
    tok.normalizer = tokenizers.normalizers.NFC()
    tok.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = tokenizers.decoders.ByteLevel()
    first = size - len(MODERN_SPECIAL)
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=first, show_progress=False)
    tok.train_from_iterator([part for text in TEXTS for part in text], trainer)
    tok.add_special_tokens([tokenizers.AddedToken(name, lstrip=name == "[MASK]", special=True) for name in MODERN_SPECIAL])
    ids = [(name, first + i) for i, name in enumerate(MODERN_SPECIAL)]
    g.check([(name, tok.token_to_id(name)) for name in MODERN_SPECIAL] == ids, f"ids of special tokens: {ids}")
    tok.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=ids[1:3])
    tok.save(str(folder / "tokenizer.json"))
    names = dict(zip(["unk_token", "cls_token", "sep_token", "pad_token", "mask_token"], MODERN_SPECIAL))
    g.write_json(folder / "tokenizer_config.json", {
        **names, "clean_up_tokenization_spaces": True, "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 64, "tokenizer_class": "PreTrainedTokenizerFast"})


def write_old_keys(folder):
    """Says ModernBERT's config.json as transformers 4 did and nearly every folder of the hub does.

    Which layer looks how far stands there as numbers. Some keys are read by nobody: there are no absolute positions.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kinds, ropes, dtype = config.pop("layer_types"), config.pop("rope_parameters"), config.pop("dtype")
    g.check([i % 3 == 0 for i in range(len(kinds))] == [kind == "full_attention" for kind in kinds], f"{kinds}")
    config |= {
        "global_attn_every_n_layers": 3, "global_rope_theta": ropes["full_attention"]["rope_theta"],
        "local_rope_theta": ropes["sliding_attention"]["rope_theta"], "layer_norm_eps": config["norm_eps"],
        "position_embedding_type": "absolute", "gradient_checkpointing": False, "reference_compile": None,
        "repad_logits_with_grad": False, "torch_dtype": dtype, "transformers_version": "4.48.0"}
    g.write_json(folder / "config.json", dict(sorted(config.items())))


def randomise(model, seed):
    """As generate.py's, under every family's name of a layer norm; a padding row is random too."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            u = 2.0 * torch.rand(p.shape, dtype=torch.float64) - 1.0
            norm = "norm" in name.lower()
            p.copy_(1.0 + 0.2 * u if norm and name.endswith("weight") else 0.3 * u if name.endswith("bias")
                    else 0.2 * 3.0**0.5 * u)


def is_shift(name):
    return name.endswith(("attention.self.key.bias", "attention.k_lin.bias", "attention.attn.k.bias"))


@contextlib.contextmanager
def attention_in_float64():
    """ModernBERT turns queries and keys, and takes its softmax, in float32 in any model; here in the model's own type.

    A mask of float64 is infinite in float32, and padding from which a window shows no token would be NaN.
    """
    def attend(_module, query, key, value, attention_mask, scaling, **_):
        weights = (query @ key.transpose(2, 3) * scaling + attention_mask).softmax(-1)
        return (weights @ value).transpose(1, 2).contiguous(), weights

    def turn(q, k, cos, sin, unsqueeze_dim):
        cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
        return [x * cos + modern.rotate_half(x) * sin for x in (q, k)]

    with mock.patch.multiple(modern, eager_attention_forward=attend, apply_rotary_pos_emb=turn):
        yield


def write(folder, config, auto, family, seed, old_keys=False):
    model_folder = folder / "model"
    model_folder.mkdir(parents=True, exist_ok=True)
    tokens = auto is AutoModelForTokenClassification
    config.id2label = dict(enumerate(TAGS if tokens else LABELS))
    config.label2id = {name: i for i, name in config.id2label.items()}
    config._attn_implementation = "eager"
    model = auto.from_config(config).eval()
    randomise(model, seed)
    model.save_pretrained(model_folder)
    if old_keys:
        write_old_keys(model_folder)
    if family == "roberta":
        write_bpe(model_folder, config.vocab_size)
    elif family in ("xlm-roberta", "camembert", "mpnet"):
        write_unigram(model_folder, config.vocab_size)
    elif family == "modernbert":
        write_modern_bpe(model_folder, config.vocab_size)
    else:
        g.write_tokenizer(model_folder, config.vocab_size, config.max_position_embeddings)

    tok = tokenizers.Tokenizer.from_file(str(model_folder / "tokenizer.json"))
    fairseq = isinstance(config, (RobertaConfig, XLMRobertaConfig, CamembertConfig, MPNetConfig))
    tok.enable_truncation(config.max_position_embeddings - (2 if fairseq else 0))
    encoded = [tok.encode(*text) for text in TEXTS]
    ids, types = [e.ids for e in encoded], [e.type_ids for e in encoded]
    batch = g.pad(ids, types)
    if fairseq or family == "modernbert":  # pads with its own token, from which fairseq counts positions
        batch["input_ids"] = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, config.pad_token_id)
    if fairseq or family in ("distilbert", "modernbert", "deberta-v2"):
        del batch["token_type_ids"]
    if family == "modernbert":
        longer = sum(len(i) > config.local_attention + 1 for i in ids)
        g.check(longer >= 5, f"{longer} rows are longer than a window")
    real = batch["attention_mask"].bool()
    if tokens:
        labels = torch.where(real, torch.arange(real.numel()).reshape(real.shape) * 7 % 4, torch.tensor(SKIPPED))
        labels = labels.masked_fill(labels == 3, SKIPPED)
    else:
        labels = torch.arange(len(TEXTS)) % 3

    def run(model):
        model.zero_grad(set_to_none=True)
        out = model(**batch, labels=labels, output_hidden_states=True)
        out.loss.backward()
        hidden = {f"hidden.{i}": h[real].detach().contiguous() for i, h in enumerate(out.hidden_states)}
        grads = {f"grad.{n}": torch.zeros_like(p) if p.grad is None else p.grad.clone().contiguous()
                 for n, p in model.named_parameters()}
        logits = out.logits.detach()
        logits = logits[real].contiguous() if tokens else logits
        return hidden | {"logits": logits, "loss": out.loss.detach().reshape(1)} | grads

    golden = run(model)
    with attention_in_float64():
        exact = run(model.double())
    for name, value in exact.items():
        limit = 1e-5 if name.startswith("grad.") else 3e-6
        g.check(g.deviation(golden[name], value) < limit, f"{name}: float32 is near float64")
        if name.startswith("grad."):
            size = value.abs().max().item()
            g.check(size < 1e-6 if is_shift(name) else size > 1e-3, f"size of {name}: {size}")
    flat = labels[real] if tokens else labels
    golden |= g.ragged(ids, types) | {"labels": torch.where(flat == SKIPPED, -1, flat).to(torch.int32)}
    reloaded = auto.from_pretrained(model_folder, attn_implementation="eager").eval()
    g.check(torch.equal(run(reloaded)["logits"], golden["logits"]), "the saved folder gives the same logits")
    g.write_json(folder / "inputs.json", [
        {"text": t[0], "text_pair": t[1] if len(t) > 1 else None, "ids": i, "type_ids": y}
        for t, i, y in zip(TEXTS, ids, types)])
    save_file(golden, folder / "golden.safetensors", metadata={"format": "pt"})
    print(f"{folder.name}: lengths {[len(i) for i in ids]}, loss {golden['loss'].item():.4f}")


def write_all(families, write, description):
    """The command line of a generator: writes the fixture of each family, with what stands beside its name."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--only", choices=families, help="write this one")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()
    for name, arguments in families.items():
        if args.only in (None, name):
            write(args.out / name, *arguments)


if __name__ == "__main__":
    write_all(FAMILIES, write, "Write the golden fixtures of the encoder families.")
