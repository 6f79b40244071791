//! [`audit`]: what is suspicious in the splits of a data set, as plain data; the caller prints it.
//!
//! Rows are read as a stream, in two passes. The first keeps of each row keys of its text (`exact`, `minhash`, `deletions`) and counts;
//! the second looks again at the rows that may be near duplicates or whose labels contradict each other. Memory is at most 600 bytes a row whatever
//! their length, and the texts of candidates. It knows nothing of models, and of files only how rows are read.

mod candidates;
mod characters;
mod classes;
mod deletions;
mod exact;
mod keys;
mod label_lists;
mod label_names;
mod label_values;
mod languages;
mod lengths;
mod minhash;
mod near;
mod overlaps;
mod rows;
mod splits;
mod verify;

pub use characters::{Oddity, repaired};
pub use keys::{normalised, wording};
pub use label_lists::LabelLists;
pub use label_names::LookAlike;
pub use label_values::{MissingWord, SameNumber};
pub use lengths::Lengths;
pub use near::{Likeness, SIMILAR};
pub use overlaps::{Match, Overlap};
pub use rows::AuditRows;
pub use splits::{SplitAudit, TokenLengths};

use crate::{DataError, Need, Row, Tag, Tokenizer};
use candidates::Keys;
use exact::{SPLITS, Texts};
use rayon::prelude::*;
use serde::Serialize;
use splits::Counts;
use std::collections::BTreeMap;
use std::ops::Range;

/// Rows that are looked at together, on all threads.
const BLOCK: usize = 4096;

/// What an audit looks at.
#[derive(Clone, Copy)]
pub struct AuditSettings<'a> {
    /// What the rows were read with: whether a label is one name, several, a number or the tags of words.
    pub need: Need,
    /// Counts tokens, and says which rows it cuts.
    pub tokenizer: Option<&'a Tokenizer>,
    /// Whether to look for near duplicates.
    pub near: bool,
    /// Whether to guess languages.
    pub languages: bool,
}

/// The findings over all splits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audit {
    /// The splits that were given, in their order.
    pub splits: Vec<SplitAudit>,
    /// Rows that stand in an earlier split or earlier in their own, for each pair of splits and each split with itself (also when there are none), in
    /// order of the later split.
    pub overlaps: Vec<Overlap>,
    /// Texts that have rows with different labels, over all splits, in the order of their first rows.
    pub conflicts: Vec<Conflict>,
    /// Names of labels that may be one label, the surest first.
    pub look_alike_labels: Vec<LookAlike>,
    /// Names of labels that are several names in one.
    pub label_lists: Option<LabelLists>,
    /// Names of labels that are one number.
    pub same_number_labels: Vec<SameNumber>,
    /// Names of labels that say that a value is missing.
    pub missing_word_labels: Vec<MissingWord>,
}

/// Where a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// The name of the split.
    pub split: &'static str,
    /// Its number in the split, from 0.
    pub row: usize,
    /// The line on which it starts, from 1.
    pub line: u64,
}

/// Rows with a property.
pub type Finding = Vec<Place>;

/// One text with different labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// All rows with the text that have a label, with the label as it stands there, in order.
    pub rows: Vec<(Place, String)>,
}

impl Audit {
    /// The rows that `later` shares with `earlier`, which may be the same split.
    ///
    /// # Panics
    /// If no such splits were audited.
    pub fn overlap(&self, earlier: &str, later: &str) -> &Overlap {
        let wanted = |overlap: &&Overlap| overlap.earlier == earlier && overlap.later == later;
        self.overlaps.iter().find(wanted).unwrap_or_else(|| panic!("Audit::overlap: no splits {earlier}, {later}"))
    }
}

/// Where rows of all splits, numbered through, stand.
pub(crate) struct Places {
    names: Vec<&'static str>,
    ranges: Vec<Range<u32>>,
}

impl Places {
    fn splits(&self) -> usize {
        self.names.len()
    }

    fn name(&self, split: usize) -> &'static str {
        self.names[split]
    }

    fn rows(&self, split: usize) -> Range<u32> {
        self.ranges[split].clone()
    }

    fn split(&self, row: u32) -> usize {
        self.ranges.partition_point(|range| range.end <= row)
    }

    fn of(&self, texts: &Texts, row: u32) -> Place {
        let split = self.split(row);
        let line = texts.rows[row as usize].line;
        Place { split: self.names[split], row: (row - self.ranges[split].start) as usize, line }
    }
}

/// What the first pass reads off one row.
struct Facts {
    key: Option<u128>,
    meaning: Option<u64>,
    bands: [u32; minhash::BANDS],
    deletions: Vec<u32>,
    of_text: splits::TextFacts,
}

/// Looks for empty texts, repeats within and across splits, contradicting labels, classes that a split lacks, labels whose names look alike, odd
/// characters and lengths. `splits` are names and rows, the training rows first.
///
/// Two texts are the same when they agree up to case and runs of white space; both texts of a pair must agree. Rows with a blank text are
/// counted as such and take no further part in the comparison. Words are compared as the text that they make.
///
/// # Errors
/// Rows that cannot be read or cut into tokens.
///
/// # Panics
/// With more than three splits.
pub fn audit(splits: &[(&'static str, AuditRows<'_>)], settings: AuditSettings<'_>) -> Result<Audit, DataError> {
    assert!(splits.len() <= SPLITS, "audit: {} splits", splits.len());
    let (mut texts, mut keys, mut counts) = (Texts::default(), Keys::default(), Vec::new());
    let mut places = Places { names: Vec::new(), ranges: Vec::new() };
    for (split, &(name, source)) in splits.iter().enumerate() {
        let start = texts.rows.len();
        let mut of_split = Counts::new(name, settings.need, settings.tokenizer.map(Tokenizer::max_length));
        source.blocks(BLOCK, &mut |rows| {
            let facts = facts(rows, texts.rows.len() - start, settings)?;
            if texts.rows.len() + rows.len() >= exact::NONE as usize {
                return Err(DataError::TooManyRows { limit: u64::from(exact::NONE) });
            }
            for (row, facts) in rows.iter().zip(facts) {
                let number = texts.rows.len();
                let new = texts.add(split, row.line, facts.key, facts.meaning);
                if new && settings.near {
                    keys.add(number as u32, facts.bands, &facts.deletions);
                }
                let place = Place { split: name, row: number - start, line: row.line };
                of_split.add(place, row, facts.of_text);
            }
            Ok(())
        })?;
        counts.push(of_split);
        places.names.push(name);
        places.ranges.push(start as u32..texts.rows.len() as u32);
    }
    let conflicts = texts.conflicts();
    let pairs = keys.pairs(&places.ranges);
    let (near, conflicts) = verify::second_pass(splits, &texts, &places, pairs, conflicts)?;
    let overlaps = overlaps::overlaps(&texts, &places, &near);
    let names = label_counts(&counts, settings.need);
    // Types of entities are written by tools, and were read as tags: they are no values of a table.
    let values = if settings.need == Need::Tags { BTreeMap::new() } else { names.clone() };
    let lists = label_lists::label_lists(&values);
    let arrays = lists.as_ref().is_some_and(|lists| lists.separator.is_none());
    Ok(Audit {
        look_alike_labels: label_names::look_alikes(&names),
        label_lists: lists,
        same_number_labels: label_values::same_numbers(&values),
        missing_word_labels: label_values::missing_words(&values, arrays),
        splits: splits::finish(counts),
        overlaps,
        conflicts,
    })
}

/// What is read off rows one by one, on all threads. `first` is the number of the first one in its split.
fn facts(rows: &[Row], first: usize, settings: AuditSettings<'_>) -> Result<Vec<Facts>, DataError> {
    let of_row = |(n, row): (usize, &Row)| -> Result<Facts, DataError> {
        let normalised = normalised(row);
        let (mut bands, mut deletions) = ([0; minhash::BANDS], Vec::new());
        if let (Some(text), true) = (&normalised, settings.near) {
            let words = keys::words(text);
            bands = minhash::bands(&minhash::shingles(&words));
            deletions = deletions::deletions(&words);
        }
        Ok(Facts {
            key: normalised.as_deref().map(keys::key),
            meaning: classes::meaning(row, settings.need),
            bands,
            deletions,
            of_text: splits::TextFacts::of(row, first + n, normalised.as_deref(), settings)?,
        })
    };
    // Collected with the errors inside, so that the first row with one is named whatever the threads do.
    let facts: Vec<Result<Facts, DataError>> = rows.par_iter().enumerate().with_min_len(64).map(of_row).collect();
    facts.into_iter().collect()
}

/// Rows of each name over all splits; of tags words of each type of entity.
fn label_counts(counts: &[Counts], need: Need) -> BTreeMap<String, usize> {
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    for (label, count) in counts.iter().flat_map(|counts| &counts.labels) {
        let name = match need {
            Need::Tags => Tag::parse(label).filter(|_| label.contains('-')).map_or(label.as_str(), |tag| tag.kind),
            _ => label,
        };
        *all.entry(name.to_owned()).or_insert(0) += count;
    }
    all
}

/// The rows at these places, for showing them.
///
/// # Errors
/// Rows that cannot be read.
pub fn rows_at(
    splits: &[(&'static str, AuditRows<'_>)],
    wanted: &std::collections::BTreeSet<Place>,
) -> Result<BTreeMap<Place, Row>, DataError> {
    let mut found = BTreeMap::new();
    for &(split, source) in splits {
        if !wanted.iter().any(|place| place.split == split) {
            continue;
        }
        let mut next = 0;
        source.blocks(BLOCK, &mut |rows| {
            for row in rows {
                let place = Place { split, row: next, line: row.line };
                next += 1;
                if wanted.contains(&place) {
                    found.insert(place, row.clone());
                }
            }
            Ok(())
        })?;
    }
    Ok(found)
}
