//! What a finished run says: `results.json`, and the last lines for a person. It measures nothing.

use crate::model::calibrated::AtEnd;
use crate::results::baselines::Beside;
use crate::results::report;
use crate::rows::data::Data;
use crate::run::folder::{ADAPTER, BEST, MANIFEST};
use crate::run::memory;
use crate::settings::Resolved;
use ferrotune_tensor::Backend;
use ferrotune_train::advice::{Advice, Facts, advise};
use ferrotune_train::metrics::Report;
use ferrotune_train::trainer::Outcome;
use serde_json::{Value, json};
use std::path::Path;

/// What was measured at the end of a run.
pub(super) struct Reports<'a> {
    /// As training saw it in the best epoch.
    pub validation: Option<&'a Report>,
    /// The same with what the task learned from these rows afterwards: better than it would be on others.
    pub fitted: Option<Report>,
    /// Of the test rows.
    pub test: Option<Report>,
    /// Simple models on the same rows.
    pub baselines: Vec<Beside>,
    /// The temperature, and what it did.
    pub calibration: AtEnd,
    /// What the curves say.
    pub advice: Vec<Advice>,
}

/// What the curves of the run say.
pub(super) fn advice<B: Backend>(resolved: &Resolved, data: &Data<B>, outcome: &Outcome) -> Vec<Advice> {
    let constant_loss = data.task.constant_loss(&data.train.targets).filter(|_| !resolved.numbers.balanced);
    advise(&Facts {
        epochs: &outcome.epochs,
        metric: resolved.numbers.metric,
        best_epoch: outcome.best_epoch,
        validation: outcome.validation.as_ref(),
        constant_loss,
        rows: data.train.rows(),
        truncated: data.train.encoded.truncated.len(),
        max_length: resolved.max_length,
    })
}

/// What `results.json` holds.
pub(super) fn results<B: Backend>(
    resolved: &Resolved,
    restarts: u64,
    data: &Data<B>,
    outcome: &Outcome,
    reports: &Reports<'_>,
) -> Value {
    json!({
        "validation": reports.validation,
        "held_out_rows": data.held_out,
        "validation_fitted": reports.fitted,
        "test": reports.test,
        "baselines": reports.baselines,
        "calibration": reports.calibration.to_json(),
        "best_epoch": outcome.best_epoch,
        "epochs": outcome.epochs,
        "advice": reports.advice,
        "seed": resolved.numbers.seed,
        "restarts": restarts,
        "ema": resolved.numbers.ema,
        "averaged_epochs": outcome.averaged,
        "train": speed(outcome),
        "budget": resolved.budget,
        "peak_memory_mib": memory::peak_mib(),
    })
}

/// How fast a run was, for `results.json`.
pub(super) fn speed(outcome: &Outcome) -> Value {
    json!({
        "samples_per_second": outcome.samples_per_second,
        "tokens_per_second": outcome.tokens_per_second,
        "steps": outcome.steps,
        "seconds": outcome.seconds,
    })
}

/// The same for a person, with the memory that it took.
pub(super) fn say_speed(outcome: &Outcome) {
    if let (Some(rows), Some(tokens)) = (outcome.samples_per_second, outcome.tokens_per_second) {
        println!("speed: {rows:.1} rows/s, {tokens:.0} tokens/s in training steps");
    }
    if let Some(mib) = memory::peak_mib() {
        println!("memory: {mib:.0} MiB at the peak");
    }
}

/// Says it to a person.
pub(super) fn finish(outcome: &Outcome, reports: &Reports<'_>, folder: &Path) {
    say_speed(outcome);
    if let Some(validation) = reports.validation {
        let epochs: Vec<String> = outcome.averaged.iter().map(u64::to_string).collect();
        let of = match epochs.is_empty() {
            true => format!("best epoch {}", outcome.best_epoch),
            false => format!("mean of epochs {}", epochs.join(", ")),
        };
        println!("{}   {of}", report::line("validation", validation));
    }
    if let Some(fitted) = &reports.fitted {
        println!("{}   with thresholds chosen on these rows", report::line("validation", fitted));
    }
    if let Some(test) = &reports.test {
        println!("{}", report::text("test", test));
    }
    for beside in &reports.baselines {
        println!("baseline   {}", beside.line());
    }
    reports.calibration.lines().iter().for_each(|line| println!("{line}"));
    for Advice { rule, message } in &reports.advice {
        println!("advice     {rule}: {message}");
    }
    println!("model      {}", folder.join(BEST).display());
    if folder.join(ADAPTER).is_dir() {
        println!("adapter    {}", folder.join(ADAPTER).display());
    }
    println!("results    {}", folder.join("results.json").display());
    println!("log        {}", folder.join("metrics.jsonl").display());
    println!("manifest   {}", folder.join(MANIFEST).display());
}
