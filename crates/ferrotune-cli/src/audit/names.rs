//! The findings about names of labels: names that look like one, that are one number, that say that a value is missing, that are lists. Before
//! training only the messages of warnings are said, so each says what to do. It must not look at rows or print.

use super::findings::{Found, LABEL, NAMES, Severity};
use super::rows;
use crate::terminal::shown::{counted, short};
use ferrotune_data::{Audit, LabelLists, SameNumber};

/// Adds what is found, the worst first.
pub(super) fn names(audit: &Audit, found: &mut Found) {
    if let Some(lists) = &audit.label_lists {
        label_lists(lists, found);
    }
    same_numbers(audit, found);
    missing_words(audit, found);
    look_alikes(audit, found);
}

fn label_lists(lists: &LabelLists, found: &mut Found) {
    let look = if lists.lists == 1 { "looks like a list" } else { "look like lists" };
    let instead = match lists.separator {
        Some('|') => "say --task multi-label".to_string(),
        Some(separator) => format!("say --task multi-label --label-separator '{separator}'"),
        None => "write the rows as JSON Lines with an array of labels in each, or join the labels by |, and say --task multi-label".to_string(),
    };
    let (labels, example) = (counted(lists.lists, "label"), short(&lists.example, LABEL));
    let message = format!("{labels} {look} of labels, such as \"{example}\"; if they are, {instead}");
    found.whole(Severity::Warning, "label-lists", message, "as they stand, each combination is a label of its own");
}

fn same_numbers(audit: &Audit, found: &mut Found) {
    for (whole, severity, advice) in [
        (true, Severity::Warning, "programs write numbers with a point where their column has gaps"),
        (false, Severity::Note, "unless they are sections or versions, of which 1.1 and 1.10 are two"),
    ] {
        let numbers = audit.same_number_labels.iter().filter(|same| same.whole == whole);
        let names = |same: &SameNumber| labels(same.names.iter().map(|(name, rows)| (name, *rows)));
        let said: Vec<String> = numbers.map(names).collect();
        if !said.is_empty() {
            let said = first(&said, "; ");
            let message =
                format!("labels that are one number count as different ones: {said}; write each number in one way");
            found.whole(severity, "same-number-labels", message, advice);
        }
    }
}

fn missing_words(audit: &Audit, found: &mut Found) {
    for (sure, severity, says) in [(true, Severity::Warning, "says"), (false, Severity::Note, "may say")] {
        for word in audit.missing_word_labels.iter().filter(|word| word.sure == sure) {
            let label = label(&word.name, word.rows);
            let message = format!(
                "the label {label} {says} that a label is missing, and counts as one; leave out rows without a label, or label them"
            );
            found.whole(
                severity,
                "missing-value-labels",
                message,
                "programs write such words where a table has no value",
            );
        }
    }
}

fn look_alikes(audit: &Audit, found: &mut Found) {
    for pair in &audit.look_alike_labels {
        let (severity, how) = match pair.same_letters {
            true => (Severity::Warning, "the same letters"),
            false => (Severity::Note, "one letter apart"),
        };
        let names = labels([(&pair.frequent, pair.frequent_rows), (&pair.rare, pair.rare_rows)].into_iter());
        found.whole(
            severity,
            "look-alike-labels",
            format!("two labels look like one: {names}, {how}"),
            "give both one name if they mean the same",
        );
    }
}

/// A label and its rows.
fn label(name: &str, count: usize) -> String {
    format!("{:?} ({})", short(name, LABEL), rows(count))
}

/// Labels and their rows.
fn labels<'a>(labels: impl Iterator<Item = (&'a String, usize)>) -> String {
    labels.map(|(name, count)| label(name, count)).collect::<Vec<_>>().join(" and ")
}

/// The first of what is said, and how much more there is.
fn first(said: &[String], between: &str) -> String {
    let more = said.len().saturating_sub(NAMES);
    let shown = said[..said.len() - more].join(between);
    if more > 0 { format!("{shown}{between}and {more} more") } else { shown }
}
