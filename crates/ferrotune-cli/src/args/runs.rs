//! The flags of `report` and `compare`, which read the folders of finished runs.

use clap::Args;
use std::path::PathBuf;

/// `ferrotune report`.
#[derive(Args)]
pub struct ReportArgs {
    /// Folder of a finished run: the --output of train.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
}

/// `ferrotune compare`.
#[derive(Args)]
pub struct CompareArgs {
    /// Folders of finished runs, or of series of --seeds: two or more.
    #[arg(value_name = "RUN", required = true, num_args = 2..)]
    pub runs: Vec<PathBuf>,
    /// Also write a page with the curves of all runs.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Replace a page that is there.
    #[arg(long, requires = "html")]
    pub overwrite: bool,
}
