//! Files that are written aside and get their names when all are complete, so that none is half written and none stands without the others. It
//! must not know what is in them.

use crate::exit::{Failure, io};
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// Files that wait for their names.
#[derive(Default)]
pub struct Staged(Vec<(TempPath, PathBuf)>);

impl Staged {
    /// Writes a file beside the place that it will have, down to the disk; its folder is made.
    ///
    /// # Errors
    /// The system refuses.
    pub fn add(
        &mut self,
        path: &Path,
        write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let cannot = || format!("cannot write in {}", folder.display());
        fs::create_dir_all(folder).map_err(io(cannot()))?;
        let aside = tempfile::Builder::new()
            .prefix(".ferrotune-")
            .make_in(folder, |aside| fs::File::create_new(aside))
            .map_err(io(cannot()))?;
        let mut writer = BufWriter::with_capacity(1 << 16, aside);
        write(&mut writer).map_err(io(cannot()))?;
        writer.flush().map_err(io(cannot()))?;
        let aside = writer.into_inner().map_err(|error| io(cannot())(error.into_error()))?;
        aside.as_file().sync_all().map_err(io(cannot()))?;
        // The path alone: many open files may be more than the system allows.
        self.0.push((aside.into_temp_path(), path.to_owned()));
        Ok(())
    }

    /// Gives all their names.
    ///
    /// # Errors
    /// The system refuses; files that had their names until then keep them.
    pub fn name(self) -> Result<(), Failure> {
        for (aside, path) in self.0 {
            aside.persist(&path).map_err(|error| io(format!("cannot write {}", path.display()))(error.error))?;
        }
        Ok(())
    }
}
