//! Cleaned copies of the files, byte for byte but for the rows that are taken out, and a table of those with the reason for each. The files
//! themselves are never touched. It must not look for anything: it acts on what was found.

use super::Files;
use crate::audit::rows;
use crate::exit::{DATA, Failure, usage};
use crate::run::staged::Staged;
use ferrotune_data::{Audit, DataError, Place, Records, Source};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The table of what was taken out.
const LOG: &str = "taken-out.csv";

/// Where the copies go.
pub struct Fix {
    paths: Vec<PathBuf>,
    log: PathBuf,
}

/// Why a row is taken out, and the row that it is like.
struct Reason {
    why: &'static str,
    of: Option<Place>,
}

/// Rows to take out, each for the first reason that was found.
#[derive(Default)]
struct Out(BTreeMap<Place, Reason>);

impl Out {
    fn take(&mut self, place: Place, why: &'static str, of: Option<Place>) {
        self.0.entry(place).or_insert(Reason { why, of });
    }
}

impl Fix {
    /// Refuses to write over the data, and over earlier copies without --overwrite.
    ///
    /// # Errors
    /// Each of these, or the output is no folder.
    pub fn check(folder: &Path, data: &[(&'static str, Source)], overwrite: bool) -> Result<Fix, Failure> {
        if folder.exists() && !folder.is_dir() {
            return Err(usage(format!("--fix {} is not a folder", folder.display())));
        }
        // A copy is text, whatever the file was.
        let copy = |(split, source): &(&str, Source)| {
            Ok::<_, DataError>(folder.join(format!("{split}.{}", source.extension()?)))
        };
        let fix = Fix { paths: data.iter().map(copy).collect::<Result<_, _>>()?, log: folder.join(LOG) };
        for path in fix.paths.iter().chain([&fix.log]) {
            // Compared as files and not as names: links and other spellings lead to them too.
            let found = fs::canonicalize(path).ok();
            let same = |file: &PathBuf| found.is_some() && fs::canonicalize(file).ok() == found;
            if data.iter().flat_map(|(_, source)| &source.files).any(same) {
                return Err(usage(format!("{} is one of the files to be cleaned; name another --fix", path.display())));
            }
            if path.symlink_metadata().is_ok() && !overwrite {
                let path = path.display();
                return Err(usage(format!(
                    "{path} exists already; say --overwrite to replace it, or name another --fix"
                )));
            }
        }
        Ok(fix)
    }

    /// Writes the copies and the table, and says what was done. `near` takes out what is near to rows of later splits, and not copies alone.
    ///
    /// # Errors
    /// The data cannot be read again, the system refuses, or no row of a file is left.
    pub fn write(&self, files: &Files, audit: &Audit, near: bool) -> Result<Vec<String>, Failure> {
        let out = chosen(audit, near);
        let (mut staged, mut said) = (Staged::default(), Vec::new());
        for ((split, data), copy) in files.splits.iter().zip(&self.paths) {
            let records = Records::of(data, files.columns.as_ref(), files.need, None)?;
            let place = |row: usize| Place { split, row, line: records.table.rows[row].line };
            let kept: Vec<usize> =
                (0..records.table.rows.len()).filter(|&row| !out.0.contains_key(&place(row))).collect();
            if kept.is_empty() {
                let message = format!("--fix would leave no row of {}; nothing was written", data.name.display());
                return Err(Failure { message, code: DATA });
            }
            let mut why: BTreeMap<&str, usize> = BTreeMap::new();
            out.0
                .iter()
                .filter(|(place, _)| place.split == *split)
                .for_each(|(_, reason)| *why.entry(reason.why).or_insert(0) += 1);
            let why: Vec<String> = why.into_iter().map(|(why, count)| format!("{count} {why}")).collect();
            let taken =
                if why.is_empty() { "nothing taken out".to_string() } else { format!("taken out: {}", why.join(", ")) };
            said.push(format!("fixed      {}: {}, {taken}", copy.display(), rows(kept.len())));
            staged.add(copy, |mut to| records.write(kept, &mut to))?;
        }
        staged.add(&self.log, |to| log(&out, to))?;
        staged.name()?;
        said.push(format!("log        {}", self.log.display()));
        Ok(said)
    }
}

/// What is taken out. Rows of the test are kept, but for those that say nothing, so that figures on it can be compared with those of others: what
/// validation and training share with it goes from there.
fn chosen(audit: &Audit, near: bool) -> Out {
    let mut out = Out::default();
    for split in &audit.splits {
        split.blank.iter().for_each(|&place| out.take(place, "without text", None));
        split.unlabelled.iter().for_each(|&place| out.take(place, "without label", None));
    }
    for overlap in audit.overlaps.iter().filter(|overlap| overlap.earlier != overlap.later) {
        for found in overlap.earlier_rows.iter().filter(|found| near || found.likeness.is_copy()) {
            let why = match (found.likeness.is_copy(), overlap.later) {
                (true, "test") => "standing in test",
                (true, _) => "standing in validation",
                (false, "test") => "near to a row of test",
                (false, _) => "near to a row of validation",
            };
            out.take(found.row, why, Some(found.of));
        }
    }
    for conflict in &audit.conflicts {
        let first = conflict.rows[0].0;
        for &(place, _) in conflict.rows.iter().filter(|(place, _)| place.split == "train") {
            out.take(place, "with contradicting labels", (place != first).then_some(first));
        }
    }
    for found in &audit.overlap("train", "train").later_rows {
        if found.likeness.is_copy() && !found.labels_differ && !out.0.contains_key(&found.of) {
            out.take(found.row, "repeating an earlier row", Some(found.of));
        }
    }
    out
}

fn log(out: &Out, to: &mut dyn Write) -> std::io::Result<()> {
    writeln!(to, "split,row,line,reason,of_split,of_line")?;
    for (place, reason) in &out.0 {
        let (of, line) =
            reason.of.map_or((String::new(), String::new()), |of| (of.split.to_string(), of.line.to_string()));
        writeln!(to, "{},{},{},{},{of},{line}", place.split, place.row, place.line, reason.why)?;
    }
    Ok(())
}
