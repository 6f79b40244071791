//! Folders of several runs: what `--seeds`, `--learning-curve` and a search write, told apart by `results.json`, and where the runs in them lie. It
//! must not know what the runs came to.

use super::{RunFiles, read_json};
use crate::exit::{Failure, usage};
use crate::run::folder::study::{BEST, BEST_RUN, REFIT};
use crate::run::folder::{Kind, RESULTS, rows_folder, seed_folder};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// So many runs are named.
const NAMED: usize = 6;

/// A folder of several runs.
struct Several {
    /// What it holds.
    what: &'static str,
    /// Its finished runs, in their order.
    runs: Vec<PathBuf>,
    /// What can be done where there is none.
    otherwise: String,
    /// What else can be done.
    also: &'static str,
}

/// The runs of a folder of `--seeds`, in their order; none if it holds no series.
///
/// # Errors
/// A run of it cannot be read.
pub fn series(path: &Path) -> Result<Option<Vec<RunFiles>>, Failure> {
    let results: Option<Value> = read_json(&path.join(RESULTS))?;
    let Some(seeds) = results.as_ref().and_then(|results| results.get("seeds")?.as_u64()) else { return Ok(None) };
    let runs = (0..seeds).map(|n| RunFiles::read(&seed_folder(path, n))).collect::<Result<Vec<_>, _>>()?;
    Ok((!runs.is_empty()).then_some(runs))
}

/// That a folder with these results holds several runs, and which of them can be named instead; none for any other folder.
pub fn not_one_run(path: &Path, results: &Value) -> Option<Failure> {
    let Several { what, runs, otherwise, also } = several(path, results)?;
    let named: Vec<String> = runs.iter().take(NAMED).map(|run| run.display().to_string()).collect();
    let instead = match runs.len() - named.len() {
        _ if runs.is_empty() => otherwise,
        0 => format!("name one of these: {}{also}", named.join(", ")),
        more => format!("name one of these: {} and {more} more{also}", named.join(", ")),
    };
    Some(usage(format!("{} holds {what} and not one run: {instead}", path.display())))
}

fn several(path: &Path, results: &Value) -> Option<Several> {
    let is_run = |folder: &PathBuf| folder.join(RESULTS).is_file();
    let again = "no run of it is finished; train it again".to_string();
    match Kind::of(results) {
        Kind::Run => None,
        Kind::Seeds => Some(Several {
            what: "a series of --seeds",
            // Not all that the file speaks of: it may be damaged.
            runs: (0..results["seeds"].as_u64()?).map(|n| seed_folder(path, n)).take_while(is_run).collect(),
            otherwise: again,
            also: "; `ferrotune compare` takes the whole folder, beside another one",
        }),
        Kind::LearningCurve => {
            let percentages = results["learning_curve"].as_array()?.iter();
            let folders = percentages.filter_map(|point| Some(rows_folder(path, point.get("percentage")?.as_f64()?)));
            Some(Several {
                what: "a learning curve",
                runs: folders.filter(is_run).collect(),
                otherwise: again,
                also: "",
            })
        }
        Kind::Study => {
            let folders = [REFIT, BEST_RUN].into_iter().map(|name| path.join(name)).filter(is_run);
            Some(Several {
                what: "a search",
                // Its trials are measured on validation rows alone, and have no results of their own.
                runs: folders.flat_map(runs_in).collect(),
                otherwise: format!(
                    "train its best settings with `ferrotune train --config {}` and name that run",
                    path.join(BEST).display()
                ),
                also: "",
            })
        }
    }
}

/// The folder of a run itself, or of several runs those in it.
fn runs_in(folder: PathBuf) -> Vec<PathBuf> {
    let results: Option<Value> = read_json(&folder.join(RESULTS)).ok().flatten();
    match results.and_then(|results| several(&folder, &results)) {
        Some(several) => several.runs,
        None => vec![folder],
    }
}
