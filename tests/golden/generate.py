#!/usr/bin/env python3
"""Writes the golden fixtures: numbers from PyTorch and Hugging Face transformers that the Rust tests compare with.

A developer runs this when a fixture is to change; the tests only read what is committed, and need no Python.

    python tests/golden/generate.py --model-minilm DIR [--out tests/golden]

DIR is a folder of sentence-transformers/all-MiniLM-L6-v2 (config.json, model.safetensors, tokenizer.json); without the
option `minilm.json` is left as it is. Needs torch, transformers, tokenizers, safetensors and numpy; no network.
README.md in this folder says what each file holds and which versions wrote the committed ones.

Deterministic: float32, one thread, eager attention, dropout off, every weight from a seeded uniform generator. Two runs
on one machine give the same bytes. Each fixture is checked before it is written; a failed check raises.
"""
import argparse
import copy
import hashlib
import json
import os
import re
from pathlib import Path

# The same instruction paths on every x86 machine, as far as the libraries allow; must be set before torch is imported.
os.environ.setdefault("ATEN_CPU_CAPABILITY", "default")
os.environ.setdefault("MKL_CBWR", "COMPATIBLE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy
import safetensors
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, BertModel

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = list("abcdefghijklmnopqrstuvwxyz")
PUNCTUATION = list(".,!?'-")
WORDS = """the river runs cold and clear old boat was slow but we like it not bad film very good bread is hard to find
here in town my friend plays violin every monday evening rain fell on stone road never again what bright garden ##ed
##ing ##er ##ly ##est summer letter green window paper cloud winter market""".split()

STEPS = {
    "optimizer": "adamw", "steps": 10, "learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8,
    "weight_decay": 0.01, "weight_decay_skips": ["bias", "LayerNorm"], "clip_global_norm": 1.0,
    "schedule": "constant", "dropout": 0.0, "batch": "all rows of golden.safetensors at every step",
}

SINGLE = [  # (text, label); lengths with [CLS] and [SEP]: 3, 9, 2, 17, 6
    ("rain", 1),
    ("The river runs cold and clear.", 2),
    ("", 0),
    ("My old friend plays violin here every Monday evening, but never slowly!", 2),
    ("what a bad film", 0),
]

PAIRS = [  # (first text, second text, label); lengths 5, 13, 4, 41 (every position in use), 18
    ("rain", "boat", 0),
    ("the old boat was slow", "a boat runs slow?", 1),
    ("bread", "", 0),
    ("My friend plays violin every evening, and the bright garden is clear again; "
     "we like it very, very much, old friend.",
     "What rain fell on my old stone road?", 1),
    ("Good bread is hard to find in town.", "we never find bad bread here", 0),
]

LEGACY_ROWS = [[2, 63, 64, 65, 3], [2, 3], [2, 70, 5, 31, 99, 106, 80, 71, 4, 63, 57, 3], [2, 90, 1, 3]]

SENTENCES = [
    "Good.",
    "The film was far better than I had feared.",
    "WHY IS EVERYTHING IN THIS SHOP SO EXPENSIVE?",
    "We met at a small café in Zürich, where the naïve waiter served crème brûlée to Señor Muñoz.",
    "I love this little crab 🦀 more than my own bicycle!",
    "An old stone carries one rune, ᛗ, and nobody here can read it.",
    "It's not that she didn't try; it's that the well-known re-entry procedure wasn't documented (see p. 42, §3).",
    "The parcel weighed 3.75 kg, cost $1,299.00 and arrived on 2024-02-29 at 07:45.",
    "Antidisestablishmentarianism and floccinaucinihilipilification are unreasonably long words.",
    "no",
    "When the harbour froze for the third winter in a row, the fishermen dragged their boats across the ice, mended "
    "their nets by the stove, told each other the same stories about the great storm, and waited for a thaw that the "
    "almanac had promised for February, but which, as the oldest among them had said from the very start, came only in "
    "the middle of April.",
    "Tabs\tand  double   spaces\nand a line break should make no difference.",
    "A decomposed accent: cafe\u0301; a Chinese word: 你好; a Greek one: λόγος.",
    "Honestly, the second half drags, the songs are forgettable, and the hero has all the charm of a parking ticket.",
    "user_name@example.org wrote: \"C++ > Java\" && 100% of replies disagreed... #hashtag",
    "She read the letter twice, folded it, and put it back in the drawer without a word.",
]


def check(condition, message):
    """Like assert, but also under `python -O`."""
    if not condition:
        raise SystemExit(f"generate.py: check failed: {message}")


def write_json(path, value):
    """Indented, but a list of numbers stays on one line."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    one_line = lambda found: "[" + " ".join(found[0][1:-1].split()) + "]"
    text = re.sub(r"\[[-+.\de,\s]+\]", one_line, text)
    check(json.loads(text) == value, f"{path} reads back as written")
    path.write_text(text + "\n", encoding="utf-8")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def versions():
    return {"torch": torch.__version__, "transformers": transformers.__version__, "tokenizers": tokenizers.__version__,
            "safetensors": safetensors.__version__}


def vocabulary(size):
    """The first `size` of: special tokens, letters, letters as word endings, punctuation, words."""
    full = SPECIAL + LETTERS + ["##" + c for c in LETTERS] + PUNCTUATION + WORDS
    check(len(full) == 120 and len(set(full)) == 120, f"{len(full)} entries, {len(set(full))} different")
    return full[:size]


def write_tokenizer(folder, size, max_length):
    """A WordPiece tokenizer as a BERT checkpoint ships it: tokenizer.json, vocab.txt and the two small JSON files."""
    entries = vocabulary(size)
    tok = tokenizers.Tokenizer(tokenizers.models.WordPiece({w: i for i, w in enumerate(entries)}, unk_token="[UNK]"))
    tok.add_special_tokens(SPECIAL)
    tok.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    tok.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tok.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tok.decoder = tokenizers.decoders.WordPiece()
    tok.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("".join(w + "\n" for w in entries), encoding="utf-8")
    names = dict(zip(["pad_token", "unk_token", "cls_token", "sep_token", "mask_token"], SPECIAL))
    write_json(folder / "special_tokens_map.json", names)
    write_json(folder / "tokenizer_config.json", {
        **names, "do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": True,
        "model_max_length": max_length, "tokenizer_class": "BertTokenizer"})


def randomise(model, seed):
    """Weights with standard deviation 0.2, biases within 0.3, LayerNorm weights within 1 +- 0.2: no gradient is small.

    Drawn in float64 from a uniform generator, which is the same on every machine, then rounded once.
    """
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            u = 2.0 * torch.rand(p.shape, dtype=torch.float64) - 1.0
            if name.endswith("LayerNorm.weight"):
                p.copy_(1.0 + 0.2 * u)
            elif name.endswith("bias"):
                p.copy_(0.3 * u)
            else:
                p.copy_(0.2 * 3.0**0.5 * u)


def pad(rows, types):
    """Rows of ids to a padded rectangle with its mask, the way Hugging Face collates."""
    longest = max(len(r) for r in rows)
    fill = lambda part: torch.tensor([list(r) + [0] * (longest - len(r)) for r in part])
    mask = [[1] * len(r) for r in rows]
    return {"input_ids": fill(rows), "token_type_ids": fill(types), "attention_mask": fill(mask)}


def ragged(rows, types):
    """The same rows without padding: ids and types concatenated, and where each row starts."""
    offsets = [0]
    for r in rows:
        offsets.append(offsets[-1] + len(r))
    flat = lambda part: torch.tensor([v for r in part for v in r], dtype=torch.int32)
    return {"ids": flat(rows), "type_ids": flat(types), "offsets": torch.tensor(offsets, dtype=torch.int32)}


def activations(encoder, batch):
    """Hidden states of the real tokens in row order, `hidden.0` from the embeddings, and the pooler's output."""
    embedded = []
    hook = encoder.embeddings.register_forward_hook(lambda _module, _inputs, output: embedded.append(output))
    with torch.no_grad():
        out = encoder(**batch, output_hidden_states=True)
    hook.remove()
    states = list(out.hidden_states)
    check(len(states) == encoder.config.num_hidden_layers + 1, "one hidden state a layer, and the embeddings")
    check(torch.equal(states[0], embedded[0]), "hidden.0 is the output of the embeddings")
    check(torch.equal(states[-1], out.last_hidden_state), "the last hidden state is the encoder's output")
    real = batch["attention_mask"].bool()
    return {f"hidden.{i}": h[real].contiguous() for i, h in enumerate(states)} | {"pooled": out.pooler_output}


def forward_backward(model, batch, labels):
    """Logits, mean cross-entropy, and the gradient of every parameter by checkpoint name; the model stays unchanged."""
    model.zero_grad(set_to_none=True)
    out = model(**batch, labels=labels)
    out.loss.backward()
    grads = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    return out.logits.detach(), out.loss.detach(), grads


def adamw_steps(model, batch, labels):
    """Losses before each step and gradient norms before clipping, then the loss after the last step. On a copy."""
    model = copy.deepcopy(model)
    bare = lambda name: name.endswith("bias") or "LayerNorm" in name
    groups = [{"params": [p for n, p in model.named_parameters() if bare(n) == skip], "weight_decay": decay}
              for skip, decay in ((False, STEPS["weight_decay"]), (True, 0.0))]
    optimizer = torch.optim.AdamW(groups, lr=STEPS["learning_rate"], betas=(STEPS["beta1"], STEPS["beta2"]),
                                  eps=STEPS["epsilon"], foreach=False, fused=False)
    losses, norms = [], []
    for _ in range(STEPS["steps"]):
        loss = model(**batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), STEPS["clip_global_norm"], foreach=False)
        norms.append(norm.item())
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        return losses, norms, model(**batch, labels=labels).loss.item()


def is_shift(name):
    """A key bias adds one number to all scores of a query, which softmax ignores: its gradient is rounding noise."""
    return name.endswith("attention.self.key.bias")


def deviation(got, want):
    """The largest |got - want| over max(1, max|want|): the measure that README.md sets tolerances in."""
    return ((got.double() - want.double()).abs().max() / max(1.0, want.abs().max().item())).item()


def verify(label, model, batch, labels, golden, steps):
    """Holds the float32 numbers against float64, finite differences, and rows run one at a time without padding."""
    grads = {k[5:]: v for k, v in golden.items() if k.startswith("grad.")}
    check(set(grads) == {n for n, _ in model.named_parameters()}, "a gradient for every parameter")
    for name, g in grads.items():
        check(bool(torch.isfinite(g).all()), f"{name} has a gradient that is not finite")
        size = g.abs().max().item()
        check(size < 1e-6 if is_shift(name) else size > 2e-2, f"size of the gradient of {name}: {size}")
    for i, length in enumerate(batch["attention_mask"].sum(1).tolist()):
        alone = {k: v[i:i + 1, :length] for k, v in batch.items()}
        with torch.no_grad():
            check(deviation(model(**alone).logits[0], golden["logits"][i]) < 2e-6, f"row {i} alone gives other logits")

    exact = copy.deepcopy(model).double()
    logits, loss, exact_grads = forward_backward(exact, batch, labels)
    wanted = activations(exact.bert, batch)
    forward_error = max(deviation(golden[k], w) for k, w in (wanted | {"logits": logits}).items())
    grad_error = max(deviation(grads[n], g) for n, g in exact_grads.items())
    grad_error_own = max(((grads[n] - g).abs().max() / g.abs().max()).item()
                         for n, g in exact_grads.items() if not is_shift(n))
    losses, norms, final = adamw_steps(exact, batch, labels)
    loss_error = max(abs(a - b) for a, b in zip(steps["losses"] + [steps["final_loss"]], losses + [final]))
    norm_error = max(abs(a - b) / b for a, b in zip(steps["grad_norms"], norms))
    check(forward_error < 3e-6 and grad_error < 1e-5, "float32 activations and gradients are near float64")
    check(loss_error < 1e-5 and norm_error < 1e-5, "ten float32 steps are near float64")

    pick = torch.Generator().manual_seed(1)
    parameters = sorted((n, p) for n, p in exact.named_parameters() if not is_shift(n))
    for _ in range(5):
        name, p = parameters[torch.randint(len(parameters), (1,), generator=pick).item()]
        touched = exact_grads[name].flatten().nonzero().flatten()
        at = touched[torch.randint(len(touched), (1,), generator=pick)].item()
        flat, h, side = p.detach().view(-1), 1e-5, []
        original = flat[at].item()
        for x in (original + h, original - h):
            flat[at] = x
            with torch.no_grad():
                side.append(exact(**batch, labels=labels).loss.item())
        flat[at] = original
        numeric, analytic = (side[0] - side[1]) / (2 * h), exact_grads[name].view(-1)[at].item()
        check(abs(numeric - analytic) < 1e-8, f"finite difference at {name}[{at}]: {numeric} against {analytic}")
        print(f"  finite difference {name}[{at}]: {numeric:+.9f}, analytic {analytic:+.9f}")
    sizes = {n: g.abs().max().item() for n, g in grads.items() if not is_shift(n)}
    least = min(sizes, key=sizes.get)
    print(f"  {label}: float32 against float64: activations {forward_error:.1e}, gradients {grad_error:.1e} "
          f"({grad_error_own:.1e} of the tensor's own maximum), losses {loss_error:.1e}, norms {norm_error:.1e}")
    print(f"  smallest largest-entry of a gradient: {sizes[least]:.3f} ({least}); "
          f"losses {losses[0]:.4f} -> {final:.4f}, norms {min(norms):.3f}..{max(norms):.3f}")


def write_tiny(folder, rows, label_names, seed, **sizes):
    """One tiny classifier: its model folder, inputs, activations, gradients and ten optimizer steps."""
    (folder / "model").mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder / "model", sizes["vocab_size"], sizes["max_position_embeddings"])
    tok = AutoTokenizer.from_pretrained(folder / "model")
    texts = [row[:-1] for row in rows]
    # Columns, not one call a row: given a single pair, transformers drops an empty second text with its [SEP].
    columns = [list(column) for column in zip(*texts)]
    encoded = tok(*columns, truncation=True, max_length=sizes["max_position_embeddings"])
    ids, types = encoded["input_ids"], encoded["token_type_ids"]
    direct = tokenizers.Tokenizer.from_file(str(folder / "model" / "tokenizer.json"))
    check([direct.encode(*text).ids for text in texts] == ids, "tokenizer.json and transformers agree")

    config = BertConfig(
        **sizes, hidden_act="gelu", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.2,
        type_vocab_size=2, pad_token_id=0, id2label=dict(enumerate(label_names)),
        label2id={name: i for i, name in enumerate(label_names)})
    config._attn_implementation = "eager"
    model = BertForSequenceClassification(config).eval()
    randomise(model, seed)
    model.save_pretrained(folder / "model")

    batch, labels = pad(ids, types), torch.tensor([row[-1] for row in rows])
    logits, loss, grads = forward_backward(model, batch, labels)
    golden = ragged(ids, types) | {"labels": labels.to(torch.int32)} | activations(model.bert, batch)
    reloaded = BertForSequenceClassification.from_pretrained(folder / "model", attn_implementation="eager").eval()
    check(torch.equal(forward_backward(reloaded, batch, labels)[0], logits), "the saved folder gives the same logits")
    golden |= {"logits": logits, "loss": loss.reshape(1)} | {f"grad.{n}": g.contiguous() for n, g in grads.items()}
    losses, norms, final = adamw_steps(model, batch, labels)
    steps = {"hyper_parameters": STEPS, "losses": losses, "grad_norms": norms, "final_loss": final,
             "versions": versions()}
    print(f"{folder.name}: lengths {[len(i) for i in ids]}, {sum(p.numel() for p in model.parameters())} parameters")
    verify(folder.name, model, batch, labels, golden, steps)
    save_file(golden, folder / "golden.safetensors", metadata={"format": "pt"})
    write_json(folder / "steps.json", steps)
    write_json(folder / "inputs.json", [
        {"text": t[0], "text_pair": t[1] if len(t) > 1 else None, "ids": i, "type_ids": y,
         "label": label_names[row[-1]]}
        for t, i, y, row in zip(texts, ids, types, rows)])


def write_legacy(folder, seed):
    """An encoder as old converters left it: no prefix, gamma and beta, two shards of different 16-bit types."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["BertModel"], "model_type": "bert", "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "hidden_size": 24, "initializer_range": 0.02, "intermediate_size": 40,
        "layer_norm_eps": 1e-12, "max_position_embeddings": 32, "num_attention_heads": 3, "num_hidden_layers": 2,
        "pad_token_id": 0, "type_vocab_size": 2, "vocab_size": 107}
    write_json(folder / "config.json", config)
    model = BertModel(BertConfig(**config, attn_implementation="eager")).eval()
    randomise(model, seed)
    half = {"model-00001-of-00002.safetensors": torch.float16, "model-00002-of-00002.safetensors": torch.bfloat16}
    first, second = half
    home = lambda name: second if name.startswith(("encoder.layer.1.", "pooler.")) else first
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(p.to(half[home(name)]).to(torch.float32))

    old = lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    stored = {old(n): (home(n), p.detach().to(half[home(n)]).contiguous()) for n, p in model.named_parameters()}
    # Old checkpoints carry this counting buffer; a loader has to know that it is no parameter.
    stored["embeddings.position_ids"] = (first, torch.arange(32).reshape(1, 32))
    for shard in half:
        save_file({n: t for n, (s, t) in stored.items() if s == shard}, folder / shard, metadata={"format": "pt"})
    total = sum(t.numel() * t.element_size() for _, t in stored.values())
    write_json(folder / "model.safetensors.index.json",
               {"metadata": {"total_size": total}, "weight_map": {n: s for n, (s, _) in sorted(stored.items())}})

    types = [[0] * len(r) for r in LEGACY_ROWS]
    types[2] = [0] * 7 + [1] * 5
    batch = pad(LEGACY_ROWS, types)
    golden = ragged(LEGACY_ROWS, types) | activations(model, batch)
    exact = activations(copy.deepcopy(model).double(), batch)
    error = max(deviation(golden[k], w) for k, w in exact.items())
    check(error < 3e-6, "float32 is near float64")
    reloaded = BertModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    again = activations(reloaded, batch)
    check(all(torch.equal(golden[k], v) for k, v in again.items()), "transformers loads the folder to the same numbers")
    save_file(golden, folder / "golden.safetensors", metadata={"format": "pt"})
    print(f"{folder.name}: lengths {[len(r) for r in LEGACY_ROWS]}, activations float32 against float64 {error:.1e}")


def formula_head(labels, hidden):
    """The classifier of minilm.json: integers, a float32 division and a subtraction; the same bits in any language."""
    k = (numpy.arange(labels * hidden, dtype=numpy.int64) * 7919 + 13) % 1000
    weight = k.astype(numpy.float32) / numpy.float32(10000) - numpy.float32(0.05)
    return torch.from_numpy(weight.reshape(labels, hidden)), torch.tensor([0.01, -0.02])


def write_minilm(source, path):
    """Tokens, logits, loss and gradient norms of the real MiniLM; its weights are not committed."""
    tok = AutoTokenizer.from_pretrained(source)
    ids = [tok(s, truncation=True, max_length=128)["input_ids"] for s in SENTENCES]
    check(sum(tok.unk_token_id in i for i in ids) >= 2, "an emoji and a rune become [UNK]")
    config = BertConfig.from_pretrained(source, num_labels=2)
    config._attn_implementation = "eager"
    model = BertForSequenceClassification(config).eval()
    stored = load_file(source / "model.safetensors")
    weights = {"bert." + n: t for n, t in stored.items() if n != "embeddings.position_ids"}
    weights["classifier.weight"], weights["classifier.bias"] = formula_head(2, config.hidden_size)
    model.load_state_dict(weights, strict=True)
    batch = pad(ids, [[0] * len(i) for i in ids])
    labels = torch.arange(len(ids)) % 2
    logits, loss, grads = forward_backward(model, batch, labels)
    norms = {n: g.double().norm().item() for n, g in grads.items()}
    for name, norm in norms.items():
        check(norm < 1e-6 if is_shift(name) else norm > 1e-4, f"norm of the gradient of {name}: {norm}")

    exact_logits, exact_loss, exact_grads = forward_backward(copy.deepcopy(model).double(), batch, labels)
    errors = {n: abs(norms[n] - g.norm().item()) / g.norm().item() for n, g in exact_grads.items() if not is_shift(n)}
    check(deviation(logits, exact_logits) < 1e-6 and max(errors.values()) < 1e-5, "float32 is near float64")
    least = min((n for n in norms if not is_shift(n)), key=norms.get)
    print(f"minilm: lengths {[len(i) for i in ids]}, loss {loss.item():.6f}; float32 against float64: logits "
          f"{deviation(logits, exact_logits):.1e}, loss {abs(loss - exact_loss).item():.1e}, "
          f"norms {max(errors.values()):.1e}; smallest norm {norms[least]:.2e} ({least})")
    write_json(path, {
        "model": "sentence-transformers/all-MiniLM-L6-v2", "model_sha256": sha256(source / "model.safetensors"),
        "tokenizer_sha256": sha256(source / "tokenizer.json"), "max_length": 128,
        "classifier": {"shape": [2, config.hidden_size], "bias": [0.01, -0.02],
                       "weight": "w[i][j] = (((i*384 + j)*7919 + 13) % 1000) as f32 / 10000.0 - 0.05, all in f32"},
        "texts": SENTENCES, "ids": ids, "labels": labels.tolist(), "logits": logits.tolist(), "loss": loss.item(),
        "grad_norms": norms, "versions": versions()})


def main():
    parser = argparse.ArgumentParser(description="Write the golden fixtures of ferrotune's tests.")
    parser.add_argument("--model-minilm", type=Path,
                        help="folder of all-MiniLM-L6-v2; without it minilm.json stays as it is")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent,
                        help="default: the script's folder")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()

    written = args.out / "tiny-single", args.out / "tiny-pair", args.out / "tiny-legacy"
    write_tiny(written[0], SINGLE, ["negative", "neutral", "positive"], seed=40, vocab_size=120, hidden_size=32,
               num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, max_position_embeddings=64,
               layer_norm_eps=1e-12)
    write_tiny(written[1], PAIRS, ["different", "same"], seed=20, vocab_size=107, hidden_size=48,
               num_hidden_layers=3, num_attention_heads=6, intermediate_size=80, max_position_embeddings=41,
               layer_norm_eps=1e-5)
    write_legacy(written[2], seed=13)
    files = [f for folder in written for f in sorted(folder.rglob("*")) if f.is_file()]
    if args.model_minilm:
        write_minilm(args.model_minilm, args.out / "minilm.json")
        files.append(args.out / "minilm.json")
    for f in files:
        print(f"{f.stat().st_size:9d}  {f.relative_to(args.out)}")
    total = sum(f.stat().st_size for f in files)
    print(f"{total:9d}  total")
    check(total < 1_500_000, "fixtures outgrow 1.5 MB")


if __name__ == "__main__":
    main()
