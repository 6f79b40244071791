//! Names what a file is when it is not what it should be: the usual wrong files that lie under `model.safetensors`.
//! It is asked only after a file failed to parse, because two of these magics are also legal header lengths.

/// What a file with these first bytes is, and what to do about it; `None` when it is nothing well known.
pub(crate) fn known_wrong_file(first: &[u8]) -> Option<&'static str> {
    let is = |magic: &[u8]| first.starts_with(magic);
    if is(b"version https://git-lfs") {
        return Some("this is a git-LFS pointer, not the file itself: run `git lfs pull` in the model folder");
    }
    if is(b"PK\x03\x04") {
        return Some(
            "this is a zip archive, most likely weights that PyTorch wrote: those are read under the name pytorch_model.bin",
        );
    }
    if first.len() >= 2 && first[0] == 0x80 && (2..=5).contains(&first[1]) {
        return Some(
            "this is a Python pickle, most likely weights that PyTorch wrote: those are read under the name pytorch_model.bin",
        );
    }
    if is(b"\x1f\x8b") {
        return Some("this is a gzip file: unpack it first");
    }
    if is(b"\x89HDF") {
        return Some("this is an HDF5 file (Keras or TensorFlow weights): convert it to safetensors with transformers");
    }
    if is(b"GGUF") {
        return Some("this is a GGUF file (llama.cpp), which is not a format of training: use the original model");
    }
    let text = first.trim_ascii_start().to_ascii_lowercase();
    if text.starts_with(b"<!doctype") || text.starts_with(b"<html") || text.starts_with(b"<?xml") {
        return Some("this is an HTML or XML page, so the download went wrong: fetch the file again");
    }
    None
}

/// Like [`known_wrong_file`], for a file that should be safetensors: there, JSON text is wrong as well.
pub(crate) fn known_wrong_weights(first: &[u8]) -> Option<&'static str> {
    known_wrong_file(first).or_else(|| {
        let text = first.trim_ascii_start();
        (text.starts_with(b"{\"") || text.starts_with(b"[") || text.starts_with(b"{\n")).then_some(
            "this is JSON text, not a safetensors file (the 8-byte header length is missing): fetch it again",
        )
    })
}
