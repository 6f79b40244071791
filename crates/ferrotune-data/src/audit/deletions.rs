//! The keys by which texts that differ in one word find each other: the text with each of its words left out in turn. It knows nothing of
//! rows.
//!
//! MinHash would need very many bands to find a changed word in a text of five, whose trigrams overlap by half. Two texts that differ in a word
//! at one place agree once that word is left out; a text with a word more agrees with the other once it is left out there. This is the deletion
//! neighbourhood of spelling correction (Mor and Fraenkel 1982), with words for letters.

use super::keys::short_key;

/// Longer texts have no such keys: with one word changed their trigrams still overlap by four fifths, and MinHash finds them.
const MOST_WORDS: usize = 24;
/// Of shorter texts too little is left to say that they are one.
const LEAST_WORDS: usize = 3;

/// The key of the text, and that of the text without each of its words.
pub(crate) fn deletions(words: &str) -> Vec<u32> {
    let mut keys = vec![short_key(words)];
    let parts: Vec<&str> = words.split([' ', '\n']).collect();
    if !(LEAST_WORDS..=MOST_WORDS).contains(&parts.len()) {
        return keys;
    }
    let mut rest = String::with_capacity(words.len());
    for left_out in 0..parts.len() {
        rest.clear();
        for (_, part) in parts.iter().enumerate().filter(|&(n, _)| n != left_out) {
            if !rest.is_empty() {
                rest.push(' ');
            }
            rest.push_str(part);
        }
        keys.push(short_key(rest.as_str()));
    }
    // "no no no" is the same whichever word is left out.
    keys.sort_unstable();
    keys.dedup();
    keys
}
