//! [`audit`]: what is suspicious in the splits of a data set, as plain data; the caller prints it.
//! It knows nothing of files but the lines that rows carry, and nothing of tokens.

use crate::{Need, Row, Table, label_set, parse_score, row_tags};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

/// At most this many examples are kept of each finding.
const EXAMPLES: usize = 5;

/// The findings over all splits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Training, validation and test set, those that were given, in this order.
    pub splits: Vec<SplitAudit>,
    /// Rows of one split that also stand in an earlier one, for each pair of splits (also when there are none).
    pub overlaps: Vec<Overlap>,
    /// How many distinct texts have rows with different labels, over all splits.
    pub conflicting_texts: usize,
    /// The first of them.
    pub conflicts: Vec<Conflict>,
}

/// The findings in one split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitAudit {
    /// "train", "validation" or "test".
    pub split: &'static str,
    /// The number of rows.
    pub rows: usize,
    /// Rows with a text (either one of a pair) that is empty or blank.
    pub empty_texts: Finding,
    /// Rows whose text stands in an earlier row of the same split.
    pub duplicates: Finding,
    /// Rows of each label, sorted by name; of tags it is words. Rows without a label are not counted.
    pub label_counts: Vec<(String, usize)>,
    /// Labels of the training set that no row here has, sorted.
    pub missing_labels: Vec<String>,
    /// Labels here that no training row has, sorted.
    pub unseen_labels: Vec<String>,
}

/// How many rows, and the lines of the first few.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finding {
    /// The number of rows.
    pub count: usize,
    /// The lines on which the first five start.
    pub first_lines: Vec<u64>,
}

/// Texts that two splits share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// The earlier split.
    pub earlier: &'static str,
    /// The later split, whose rows are counted.
    pub later: &'static str,
    /// Rows of the later split whose text stands in the earlier one.
    pub count: usize,
    /// Lines of the first five: in the earlier and in the later split.
    pub first_lines: Vec<(u64, u64)>,
}

/// A row in a split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// "train", "validation" or "test".
    pub split: &'static str,
    /// The line on which the row starts.
    pub line: u64,
    /// The row's label.
    pub label: String,
}

/// One text with two labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The first row with the text.
    pub first: Place,
    /// The first row that contradicts it.
    pub second: Place,
}

impl Finding {
    fn add(&mut self, line: u64) {
        self.count += 1;
        if self.first_lines.len() < EXAMPLES {
            self.first_lines.push(line);
        }
    }
}

/// Looks for empty texts, duplicates within and across splits, contradicting labels and classes that a split lacks.
///
/// Two texts are the same when they agree up to case and runs of white space; both texts of a pair must agree.
/// Rows with an empty text are counted as such and take no further part in the comparison. `need` is what the tables were read with: it
/// says whether a label is one name, several, a number or the tags of words. Sets of labels are the same in any order, tags in the same
/// order, and numbers if they are equal; numbers are not counted. Words are compared as the text that they make.
pub fn audit(train: &Table, validation: Option<&Table>, test: Option<&Table>, need: Need) -> Audit {
    let splits = [("train", Some(train)), ("validation", validation), ("test", test)];
    let splits: Vec<(&'static str, &Table)> =
        splits.into_iter().filter_map(|(name, table)| Some((name, table?))).collect();
    let train_counts = label_counts(train, need);
    let mut audit = Audit { splits: Vec::new(), overlaps: Vec::new(), conflicting_texts: 0, conflicts: Vec::new() };
    let mut labelled: HashMap<String, (Place, String, bool)> = HashMap::new();
    let mut seen: Vec<HashMap<String, u64>> = Vec::new();
    for (n, &(split, table)) in splits.iter().enumerate() {
        let mut empty_texts = Finding::default();
        let mut duplicates = Finding::default();
        let mut here: HashMap<String, u64> = HashMap::new();
        let mut overlaps: Vec<Overlap> = splits[..n]
            .iter()
            .map(|&(earlier, _)| Overlap { earlier, later: split, count: 0, first_lines: Vec::new() })
            .collect();
        for row in &table.rows {
            let Some(text) = normalised(row) else {
                empty_texts.add(row.line);
                continue;
            };
            for (overlap, earlier) in overlaps.iter_mut().zip(&seen) {
                if let Some(&line) = earlier.get(&text) {
                    overlap.count += 1;
                    if overlap.first_lines.len() < EXAMPLES {
                        overlap.first_lines.push((line, row.line));
                    }
                }
            }
            if let Some(label) = &row.label {
                let place = Place { split, line: row.line, label: label.clone() };
                let said = meaning(row, need);
                let (first, meant, contradicted) =
                    labelled.entry(text.clone()).or_insert_with(|| (place.clone(), said.clone(), false));
                if *meant != said && !*contradicted {
                    *contradicted = true;
                    audit.conflicting_texts += 1;
                    if audit.conflicts.len() < EXAMPLES {
                        audit.conflicts.push(Conflict { first: first.clone(), second: place });
                    }
                }
            }
            match here.entry(text) {
                Entry::Occupied(_) => duplicates.add(row.line),
                Entry::Vacant(place) => {
                    place.insert(row.line);
                }
            }
        }
        let counts = label_counts(table, need);
        audit.splits.push(SplitAudit {
            split,
            rows: table.rows.len(),
            empty_texts,
            duplicates,
            missing_labels: without(&train_counts, &counts),
            unseen_labels: without(&counts, &train_counts),
            label_counts: counts.into_iter().map(|(label, count)| (label.to_owned(), count)).collect(),
        });
        audit.overlaps.extend(overlaps);
        seen.push(here);
    }
    audit
}

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

/// The names of a row's labels. A set that is malformed counts as one name: whoever encodes it refuses it.
fn names(row: &Row, need: Need) -> Vec<&str> {
    match need {
        Need::Scores => Vec::new(),
        Need::LabelSets { separator } => {
            label_set(row, separator, "").unwrap_or_else(|_| row.label.as_deref().into_iter().collect())
        }
        Need::Tags => row_tags(row).collect(),
        Need::Labels | Need::TextOnly | Need::WordsOnly => row.label.as_deref().into_iter().collect(),
    }
}

/// Equal for labels that say the same.
fn meaning(row: &Row, need: Need) -> String {
    let label = row.label.as_deref().unwrap_or_default();
    match need {
        Need::Scores => parse_score(label).map_or(label.to_owned(), |score| score.to_string()),
        Need::Tags => label.to_owned(),
        _ => {
            let mut names = names(row, need);
            names.sort_unstable();
            names.join("\n")
        }
    }
}

fn label_counts(table: &Table, need: Need) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for label in table.rows.iter().flat_map(|row| names(row, need)) {
        *counts.entry(label).or_insert(0) += 1;
    }
    counts
}

/// The labels of `all` that `some` lacks.
fn without(all: &BTreeMap<&str, usize>, some: &BTreeMap<&str, usize>) -> Vec<String> {
    all.keys().filter(|label| !some.contains_key(*label)).map(|label| (*label).to_owned()).collect()
}
