//! The findings as one JSON file: all rows, and the texts of the first of each finding. It decides nothing.

use crate::audit::{Finding, LabelErrors};
use crate::exit::{Failure, io, usage};
use ferrotune_data::{Audit, Place, Row, Source, SplitAudit};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Rows of a finding whose texts are written.
pub const TEXTS: usize = 100;

/// Refuses to write over the data, and over anything else without --overwrite.
///
/// # Errors
/// Each of these.
pub fn check(path: Option<&Path>, data: &[(&str, Source)], overwrite: bool) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let same = |file: &Path| std::fs::canonicalize(file).ok() == std::fs::canonicalize(path).ok();
    if path.exists() && data.iter().flat_map(|(_, source)| &source.files).any(|file| same(file)) {
        return Err(usage(format!("--json {} is one of the files that are looked at; name another", path.display())));
    }
    if path.exists() && !overwrite {
        return Err(usage(format!("--json {} exists already; say --overwrite to replace it", path.display())));
    }
    Ok(())
}

/// Writes the file.
///
/// # Errors
/// The system refuses.
pub fn write(
    path: &Path,
    audit: &Audit,
    errors: Option<&LabelErrors>,
    found: &[Finding],
    texts: &BTreeMap<Place, Row>,
) -> Result<(), Failure> {
    let value = json!({
        "splits": audit.splits.iter().map(split).collect::<Vec<_>>(),
        "findings": found.iter().map(|found| finding(found, texts)).collect::<Vec<_>>(),
        "labels": errors,
    });
    let text = serde_json::to_vec_pretty(&value).expect("an audit is plain data");
    std::fs::write(path, text).map_err(io(format!("cannot write {}", path.display())))
}

/// Without rows: those are in the findings.
fn split(split: &SplitAudit) -> Value {
    json!({
        "split": split.split,
        "rows": split.rows,
        "labels": split.label_counts.iter().cloned().collect::<BTreeMap<_, _>>(),
        "words": split.words,
        "tokens": split.tokens.as_ref().map(|tokens| tokens.lengths),
        "cut_to": split.tokens.as_ref().map(|tokens| tokens.limit),
        "languages": split.languages,
    })
}

fn finding(found: &Finding, texts: &BTreeMap<Place, Row>) -> Value {
    let mut value = json!(found);
    for (note, row) in found.rows.iter().zip(value["rows"].as_array_mut().into_iter().flatten()).take(TEXTS) {
        if let Some(text) = texts.get(&note.place) {
            row["text"] = json!(text.text);
            row["text_b"] = json!(text.text_b);
        }
        if let Some(text) = note.of.and_then(|of| texts.get(&of)) {
            row["of"]["text"] = json!(text.text);
        }
    }
    value
}
