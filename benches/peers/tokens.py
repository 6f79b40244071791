"""Token ids of texts with the tokenizer.json of a model folder. Needs the package tokenizers, and neither torch nor transformers."""

from tokenizers import Tokenizer


def encode(folder, texts, max_length):
    """One list of ids a text, special tokens included, cut to max_length, without padding."""
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return [encoding.ids for encoding in tokenizer.encode_batch(texts)]
