"""Makes what the contestants read, with transformers: a MiniLM classifier, a BERT-base of random weights, tokens and batch plans.

Runs in the opponents' environment. Whatever lies in the folder already is written anew, except for the random BERT-base.
"""

import argparse
import shutil
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel, logging

import batching
import rows
import tokens

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def copy_tokenizer(source, target):
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def classifier(minilm, labels, target):
    """MiniLM with a random head for these labels: the folder that inference reads."""
    torch.manual_seed(0)
    names = dict(enumerate(labels))
    model = BertForSequenceClassification.from_pretrained(
        minilm, dtype=torch.float32, id2label=names, label2id={name: i for i, name in names.items()})
    model.save_pretrained(target)
    copy_tokenizer(minilm, target)
    return model.eval()


def bert_base(minilm, target):
    """110 million random parameters with MiniLM's vocabulary; the speed does not depend on their values."""
    if (target / "model.safetensors").is_file():
        return
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=30522)).save_pretrained(target)
    copy_tokenizer(minilm, target)


def lines(path, lists):
    path.write_text("".join(" ".join(map(str, numbers)) + "\n" for numbers in lists), encoding="ascii")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minilm", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--max-length", type=int, required=True)
    parser.add_argument("--bert-base", action="store_true")
    parser.add_argument("--onnx", action="store_true")
    a = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()

    texts, labels = rows.load(a.rows)
    model = classifier(a.minilm, sorted(set(labels)), a.out / "minilm-classifier")
    if a.onnx:
        import onnx_graph
        onnx_graph.write(model, a.out / "minilm.onnx")
    if a.bert_base:
        bert_base(a.minilm, a.out / "bert-base")
    ids = tokens.encode(a.minilm, texts, a.max_length)
    lengths = [len(row) for row in ids]
    lines(a.out / "tokens.txt", ids)
    for way in (batching.DYNAMIC, batching.GROUPED):
        lines(a.out / f"batches-{way}.txt", batching.plan(lengths, a.batch_size, way))
    print(f"{len(ids)} rows, {sum(lengths) / len(ids):.1f} tokens on average, the longest {max(lengths)}")


if __name__ == "__main__":
    main()
