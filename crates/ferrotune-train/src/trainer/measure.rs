//! Validation rows are measured after an epoch and where a run pauses; the best weights are kept, and the run is left with them. It must not know how
//! weights come about.

use super::Run;
use super::kept::{self, Best};
use super::resume;
use super::state::State;
use crate::advice::Measured;
use crate::error::TrainError;
use crate::evaluate::evaluate;
use crate::events::Event;
use crate::metrics::Report;
use crate::model::Split;
use ferrotune_tensor::Backend;
use std::time::Instant;

/// The weights that a run is left with.
#[derive(Default)]
pub(super) struct Kept {
    /// Their epoch, counted from 1; none if they are those of the end.
    pub epoch: Option<u64>,
    /// What they give on validation.
    pub report: Option<Report>,
    /// The epochs whose mean they are; empty if they are those of one epoch.
    pub averaged: Vec<u64>,
}

/// What these rows give with the weights as they are.
fn measure<B: Backend>(run: &mut Run<'_, B>, split: &Split) -> Result<Report, TrainError> {
    let cache = run.prefix.as_deref_mut().and_then(|caches| caches.validation.as_mut());
    evaluate(run.backend, run.model, run.params, run.pool, split, run.task, cache, run.settings.evaluation_limit())
}

/// Measures after an epoch, counted from 1: keeps the weights if they are among the best, and ends the run that has long been no better. None without
/// validation rows. `last`: no step follows.
///
/// # Errors
/// A prefix cache that cannot be read.
pub(super) fn after_epoch<B: Backend>(
    run: &mut Run<'_, B>,
    state: &mut State<B>,
    epoch: u64,
    last: bool,
) -> Result<Option<Measured>, TrainError> {
    let Some(split) = run.validation else { return Ok(None) };
    let Run { backend, settings, .. } = *run;
    let step = state.progress.step;
    let clock = Instant::now();
    state.exchange(backend, run.params);
    let report = match measure(run, split) {
        Ok(report) => report,
        Err(error) => {
            state.exchange(backend, run.params);
            return Err(error);
        }
    };
    let (summary, seconds) = (report.summary(), clock.elapsed().as_secs_f64());
    let value = summary.value(settings.metric);
    let measured = Measured { loss: report.loss(), value };
    run.observer.on(&Event::Evaluated { split: "validation".into(), epoch, step, summary, seconds });
    if let Some(finding) = state.progress.sentinels.evaluated(&report, last) {
        run.observer.on(&Event::warning(finding.message.as_str()));
        state.degenerate.get_or_insert(finding);
    }
    let progress = &mut state.progress;
    if value.is_nan() && measured.loss.is_finite() && progress.epochs.iter().all(|epoch| epoch.validation.is_none()) {
        run.observer.on(&Event::warning(format!(
            "{} is not defined on these validation rows (one row, or one score for all): the loss chooses the epoch that is kept",
            settings.metric
        )));
    }
    let place = kept::place(&progress.best, settings.metric, value, measured.loss);
    if place == 0 {
        run.observer.on(&Event::NewBest { epoch, step, metric: settings.metric, value });
        progress.evaluations_without_improvement = 0;
    } else {
        progress.evaluations_without_improvement += 1;
    }
    if place < settings.average_best {
        progress.best.truncate(settings.average_best - 1); // The old weights go before the new ones come.
        let weights = resume::download(backend, run.params);
        progress.best.insert(place, Best { epoch, step, value, report, weights });
    }
    let evaluations = progress.evaluations_without_improvement;
    if settings.patience.is_some_and(|patience| evaluations >= patience) {
        run.observer.on(&Event::EarlyStopped { epoch, step, metric: settings.metric, evaluations });
        progress.finished = true;
    }
    state.exchange(backend, run.params);
    Ok(Some(measured))
}

/// What the validation rows give where the run pauses, if there are any.
///
/// # Errors
/// A prefix cache that cannot be read.
pub(super) fn at_pause<B: Backend>(
    run: &mut Run<'_, B>,
    state: &mut State<B>,
    epoch_steps: u64,
) -> Result<Option<Measured>, TrainError> {
    let Some(split) = run.validation else { return Ok(None) };
    let after_epoch = state.progress.epochs.last().filter(|_| state.progress.step.is_multiple_of(epoch_steps));
    if let Some(measured) = after_epoch.and_then(|epoch| epoch.validation) {
        return Ok(Some(measured));
    }
    state.exchange(run.backend, run.params);
    let report = measure(run, split);
    state.exchange(run.backend, run.params);
    let report = report?;
    Ok(Some(Measured { loss: report.loss(), value: report.summary().value(run.settings.metric) }))
}

/// Puts the weights into `run.params` that the run is left with: the mean of the best evaluations if that is no worse than the best, else those of
/// the best; without evaluations the average, if there is one.
///
/// # Errors
/// A prefix cache that cannot be read.
pub(super) fn at_end<B: Backend>(run: &mut Run<'_, B>, state: &mut State<B>) -> Result<Kept, TrainError> {
    let Run { backend, settings, .. } = *run;
    let Some(best) = state.progress.best.first() else {
        state.exchange(backend, run.params);
        return Ok(Kept::default());
    };
    let (metric, several) = (settings.metric, state.progress.best.len() > 1);
    let (epoch, step, value) = (best.epoch, best.step, best.value);
    if let (Some(split), true) = (run.validation, several) {
        resume::upload(backend, run.params, &kept::mean(&state.progress.best));
        let of_mean = measure(run, split)?;
        let value = of_mean.summary().value(metric);
        let kept = !metric.better(best.value, value) && !value.is_nan();
        let epochs: Vec<u64> = state.progress.best.iter().map(|best| best.epoch).collect();
        run.observer.on(&Event::Averaged { epochs: epochs.clone(), metric, value, best: best.value, kept });
        if kept {
            return Ok(Kept { epoch: Some(epoch), report: Some(of_mean), averaged: epochs });
        }
    }
    let later = state.progress.step != step;
    // The current weights are other ones after later steps, with an average beside them, and after a mean that was not kept.
    if later || state.average.is_some() || several {
        resume::upload(backend, run.params, &best.weights);
    }
    if later {
        run.observer.on(&Event::Restored { epoch, step, metric, value });
    }
    Ok(Kept { epoch: Some(epoch), report: Some(best.report.clone()), averaged: Vec::new() })
}
