"""Tiny models of every family with random weights and a tokenizer of their own, in folders as transformers writes them.

A new family is one entry of FAMILIES.
"""
import json
import string
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers import models as subwords
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    CamembertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    MPNetConfig,
    PretrainedConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from rows import WORDS
from workplace import MAX_LENGTH

CHARACTERS = list(string.ascii_lowercase + string.digits)
PUNCTUATION = list(".,!?'-")


def word_pieces() -> Tokenizer:
    """BERT's: WordPiece of lower-cased words."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = special + CHARACTERS + ["##" + character for character in CHARACTERS] + PUNCTUATION + WORDS
    ids = {piece: index for index, piece in enumerate(vocabulary)}
    tokenizer = Tokenizer(subwords.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.add_special_tokens(special)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, ids[name]) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def trained_byte_pairs(special: list[str | AddedToken]) -> Tokenizer:
    """Byte-level BPE, these special tokens before all others."""
    tokenizer = Tokenizer(subwords.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [" ".join(WORDS), " ".join(reversed(WORDS)), " ".join(CHARACTERS + PUNCTUATION)] * 3
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def byte_pairs() -> Tokenizer:
    """RoBERTa's: byte-level BPE."""
    tokenizer = trained_byte_pairs(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def byte_pairs_in_berts_template() -> Tokenizer:
    """ModernBERT's: byte-level BPE with BERT's special tokens, and no types of tokens."""
    tokenizer = trained_byte_pairs(["[UNK]", "[CLS]", "[SEP]", "[PAD]", AddedToken("[MASK]", lstrip=True, special=True)])
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return tokenizer


def word_pieces_in_fairseqs_template() -> Tokenizer:
    """MPNet's: BERT's vocabulary behind fairseq's special tokens."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = special + CHARACTERS + ["##" + character for character in CHARACTERS] + PUNCTUATION + WORDS + ["[UNK]", "<mask>"]
    tokenizer = Tokenizer(subwords.WordPiece({piece: index for index, piece in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(special + ["[UNK]", AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False, trim_offsets=True)
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def unigram_model(special: list[str], mask: str) -> Tokenizer:
    """SentencePiece's unigrams behind these special tokens, of which the last one is the unknown, the blank a character of the words."""
    blank = "\u2581"
    vocabulary = [(token, 0.0) for token in special]
    vocabulary += [(blank + word, -3.0 - index / 50) for index, word in enumerate(WORDS)]
    vocabulary += [(blank, -6.0)]
    vocabulary += [(character, -7.0 - index / 64) for index, character in enumerate(CHARACTERS + PUNCTUATION)]
    vocabulary += [(mask, 0.0)]
    tokenizer = Tokenizer(subwords.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    tokenizer.add_special_tokens(special + [AddedToken(mask, lstrip=True, special=True)])
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def unigrams() -> Tokenizer:
    """XLM-R's."""
    tokenizer = unigram_model(["<s>", "<pad>", "</s>", "<unk>"], "<mask>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def unigrams_in_berts_template() -> Tokenizer:
    """DeBERTa's."""
    tokenizer = unigram_model(["[PAD]", "[CLS]", "[SEP]", "[UNK]"], "[MASK]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return tokenizer


BERT_TOKENS = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
WORD_PIECE_SETTINGS = {**BERT_TOKENS, "do_lower_case": True}
MODERNBERT_SETTINGS = {**BERT_TOKENS, "model_input_names": ["input_ids", "attention_mask"]}
FAIRSEQ_SETTINGS = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}
# New heads are drawn from this range: ten times the usual one, so that logits are large beside what rounding changes.
RANGE = {"initializer_range": 0.2}
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, **RANGE}
BERT = {**SIZES, "max_position_embeddings": MAX_LENGTH}
# Positions begin behind the padding token's id.
FAIRSEQ = {
    **SIZES,
    "max_position_embeddings": MAX_LENGTH + 2,
    "type_vocab_size": 1,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "layer_norm_eps": 1e-5,
}
DISTILBERT = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": MAX_LENGTH, **RANGE}
MPNET = {key: value for key, value in FAIRSEQ.items() if key != "type_vocab_size"}
# Distances share rows from 5 tokens on, and from 15 on the last one.
DEBERTA = {
    **BERT,
    "relative_attention": True,
    "position_buckets": 8,
    "max_relative_positions": 16,
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "norm_rel_ebd": "layer_norm",
    "position_biased_input": False,
}
# The first layer looks at all tokens and the second through a window, which most texts are longer than.
MODERNBERT = {
    **BERT,
    "local_attention": 8,
    "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 2000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
    },
    "classifier_pooling": "mean",
    "pad_token_id": 3,
    "bos_token_id": 1,
    "cls_token_id": 1,
    "eos_token_id": 2,
    "sep_token_id": 2,
}
LAYERS = 2


@dataclass(frozen=True)
class Family:
    config: Callable[..., PretrainedConfig]
    """Wants `vocab_size`."""
    tokenizer: Callable[[], Tokenizer]
    tokenizer_class: str
    tokenizer_settings: dict
    masked_bias: str | None = None
    """The masked language model's bias in a model file; None where ferrotune refuses to pretrain."""
    one_projection: bool = False
    """Queries, keys and values come from one linear layer."""


FAMILIES = {
    "bert": Family(partial(BertConfig, **BERT), word_pieces, "BertTokenizer", WORD_PIECE_SETTINGS, "cls.predictions.bias"),
    "roberta": Family(
        partial(RobertaConfig, **FAIRSEQ), byte_pairs, "RobertaTokenizer", {**FAIRSEQ_SETTINGS, "add_prefix_space": False}, "lm_head.bias"
    ),
    "xlm-roberta": Family(partial(XLMRobertaConfig, **FAIRSEQ), unigrams, "XLMRobertaTokenizer", FAIRSEQ_SETTINGS, "lm_head.bias"),
    "camembert": Family(partial(CamembertConfig, **FAIRSEQ), unigrams, "CamembertTokenizer", FAIRSEQ_SETTINGS, "lm_head.bias"),
    "distilbert": Family(
        partial(DistilBertConfig, **DISTILBERT), word_pieces, "DistilBertTokenizer", WORD_PIECE_SETTINGS, "vocab_projector.bias"
    ),
    "electra": Family(partial(ElectraConfig, embedding_size=16, **BERT), word_pieces, "ElectraTokenizer", WORD_PIECE_SETTINGS),
    "modernbert": Family(
        partial(ModernBertConfig, **MODERNBERT),
        byte_pairs_in_berts_template,
        "PreTrainedTokenizerFast",
        MODERNBERT_SETTINGS,
        "decoder.bias",
        one_projection=True,
    ),
    "mpnet": Family(
        partial(MPNetConfig, **MPNET), word_pieces_in_fairseqs_template, "MPNetTokenizer", {**FAIRSEQ_SETTINGS, "unk_token": "[UNK]"}, "lm_head.bias"
    ),
    "deberta-v2": Family(partial(DebertaV2Config, **DEBERTA), unigrams_in_berts_template, "DebertaV2Tokenizer", BERT_TOKENS),
}


def save_tokenizer(folder: Path, family: Family) -> int:
    """Gives the number of tokens. What lies in the folder in the end is what transformers saves after it has read ours."""
    folder.mkdir()
    family.tokenizer().save(str(folder / "tokenizer.json"))
    settings = {**family.tokenizer_settings, "tokenizer_class": family.tokenizer_class, "model_max_length": MAX_LENGTH}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Every value, those of biases and layer norms too, so that one that is not read shows."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            uniform = 2 * torch.rand(parameter.shape) - 1
            is_scale = "norm" in name.lower() and name.endswith("weight")
            parameter.copy_(1 + 0.2 * uniform if is_scale else 0.3 * uniform)


def make(
    folder: Path,
    family: str,
    auto: type = AutoModel,
    *,
    dtype: torch.dtype = torch.float32,
    shard: str | None = None,
    without: str | None = None,
    **changes,
) -> Path:
    """A new model of the class that `auto` chooses, in this folder.

    shard: the largest size of one of its files. without: tensors whose name has this in it are left out. changes: of the configuration.
    """
    config = FAMILIES[family].config(vocab_size=save_tokenizer(folder, FAMILIES[family]))
    for key, value in changes.items():
        setattr(config, key, value)
    model = auto.from_config(config)
    randomise(model, seed=list(FAMILIES).index(family))
    model.to(dtype).save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    if shard and len(list(folder.glob("*.safetensors"))) < 2:
        raise ValueError(f"{folder} has one file; choose a smaller size than {shard}")
    if without:
        file = folder / "model.safetensors"
        tensors = {name: tensor for name, tensor in load_file(file).items() if without not in name}
        save_file(tensors, file, metadata={"format": "pt"})
    return folder
