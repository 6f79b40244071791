//! The files of a split: checked before any work, written aside, and named when all are complete. It must not know how rows were chosen.

use crate::args::SplitArgs;
use crate::exit::{Failure, io, usage};
use crate::run::staged::Staged;
use ferrotune_data::Records;
use std::fs;
use std::path::{Path, PathBuf};

/// A file, relative to the output folder.
pub struct File {
    /// Empty, or the folder of a fold.
    pub folder: PathBuf,
    /// Its name with its extension.
    pub name: String,
}

/// Where the parts go.
pub struct Files {
    paths: Vec<PathBuf>,
}

impl Files {
    /// Refuses to write over the input, over an earlier split without --overwrite, and beside files of an earlier split that this one does
    /// not write: their rows would be in two parts.
    ///
    /// # Errors
    /// Each of these, or the output is no folder.
    pub fn check(args: &SplitArgs, wanted: &[File]) -> Result<Files, Failure> {
        let output = &args.output;
        if output.exists() && !output.is_dir() {
            return Err(usage(format!("--output {} is not a folder", output.display())));
        }
        let paths: Vec<PathBuf> = wanted.iter().map(|file| output.join(&file.folder).join(&file.name)).collect();
        // The input is compared as a file and not as a name: links and other spellings lead to it too.
        let data = fs::canonicalize(&args.data).map_err(io(format!("cannot read {}", args.data.display())))?;
        let is_data = |path: &Path| fs::canonicalize(path).is_ok_and(|path| path == data);
        if let Some(path) = paths.iter().find(|path| is_data(path)) {
            return Err(usage(format!("{} is the data that is to be split; name another --output", path.display())));
        }
        for left in leftovers(output, &paths, args.folds.is_some()) {
            if !is_data(&left) {
                return Err(usage(format!(
                    "{} is not a part of this split, and its rows may be in two parts; remove it, or name another --output",
                    left.display()
                )));
            }
        }
        match paths.iter().find(|path| path.symlink_metadata().is_ok()) {
            Some(path) if !args.overwrite => Err(usage(format!(
                "{} exists already; say --overwrite to replace it, or name another --output",
                path.display()
            ))),
            _ => Ok(Files { paths }),
        }
    }

    /// The files in their order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(PathBuf::as_path)
    }

    /// Writes these rows to each file. All are complete and on disk before the first takes its name.
    ///
    /// # Errors
    /// The system refuses; files that had taken their names until then stay.
    pub fn write<'a>(&self, records: &Records, rows: impl Iterator<Item = &'a [usize]>) -> Result<(), Failure> {
        let mut staged = Staged::default();
        for (path, rows) in self.paths.iter().zip(rows) {
            staged.add(path, |mut to| records.write(rows.iter().copied(), &mut to))?;
        }
        staged.name()
    }
}

/// What an earlier split left in the folder and this one does not write: a part of the same format, or a further fold.
fn leftovers(output: &Path, paths: &[PathBuf], folds: bool) -> Vec<PathBuf> {
    let extension = paths.first().and_then(|path| path.extension()).unwrap_or_default();
    let entries = fs::read_dir(output).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_part = |path: &Path| {
        let named = |name| path.file_stem().is_some_and(|stem| stem == name);
        path.extension() == Some(extension) && ["train", "validation", "test"].into_iter().any(named)
    };
    let is_fold = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.strip_prefix("fold-").is_some_and(|number| number.parse::<usize>().is_ok())
    };
    let written = |path: &Path| paths.iter().any(|written| written == path || written.parent() == Some(path));
    let mut left: Vec<PathBuf> = entries
        .filter(|path| if folds { is_fold(path) } else { is_part(path) })
        .filter(|path| !written(path))
        .collect();
    left.sort();
    left
}
