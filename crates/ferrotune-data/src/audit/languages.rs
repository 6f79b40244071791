//! Which languages a split's texts are in, by the `whatlang` crate (trigrams and scripts). It knows nothing of splits.

use std::collections::BTreeMap;

/// Texts of fewer characters say too little about their language.
const SHORTEST: usize = 40;

/// The English name of a text's language; `None` where the text is short or the guess is not reliable.
pub(crate) fn language(text: &str) -> Option<&'static str> {
    if text.chars().nth(SHORTEST - 1).is_none() {
        return None;
    }
    let info = whatlang::detect(text)?;
    info.is_reliable().then(|| info.lang().eng_name())
}

/// The most frequent of the languages, if there is one; of equals the first by name.
pub(crate) fn main(counts: &BTreeMap<&'static str, usize>) -> Option<&'static str> {
    counts.iter().max_by_key(|&(name, count)| (count, std::cmp::Reverse(name))).map(|(name, _)| *name)
}
