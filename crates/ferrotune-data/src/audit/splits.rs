//! What is counted in one split, row by row: labels, blank and wordless texts, lengths, odd characters, languages. It compares no rows.

use super::characters::Oddity;
use super::lengths::{Histogram, Lengths};
use super::{AuditSettings, Finding, Place, classes, languages};
use crate::{DataError, Need, Row};
use serde::Serialize;
use std::collections::BTreeMap;

/// The findings in one split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitAudit {
    /// Its name.
    pub split: &'static str,
    /// The number of rows.
    pub rows: usize,
    /// Rows with a text (either one of a pair) that is empty or blank.
    pub blank: Finding,
    /// Rows with a text that has no letter, or that is what a program writes for nothing, such as "nan".
    pub wordless: Finding,
    /// Rows without a label, where each should have one.
    pub unlabelled: Finding,
    /// Rows of each label, sorted by name; of tags it is words. Rows without a label are not counted.
    pub label_counts: Vec<(String, usize)>,
    /// Labels of the first split that no row here has, sorted.
    pub missing_labels: Vec<String>,
    /// Labels here that no row of the first split has, sorted.
    pub unseen_labels: Vec<String>,
    /// Words of a row that is not blank, both texts of a pair together; parted by white space.
    pub words: Option<Lengths>,
    /// Tokens, if a tokenizer was there.
    pub tokens: Option<TokenLengths>,
    /// Rows with odd characters, for each kind that there is.
    pub oddities: BTreeMap<Oddity, Finding>,
    /// Rows in each language that was recognised, by English name. Texts under 40 characters are not guessed; of the rows after the first ten
    /// thousand one in sixteen is looked at.
    pub languages: BTreeMap<&'static str, usize>,
    /// Rows in another language than most.
    pub foreign: Vec<(Place, &'static str)>,
}

/// Tokens of rows, special ones included.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenLengths {
    /// Before cutting.
    pub lengths: Lengths,
    /// Longer rows are cut.
    pub limit: usize,
    /// Those that are.
    pub cut: Finding,
}

/// What one row's text says.
pub(crate) struct TextFacts {
    blank: bool,
    wordless: bool,
    words: usize,
    tokens: Option<usize>,
    oddities: Vec<Oddity>,
    language: Option<&'static str>,
}

impl TextFacts {
    /// `normalised` is the row's text, `None` if it is blank; `number` counts the rows of the split.
    pub(crate) fn of(
        row: &Row,
        number: usize,
        normalised: Option<&str>,
        settings: AuditSettings<'_>,
    ) -> Result<TextFacts, DataError> {
        let Some(normalised) = normalised else {
            let (oddities, language) = (Vec::new(), None);
            return Ok(TextFacts { blank: true, wordless: false, words: 0, tokens: None, oddities, language });
        };
        let texts = || std::iter::once(row.text.as_str()).chain(row.text_b.as_deref());
        let mut oddities: Vec<Oddity> = texts().flat_map(Oddity::of).collect();
        oddities.sort_unstable();
        oddities.dedup(); // Two texts of a pair may have the same.
        Ok(TextFacts {
            blank: false,
            wordless: normalised.split('\n').any(wordless),
            words: normalised.split_whitespace().count(),
            tokens: settings.tokenizer.map(|tokenizer| tokenizer.length(row)).transpose()?,
            oddities,
            language: (settings.languages && languages::looked_at(number))
                .then(|| languages::language(&row.text))
                .flatten(),
        })
    }
}

/// Whether nobody wrote this text: no letter and no symbol such as an emoji, or a program's word for nothing.
fn wordless(text: &str) -> bool {
    const NOTHING: [&str; 10] = ["nan", "null", "none", "n/a", "na", "#n/a", "undefined", "nil", "<na>", "[deleted]"];
    NOTHING.contains(&text) || !text.chars().any(|c| c.is_alphabetic() || u32::from(c) >= 0x2600)
}

/// The counts of a split while its rows come.
pub(crate) struct Counts {
    found: SplitAudit,
    need: Need,
    limit: Option<usize>,
    /// Rows of each label.
    pub(crate) labels: BTreeMap<String, usize>,
    words: Histogram,
    tokens: Histogram,
    cut: Finding,
    spoken: Vec<(Place, &'static str)>,
}

impl Counts {
    /// `limit` is the length to which a tokenizer cuts, if there is one.
    pub(crate) fn new(split: &'static str, need: Need, limit: Option<usize>) -> Counts {
        let found = SplitAudit {
            split,
            rows: 0,
            blank: Vec::new(),
            wordless: Vec::new(),
            unlabelled: Vec::new(),
            label_counts: Vec::new(),
            missing_labels: Vec::new(),
            unseen_labels: Vec::new(),
            words: None,
            tokens: None,
            oddities: BTreeMap::new(),
            languages: BTreeMap::new(),
            foreign: Vec::new(),
        };
        let (words, tokens) = (Histogram::default(), Histogram::default());
        Counts { found, need, limit, labels: BTreeMap::new(), words, tokens, cut: Vec::new(), spoken: Vec::new() }
    }

    pub(crate) fn add(&mut self, place: Place, row: &Row, text: TextFacts) {
        let found = &mut self.found;
        found.rows += 1;
        for label in classes::names(row, self.need) {
            match self.labels.get_mut(label) {
                Some(count) => *count += 1,
                None => drop(self.labels.insert(label.to_owned(), 1)),
            }
        }
        if row.label.is_none() && matches!(self.need, Need::Labels | Need::Scores | Need::TextOnly) {
            found.unlabelled.push(place);
        }
        if text.blank {
            found.blank.push(place);
            return;
        }
        if text.wordless {
            found.wordless.push(place);
        }
        self.words.add(text.words);
        if let Some(tokens) = text.tokens {
            self.tokens.add(tokens);
            if self.limit.is_some_and(|limit| tokens > limit) {
                self.cut.push(place);
            }
        }
        text.oddities.into_iter().for_each(|oddity| found.oddities.entry(oddity).or_default().push(place));
        if let Some(language) = text.language {
            *found.languages.entry(language).or_insert(0) += 1;
            self.spoken.push((place, language));
        }
    }
}

/// The findings; the first split is the one whose labels the others should have.
pub(crate) fn finish(counts: Vec<Counts>) -> Vec<SplitAudit> {
    let first = counts.first().map(|counts| counts.labels.clone()).unwrap_or_default();
    let of_split = |counts: Counts| {
        let Counts { mut found, limit, labels, words, tokens, cut, mut spoken, .. } = counts;
        found.missing_labels = classes::without(&first, &labels);
        found.unseen_labels = classes::without(&labels, &first);
        found.label_counts = labels.into_iter().collect();
        found.words = words.lengths();
        found.tokens = limit.zip(tokens.lengths()).map(|(limit, lengths)| TokenLengths { lengths, limit, cut });
        let main = languages::main(&found.languages);
        spoken.retain(|&(_, language)| Some(language) != main);
        found.foreign = spoken;
        found
    };
    counts.into_iter().map(of_split).collect()
}
