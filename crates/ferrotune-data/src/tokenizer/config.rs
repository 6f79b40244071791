//! `tokenizer_config.json` beside a tokenizer: only `tokenizer.json` is read, and Hugging Face's classes let the other file win. It knows nothing of rows.

use super::{Tokenizer, read_capped};
use serde_json::Value;
use std::path::Path;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;

/// The other file.
const FILE: &str = "tokenizer_config.json";
/// The class that takes a tokenizer as it is, under its names in version 4 and 5.
const PLAIN_CLASSES: [&str; 2] = ["PreTrainedTokenizerFast", "TokenizersBackend"];

impl Tokenizer {
    /// A line about words that may have been learned otherwise than they are read here: of a tagger whose byte-level tokenizer nowhere says that a word has
    /// a blank before it.
    pub fn doubtful_words(&self, folder: &Path) -> Option<String> {
        let Some(PreTokenizerWrapper::ByteLevel(pre)) = self.inner.get_pre_tokenizer() else { return None };
        let config = read(folder);
        let says_so = pre.add_prefix_space || config["add_prefix_space"] == true;
        (!says_so).then(|| {
            format!(
                "{}: words are read with a blank before each, as they stand in a text, and neither tokenizer.json nor {FILE} says add_prefix_space true: a \
                 tagger that was trained on words without one answers otherwise here",
                folder.display()
            )
        })
    }

    /// What the folder's `tokenizer_config.json` says against its `tokenizer.json`, one line each. Such a folder gives other tokens in Hugging Face's
    /// tools than here. Nothing where the file is missing or cannot be understood: it is not needed. For rows of `words` a blank before each does not count:
    /// they are read with it in any case.
    pub fn contradictions(&self, folder: &Path, words: bool) -> Vec<String> {
        let config = read(folder);
        if PLAIN_CLASSES.iter().any(|class| config["tokenizer_class"] == *class) {
            return Vec::new();
        }
        let mut own = Vec::new();
        if let Some(NormalizerWrapper::BertNormalizer(bert)) = self.inner.get_normalizer() {
            own.push(("do_lower_case", bert.lowercase));
            own.push(("strip_accents", bert.strip_accents.unwrap_or(bert.lowercase)));
            own.push(("tokenize_chinese_chars", bert.handle_chinese_chars));
        }
        if let (Some(PreTokenizerWrapper::ByteLevel(pre)), false) = (self.inner.get_pre_tokenizer(), words) {
            own.push(("add_prefix_space", pre.add_prefix_space));
        }
        let said = |key: &str, own: bool| config[key].as_bool().filter(|&said| said != own);
        let line = |(key, own): (&str, bool)| {
            said(key, own).map(|said| {
                format!(
                    "{}: {FILE} says {key} {said}, tokenizer.json has it {own}; Hugging Face's tokenizers follow the first, ferrotune the second: make \
                     them agree",
                    folder.display()
                )
            })
        };
        own.into_iter().filter_map(line).collect()
    }
}

/// What the folder's file says; nothing where it is missing or cannot be understood.
fn read(folder: &Path) -> Value {
    let bytes = read_capped(folder, &folder.join(FILE), FILE).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}
