//! What a split says: a line for each file on standard output, what is odd about the rows on standard error. It decides nothing.

use super::Groups;
use crate::exit::Failure;
use crate::terminal::shown::{self, plural};
use ferrotune_data::{AuditRows, AuditSettings, Conflict, Need, Row, Table, audit, label_set};
use std::collections::BTreeMap;
use std::path::Path;

/// At most so many names in a line.
const SHOWN: usize = 10;
/// At most so many contradictions in a line.
const CONFLICTS: usize = 5;

/// The classes of rows with one label each; none where labels are of another kind.
pub struct Classes {
    /// By name.
    names: Vec<String>,
    /// The class of each row; rows without a label have the one after all others.
    pub of_rows: Vec<usize>,
}

impl Classes {
    /// Those of the rows that are kept, numbered by name.
    pub fn of(table: &Table, kept: &[usize], need: Need) -> Classes {
        let label = |row: usize| table.rows[row].label.as_deref().filter(|_| is_single(need));
        let mut names: BTreeMap<&str, usize> =
            kept.iter().filter_map(|&row| label(row)).map(|name| (name, 0)).collect();
        names.values_mut().enumerate().for_each(|(number, class)| *class = number);
        let of_rows = kept.iter().map(|&row| label(row).map_or(names.len(), |name| names[name])).collect();
        Classes { names: names.into_keys().map(str::to_string).collect(), of_rows }
    }

    /// Names the classes that some part lacks.
    pub fn warn(&self, parts: &[usize], part_names: &[String]) {
        let mut cells = vec![vec![0; part_names.len()]; self.names.len() + 1];
        self.of_rows.iter().zip(parts).for_each(|(&class, &part)| cells[class][part] += 1);
        let lacking: Vec<String> = self
            .names
            .iter()
            .zip(&cells)
            .filter(|(_, cells)| cells.contains(&0))
            .map(|(name, cells)| {
                let rows: usize = cells.iter().sum();
                let without: Vec<&str> =
                    part_names.iter().zip(cells).filter(|&(_, &n)| n == 0).map(|(name, _)| name.as_str()).collect();
                format!("{name:?} ({rows} {}, none in {})", plural(rows, "row"), list(&without))
            })
            .collect();
        if !lacking.is_empty() {
            let classes = plural(lacking.len(), "class");
            eprintln!("warning: {} {classes} with too few rows for every part: {}", lacking.len(), list(&lacking));
        }
    }
}

/// Says which rows are dropped or kept together, and which contradict each other.
///
/// # Errors
/// More rows than can be counted.
pub fn findings(
    table: &Table,
    kept: &[usize],
    need: Need,
    group_by: Option<&str>,
    groups: &Groups,
) -> Result<(), Failure> {
    let rows = table.rows.len();
    let mut said = vec![format!("{rows} rows")];
    if kept.len() < rows {
        said.push(format!("{} dropped that repeat the text and label of an earlier one", rows - kept.len()));
    }
    if groups.repeated > 0 {
        said.push(format!(
            "{} with the text of an earlier one (but for case, blanks and punctuation) kept beside it",
            groups.repeated
        ));
    }
    if let Some(column) = group_by {
        let number = groups.numbers.iter().max().map_or(0, |last| last + 1);
        let joined = match groups.by_column - number {
            0 => String::new(),
            _ => format!(", {number} where the same texts join some of them"),
        };
        said.push(format!("{} groups by {column}{joined}", groups.by_column));
        if groups.without_value > 0 {
            said.push(format!("{} without a value there, each for itself", groups.without_value));
        }
    }
    eprintln!("data       {}", said.join("; "));
    let settings = AuditSettings { need, tokenizer: None, near: false, languages: false };
    let audit = audit(&[("data", AuditRows::Table(table))], settings)?;
    let empty = audit.splits.first().map_or(0, |split| split.blank.len());
    if empty > 0 {
        eprintln!("warning: {empty} {} no text", if empty == 1 { "row has" } else { "rows have" });
    }
    if !audit.conflicts.is_empty() {
        let place = |conflict: &Conflict| {
            let (a, first) = &conflict.rows[0];
            let (b, other) = conflict.rows.iter().find(|(_, label)| label != first).unwrap_or(&conflict.rows[0]);
            format!("line {} says {}, line {} {}", a.line, short(first), b.line, short(other))
        };
        let places: Vec<String> = audit.conflicts.iter().take(CONFLICTS).map(place).collect();
        let more = audit.conflicts.len() - places.len();
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let texts = plural(audit.conflicts.len(), "text");
        eprintln!("warning: {} {texts} with different labels: {}{more}", audit.conflicts.len(), places.join("; "));
    }
    Ok(())
}

/// The line of a file: its rows, and how many of each class.
pub fn file(path: &Path, table: &Table, rows: &[usize], wanted: usize, need: Need) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for &row in rows {
        labels(&table.rows[row], need).into_iter().for_each(|label| *counts.entry(label).or_insert(0) += 1);
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    // Stable: of the same number by name.
    counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let counts: Vec<String> = counts.into_iter().map(|(label, count)| format!("{} {count}", short(label))).collect();
    let number = rows.len();
    let off = if number == wanted { String::new() } else { format!(" ({wanted} asked for, groups stay whole)") };
    let classes = if counts.is_empty() { String::new() } else { format!(": {}", list(&counts)) };
    format!("{}: {number} {}{off}{classes}", path.display(), plural(number, "row"))
}

/// Whether a label is one name.
fn is_single(need: Need) -> bool {
    matches!(need, Need::Labels | Need::TextOnly)
}

/// The names that are counted: labels, also several of a row; numbers and tags of words are none.
fn labels(row: &Row, need: Need) -> Vec<&str> {
    match need {
        // A set that is malformed counts as nothing here: whoever learns from it refuses it.
        Need::LabelSets { separator } => label_set(row, separator, "").unwrap_or_default(),
        _ if is_single(need) => row.label.as_deref().into_iter().collect(),
        _ => Vec::new(),
    }
}

fn list(names: &[impl AsRef<str>]) -> String {
    let shown = names.iter().take(SHOWN).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown}, … ({} more)", names.len() - SHOWN) } else { shown }
}

/// A label in a line.
fn short(label: &str) -> String {
    shown::short(label, 40)
}
