#!/usr/bin/env python3
"""Tells whether a folder that `ferrotune pretrain` saved is a masked language model for transformers.

    python tests/golden/check_masked.py run/best [--text "The [MASK] was good."]

It checks that AutoModelForMaskedLM finds every tensor and leaves none but a pooler, that the decoder is tied to the word embeddings, and
prints what the model says for the mask.
"""
import argparse

import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--text", default="The {mask} was very good.", help="{mask} stands for the mask token")
    args = parser.parse_args()
    model, info = AutoModelForMaskedLM.from_pretrained(args.folder, output_loading_info=True)
    unexpected = [name for name in info["unexpected_keys"] if ".pooler." not in name]
    assert not info["missing_keys"] and not info["mismatched_keys"] and not unexpected, info
    words, decoder = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert words.data_ptr() == decoder.data_ptr(), "the decoder is tied"
    tok = AutoTokenizer.from_pretrained(args.folder)
    batch = tok(args.text.format(mask=tok.mask_token), return_tensors="pt")
    with torch.no_grad():
        logits = model.eval()(**batch).logits[0]
    place = batch["input_ids"][0].tolist().index(tok.mask_token_id)
    best = logits[place].softmax(-1).topk(5)
    said = [(tok.convert_ids_to_tokens(i.item()), round(p.item(), 3)) for p, i in zip(best.values, best.indices)]
    print(f"{type(model).__name__}: every tensor found, decoder tied; {args.text}: {said}")


if __name__ == "__main__":
    main()
