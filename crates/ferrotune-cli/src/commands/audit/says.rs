//! What the audit says on the terminal: a line for each split, then the findings with their first rows. It decides nothing.

use crate::audit::{Finding, Severity, place, rows};
use crate::terminal::shown::{counted, short};
use ferrotune_data::{Lengths, Place, Row, SplitAudit, repaired};
use std::collections::BTreeMap;

/// Characters of a text that are shown.
const TEXT: usize = 100;

/// Rows that are shown of a note at most.
const NOTED: usize = 2;

/// Rows, classes and lengths of a split.
pub fn split(split: &SplitAudit) -> String {
    let mut said = vec![rows(split.rows)];
    let counts = split.label_counts.iter().map(|(_, count)| *count);
    if let (Some(least), Some(most)) = (counts.clone().min(), counts.max()) {
        let each = if least == most { format!("{most}") } else { format!("{least} to {most}") };
        said.push(format!("{} with {each} each", counted(split.label_counts.len(), "label")));
    }
    let lengths = |lengths: &Lengths, what: &str| {
        format!(
            "{what} {:.1} on average, median {}, 99 of 100 at most {}, longest {}",
            lengths.mean, lengths.median, lengths.p99, lengths.longest
        )
    };
    said.extend(split.words.as_ref().map(|words| lengths(words, "words")));
    if let Some(tokens) = &split.tokens {
        said.push(lengths(&tokens.lengths, "tokens"));
        said.push(format!(
            "{} cut to {}",
            if tokens.cut.is_empty() { "none".to_string() } else { rows(tokens.cut.len()) },
            tokens.limit
        ));
    }
    format!("{:<10} {}", split.split, said.join("; "))
}

/// The findings, numbered, each with its first rows.
pub fn findings(found: &[Finding], texts: &BTreeMap<Place, Row>, show: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if !found.iter().any(|found| found.severity == Severity::Warning) {
        lines.push("nothing is wrong with these rows, as far as was looked".to_string());
    }
    for (number, finding) in found.iter().enumerate() {
        let (severity, show) = match finding.severity {
            Severity::Warning => ("", show),
            Severity::Note => ("note: ", show.min(NOTED)),
        };
        lines.push(format!("{:>2}. {severity}{}", number + 1, finding.message));
        lines.push(format!("      {}", finding.advice));
        for row in finding.rows.iter().take(show) {
            let note = if row.note.is_empty() { String::new() } else { format!(", {}", row.note) };
            let text = texts.get(&row.place).map(|row| quoted(row, finding.check)).unwrap_or_default();
            lines.push(format!("      {}{note}: {text}", place(&row.place, row.of.as_ref())));
            let other = row.of.and_then(|of| texts.get(&of)).map(|row| quoted(row, finding.check));
            lines.extend(other.filter(|other| *other != text).map(|other| format!("        there: {other}")));
        }
        let more = finding.rows.len().saturating_sub(show);
        if more > 0 {
            lines.push(format!("      and {more} more"));
        }
    }
    lines
}

/// A row's text, or texts; of one that was read in a wrong encoding also what it was.
fn quoted(row: &Row, check: &str) -> String {
    let text = |text: &String| format!("\"{}\"", short(text, TEXT));
    let texts = [Some(&row.text), row.text_b.as_ref()].into_iter().flatten();
    let said = texts.map(text).collect::<Vec<_>>().join(" | ");
    match repaired(&row.text).filter(|_| check == "mojibake") {
        Some(was) => format!("{said} (was {})", text(&was)),
        None => said,
    }
}

/// Why there are no label errors.
pub fn no_label_errors(one_class: bool, model: bool) -> &'static str {
    match (one_class, model) {
        (false, _) => "labels that are likely wrong are looked for where each row has one class",
        (true, true) => "labels that are likely wrong were not looked for: there is one label alone",
        (true, false) => "labels that are likely wrong were not looked for: name an encoder with --model",
    }
}
