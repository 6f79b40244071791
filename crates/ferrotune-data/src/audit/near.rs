//! How much alike two texts are, looked at in full: what candidates must pass. It knows nothing of rows or of how candidates are found.

use super::keys::words;
use super::minhash::{jaccard, shingles};
use serde::Serialize;

/// From this Jaccard similarity of character trigrams on, texts count as similar whatever differs.
pub const SIMILAR: f64 = 0.8;
/// From this similarity on, texts that differ in one word count as one word apart.
const ONE_WORD: f64 = 0.4;

/// In what two texts differ, the closest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Likeness {
    /// In case and blanks, or in nothing.
    Exact,
    /// In punctuation.
    Punctuation,
    /// In one letter of a word of at least four (more, less, another or swapped with its neighbour; numbers are no spelling), or in where words are
    /// parted.
    Spelling,
    /// In one word that is another, more or less, and the similarity is at least 0.4.
    OneWord,
    /// In more, and the similarity is at least [`SIMILAR`].
    Similar,
}

impl Likeness {
    /// All of them, the closest first.
    pub const ALL: [Likeness; 5] =
        [Likeness::Exact, Likeness::Punctuation, Likeness::Spelling, Likeness::OneWord, Likeness::Similar];

    /// Whether one text is a copy of the other: they say the same in the same words. What is one word apart may be two texts that people wrote.
    pub fn is_copy(self) -> bool {
        self <= Likeness::Spelling
    }

    /// What a person reads.
    pub fn name(self) -> &'static str {
        match self {
            Likeness::Exact => "exact",
            Likeness::Punctuation => "punctuation",
            Likeness::Spelling => "spelling",
            Likeness::OneWord => "one word",
            Likeness::Similar => "similar",
        }
    }
}

/// A text with what comparing it needs.
pub(crate) struct Compared {
    normalised: Box<str>,
    words: Box<str>,
    shingles: Box<[u32]>,
}

impl Compared {
    pub(crate) fn new(normalised: String) -> Compared {
        let words = words(&normalised);
        Compared { shingles: shingles(&words).into(), words: words.into(), normalised: normalised.into() }
    }

    /// In what the two differ, and the Jaccard similarity of their trigrams; `None` if they are not near.
    pub(crate) fn likeness(&self, other: &Compared) -> Option<(Likeness, f64)> {
        if self.normalised == other.normalised {
            return Some((Likeness::Exact, 1.0));
        }
        if self.words == other.words {
            return Some((Likeness::Punctuation, 1.0));
        }
        let similarity = jaccard(&self.shingles, &other.shingles);
        let likeness = match difference(&self.words, &other.words) {
            Some(Likeness::OneWord) if similarity < ONE_WORD => None,
            None if similarity >= SIMILAR => Some(Likeness::Similar),
            difference => difference,
        };
        likeness.map(|likeness| (likeness, similarity))
    }
}

/// Whether texts of words differ in one word, or in the spelling of one.
fn difference(a: &str, b: &str) -> Option<Likeness> {
    let parted = |text: &str| text.bytes().filter(|byte| *byte != b' ').collect::<Vec<_>>();
    if a.len().abs_diff(b.len()) <= 2 && parted(a) == parted(b) {
        return Some(Likeness::Spelling);
    }
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split([' ', '\n']).collect(), b.split([' ', '\n']).collect());
    let before = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[before..], &b[before..]);
    let after = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    match (&a[..a.len() - after], &b[..b.len() - after]) {
        ([a], [b]) if misspelt(a, b) => Some(Likeness::Spelling),
        ([_] | [], [_] | []) if before + after >= 2 => Some(Likeness::OneWord),
        _ => None,
    }
}

/// Whether one word is likely the other with a slip of the finger. Of three letters, another letter makes another word; digits do too.
fn misspelt(a: &str, b: &str) -> bool {
    let letters = a.chars().count().max(b.chars().count());
    if letters > 64 || a.chars().chain(b.chars()).any(char::is_numeric) {
        return false;
    }
    letters >= 4 && strsim::osa_distance(a, b) <= 1
}
