//! Which languages a split's texts are in, by the `whatlang` crate (trigrams and scripts). It knows nothing of splits.

use std::collections::BTreeMap;

/// Texts of fewer characters say too little about their language.
const SHORTEST: usize = 40;

/// The first rows of a split are all looked at, of those after them one in [`STEP`]: a guess costs twice as much as all other checks of a row.
const FIRST: usize = 10_000;
const STEP: usize = 16;

/// Whether the language of the row with this number in its split is guessed.
pub(crate) fn looked_at(row: usize) -> bool {
    row < FIRST || row.is_multiple_of(STEP)
}

/// The English name of a text's language; `None` where the text is short or the guess is not reliable.
pub(crate) fn language(text: &str) -> Option<&'static str> {
    text.chars().nth(SHORTEST - 1)?;
    let info = whatlang::detect(text)?;
    info.is_reliable().then(|| info.lang().eng_name())
}

/// The most frequent of the languages, if there is one; of equals the first by name.
pub(crate) fn main(counts: &BTreeMap<&'static str, usize>) -> Option<&'static str> {
    counts.iter().max_by_key(|&(name, count)| (count, std::cmp::Reverse(name))).map(|(name, _)| *name)
}
