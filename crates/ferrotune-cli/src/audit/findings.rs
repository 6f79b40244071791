//! The findings of an audit in the order in which they matter, each with a sentence, what to do, and its rows. It must not look at rows or print.

use super::names::names;
use super::{LabelErrors, Suspect, rows};
use crate::terminal::shown::{counted, short};
use ferrotune_data::{Audit, Likeness, Match, Oddity, Overlap, Place, SplitAudit};
use serde::Serialize;

/// From this ratio of the largest to the smallest class on, classes count as imbalanced.
const IMBALANCED: usize = 10;
/// From this ratio on they are uneven, which a person should know who reads an accuracy.
const UNEVEN: usize = 4;
/// One row in so many in another language is worth a note; of fewer the guesses are often wrong.
const FOREIGN: usize = 200;
/// From so many labels on, it is odd if most have one row.
const MANY: usize = 8;
/// Names in a message.
pub(super) const NAMES: usize = 5;
/// Characters of a label in a message.
pub(super) const LABEL: usize = 60;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something is wrong, or was left out.
    Warning,
    /// Good to know; it may well be as it should.
    Note,
}

/// A row of a finding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowNote {
    /// The row.
    #[serde(flatten)]
    pub place: Place,
    /// The row that it is compared with.
    pub of: Option<Place>,
    /// What is said of it.
    pub note: String,
}

/// Something that a person should look at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// A short name that stays the same.
    pub check: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// One line: how many of what.
    pub message: String,
    /// One line: why it matters or what to do.
    pub advice: &'static str,
    /// The rows, those to look at first before others.
    pub rows: Vec<RowNote>,
    /// Of rows that two splits share, those of the earlier split, each with the row of the later one that it is most like. A row may be most like
    /// another than the one that is most like it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier_rows: Vec<RowNote>,
}

/// Collects what is found.
#[derive(Default)]
pub(super) struct Found(Vec<Finding>);

impl Found {
    /// Adds a finding about rows, unless there are none.
    fn rows(
        &mut self,
        severity: Severity,
        check: &'static str,
        message: String,
        advice: &'static str,
        rows: Vec<RowNote>,
    ) {
        if !rows.is_empty() {
            self.0.push(Finding { check, severity, message, advice, rows, earlier_rows: Vec::new() });
        }
    }

    /// Adds a finding about a split or its labels.
    pub(super) fn whole(&mut self, severity: Severity, check: &'static str, message: String, advice: &'static str) {
        self.0.push(Finding { check, severity, message, advice, rows: Vec::new(), earlier_rows: Vec::new() });
    }
}

/// All findings: warnings first, and the worst first among both. `one_class` says whether each row has one label;
/// `label_errors` are those of the training rows, if they were looked for.
pub fn findings(audit: &Audit, one_class: bool, label_errors: Option<&LabelErrors>) -> Vec<Finding> {
    let mut found = Found::default();
    for overlap in audit.overlaps.iter().filter(|overlap| overlap.earlier != overlap.later) {
        leaks(overlap, &mut found);
    }
    conflicts(audit, &mut found);
    if let Some(errors) = label_errors {
        suspects(errors, &mut found);
    }
    names(audit, &mut found);
    for split in &audit.splits {
        labels(split, one_class, &mut found);
    }
    for split in &audit.splits {
        texts(split, &mut found);
    }
    for overlap in audit.overlaps.iter().filter(|overlap| overlap.earlier == overlap.later) {
        repeats(overlap, &mut found);
    }
    for split in &audit.splits {
        foreign(split, &mut found);
    }
    // Stable: among both as they came.
    found.0.sort_by_key(|finding| finding.severity == Severity::Note);
    found.0
}

fn noted(places: &[Place]) -> Vec<RowNote> {
    places.iter().map(|&place| RowNote { place, of: None, note: String::new() }).collect()
}

fn matched<'a>(matches: impl Iterator<Item = &'a Match>) -> Vec<RowNote> {
    let note = |found: &Match| {
        let labels = if found.labels_differ { ", another label" } else { "" };
        match found.likeness {
            Likeness::Exact | Likeness::Punctuation => format!("{}{labels}", found.likeness.name()),
            _ => format!("{}, similarity {:.2}{labels}", found.likeness.name(), found.similarity),
        }
    };
    matches.map(|found| RowNote { place: found.row, of: Some(found.of), note: note(found) }).collect()
}

/// How many differ in what, such as `3 exact, 1 in spelling`.
fn kinds(overlap: &Overlap, copies: bool) -> String {
    let kinds = Likeness::ALL.into_iter().filter(|likeness| likeness.is_copy() == copies);
    let said = |likeness: Likeness| match (overlap.count(likeness), likeness) {
        (0, _) => None,
        (count, Likeness::Exact) => Some(format!("{count} exactly")),
        (count, Likeness::Punctuation | Likeness::Spelling) => Some(format!("{count} but for {}", likeness.name())),
        (count, Likeness::OneWord) => Some(format!("{count} but for one word")),
        (count, Likeness::Similar) => Some(format!("{count} otherwise alike")),
    };
    kinds.filter_map(said).collect::<Vec<_>>().join(", ")
}

fn leaks(overlap: &Overlap, found: &mut Found) {
    let (earlier, later) = (overlap.earlier, overlap.later);
    for copies in [true, false] {
        let of = |matches: &[Match]| matched(matches.iter().filter(|found| found.likeness.is_copy() == copies));
        let (rows_found, earlier_rows) = (of(&overlap.later_rows), of(&overlap.earlier_rows));
        let (number, kinds) = (rows_found.len(), kinds(overlap, copies));
        if number == 0 && earlier_rows.is_empty() {
            continue;
        }
        let (stand, are) = (verb(number, "stands", "stand"), verb(number, "is", "are"));
        found.0.push(match copies {
            true => Finding {
                check: "leaked-rows",
                severity: Severity::Warning,
                message: format!("{} of {later} also {stand} in {earlier} ({kinds})", rows(number)),
                advice: "figures on them look better than they are; --fix takes them out of the split that is learned from",
                rows: rows_found,
                earlier_rows,
            },
            false => Finding {
                check: "near-rows",
                severity: Severity::Note,
                message: format!("{} of {later} {are} near to one of {earlier} ({kinds})", rows(number)),
                advice: "people do write alike texts; if many were made from one pattern, split them by pattern \
                         (ferrotune split --group-by)",
                rows: rows_found,
                earlier_rows,
            },
        });
    }
}

fn conflicts(audit: &Audit, found: &mut Found) {
    let note = |place: Place, of: Place, label: &String| RowNote {
        place,
        of: (place != of).then_some(of),
        note: format!("says {}", short(label, LABEL)),
    };
    let all = audit.conflicts.iter().flat_map(|conflict| {
        let first = conflict.rows[0].0;
        conflict.rows.iter().map(move |(place, label)| note(*place, first, label))
    });
    found.rows(
        Severity::Warning,
        "conflicting-labels",
        format!(
            "{} {} rows with different labels",
            counted(audit.conflicts.len(), "text"),
            verb(audit.conflicts.len(), "has", "have")
        ),
        "no model can get them all right; say which label is meant",
        all.collect(),
    );
}

fn suspects(errors: &LabelErrors, found: &mut Found) {
    let note = |suspect: &Suspect| RowNote {
        place: suspect.place,
        of: None,
        note: format!(
            "says {} ({:.2}), likely {} ({:.2})",
            short(&suspect.label, LABEL),
            suspect.self_confidence,
            short(&suspect.other, LABEL),
            suspect.self_confidence - suspect.margin
        ),
    };
    let all: Vec<RowNote> = errors.suspects().map(note).collect();
    let share = 100.0 * all.len() as f64 / errors.ranked.len().max(1) as f64;
    if let Some(most) = errors.no_judge() {
        let message = format!(
            "train: the probe on the frozen encoder says {:.1} % of the labels, and who says always the same {:.1} %: that it doubts {} means little",
            100.0 * errors.agreement,
            100.0 * most,
            rows(all.len())
        );
        let advice = "so few rows, or labels that the encoder says nothing of; a fine-tuned model may judge them";
        found.rows(Severity::Note, "label-errors", message, advice, all);
        return;
    }
    found.rows(
        Severity::Warning,
        "label-errors",
        format!(
            "{} of train {} a label that is likely wrong ({share:.1} %)",
            rows(all.len()),
            verb(all.len(), "has", "have")
        ),
        "look at them from the top; a probe on the frozen encoder, which had not learned from them, says another label",
        all,
    );
}

fn labels(split: &SplitAudit, one_class: bool, found: &mut Found) {
    let name = split.split;
    let warning = Severity::Warning;
    let message = format!("{name}: {} no label", have_rows(split.unlabelled.len()));
    found.rows(
        warning,
        "no-label",
        message,
        "training refuses such rows; --fix takes them out",
        noted(&split.unlabelled),
    );
    if !split.unseen_labels.is_empty() {
        let message = format!(
            "{name}: {} that no training row has: {}",
            counted(split.unseen_labels.len(), "label"),
            list(&split.unseen_labels)
        );
        found.whole(
            warning,
            "unseen-labels",
            message,
            "what is not learned cannot be recognised; correct them, or add training rows",
        );
    }
    if let ([(only, _)], true, false) = (&split.label_counts[..], one_class, split.missing_labels.is_empty()) {
        let message = format!(
            "{name}: every row has the label {}; if the file is a piece of a sorted one, `ferrotune split` of the whole makes better ones",
            short(only, LABEL)
        );
        found.whole(warning, "one-label", message, "such rows can choose no epoch, and measure one class alone");
    } else if !split.missing_labels.is_empty() {
        let message = format!("{name}: no row has the label {}", list(&split.missing_labels));
        found.whole(warning, "missing-labels", message, "nothing is measured of these labels");
    }
    let by_rows = |a: &&(String, usize), b: &&(String, usize)| a.1.cmp(&b.1);
    let counts = &split.label_counts;
    let (Some(least), Some(most)) = (counts.iter().min_by(by_rows), counts.iter().rev().max_by(by_rows)) else {
        return;
    };
    if name != "train" || !one_class {
        return;
    }
    if counts.len() == 1 {
        let message = format!("{name}: every row has the label {}", short(&most.0, LABEL));
        found.whole(warning, "one-label", message, "there is nothing to tell apart; a classifier needs two labels");
    }
    let single = counts.iter().filter(|(_, count)| *count == 1).count();
    if counts.len() >= MANY && 2 * single > counts.len() {
        let message = format!(
            "{name}: {single} of {} labels have one row; a column of numbers is learned with --task regression, one of ids not at all",
            counts.len()
        );
        found.whole(warning, "single-rows", message, "a class is learned from several rows");
    }
    if most.1 >= UNEVEN * least.1 {
        let (severity, how) = match most.1 >= IMBALANCED * least.1 {
            true => (warning, "imbalanced"),
            false => (Severity::Note, "uneven"),
        };
        let all: usize = counts.iter().map(|(_, count)| count).sum();
        let message = format!(
            "{name}: {how}, {} of {} and {} of {}; to say {} always is right for {:.1} %",
            rows(most.1),
            short(&most.0, LABEL),
            rows(least.1),
            short(&least.0, LABEL),
            short(&most.0, LABEL),
            100.0 * most.1 as f64 / all as f64
        );
        found.whole(
            severity,
            "imbalance",
            message,
            "accuracy hides the rare ones: look at macro F1, and try --class-weights auto or --balanced-sampling on",
        );
    }
}

fn texts(split: &SplitAudit, found: &mut Found) {
    let (name, warning) = (split.split, Severity::Warning);
    let message = format!("{name}: {} no text", have_rows(split.blank.len()));
    found.rows(
        warning,
        "no-text",
        message,
        "they teach one label for nothing; --fix takes them out",
        noted(&split.blank),
    );
    let message = format!("{name}: {} a text without any word", have_rows(split.wordless.len()));
    found.rows(
        warning,
        "no-words",
        message,
        "look whether a program wrote them in place of a text",
        noted(&split.wordless),
    );
    for (&oddity, places) in &split.oddities {
        let (what, advice) = match oddity {
            Oddity::Mojibake => {
                ("UTF-8 that was read as Windows-1252", "write the file again from its source, as UTF-8")
            }
            Oddity::Replacement => {
                ("U+FFFD in place of a character", "what stood there is lost; take it from the source")
            }
            Oddity::Control => ("control characters", "they are damage, or hide something; take them out"),
            Oddity::Invisible => (
                "characters without width or that turn the writing",
                "two texts that look the same are not; take them out",
            ),
            Oddity::Confusable => (
                "words that mix Latin with Greek or Cyrillic letters that look alike",
                "the tokenizer does not know such words",
            ),
        };
        let check = match oddity {
            Oddity::Mojibake => "mojibake",
            Oddity::Replacement => "replacement-characters",
            Oddity::Control => "control-characters",
            Oddity::Invisible => "invisible-characters",
            Oddity::Confusable => "confusable-letters",
        };
        found.rows(warning, check, format!("{name}: {} {what}", have_rows(places.len())), advice, noted(places));
    }
    if let Some(tokens) = &split.tokens {
        let message = format!(
            "{name}: {} cut to {} tokens ({:.1} %, longest {})",
            rows(tokens.cut.len()),
            tokens.limit,
            100.0 * tokens.cut.len() as f64 / split.rows.max(1) as f64,
            tokens.lengths.longest
        );
        found.rows(
            warning,
            "cut-rows",
            message,
            "a longer --max-length, or --long-texts head-tail (or windows, of single texts), reads more",
            noted(&tokens.cut),
        );
    }
}

fn repeats(overlap: &Overlap, found: &mut Found) {
    let name = overlap.later;
    let of = |copies: bool| overlap.later_rows.iter().filter(move |found| found.likeness.is_copy() == copies);
    let (copies, near) = (matched(of(true)), matched(of(false)));
    let message = format!("{name}: {} an earlier row ({})", repeat(copies.len()), kinds(overlap, true));
    found.rows(
        Severity::Warning,
        "repeated-rows",
        message,
        if name == "train" {
            "they count as often as they stand there; --fix keeps the first"
        } else {
            "they count as often as they stand there; --fix leaves them, so that figures can be compared"
        },
        copies,
    );
    let message = format!("{name}: {} near to an earlier row ({})", are(near.len()), kinds(overlap, false));
    found.rows(Severity::Note, "near-repeats", message, "many of one pattern teach little more than one", near);
}

fn foreign(split: &SplitAudit, found: &mut Found) {
    let mut counts: Vec<_> = split.languages.iter().collect();
    counts.sort_by_key(|&(name, &count)| (std::cmp::Reverse(count), *name));
    let total: usize = counts.iter().map(|(_, count)| **count).sum();
    if FOREIGN * split.foreign.len() < total {
        return;
    }
    let share = |count: usize| format!("{:.1} %", 100.0 * count as f64 / total as f64);
    let named: Vec<String> =
        counts.iter().take(NAMES).map(|(name, count)| format!("{name} {}", share(**count))).collect();
    let note = |&(place, language): &(Place, &str)| RowNote { place, of: None, note: language.to_string() };
    let message =
        format!("{}: {} in another language than most ({})", split.split, are(split.foreign.len()), named.join(", "));
    found.rows(
        Severity::Note,
        "languages",
        message,
        "a guess, of texts from 40 characters on; see whether the encoder knows these languages",
        split.foreign.iter().map(note).collect(),
    );
}

fn list(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(NAMES).map(|name| short(name, LABEL)).collect();
    let more = names.len().saturating_sub(NAMES);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

/// The form of a verb for so many.
fn verb(number: usize, one: &'static str, many: &'static str) -> &'static str {
    if number == 1 { one } else { many }
}

fn have_rows(number: usize) -> String {
    format!("{} {}", rows(number), verb(number, "has", "have"))
}

fn repeat(number: usize) -> String {
    format!("{} {}", rows(number), verb(number, "repeats", "repeat"))
}

fn are(number: usize) -> String {
    format!("{} {}", rows(number), verb(number, "is", "are"))
}
