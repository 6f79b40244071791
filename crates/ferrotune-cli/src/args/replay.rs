//! What was typed after `ferrotune replay`.

use clap::Args;
use std::path::PathBuf;

/// `ferrotune replay`.
#[derive(Args)]
pub struct ReplayArgs {
    /// manifest.json of a run, or its run folder.
    #[arg(value_name = "MANIFEST")]
    pub manifest: PathBuf,
    /// Folder for the new run [default: that of the manifest with -replay at its end].
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Look for the files of rows in this folder: under their paths if these are relative, else by their last names.
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// The base model, if it does not lie where it lay: folder or hub id.
    #[arg(long, value_name = "DIR|ID")]
    pub model: Option<String>,
    /// Compare files, version and instruction set, and train nothing.
    #[arg(long)]
    pub check: bool,
    /// Replace the results of an earlier run in --output.
    #[arg(long)]
    pub overwrite: bool,
    /// Threads; they change no bit [default: all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}
