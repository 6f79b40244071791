//! The training loop: accumulate, clip, step, log, evaluate, keep the best, stop. [`train`] reads from top to bottom; what takes it more than a few
//! lines is beside it, in the order of the loop: `accumulate.rs`, `watch.rs`, `measure.rs`. It must not know which model, task, optimizer or loss
//! curve it runs.

mod accumulate;
mod flight;
pub mod kept;
mod measure;
mod outcome;
pub mod passes;
pub mod resume;
pub mod sentinels;
mod settings;
mod state;
pub mod thaw;
mod watch;

pub use outcome::{End, Outcome};
pub use settings::Settings;

use crate::advice::Epoch;
use crate::error::TrainError;
use crate::events::{Event, Observer};
use crate::model::{Classifier, Split};
use crate::prefix::PrefixCaches;
use crate::tasks::Objective;
use accumulate::{Passes, accumulate};
use ferrotune_optim::{Anchor, Ema, Optimizer, clip};
use ferrotune_tensor::{Backend, Grads, Params, Pool};
use flight::{Flight, Issued};
use outcome::Speed;
use resume::{Checkpoints, Progress};
use sentinels::Finding;
use state::State;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use thaw::Thaw;
use watch::Watch;

/// Everything that a run works on.
pub struct Run<'a, B: Backend> {
    /// The device.
    pub backend: &'a B,
    /// The model.
    pub model: &'a dyn Classifier<B>,
    /// Its parameters; after the run the best ones.
    pub params: &'a mut Params<B>,
    /// The optimizer.
    pub optimizer: &'a mut dyn Optimizer<B>,
    /// Working memory.
    pub pool: &'a mut Pool<B>,
    /// Training rows.
    pub train: &'a Split,
    /// Validation rows, if there are any.
    pub validation: Option<&'a Split>,
    /// What the model's frozen prefix gave; without it, it is computed in each epoch.
    pub prefix: Option<&'a mut PrefixCaches<B>>,
    /// What is learned.
    pub task: &'a dyn Objective<B>,
    /// Pulls pretrained weights back to where they came from.
    pub anchor: Option<&'a Anchor<B>>,
    /// What begins to move in later epochs.
    pub thaw: &'a Thaw,
    /// The numbers.
    pub settings: &'a Settings,
    /// Where checkpoints go; none are saved without it.
    pub checkpoints: Option<Checkpoints<'a>>,
    /// Start from the newest checkpoint.
    pub resume: bool,
    /// Set from outside to end after the running step, with a checkpoint.
    pub stop: &'a AtomicBool,
    /// End after so many steps in all, with a checkpoint and a measurement, if that is before the end of the run. The run that is resumed
    /// from there is that which never paused: unlike `max_steps` it is no setting, and the learning rate does not know of it.
    pub pause: Option<u64>,
    /// Who is told what happens.
    pub observer: &'a mut dyn Observer,
}

/// Trains, and leaves the best parameters in `run.params`.
///
/// # Errors
/// A loss or gradient that is not a number (before the optimizer step), parameters that get no gradient (on the first step of an epoch), a
/// checkpoint that cannot be written or does not belong to this run, a prefix cache that cannot be read. The parameters are then those of the last
/// step, or the mean of the best where that was being measured.
///
/// # Panics
/// If settings are out of their ranges ([`Settings::check`]), or the task does not have the metric that is to choose among validation rows.
pub fn train<B: Backend>(mut run: Run<'_, B>) -> Result<Outcome, TrainError> {
    run.settings.check();
    let has_metric = run.validation.is_none() || run.task.metrics().contains(&run.settings.metric);
    assert!(has_metric, "train: the task does not measure {}", run.settings.metric);
    let outcome = steps(&mut run);
    // All parameters may be read again, also by who goes on after an error.
    run.optimizer.settle(run.backend, run.params);
    run.thaw.release(run.params);
    outcome
}

/// The loop.
fn steps<B: Backend>(run: &mut Run<'_, B>) -> Result<Outcome, TrainError> {
    let Run { backend, train, task, anchor, thaw, settings, .. } = *run;
    let rows = train.rows();
    let (epoch_steps, total_steps) = settings.steps(rows);
    let schedule = settings.schedule(rows);
    let watch = Watch { log_every: settings.log_every, total_steps, warmup_steps: schedule.warmup_steps };
    let average = settings.ema.map(|decay| Ema::new(backend, run.params, run.pool, decay));
    let mut state = State { progress: Progress::default(), average, degenerate: None };
    let mut grads = gradients(run);
    let mut speed = Speed::default();
    let mut flight = Flight::new();
    let begin = Instant::now();

    run.observer.on(&started(settings, run.params, rows, total_steps));
    if let (true, Some(checkpoints)) = (run.resume, &mut run.checkpoints) {
        let average = state.average.as_mut();
        state.progress =
            resume::load(checkpoints, backend, epoch_steps, run.params, run.optimizer, average, run.observer)?;
    }
    let first_step = state.progress.step;
    let _awake = backend.awake();
    let (mut order, mut order_of, mut drawn) = (Vec::new(), None, None);
    let comparable = !settings.balanced;
    state.progress.sentinels.compare_with(task.constant_loss(&train.targets).filter(|_| comparable));

    let pause = run.pause.unwrap_or(u64::MAX);
    let end = loop {
        let step = state.progress.step;
        if step == total_steps || state.progress.finished {
            break End::Finished;
        }
        if step >= pause {
            break End::Paused { now: measure::at_pause(run, &mut state, epoch_steps)? };
        }
        let (epoch, index) = (step / epoch_steps, step % epoch_steps);
        if order_of != Some(epoch) {
            order = settings.order(&train.targets, epoch);
            order_of = Some(epoch);
            drop(drawn.take()); // The rows of the last epoch go before the new ones come.
            drawn = task.draw(train, settings.seed, epoch);
            assert!(
                drawn.is_none() || run.prefix.is_none(),
                "train: a prefix cache keeps rows, and these are drawn anew in each epoch"
            );
        }
        thaw.hold(run.params, epoch);
        let from = index as usize * settings.batch_size;
        let batch = &order[from..rows.min(from + settings.batch_size)];
        let clock = Instant::now();

        let Passes { losses, tokens } = accumulate(run, &mut grads, drawn.as_ref().unwrap_or(train), batch, step)?;
        say_complaints(run);
        if step == first_step || index == 0 {
            let missing = grads.uncovered(run.params);
            if !missing.is_empty() {
                return Err(TrainError::NoGradient { parameters: missing });
            }
        }
        let penalty = settings.penalty.apply(backend, run.params, &mut grads);
        let anchored = anchor.map(|anchor| anchor.apply(backend, run.params, &mut grads));
        let penalties = penalty.into_iter().chain(anchored).collect();

        let norm = clip::global_norm(backend, &grads);
        let clip_factor = clip::clip_factor(backend, &norm, settings.clip);
        let learning_rate = settings.learning_rate * schedule.factor(step);
        let (epoch, rows_of_step) = (epoch + 1, batch.len());
        let issued = Issued { epoch, before: step, losses, penalties, norm, learning_rate, rows: rows_of_step, tokens };
        flight.add(backend, issued)?;
        run.optimizer.step(backend, run.params, &grads, learning_rate, &clip_factor);
        if let Some(average) = &mut state.average {
            average.update(backend, run.params, run.pool, step);
        }

        state.progress.step += 1;
        let done = state.progress.step;
        let last = done == total_steps;
        let epoch_ends = done % epoch_steps == 0 || last;
        let due = settings.checkpoint_every.is_some_and(|every| done % every == 0);
        let pauses = !last && done >= pause;
        let stay = if epoch_ends || due || pauses || watch.says(done) { 0 } else { backend.lag() };
        let stopped = loop {
            let stopped = run.stop.load(Ordering::Relaxed) && !last;
            let Some(landed) = flight.land(backend, if stopped { 0 } else { stay })? else { break stopped };
            let seconds = clock.elapsed().as_secs_f64();
            let finding = watch.landed(landed, seconds, &mut state.progress, run.observer);
            state.degenerate = state.degenerate.or(finding);
        };
        speed.add(done - first_step, rows_of_step, tokens, clock.elapsed().as_secs_f64());

        if epoch_ends || due || stopped || pauses || degenerate(&state, settings).is_some() {
            // From here on all parameters are read: by the evaluation, the checkpoint, or whoever comes after the run.
            run.optimizer.settle(backend, run.params);
            thaw.release(run.params);
        }
        if epoch_ends {
            let validation = measure::after_epoch(run, &mut state, epoch, last)?;
            say_complaints(run);
            let (sum, steps) = std::mem::take(&mut state.progress.epoch_loss);
            state.progress.epochs.push(Epoch { train_loss: sum / steps as f64, validation });
        }
        if let Some(finding) = degenerate(&state, settings) {
            // Also if it was asked to stop, which is heard by what comes after: here nothing is left to be continued.
            break End::Degenerate { why: finding.message.clone() };
        }
        if let (true, Some(checkpoints)) = (epoch_ends || due || stopped || pauses, &mut run.checkpoints) {
            let State { progress, average, .. } = &state;
            resume::save(checkpoints, backend, run.params, run.optimizer, average.as_ref(), progress, run.observer)?;
        }
        if stopped {
            run.observer.on(&Event::Stopped { epoch, step: done });
            break End::Stopped;
        }
    };
    let kept = if end == End::Finished { measure::at_end(run, &mut state)? } else { measure::Kept::default() };

    say_complaints(run);
    let steps = state.progress.step;
    let (samples_per_second, tokens_per_second) = speed.per_second();
    let (epochs, seconds) = (steps.div_ceil(epoch_steps.max(1)), begin.elapsed().as_secs_f64());
    run.observer.on(&Event::Finished { epochs, steps, seconds, samples_per_second, tokens_per_second });
    Ok(Outcome {
        steps,
        best_epoch: kept.epoch.unwrap_or(epochs),
        validation: kept.report,
        samples_per_second,
        tokens_per_second,
        seconds: speed.all_seconds,
        end,
        averaged: kept.averaged,
        epochs: state.progress.epochs,
    })
}

/// Why caches keep no more rows, each once.
fn say_complaints<B: Backend>(run: &mut Run<'_, B>) {
    while let Some(complaint) = run.prefix.as_deref_mut().and_then(PrefixCaches::complaint) {
        run.observer.on(&Event::warning(complaint));
    }
}

/// The sign that the run gives one answer for all rows, if such a run is to be left.
fn degenerate<'a, B: Backend>(state: &'a State<B>, settings: &Settings) -> Option<&'a Finding> {
    state.degenerate.as_ref().filter(|_| settings.leave_degenerate)
}

/// Gradients for a run: of the rows of tables that a step reads alone, where that is faster and nothing else touches the others.
fn gradients<B: Backend>(run: &Run<'_, B>) -> Grads<B> {
    let Run { backend, settings, .. } = *run;
    // A penalty moves every row of a table in every step, an average reads it, and so may the model.
    let all_are_read = settings.ema.is_some() || run.model.reads_whole_tables();
    let all_are_moved = !settings.penalty.is_none() || run.anchor.is_some();
    // An optimizer that puts steps off must know that they were done.
    let is_known = backend.lag() == 0;
    if is_known && backend.prefers_rows() && run.optimizer.takes_rows() && !all_are_read && !all_are_moved {
        Grads::by_rows(backend, run.params)
    } else {
        Grads::new(backend, run.params)
    }
}

fn started<B: Backend>(settings: &Settings, params: &Params<B>, rows: usize, total_steps: u64) -> Event {
    let layout = params.layout();
    let trainable: usize = params.trainable_ids().map(|id| layout.entry(id).shape.len()).sum();
    Event::Started {
        rows: rows as u64,
        epochs: settings.epochs,
        total_steps,
        batch_size: settings.batch_size as u64,
        parameters: layout.parameter_count() as u64,
        trainable_parameters: trainable as u64,
    }
}
