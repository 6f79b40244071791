//! The files of a finished run, read back: what it came to, its log, its settings, its evaluation. It must not know how they are shown.

use crate::exit::{Failure, MODEL, io, usage};
use crate::results::evaluation::Evaluation;
use crate::run::folder::{LOG, RESULTS, SETTINGS};
use ferrotune_train::advice::Epoch;
use ferrotune_train::metrics::{Gain, Interval, MetricName, Report};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

#[cfg(test)]
pub mod example;
mod several;
#[cfg(test)]
mod tests;

use several::not_one_run;
pub use several::series;

/// A finished run.
pub struct RunFiles {
    /// Its folder.
    pub path: PathBuf,
    /// `results.json`.
    pub results: Results,
    /// The steps of `metrics.jsonl`.
    pub steps: Vec<Step>,
    /// Its evaluations.
    pub evaluations: Vec<Evaluated>,
    /// `ferrotune.toml`.
    pub settings: toml::Table,
    /// `evaluation.json`, of runs that wrote it.
    pub evaluation: Option<Evaluation>,
}

/// What a run came to. Keys that a run of `pretrain` or of an earlier version does not have are empty.
#[derive(Deserialize)]
pub struct Results {
    /// The best epoch on validation rows.
    #[serde(default)]
    pub validation: Option<Report>,
    /// The same with thresholds chosen on these rows.
    #[serde(default)]
    pub validation_fitted: Option<Report>,
    /// On test rows.
    #[serde(default)]
    pub test: Option<Report>,
    /// Simple models on the same rows.
    #[serde(default)]
    pub baselines: Vec<Beside>,
    /// The epoch that was kept.
    pub best_epoch: u64,
    /// The losses of the epochs.
    #[serde(default)]
    pub epochs: Vec<Epoch>,
    /// What probabilities are calibrated by. Runs without validation rows, and tasks without probabilities, have none.
    #[serde(default)]
    pub calibration: Option<Temperature>,
    /// What the curves say.
    #[serde(default)]
    pub advice: Vec<Advice>,
    /// The seed that counted.
    pub seed: u64,
    /// How often the run began again.
    #[serde(default)]
    pub restarts: u64,
    /// The epochs whose mean was kept.
    #[serde(default)]
    pub averaged_epochs: Vec<u64>,
    /// Its speed.
    pub train: Speed,
    /// Peak memory.
    #[serde(default)]
    pub peak_memory_mib: Option<f64>,
}

/// A simple model beside the fine-tuned one.
#[derive(Deserialize)]
pub struct Beside {
    /// What it is.
    pub baseline: String,
    /// The part whose rows were measured.
    pub rows: String,
    /// Its accuracy.
    pub accuracy: f64,
    /// The interval of that.
    pub accuracy_interval: Interval,
    /// Its macro F1.
    pub f1_macro: f64,
    /// By how much the fine-tuned model is more accurate.
    pub accuracy_gain: Gain,
}

/// The temperature of a run.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Temperature {
    /// Fitted to the validation rows.
    Fitted {
        /// Logits are divided by it.
        temperature: f64,
        /// Its standard error, where there is one.
        standard_error: Option<f64>,
        /// How many rows there were.
        rows: u64,
    },
    /// There is none.
    Missing {
        /// Why.
        #[serde(rename = "none")]
        why: String,
    },
}

/// A rule that found something.
#[derive(Deserialize)]
pub struct Advice {
    /// Its name.
    pub rule: String,
    /// What it says.
    pub message: String,
}

/// How fast a run was.
#[derive(Deserialize)]
pub struct Speed {
    /// Rows a second in training steps.
    pub samples_per_second: Option<f64>,
    /// Tokens a second in training steps.
    pub tokens_per_second: Option<f64>,
    /// Optimizer steps.
    pub steps: u64,
    /// Seconds in training steps.
    pub seconds: f64,
}

/// A logged step. JSON has no other numbers than finite ones.
#[derive(Deserialize)]
pub struct Step {
    /// Its number, from 1.
    pub step: u64,
    /// Mean loss of its rows.
    pub loss: Option<f64>,
    /// Its learning rate.
    pub learning_rate: Option<f64>,
    /// Gradient norm before clipping.
    pub gradient_norm: Option<f64>,
}

/// A logged evaluation.
#[derive(Deserialize)]
pub struct Evaluated {
    /// Of these rows.
    pub split: String,
    /// After this epoch.
    pub epoch: u64,
    /// After this step.
    pub step: u64,
    /// Time it took.
    pub seconds: f64,
    /// Its metrics by name, among others.
    #[serde(flatten)]
    values: Map<String, Value>,
}

impl Evaluated {
    /// A metric, if it is there and a number.
    pub fn value(&self, metric: MetricName) -> Option<f64> {
        self.values.get(metric.name())?.as_f64()
    }
}

impl RunFiles {
    /// Reads a run folder.
    ///
    /// # Errors
    /// It holds no finished run, or several; a file of it is damaged.
    pub fn read(path: &Path) -> Result<RunFiles, Failure> {
        let shown = path.display();
        if !path.is_dir() {
            return Err(usage(format!("{shown} is no folder: name the --output of a finished run")));
        }
        let results: Value = read_json(&path.join(RESULTS))?.ok_or_else(|| {
            usage(format!(
                "{shown} holds no finished run: there is no {RESULTS}; name the --output of a run that went to its end"
            ))
        })?;
        if let Some(failure) = not_one_run(path, &results) {
            return Err(failure);
        }
        let results = serde_json::from_value(results).map_err(damaged(&path.join(RESULTS)))?;
        let (steps, evaluations) = read_log(&path.join(LOG))?;
        let file = path.join(SETTINGS);
        let settings = match read(&file)? {
            Some(text) => text.parse().map_err(damaged(&file))?,
            None => toml::Table::new(),
        };
        let evaluation = Evaluation::read(path)?;
        Ok(RunFiles { path: path.to_path_buf(), results, steps, evaluations, settings, evaluation })
    }

    /// What it is called.
    pub fn name(&self) -> String {
        name_of(&self.path)
    }

    /// What was measured at the end: the test rows, else the validation rows.
    pub fn measured(&self) -> Option<(&'static str, &Report)> {
        let test = self.results.test.as_ref().map(|report| ("test", report));
        test.or_else(|| Some(("validation", self.results.validation.as_ref()?)))
    }

    /// The metric that chose the best epoch, as the settings say it.
    pub fn metric(&self) -> Option<MetricName> {
        self.settings.get("metric")?.as_str()?.parse().ok()
    }

    /// The 95 % interval of a metric of the rows of [`RunFiles::measured`], if one was computed.
    pub fn interval(&self, metric: MetricName) -> Option<Interval> {
        let measured = self.evaluation.as_ref()?.measured.as_ref()?;
        let intervals =
            measured.intervals.as_ref().filter(|_| Some(&*measured.split) == self.measured().map(|m| m.0))?;
        match metric {
            MetricName::Accuracy => Some(intervals.accuracy),
            MetricName::F1Macro => Some(intervals.f1_macro),
            MetricName::Mcc => Some(intervals.mcc),
            _ => None,
        }
    }
}

/// The last part of the path of a folder.
pub fn name_of(folder: &Path) -> String {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    absolute.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn read_log(path: &Path) -> Result<(Vec<Step>, Vec<Evaluated>), Failure> {
    let (mut steps, mut evaluations) = (Vec::new(), Vec::new());
    for line in read(path)?.unwrap_or_default().lines() {
        let row: Value = serde_json::from_str(line).map_err(damaged(path))?;
        match row.get("event").and_then(Value::as_str) {
            Some("step") => steps.push(serde_json::from_value(row).map_err(damaged(path))?),
            Some("evaluated") => evaluations.push(serde_json::from_value(row).map_err(damaged(path))?),
            _ => {}
        }
    }
    Ok((steps, evaluations))
}

/// The text of a file; none where there is none.
fn read(path: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        text => text.map(Some).map_err(io(format!("cannot read {}", path.display()))),
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    read(path)?.map(|text| serde_json::from_str(&text).map_err(damaged(path))).transpose()
}

fn damaged<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> Failure {
    let path = path.display().to_string();
    move |error| Failure {
        message: format!("{path} is damaged: {}", error.to_string().trim().replace('\n', " ")),
        code: MODEL,
    }
}
