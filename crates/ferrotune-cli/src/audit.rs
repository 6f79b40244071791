//! The findings of the data audit as lines that a person reads. It must not look at rows itself.

use ferrotune_data::{Finding, Need, Table};

/// One line for each kind of finding. `need` is what the tables were read with.
pub fn lines(train: &Table, validation: Option<&Table>, test: Option<&Table>, need: Need) -> Vec<String> {
    let audit = ferrotune_data::audit(train, validation, test, need);
    let mut lines = Vec::new();
    let at = |finding: &Finding| {
        let lines: Vec<String> = finding.first_lines.iter().map(u64::to_string).collect();
        format!("first on line {}", lines.join(", "))
    };
    for split in &audit.splits {
        let name = split.split;
        if split.empty_texts.count > 0 {
            lines.push(format!("{name}: {} rows have no text ({})", split.empty_texts.count, at(&split.empty_texts)));
        }
        if split.duplicates.count > 0 {
            let count = split.duplicates.count;
            lines.push(format!("{name}: {count} rows repeat the text of an earlier row ({})", at(&split.duplicates)));
        }
        if !split.missing_labels.is_empty() {
            lines.push(format!("{name}: no row has the label {}", split.missing_labels.join(", ")));
        }
        if !split.unseen_labels.is_empty() {
            lines.push(format!("{name}: no training row has the label {}", split.unseen_labels.join(", ")));
        }
    }
    for overlap in audit.overlaps.iter().filter(|overlap| overlap.count > 0) {
        let examples: Vec<String> =
            overlap.first_lines.iter().map(|(earlier, later)| format!("{later} is line {earlier}")).collect();
        lines.push(format!(
            "{} rows of {} also stand in {}, which makes its figures look better than they are (line {})",
            overlap.count,
            overlap.later,
            overlap.earlier,
            examples.join(", ")
        ));
    }
    if let Some(conflict) = audit.conflicts.first() {
        let place = |place: &ferrotune_data::Place| {
            format!("{} line {} says {}", place.split, place.line, shortened(&place.label))
        };
        lines.push(format!(
            "{} texts have rows with different labels ({}, {})",
            audit.conflicting_texts,
            place(&conflict.first),
            place(&conflict.second)
        ));
    }
    lines
}

/// The tags of many words make a long line.
fn shortened(label: &str) -> String {
    const MOST: usize = 60;
    match label.char_indices().nth(MOST) {
        Some((end, _)) => format!("{} …", &label[..end]),
        None => label.to_string(),
    }
}
