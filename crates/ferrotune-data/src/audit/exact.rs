//! The rows of an audit by what they say: which text stood where first, and who says what of it. It keeps keys of texts and no text.

use std::collections::HashMap;

/// At most so many splits are compared.
pub(crate) const SPLITS: usize = 3;

/// No row.
pub(crate) const NONE: u32 = u32::MAX;

/// A row, as far as it is remembered: 48 bytes.
pub(crate) struct Said {
    /// Its text; `None` if it is blank.
    key: Option<u128>,
    /// The line on which it starts.
    pub(crate) line: u64,
    /// What its label says.
    pub(crate) meaning: Option<u64>,
}

/// What is known of a text.
struct Known {
    /// Its first row in each split.
    first: [u32; SPLITS],
    /// What the first row with a label says.
    meaning: Option<u64>,
    /// Whether another row says something else.
    conflicting: bool,
}

/// All texts so far.
#[derive(Default)]
pub(crate) struct Texts {
    known: HashMap<u128, Known>,
    /// Of each row, over all splits.
    pub(crate) rows: Vec<Said>,
}

impl Texts {
    /// Adds the next row, of this split; says whether its text is new there. `key` is `None` for a blank text.
    pub(crate) fn add(&mut self, split: usize, line: u64, key: Option<u128>, meaning: Option<u64>) -> bool {
        let row = self.rows.len() as u32;
        self.rows.push(Said { key, line, meaning });
        let Some(key) = key else { return false };
        let fresh = || Known { first: [NONE; SPLITS], meaning: None, conflicting: false };
        let known = self.known.entry(key).or_insert_with(fresh);
        let first = known.meaning.or(meaning);
        known.conflicting |= meaning.is_some() && meaning != first;
        known.meaning = first;
        let new = known.first[split] == NONE;
        if new {
            known.first[split] = row;
        }
        new
    }

    /// The first row with the text of this one, in each split.
    pub(crate) fn firsts(&self, row: u32) -> [u32; SPLITS] {
        let known = self.rows[row as usize].key.and_then(|key| self.known.get(&key));
        known.map_or([NONE; SPLITS], |known| known.first)
    }

    /// The rows of texts of which rows say different things, text by text in the order of their first rows.
    pub(crate) fn conflicts(&self) -> Vec<Vec<u32>> {
        let mut place: HashMap<u128, usize> = HashMap::new();
        let mut conflicts: Vec<Vec<u32>> = Vec::new();
        for (n, row) in self.rows.iter().enumerate().filter(|(_, row)| row.meaning.is_some()) {
            let Some(key) = row.key.filter(|key| self.known[key].conflicting) else { continue };
            let place = *place.entry(key).or_insert_with(|| {
                conflicts.push(Vec::new());
                conflicts.len() - 1
            });
            conflicts[place].push(n as u32);
        }
        conflicts
    }
}
