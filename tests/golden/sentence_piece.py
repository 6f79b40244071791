#!/usr/bin/env python3
"""Writes the golden fixtures of tokenizers that are made of SentencePiece models: sentence-piece/NAME.

    python tests/golden/sentence_piece.py [--out tests/golden] [--only deberta]

needs sentencepiece, transformers, tokenizers and protobuf. Each folder holds a tiny unigram model that is trained here on words
of syllables (spm.model or sentencepiece.bpe.model), config.json with `model_type`, what the folder says besides
(tokenizer_config.json, added_tokens.json, special_tokens_map.json), and `golden.json`: the tokenizer.json that transformers makes of it
(`tokenizer`), and of each text or pair its ids, offsets in characters and token types (`rows`).

Of DeBERTa, the normalizer is that of `DebertaV2Converter`, as in transformers 4 and in SentencePiece itself; the class of
transformers 5 leaves the model's character map out, and so reads other tokens than the model learned from. `differ` counts the rows
that it reads otherwise.

The character map is a small one of our own instead of nmt_nfkc, whose map alone has 240 kB; `--real DIR` writes the same fixtures with
nmt_nfkc there, to run the tests with.
"""

import argparse
import io
import json
import pathlib
import random
import types

import sentencepiece
import tokenizers
import transformers
from transformers import AutoTokenizer
from transformers.convert_slow_tokenizer import DebertaV2Converter

SYLLABLES = ["ba", "ne", "ti", "ro", "lu", "ka", "é", "ü", "ß", "mo", "sa", "th", "ing", "er", "un", "日本", "語", "ca", "fi", "2", "19"]
ENDS = [".", "!", "?", ", so", " x-y", "...", " (er)", "'s"]

# From, to: what NFKC and white space ask for in the texts below.
CHARACTERS = {
    "\t": " ", "\n": " ", "\r": " ", "\u00a0": " ", "\u3000": " ", "\u200b": " ", "\u200d": "", "\ufeff": "", "\u00ad": "",
    "e\u0301": "é", "u\u0308": "ü", "ﬁ": "fi", "…": "...", "①": "1", "½": "1⁄2", "Ⅳ": "IV",
    **{chr(0xFF01 + n): chr(0x21 + n) for n in range(94)},
}

TEXTS = [
    "", " ", "bane", "bane tiro lu", " bane", "   bane", "bane ", "bane   ", "bane  tiro", "bane    tiro   lu", "bane\ttiro", "bane\ntiro",
    "bane\r\n\r\ntiro", "\n bane\t", "bane\u00a0tiro", "bane\u3000tiro", "café é ü ß", "cafe\u0301 u\u0308n", "日本語 baneの日本", "日本 語",
    "🙂 bane", "bane🙂🙂tiro", "👩\u200d👧 ba", "Ｂａｎｅ ｔｉｒｏ１９！", "ﬁbane …① ½ Ⅳ", "BANE Tiro", "ÉÜ CAFÉ", "☃ q ☃☃ zz", "ba\u200bne", "\u200bbane",
    "ba\u200dne", "\ufeffbane", "ba\u00adne", "[SEP] bane", "bane[MASK]tiro", "bane [MASK] tiro", "<s> bane </s>", "bane<mask>tiro",
    "bane <mask>  tiro", "[CLS][PAD][UNK]", "<pad><unk>", "<s>NOTUSED bane", "bane.tiro!lu, so (er)'s", "x-y ... 2219", "▁bane ▁▁tiro", "bane▁tiro",
    "bane <ent>tiro", "<ent> <mark>", "ba<sym>ne <sym> <ctl>bane", "Ba <SYM>", "\u0301bane", "a\u0000b", "lu " * 12 + "lu",
]
PAIRS = [("bane tiro", "lu café"), ("", ""), ("bane", ""), (" bane  ", "\ttiro <mask> [MASK]")]


def sentences():
    rng = random.Random(7)
    words = ["".join(rng.choice(SYLLABLES) for _ in range(rng.randint(1, 3))) for _ in range(250)]
    return [" ".join(rng.choice(words) for _ in range(rng.randint(3, 9))) + rng.choice(ENDS) for _ in range(1500)]


def deberta_ids():
    return dict(pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]")


# Name: model_type, options of the trainer, whether there is a character map, other files.
FIXTURES = {
    # As microsoft/deberta-v3-base is.
    "deberta": ("deberta-v2", deberta_ids(), True, {"tokenizer_config.json": {"do_lower_case": False, "vocab_type": "spm"}}),
    "deberta-options": ("deberta-v2", {**deberta_ids(), "user_defined_symbols": ["<sym>"], "control_symbols": ["<ctl>"]}, False, {
        "tokenizer_config.json": {
            "do_lower_case": True, "split_by_punct": True, "add_prefix_space": False, "vocab_type": "spm",
            "tokenizer_class": "DebertaV2Tokenizer"},
        "added_tokens.json": {"<mark>": 161, "[MASK]": 160, "<ent>": 162},
    }),
    # As FacebookAI/xlm-roberta-base would be without its tokenizer.json.
    "xlm-roberta": ("xlm-roberta", {}, True, {}),
    "xlm-roberta-options": ("xlm-roberta", {"user_defined_symbols": ["<sym>"], "control_symbols": ["<ctl>"]}, False, {
        "tokenizer_config.json": {"add_prefix_space": False, "additional_special_tokens": ["<ent>", "<mark>"]},
        "special_tokens_map.json": {
            "bos_token": "<s>", "cls_token": "<s>", "pad_token": "<pad>",
            "mask_token": {"content": "<mask>", "lstrip": True, "rstrip": False, "single_word": False, "normalized": False}},
    }),
    "camembert": ("camembert", {}, True, {}),
    "camembert-options": ("camembert", {"user_defined_symbols": ["<sym>"]}, False, {
        "tokenizer_config.json": {
            "tokenizer_class": "CamembertTokenizer",
            "added_tokens_decoder": {
                "164": {"content": "<mask>", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False, "special": True},
                "165": {"content": "<ent>", "lstrip": False, "normalized": True, "rstrip": True, "single_word": True, "special": False}}},
    }),
}
PIECES = 160


def train(options, mapped, folder, real):
    rules = {}
    if mapped and real:
        rules = dict(normalization_rule_name="nmt_nfkc")
    elif mapped:
        table = folder / "rules.tsv"
        points = lambda text: " ".join(f"{ord(c):X}" for c in text)
        table.write_text("".join(f"{points(a)}\t{points(b)}\n" for a, b in CHARACTERS.items()))
        rules = dict(normalization_rule_tsv=str(table))
    else:
        rules = dict(normalization_rule_name="identity")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences()), model_writer=model, vocab_size=PIECES, model_type="unigram", num_threads=1, minloglevel=2,
        **rules, **options)
    if "normalization_rule_tsv" in rules:
        table.unlink()
    return model.getvalue()


def written(folder, name, value):
    (folder / name).write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def rows(tokenizer):
    for text in [*TEXTS, *PAIRS]:
        encoding = tokenizer.encode(*(text if isinstance(text, tuple) else [text]))
        a, b = text if isinstance(text, tuple) else (text, None)
        yield {"text": a, "text_b": b, "ids": encoding.ids, "offsets": encoding.offsets, "type_ids": encoding.type_ids}


def write(name, folder, real):
    family, options, mapped, files = FIXTURES[name]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / ("spm.model" if family == "deberta-v2" else "sentencepiece.bpe.model")
    file.write_bytes(train(options, mapped, folder, real))
    written(folder, "config.json", {"model_type": family})
    for other, value in files.items():
        written(folder, other, value)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    backend, differ = tokenizer.backend_tokenizer, 0
    if family == "deberta-v2":
        plain = list(rows(backend))
        converter = DebertaV2Converter(types.SimpleNamespace(vocab_file=str(file), do_lower_case=tokenizer.do_lower_case))
        backend.normalizer = converter.normalizer(converter.proto)
        differ = sum(a["ids"] != b["ids"] for a, b in zip(plain, rows(backend)))
    golden = {
        "versions": {module.__name__: module.__version__ for module in (sentencepiece, tokenizers, transformers)},
        "differ": differ,
        "tokenizer": json.loads(backend.to_str()),
        "rows": list(rows(backend)),
    }
    written(folder, "golden.json", golden)
    print(f"{name}: {len(golden['rows'])} rows, {differ} differ in the class of transformers {transformers.__version__}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("--only", choices=FIXTURES)
    parser.add_argument("--real", type=pathlib.Path)
    asked = parser.parse_args()
    for name in [asked.only] if asked.only else FIXTURES:
        write(name, (asked.real or asked.out / "sentence-piece") / name, asked.real is not None)


if __name__ == "__main__":
    main()
