//! What a folder holds: a run, a series of runs, or a search. Each goes on with its own kind alone and replaces none unasked. It must not know more
//! of them than what tells them apart.

use super::{LOG, RESULTS, restarts_of};
use crate::exit::{Failure, usage};
use ferrotune_train::search::study::STUDY;
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};

/// What wrote into a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One run, of `train` or `pretrain`.
    Run,
    /// `train --seeds`.
    Seeds,
    /// `train --learning-curve`.
    LearningCurve,
    /// `search`.
    Study,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Run => "run",
            Kind::Seeds => "series of --seeds",
            Kind::LearningCurve => "learning curve",
            Kind::Study => "study",
        })
    }
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Run, Kind::Seeds, Kind::LearningCurve, Kind::Study];

    /// What wrote these results. Those of a run have no key that the others have.
    pub fn of(results: &Value) -> Kind {
        let others = [("seeds", Kind::Seeds), ("learning_curve", Kind::LearningCurve), ("trials", Kind::Study)];
        others.into_iter().find(|(key, _)| results.get(key).is_some()).map_or(Kind::Run, |(_, kind)| kind)
    }

    /// Whether the folder holds one. It may hold several kinds.
    pub fn is_in(self, path: &Path) -> bool {
        let begun = match self {
            Kind::Run => restarts_of(path).is_some() || path.join(LOG).exists(),
            Kind::Study => path.join(STUDY).exists(),
            // Their runs have folders of their own, and refuse to be replaced themselves.
            Kind::Seeds | Kind::LearningCurve => false,
        };
        begun || of_results(path) == Some(self)
    }

    /// Whether this kind may be written into the folder.
    ///
    /// # Errors
    /// Without `overwrite` there is another kind, or one of the same and `resume` is not said either.
    pub fn check(self, path: &Path, resume: bool, overwrite: bool) -> Result<(), Failure> {
        if overwrite {
            return Ok(());
        }
        let shown = path.display();
        if let Some(other) = Kind::ALL.into_iter().find(|&kind| kind != self && kind.is_in(path)) {
            return Err(usage(format!(
                "{shown} holds an earlier {other}: say --overwrite to replace it, or name another --output"
            )));
        }
        if !resume && self.is_in(path) {
            return Err(usage(format!(
                "{shown} holds an earlier {self}: say --resume to go on with it, --overwrite to replace it, or name another --output"
            )));
        }
        Ok(())
    }
}

/// What wrote the results, if there are any; what cannot be read may be a run's.
fn of_results(path: &Path) -> Option<Kind> {
    let file = path.join(RESULTS);
    if !file.exists() {
        return None;
    }
    let bytes = std::fs::read(&file).unwrap_or_default();
    Some(Kind::of(&serde_json::from_slice(&bytes).unwrap_or_default()))
}

/// The folder of the run from the seed number `n`, from 0, of a series.
pub fn seed_folder(series: &Path, n: u64) -> PathBuf {
    series.join(format!("seed-{n}"))
}

/// The folder of the run with so many percent of the rows, of a learning curve.
pub fn rows_folder(curve: &Path, percentage: f64) -> PathBuf {
    curve.join(format!("rows-{percentage}"))
}
