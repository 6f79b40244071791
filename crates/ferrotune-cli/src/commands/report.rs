//! `ferrotune report`: the page of a finished run, from the files of its folder. It must not know what the page shows.

use crate::args::ReportArgs;
use crate::exit::Failure;
use crate::html::report::report;
use crate::results::evaluation;
use crate::run::files::RunFiles;
use crate::run::folder::REPORT;
use ferrotune_train::store::replace_file;
use std::path::{Path, PathBuf};

/// Runs the command.
pub fn run(args: &ReportArgs) -> Result<(), Failure> {
    println!("report     {}", write(&args.run)?.display());
    Ok(())
}

/// Writes the page into the folder of a run, and says where it is.
///
/// # Errors
/// The folder holds no finished run, or a file of it is damaged or cannot be written.
pub fn write(folder: &Path) -> Result<PathBuf, Failure> {
    let run = RunFiles::read(folder)?;
    if run.evaluation.is_none() {
        let name = evaluation::FILE;
        eprintln!(
            "warning: there is no {name}: the report has no calibration, lengths, mistakes, audit and environment"
        );
    }
    let path = folder.join(REPORT);
    replace_file(&path, report(&run).as_bytes())?;
    Ok(path)
}
