//! Which files make a model: what to ask the hub for, and whether a folder has all it needs.
//!
//! It must not know how files are fetched; of a file's content it reads only the list of shards.

use std::collections::BTreeSet;
use std::path::Path;

use ferrotune_bert::checkpoint::COMPANION_FILES;
use serde::Deserialize;

use super::names::is_plain_file_name;

/// The weights in one file.
pub const WEIGHTS: &str = "model.safetensors";
/// The list of shards, for weights in several files.
pub const INDEX: &str = "model.safetensors.index.json";
/// Both as PyTorch wrote them, for models without the first two.
const PYTORCH_WEIGHTS: &str = "pytorch_model.bin";
const PYTORCH_INDEX: &str = "pytorch_model.bin.index.json";
/// The first of them that is there is read.
const IN_ORDER: [&str; 4] = [WEIGHTS, INDEX, PYTORCH_WEIGHTS, PYTORCH_INDEX];
/// What a model without any of them lacks.
const SOME_WEIGHTS: &str = "model.safetensors or pytorch_model.bin";
/// The model's sizes.
pub const CONFIG: &str = "config.json";
/// The tokenizer is built from one of these, the first if it is there.
const VOCABULARIES: [&str; 3] = ["tokenizer.json", "spm.model", "sentencepiece.bpe.model"];
/// A list of shards is some hundred kilobytes at most; more is no list.
const LARGEST_INDEX: u64 = 16 << 20;

/// The files to fetch out of those that the hub lists, shards excepted.
///
/// # Errors
/// The name of a file without which there is no model.
pub fn wanted(listed: &[String]) -> Result<Vec<String>, &'static str> {
    let has = |name: &str| listed.iter().any(|other| other == name);
    if !has(CONFIG) {
        return Err(CONFIG);
    }
    let weights = IN_ORDER.into_iter().find(|name| has(name)).ok_or(SOME_WEIGHTS)?;
    if !VOCABULARIES.into_iter().any(has) {
        return Err(VOCABULARIES[0]);
    }
    let tokenizer = COMPANION_FILES.into_iter().filter(|name| has(name));
    Ok([CONFIG].into_iter().chain(tokenizer).chain([weights]).map(str::to_owned).collect())
}

/// Whether a file is a list of shards.
pub fn is_index(name: &str) -> bool {
    [INDEX, PYTORCH_INDEX].contains(&name)
}

/// The shards that an index file names, each a plain file name.
///
/// # Errors
/// What is wrong with the index.
pub fn shards(index: &Path) -> Result<BTreeSet<String>, String> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let size = std::fs::metadata(index).map_err(|error| error.to_string())?.len();
    if size > LARGEST_INDEX {
        return Err(format!("{size} bytes are too many for a list of shards"));
    }
    let text = std::fs::read_to_string(index).map_err(|error| error.to_string())?;
    let parsed: Index = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let shards: BTreeSet<String> = parsed.weight_map.into_values().collect();
    match shards.iter().find(|name| !is_plain_file_name(name)) {
        Some(bad) => Err(format!("'{}' is no plain file name", bad.escape_debug())),
        None if shards.is_empty() => Err("it names no shard".to_owned()),
        None => Ok(shards),
    }
}

/// Whether a folder holds a configuration, weights with all their shards, and a tokenizer.
pub fn is_complete(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_file();
    let has_all = |index: &str| shards(&folder.join(index)).is_ok_and(|shards| shards.iter().all(|name| has(name)));
    // A list of shards comes first wherever it is read first, complete or not.
    let weights = match IN_ORDER.into_iter().find(|name| has(name)) {
        Some(index) if is_index(index) => has_all(index),
        found => found.is_some(),
    };
    has(CONFIG) && weights && VOCABULARIES.into_iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &str) -> Vec<String> {
        names.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_fetched_of_a_listing() {
        for (listed, expected) in [
            (
                "README.md config.json model.safetensors pytorch_model.bin tokenizer.json vocab.txt",
                Ok("config.json tokenizer.json vocab.txt model.safetensors"),
            ),
            (
                "config.json model.safetensors.index.json model-1.safetensors tokenizer.json tokenizer_config.json",
                Ok("config.json tokenizer.json tokenizer_config.json model.safetensors.index.json"),
            ),
            (
                "config.json model.safetensors spm.model tf_model.h5 tokenizer_config.json",
                Ok("config.json spm.model tokenizer_config.json model.safetensors"),
            ),
            (
                "config.json model.safetensors sentencepiece.bpe.model",
                Ok("config.json sentencepiece.bpe.model model.safetensors"),
            ),
            (
                "README.md config.json pytorch_model.bin spm.model tokenizer_config.json",
                Ok("config.json spm.model tokenizer_config.json pytorch_model.bin"),
            ),
            (
                "config.json pytorch_model.bin tf_model.h5 tokenizer.json",
                Ok("config.json tokenizer.json pytorch_model.bin"),
            ),
            (
                "config.json pytorch_model.bin.index.json pytorch_model-1.bin tokenizer.json",
                Ok("config.json tokenizer.json pytorch_model.bin.index.json"),
            ),
            ("config.json pytorch_model.bin vocab.txt", Err("tokenizer.json")),
            ("config.json tf_model.h5 tokenizer.json", Err("model.safetensors or pytorch_model.bin")),
            ("model.safetensors vocab.txt", Err("config.json")),
            ("config.json model.safetensors vocab.txt", Err("tokenizer.json")),
        ] {
            assert_eq!(wanted(&list(listed)), expected.map(list), "{listed}");
        }
    }

    #[test]
    fn an_index_may_name_only_plain_files() {
        let folder = tempfile::tempdir().unwrap();
        let index = folder.path().join(INDEX);
        for (text, part) in [
            (r#"{"weight_map": {"a": "../evil.safetensors"}}"#, "plain file name"),
            (r#"{"weight_map": {"a": "/etc/passwd"}}"#, "plain file name"),
            (r#"{"weight_map": {}}"#, "no shard"),
            ("[]", "expected"),
        ] {
            std::fs::write(&index, text).unwrap();
            let reason = shards(&index).expect_err(text);
            assert!(reason.contains(part), "{text}: {reason}");
        }
        std::fs::write(&index, r#"{"metadata": {}, "weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}"#)
            .unwrap();
        assert_eq!(shards(&index).unwrap().into_iter().collect::<Vec<_>>(), ["m-1.safetensors", "m-2.safetensors"]);
        for (file, complete) in [
            (CONFIG, false),
            ("vocab.txt", false),
            ("tokenizer.json", false),
            ("m-1.safetensors", false),
            ("m-2.safetensors", true),
        ] {
            std::fs::write(folder.path().join(file), "x").unwrap();
            assert_eq!(is_complete(folder.path()), complete, "after {file}");
        }
        for (file, instead) in [("tokenizer.json", "spm.model"), ("spm.model", "sentencepiece.bpe.model")] {
            std::fs::remove_file(folder.path().join(file)).unwrap();
            assert!(!is_complete(folder.path()), "without {file}");
            std::fs::write(folder.path().join(instead), "x").unwrap();
            assert!(is_complete(folder.path()), "with {instead}");
        }
    }
}
