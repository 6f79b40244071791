//! What makes two texts the same: with case and blanks set aside ([`normalised`]), and with punctuation too ([`words`]). It knows nothing
//! of tables and keeps nothing.

use crate::Row;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What makes two rows' texts the same: lower case with every run of white space as one blank; a line feed, which can then stand in neither
/// text, joins a pair. `None` when a text is blank.
pub fn normalised(row: &Row) -> Option<String> {
    let mut joined = String::new();
    for text in [Some(&row.text), row.text_b.as_ref()].into_iter().flatten() {
        if text.trim().is_empty() {
            return None;
        }
        if !joined.is_empty() {
            joined.push('\n');
        }
        for (n, word) in text.split_whitespace().enumerate() {
            if n > 0 {
                joined.push(' ');
            }
            joined.push_str(&word.to_lowercase());
        }
    }
    Some(joined)
}

/// What two rows have in common whose texts are the same but for case, blanks and punctuation. `None` when a text is blank.
pub fn wording(row: &Row) -> Option<String> {
    normalised(row).map(|text| words(&text))
}

/// The words of a normalised text: apostrophes left out, other punctuation as blanks. A text of punctuation alone is one word.
pub(crate) fn words(normalised: &str) -> String {
    let mut words = String::with_capacity(normalised.len());
    for c in normalised.chars() {
        if is_apostrophe(c) {
            continue;
        }
        if is_punctuation(c) || c.is_whitespace() {
            // A pair's line feed stays one, so that a word cannot move from one text to the other unseen.
            let blank = if c == '\n' { '\n' } else { ' ' };
            match words.chars().next_back() {
                None | Some(' ' | '\n') if blank == ' ' => {}
                Some(' ') => {
                    words.pop();
                    words.push(blank);
                }
                _ => words.push(blank),
            }
        } else {
            words.push(c);
        }
    }
    words.truncate(words.trim_end_matches(' ').len());
    if words.trim().is_empty() { normalised.to_owned() } else { words }
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}' | '\u{2018}' | '\u{2bc}')
}

/// ASCII punctuation, general punctuation, and that of East Asian and full-width writing. Symbols such as emoji are words.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(c, '\u{a1}' | '\u{ab}' | '\u{b7}' | '\u{bb}' | '\u{bf}' | '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}')
}

/// 128 bits of a text: two of a million texts have the same with probability 1e-27, so equal keys are taken for equal texts.
pub(crate) fn key(text: &str) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, text).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// 32 bits of anything, the same in every run.
pub(crate) fn short_key(what: impl Hash) -> u32 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    (hasher.finish() >> 32) as u32
}
