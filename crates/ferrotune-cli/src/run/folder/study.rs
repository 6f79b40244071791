//! What a search has in its folder beside the study file, by name. It must not know what is written there.

use super::{remove_file, remove_folder};
use crate::exit::Failure;
use ferrotune_train::search::study::STUDY;
use std::path::Path;

/// Folder of the trials.
pub const TRIALS: &str = "trials";
/// Folder of the runs with the best settings.
pub const REFIT: &str = "refit";
/// The best settings: `train --config` reads them.
pub const BEST: &str = "best.toml";
/// Folder of a run with these settings, unless another is named.
pub const BEST_RUN: &str = "best";
/// The picture.
pub const PICTURE: &str = "study.svg";

/// Removes it all. The study file goes last: as long as anything is left, the folder is that of a search.
pub(super) fn clear(folder: &Path) -> Result<(), Failure> {
    [TRIALS, REFIT].iter().try_for_each(|name| remove_folder(&folder.join(name)))?;
    [BEST, PICTURE, STUDY].iter().try_for_each(|name| remove_file(&folder.join(name)))
}
