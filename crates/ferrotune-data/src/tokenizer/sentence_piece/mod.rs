//! Makes a `tokenizer.json` for a folder whose tokenizer is only a SentencePiece model, as transformers converts it: same ids, same special
//! tokens. It knows nothing of rows or of how the result is used.
//!
//! The result is the text of a file, and read like one: what a model learns from is then what the saved folder says.

mod added;
mod layout;
mod proto;
#[cfg(test)]
mod tests;

use super::{TOKENIZER, read_capped};
use crate::DataError;
use added::{Added, Said};
use layout::{Choices, Layout, ROLES};
use proto::{Fault, Model};
use serde_json::{Value, json};
use std::path::Path;

/// What the model's file is called, in one family or another.
const MODELS: [&str; 2] = ["spm.model", "sentencepiece.bpe.model"];
/// What the folder says of its tokenizer besides.
const CONFIG: &str = "tokenizer_config.json";
const TOKEN_MAP: &str = "special_tokens_map.json";
const ADDED: &str = "added_tokens.json";
/// The class that takes a `tokenizer.json` as it is, in transformers 4 and 5.
const PLAIN_CLASS: &str = "PreTrainedTokenizerFast";
/// What such a class is called too.
const PLAIN_CLASSES: [&str; 3] = [PLAIN_CLASS, "PreTrainedTokenizer", "TokenizersBackend"];

/// A tokenizer that was made.
pub(super) struct Converted {
    /// The path of the model that it was made of.
    pub file: String,
    /// The text of its `tokenizer.json`.
    pub json: Vec<u8>,
    layout: Layout,
    /// What `tokenizer_config.json` says.
    config: Value,
}

/// The files, in a folder, that its tokenizer is made of: `tokenizer.json`, or a SentencePiece model and what stands beside it.
pub fn tokenizer_files(dir: &Path) -> Vec<&'static str> {
    let here = |name: &&str| dir.join(name).exists();
    let beside = MODELS.into_iter().chain([CONFIG, TOKEN_MAP, ADDED]).filter(here);
    if here(&TOKENIZER) { vec![TOKENIZER] } else { beside.collect() }
}

/// The files, with their content, that a copy of the folder needs so that its tokenizer is in `tokenizer.json`: none where it is, or where the folder has no
/// tokenizer.
///
/// That is also a `tokenizer_config.json` which names the class that takes `tokenizer.json` whole: the families' classes of transformers 5 build the tokenizer
/// anew, and leave out the map of characters (DeBERTa's) or tokens that the model alone sets apart (the others').
///
/// # Errors
/// The SentencePiece model, or a file beside it, cannot be used.
pub fn tokenizer_to_save(dir: &Path) -> Result<Vec<(&'static str, Vec<u8>)>, DataError> {
    let Some(Converted { json, layout, mut config, .. }) = convert(dir)? else { return Ok(Vec::new()) };
    config["tokenizer_class"] = PLAIN_CLASS.into();
    config["model_input_names"] = layout.inputs().into();
    for (role, name) in ROLES.into_iter().zip(layout.special_tokens()) {
        if config[role].is_null() {
            config[role] = name.into();
        }
    }
    let config = serde_json::to_vec_pretty(&config).expect("a JSON document can be written");
    Ok(vec![(TOKENIZER, json), (CONFIG, config)])
}

/// The tokenizer of a folder that has only a SentencePiece model; nothing where there is a `tokenizer.json`, or neither.
pub(super) fn convert(dir: &Path) -> Result<Option<Converted>, DataError> {
    // A link that leads nowhere is a fault of that file.
    if dir.join(TOKENIZER).symlink_metadata().is_ok() {
        return Ok(None);
    }
    let Some(found) = MODELS.into_iter().find(|name| dir.join(name).exists()) else { return Ok(None) };
    let refused = |name: &str| {
        let file = dir.join(name).display().to_string();
        move |detail: String| DataError::TokenizerNotConverted { file: file.clone(), detail }
    };
    let config = json_file(dir, CONFIG)?;
    let layout = layout(dir, &config)?.ok_or_else(|| {
        let detail = "it is read for the families deberta-v2, xlm-roberta and camembert, and the folder is of another";
        refused(found)(detail.to_owned())
    })?;
    let (name, path) = (layout.file(), dir.join(layout.file()));
    if !path.exists() {
        return Err(refused(found)(format!("the folder's family has {name}")));
    }
    if config["vocab_type"].as_str().is_some_and(|kind| kind != "spm") {
        return Err(refused(CONFIG)("its vocab_type is not spm".to_owned()));
    }
    let file = path.display().to_string();
    let model = Model::read(&read_capped(dir, &path, &file)?).map_err(|fault| match fault {
        Fault::Malformed(detail) => DataError::TokenizerMalformed { file: file.clone(), detail },
        Fault::Unread(detail) => refused(name)(detail),
    })?;
    let said = Said { map: json_file(dir, TOKEN_MAP)?, added: json_file(dir, ADDED)?, config };
    let json = tokenizer_json(layout, &model, &said).map_err(refused(name))?;
    Ok(Some(Converted { file, json: json.to_string().into_bytes(), layout, config: said.config }))
}

fn tokenizer_json(layout: Layout, model: &Model, said: &Said) -> Result<Value, String> {
    let is = |key: &str, default: bool| match &said.config[key] {
        Value::Null => Ok(default),
        Value::Bool(said) => Ok(*said),
        _ => Err(format!("{CONFIG} says {key}, and neither true nor false")),
    };
    let choices = Choices {
        prefix_space: is("add_prefix_space", true)?,
        lower_case: is("do_lower_case", false)?,
        split_by_punctuation: is("split_by_punct", false)?,
    };
    let (vocabulary, unknown) = layout.vocabulary(model)?;
    let added = added::added(layout, model, &vocabulary, said)?;
    let [begin, end, ..] = layout.special_tokens().map(|name| Added::id_of(&added, name));
    let (pre_tokenizer, decoder) = layout.words(choices);
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": layout.normalizer(model, choices),
        "pre_tokenizer": pre_tokenizer,
        "post_processor": layout.template(begin, end),
        "decoder": decoder,
        "model": {"type": "Unigram", "unk_id": unknown, "vocab": vocabulary, "byte_fallback": false},
    }))
}

/// The family that a folder belongs to, as transformers finds the class of a tokenizer: by its name, else, or if that says nothing, by the kind of model.
fn layout(dir: &Path, config: &Value) -> Result<Option<Layout>, DataError> {
    let model = json_file(dir, "config.json")?;
    let class = [&config["tokenizer_class"], &model["tokenizer_class"]].into_iter().find_map(Value::as_str);
    Ok(match class.filter(|class| !PLAIN_CLASSES.contains(class)) {
        Some(class) => Layout::of_class(class),
        None => model["model_type"].as_str().and_then(Layout::of_model_type),
    })
}

/// A file of JSON, which is an object; an empty one where there is no such file.
fn json_file(dir: &Path, name: &str) -> Result<Value, DataError> {
    let path = dir.join(name);
    if !path.exists() {
        return Ok(json!({}));
    }
    let file = path.display().to_string();
    let bytes = read_capped(dir, &path, &file)?;
    let malformed = |detail: String| DataError::TokenizerMalformed { file: file.clone(), detail };
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    if value.is_object() { Ok(value) } else { Err(malformed("it is no JSON object".to_owned())) }
}
