//! Several finished runs side by side: what each came to, which settings differ, and whether they can be compared at all. It must not know how that is shown.

use crate::exit::{Failure, usage};
use crate::run::files::{RunFiles, name_of, series};
use ferrotune_train::metrics::{Interval, MetricName};
use std::collections::BTreeSet;
use std::path::PathBuf;

#[cfg(test)]
mod tests;

/// Settings that say where something lies or what is written, and not what is learned; how many threads there were, the environment says.
const OUTSIDE: [&str; 6] = ["output", "report", "tensorboard", "log-every", "checkpoint-every", "threads"];

/// A run, or the runs of a series of `--seeds`.
pub struct Entry {
    /// What it is called here.
    pub name: String,
    /// The runs; at least one.
    pub runs: Vec<RunFiles>,
}

/// A figure of an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The value, or the mean over the seeds.
    pub value: f64,
    /// The standard deviation over the seeds, where there are several.
    pub deviation: Option<f64>,
}

/// Runs side by side.
pub struct Comparison {
    /// In the order in which they were named.
    pub entries: Vec<Entry>,
    /// The metrics that were measured, the one that chose the best epoch first.
    pub metrics: Vec<MetricName>,
    /// What differs: a setting or a part of the environment, and its value for each entry.
    pub differences: Vec<(String, Vec<String>)>,
    /// Why they should not be compared.
    pub warnings: Vec<String>,
}

impl Figure {
    /// The mean of values, at least one, and their standard deviation as that of a sample: over one less than their number.
    pub fn of(values: &[f64]) -> Figure {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Figure { value: mean, deviation: (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()) }
    }
}

impl Entry {
    fn first(&self) -> &RunFiles {
        &self.runs[0]
    }

    fn mean(&self, of: impl Fn(&RunFiles) -> Option<f64>) -> Option<Figure> {
        let values: Vec<f64> = self.runs.iter().map(of).collect::<Option<_>>()?;
        Some(Figure::of(&values))
    }

    /// A metric of the rows that were measured at the end; none if a run lacks it.
    pub fn figure(&self, metric: MetricName) -> Option<Figure> {
        self.mean(|run| {
            let summary = run.measured()?.1.summary();
            summary.values.iter().find(|(name, _)| *name == metric).map(|(_, value)| *value)
        })
    }

    /// The 95 % interval of a metric over the rows, of one run.
    pub fn interval(&self, metric: MetricName) -> Option<Interval> {
        if self.runs.len() == 1 { self.first().interval(metric) } else { None }
    }

    /// Training rows a second.
    pub fn speed(&self) -> Option<Figure> {
        self.mean(|run| run.results.train.samples_per_second)
    }

    /// Seconds in training steps.
    pub fn seconds(&self) -> Option<Figure> {
        self.mean(|run| Some(run.results.train.seconds))
    }

    /// What it was measured on, as a person says it.
    fn split(&self) -> &'static str {
        self.first().measured().map_or("nothing", |(split, _)| split)
    }

    /// The distinct answers of its runs.
    fn distinct(&self, of: impl Fn(&RunFiles) -> Option<String>) -> String {
        let mut found = Vec::new();
        for value in self.runs.iter().map(|run| of(run).unwrap_or_else(|| "–".to_string())) {
            if !found.contains(&value) {
                found.push(value);
            }
        }
        found.join(", ")
    }
}

impl Comparison {
    /// Reads the folders of runs, or of series.
    ///
    /// # Errors
    /// One of them holds no finished run; fewer than two.
    pub fn read(folders: &[PathBuf]) -> Result<Comparison, Failure> {
        let mut entries = Vec::new();
        for folder in folders {
            let runs = match series(folder)? {
                Some(runs) => runs,
                None => vec![RunFiles::read(folder)?],
            };
            entries.push(Entry { name: name_of(folder), runs });
        }
        let names: BTreeSet<&str> = entries.iter().map(|entry| &*entry.name).collect();
        if names.len() < entries.len() {
            entries.iter_mut().zip(folders).for_each(|(entry, folder)| entry.name = folder.display().to_string());
        }
        Comparison::of(entries)
    }

    fn of(entries: Vec<Entry>) -> Result<Comparison, Failure> {
        if entries.len() < 2 {
            return Err(usage("compare needs at least two run folders, or folders of --seeds"));
        }
        let mut metrics: Vec<MetricName> = Vec::new();
        let chosen = entries.iter().filter_map(|entry| entry.first().metric());
        let measured = entries.iter().filter_map(|entry| Some(entry.first().measured()?.1.summary().values));
        for metric in chosen.chain(measured.flatten().map(|(metric, _)| metric)) {
            if !metrics.contains(&metric) && entries.iter().any(|entry| entry.figure(metric).is_some()) {
                metrics.push(metric);
            }
        }
        let (differences, warnings) = (differences(&entries), warnings(&entries));
        Ok(Comparison { entries, metrics, differences, warnings })
    }
}

fn differences(entries: &[Entry]) -> Vec<(String, Vec<String>)> {
    let keys: BTreeSet<&String> =
        entries.iter().flat_map(|entry| &entry.runs).flat_map(|run| run.settings.keys()).collect();
    let mut found = Vec::new();
    let mut add = |name: &str, of: &dyn Fn(&RunFiles) -> Option<String>| {
        let values: Vec<String> = entries.iter().map(|entry| entry.distinct(of)).collect();
        if values.iter().any(|value| *value != values[0]) {
            found.push((name.to_string(), values));
        }
    };
    for key in keys.into_iter().filter(|key| !OUTSIDE.contains(&key.as_str())) {
        add(key, &|run| {
            let value = run.settings.get(key)?;
            Some(value.as_str().map_or_else(|| value.to_string(), str::to_string))
        });
    }
    add("processor", &|run| Some(run.evaluation.as_ref()?.environment.processor.clone()));
    add("threads", &|run| Some(run.evaluation.as_ref()?.environment.threads.to_string()));
    add("version", &|run| Some(run.evaluation.as_ref()?.environment.ferrotune.clone()));
    found
}

fn warnings(entries: &[Entry]) -> Vec<String> {
    let mut warnings = Vec::new();
    let runs = || entries.iter().flat_map(|entry| entry.runs.iter().map(move |run| (entry, run)));
    let splits: BTreeSet<&str> = entries.iter().map(Entry::split).collect();
    if splits.len() > 1 {
        let each: Vec<String> = entries.iter().map(|entry| format!("{} on {}", entry.name, entry.split())).collect();
        warnings.push(format!(
            "the runs were not measured on the same part, so that their results cannot be compared: {}",
            each.join(", ")
        ));
    } else if let Some(what) = differ(runs().map(|(entry, run)| (entry, measured_data(run)))) {
        let split = entries[0].split();
        warnings.push(format!("{what} were measured on different {split} rows: their results cannot be compared"));
    }
    let train = |run: &RunFiles| run.evaluation.as_ref().and_then(|evaluation| evaluation.data.get("train").cloned());
    if let Some(what) = differ(runs().map(|(entry, run)| (entry, train(run)))) {
        warnings.push(format!(
            "{what} learned from different training files: what differs in their results need not come from the settings"
        ));
    }
    let is_unknown = |entry: &&Entry| entry.runs.iter().any(|run| run.evaluation.is_none());
    let unknown: Vec<&str> = entries.iter().filter(is_unknown).map(|entry| &*entry.name).collect();
    if !unknown.is_empty() {
        warnings.push(format!(
            "there is no evaluation.json of {}, so that it is not known which rows were learned from and measured",
            unknown.join(", ")
        ));
    }
    warnings
}

/// What says which rows were measured. Rows that were held out are those of the training file, share and seed.
fn measured_data(run: &RunFiles) -> Option<String> {
    let (data, (split, _)) = (&run.evaluation.as_ref()?.data, run.measured()?);
    let setting = |key: &str| run.settings.get(key).map(toml::Value::to_string).unwrap_or_default();
    match data.get(split) {
        Some(sum) => Some(sum.clone()),
        None => Some(format!("{} {} {}", data.get("train")?, setting("validation-share"), setting("validation-seed"))),
    }
}

/// The first two entries whose known values differ.
fn differ<'a>(values: impl Iterator<Item = (&'a Entry, Option<String>)>) -> Option<String> {
    let known: Vec<(&Entry, String)> = values.filter_map(|(entry, value)| Some((entry, value?))).collect();
    let (first, value) = known.first()?;
    let (other, _) = known.iter().find(|(_, other)| other != value)?;
    Some(match first.name == other.name {
        true => format!("the runs of {}", first.name),
        false => format!("{} and {}", first.name, other.name),
    })
}
