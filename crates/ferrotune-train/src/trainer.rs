//! The training loop: accumulate, clip, step, log, evaluate, keep the best, stop. It reads from top to bottom and must not know
//! which model, task, optimizer or loss curve it runs.

use crate::advice::{Epoch, Measured};
use crate::error::TrainError;
use crate::evaluate::{LIMIT, evaluate};
use crate::events::{Event, Observer};
use crate::flight::{Flight, Issued, Landed};
use crate::kept::{self, Best};
use crate::metrics::{MetricName, Report};
use crate::model::{Classifier, Mode, Split};
use crate::passes::{Pass, PassLimit, passes};
use crate::prefix::{PrefixCaches, Start};
use crate::resume::{self, Checkpoints, Progress};
use crate::sentinels::{self, Finding};
use crate::tasks::{Objective, Targets};
use crate::thaw::Thaw;
use ferrotune_data::{Batch, balanced, shuffled};
use ferrotune_optim::schedule::{Kind, Schedule, warmup_steps};
use ferrotune_optim::{Anchor, Ema, Optimizer, Penalty, clip};
use ferrotune_tensor::{Backend, Grads, Params, Pool, Tape};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The numbers of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Rows of an optimizer step.
    pub batch_size: usize,
    /// How large a forward pass may be; gradients of several passes add up to a step.
    pub pass_limit: PassLimit,
    /// Passes over the training rows.
    pub epochs: u64,
    /// Ends the run earlier, after this many optimizer steps in all.
    pub max_steps: Option<u64>,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Shape of the learning rate after warm-up.
    pub schedule: Kind,
    /// Warm-up, as a share of all steps.
    pub warmup: f64,
    /// Largest global norm of the gradient; 0 means no clipping.
    pub clip: f64,
    /// L1 and L2 terms of the loss.
    pub penalty: Penalty,
    /// Decay of the moving average of the weights. If there is one, evaluations, the best weights and those of the end are averages; the
    /// steps go on from the weights themselves.
    pub ema: Option<f64>,
    /// Each epoch draws every class equally often.
    pub balanced: bool,
    /// Determines order and dropout.
    pub seed: u64,
    /// The metric on validation that chooses the best epoch.
    pub metric: MetricName,
    /// The weights of so many best evaluations are kept. Of more than one the mean is taken at the end, and kept if it is no worse than the best.
    pub average_best: usize,
    /// A run that turns out to give, or to have learned, one answer for all rows is left: [`Outcome::degenerate`].
    pub leave_degenerate: bool,
    /// Stop after this many evaluations without improvement.
    pub patience: Option<u64>,
    /// Report every so many steps.
    pub log_every: u64,
    /// Save a checkpoint every so many steps, besides the one after each epoch.
    pub checkpoint_every: Option<u64>,
}

impl Settings {
    /// Optimizer steps of one epoch, and of the run.
    pub fn steps(&self, rows: usize) -> (u64, u64) {
        let epoch = rows.div_ceil(self.batch_size) as u64;
        (epoch, (epoch * self.epochs).min(self.max_steps.unwrap_or(u64::MAX)))
    }

    /// How large a forward pass of evaluation is: as usual, and where steps are cut into passes no larger than one of these.
    pub fn evaluation_limit(&self) -> PassLimit {
        let rows = if self.pass_limit.rows < self.batch_size { self.pass_limit.rows } else { usize::MAX };
        PassLimit {
            rows: rows.min(LIMIT.rows),
            tokens: [self.pass_limit.tokens, LIMIT.tokens].into_iter().flatten().min(),
        }
    }

    /// The rows of an epoch in their order.
    ///
    /// # Panics
    /// If classes are to be balanced and the rows have none.
    pub fn order(&self, targets: &Targets, epoch: u64) -> Vec<usize> {
        if self.balanced {
            let classes = targets.class_ids().expect("balanced sampling needs one class a row");
            return balanced(classes, self.seed, epoch);
        }
        shuffled(targets.rows(), self.seed, epoch)
    }

    /// The learning-rate schedule of a run over this many rows.
    pub fn schedule(&self, rows: usize) -> Schedule {
        let total_steps = self.steps(rows).1;
        Schedule { kind: self.schedule, warmup_steps: warmup_steps(self.warmup, total_steps), total_steps }
    }
}

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

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Optimizer steps done, those before a resume included.
    pub steps: u64,
    /// The epoch whose weights were kept, counted from 1.
    pub best_epoch: u64,
    /// The report of that epoch on validation.
    pub validation: Option<Report>,
    /// Rows a second in training steps alone, after the first three; none if there were no more.
    pub samples_per_second: Option<f64>,
    /// Tokens a second, likewise.
    pub tokens_per_second: Option<f64>,
    /// Seconds in training steps.
    pub seconds: f64,
    /// True if the run was asked to stop before its end.
    pub stopped: bool,
    /// True if it paused, as it was told to. The weights are those of its last step.
    pub paused: bool,
    /// What the validation rows gave where it paused; of a moving average, if the run has one.
    pub now: Option<Measured>,
    /// The epochs whose mean the weights are; empty if they are those of one epoch.
    pub averaged: Vec<u64>,
    /// The epochs of the run.
    pub epochs: Vec<Epoch>,
    /// Why the run was left before its end, if that was asked for. The weights are those of its last step.
    pub degenerate: Option<String>,
}

/// Steps that do not count for the speed: memory is being allocated and caches are cold.
const WARM_UP_STEPS: u64 = 3;

/// Trains, and leaves the best parameters in `run.params`.
///
/// # Errors
/// A loss or gradient that is not a number (before the optimizer step), parameters that get no gradient (on the first step of an epoch), a
/// checkpoint that cannot be written or does not belong to this run, a prefix cache that cannot be read or written.
pub fn train<B: Backend>(run: Run<'_, B>) -> Result<Outcome, TrainError> {
    let Run { backend, model, params, optimizer, pool, train, validation, task, anchor, thaw, settings, .. } = run;
    let (mut checkpoints, observer) = (run.checkpoints, run.observer);
    let mut prefix = run.prefix;
    let rows = train.rows();
    let (epoch_steps, total_steps) = settings.steps(rows);
    let schedule = settings.schedule(rows);
    let mut average = settings.ema.map(|decay| Ema::new(backend, params, pool, decay));
    // A penalty moves every row of a table in every step, an average reads it, and so may the model.
    let only_rows_are_read = backend.prefers_rows() && average.is_none() && !model.reads_whole_tables();
    let by_rows = optimizer.takes_rows() && settings.penalty.is_none() && anchor.is_none() && only_rows_are_read;
    let mut grads = if by_rows { Grads::by_rows(backend, params) } else { Grads::new(backend, params) };
    let mut progress = Progress::default();
    let mut speed = Speed::default();
    let mut stopped = false;
    let begin = Instant::now();

    observer.on(&started(settings, params, rows, total_steps));
    if let (true, Some(checkpoints)) = (run.resume, &mut checkpoints) {
        progress = resume::load(checkpoints, backend, epoch_steps, params, optimizer, average.as_mut(), observer)?;
    }
    let first_step = progress.step;
    let _awake = backend.awake();
    let mut order = Vec::new();
    let mut order_of = None;
    let mut drawn: Option<Split> = None;
    let comparable = !settings.balanced;
    progress.sentinels.compare_with(task.constant_loss(&train.targets).filter(|_| comparable));
    let mut degenerate = None;
    let mut flight = Flight::new();

    let leaves = |degenerate: &Option<Finding>| degenerate.is_some() && settings.leave_degenerate;
    let is_before_pause = |step: u64| run.pause.is_none_or(|pause| step < pause);
    while progress.step < total_steps && !progress.finished && is_before_pause(progress.step) {
        let step = progress.step;
        let (epoch, index) = (step / epoch_steps, step % epoch_steps);
        if order_of != Some(epoch) {
            order = settings.order(&train.targets, epoch);
            order_of = Some(epoch);
            drop(drawn.take()); // The rows of the last epoch go before the new ones come.
            drawn = task.draw(train, settings.seed, epoch);
            assert!(
                drawn.is_none() || prefix.is_none(),
                "train: a prefix cache keeps rows, and these are drawn anew in each epoch"
            );
        }
        let train = drawn.as_ref().unwrap_or(train);
        thaw.hold(params, epoch);
        let from = index as usize * settings.batch_size;
        let batch_rows = &order[from..rows.min(from + settings.batch_size)];
        let clock = Instant::now();

        grads.clear();
        let (mut losses, mut tokens) = (Vec::new(), 0);
        let scale = (1.0 / task.weight(&train.targets, batch_rows)) as f32;
        for pass in passes(batch_rows, settings.pass_limit, |row| train.encoded.row(row).0.len()) {
            let batch = Batch::gather(&train.encoded, pass.rows);
            if by_rows {
                optimizer.prepare(backend, params, &model.reads(&batch));
            }
            let Pass { first_token, first_row, .. } = pass;
            let mode = Mode::Training { seed: settings.seed, step, first_token, first_row };
            let cache = prefix.as_deref_mut().map(|caches| &mut caches.train);
            let start = Start::of(cache, backend, model, params, pool, &train.encoded, pass.rows)?;
            let mut tape = Tape::new(backend, params, pool);
            let logits = start.logits(&mut tape, model, &batch, mode);
            let mean = task.loss(&mut tape, logits, &train.targets, pass.rows, scale);
            losses.push(tape.scalar(mean));
            tape.backward(mean, 1.0, &mut grads);
            tokens += pass.tokens;
        }
        if step == first_step || index == 0 {
            let missing = grads.uncovered(params);
            if !missing.is_empty() {
                return Err(TrainError::NoGradient { parameters: missing });
            }
        }
        let mut penalties: Vec<B::Scalar> = settings.penalty.apply(backend, params, &mut grads).into_iter().collect();
        penalties.extend(anchor.map(|anchor| anchor.apply(backend, params, &mut grads)));
        let norm = clip::global_norm(backend, &grads);
        let clip_factor = clip::clip_factor(backend, &norm, settings.clip);
        let learning_rate = settings.learning_rate * schedule.factor(step);
        let (epoch, rows_of_step) = (epoch + 1, batch_rows.len());
        let issued = Issued { epoch, before: step, losses, penalties, norm, learning_rate, rows: rows_of_step, tokens };
        flight.add(backend, issued)?;
        optimizer.step(backend, params, &grads, learning_rate, &clip_factor);
        if let Some(average) = &mut average {
            average.update(backend, params, pool, step);
        }

        progress.step += 1;
        let done = progress.step;
        let last = done == total_steps;
        let is_logged = |step: u64| step.is_multiple_of(settings.log_every) || step == total_steps;
        let due = settings.checkpoint_every.is_some_and(|every| done % every == 0);
        let epoch_ends = done % epoch_steps == 0 || last;
        let pauses = !last && !is_before_pause(done);
        let mut stay = if epoch_ends || due || pauses || is_logged(done) { 0 } else { backend.lag() };
        loop {
            stopped = run.stop.load(Ordering::Relaxed) && !last;
            stay = if stopped { 0 } else { stay };
            let Some(landed) = flight.land(backend, stay)? else { break };
            let Landed { epoch, step, plain_loss, loss, norm, learning_rate, rows, tokens } = landed;
            progress.epoch_loss = (progress.epoch_loss.0 + plain_loss, progress.epoch_loss.1 + 1);
            let seconds = clock.elapsed().as_secs_f64();
            if is_logged(step) {
                let (rows, tokens) = (rows as u64, tokens as u64);
                let numbers = Event::Step {
                    epoch,
                    step,
                    total_steps,
                    loss,
                    learning_rate,
                    gradient_norm: norm,
                    rows,
                    tokens,
                    seconds,
                };
                observer.on(&numbers);
            }
            let warmup_steps = schedule.warmup_steps;
            let now = sentinels::Step { step, total_steps, warmup_steps, loss: plain_loss, norm, learning_rate };
            for finding in progress.sentinels.step(now) {
                observer.on(&Event::warning(finding.message.as_str()));
                degenerate = degenerate.or(Some(finding).filter(|finding| finding.degenerate));
            }
        }
        speed.add(progress.step - first_step, rows_of_step, tokens, clock.elapsed().as_secs_f64());

        if epoch_ends || due || stopped || pauses || leaves(&degenerate) {
            // From here on all parameters are read: by the evaluation, the checkpoint, or whoever comes after the run.
            optimizer.settle(backend, params);
            thaw.release(params);
        }
        let mut measured = None;
        if let (true, Some(split)) = (epoch_ends, validation) {
            let clock = Instant::now();
            let cache = prefix.as_deref_mut().and_then(|caches| caches.validation.as_mut());
            average.iter_mut().for_each(|average| average.exchange(backend, params));
            let report = evaluate(backend, model, params, pool, split, task, cache, settings.evaluation_limit())?;
            let seconds = clock.elapsed().as_secs_f64();
            let summary = report.summary();
            observer.on(&Event::Evaluated { split: "validation".into(), epoch, step: done, summary, seconds });
            if let Some(finding) = progress.sentinels.evaluated(&report, last) {
                observer.on(&Event::warning(finding.message.as_str()));
                degenerate = degenerate.or(Some(finding));
            }
            let value = report.summary().value(settings.metric);
            measured = Some(Measured { loss: report.loss(), value });
            let place = kept::place(&progress.best, settings.metric, value);
            if place == 0 {
                observer.on(&Event::NewBest { epoch, step: done, metric: settings.metric, value });
                progress.evaluations_without_improvement = 0;
            } else {
                progress.evaluations_without_improvement += 1;
            }
            if place < settings.average_best {
                progress.best.truncate(settings.average_best - 1); // The old weights go before the new ones come.
                let weights = resume::download(backend, params);
                progress.best.insert(place, Best { epoch, step: done, value, report, weights });
            }
            average.iter_mut().for_each(|average| average.exchange(backend, params));
            if settings.patience.is_some_and(|patience| progress.evaluations_without_improvement >= patience) {
                let evaluations = progress.evaluations_without_improvement;
                observer.on(&Event::EarlyStopped { epoch, step: done, metric: settings.metric, evaluations });
                progress.finished = true;
            }
        }

        if epoch_ends {
            let (sum, steps) = std::mem::take(&mut progress.epoch_loss);
            progress.epochs.push(Epoch { train_loss: sum / steps as f64, validation: measured });
        }
        if leaves(&degenerate) {
            stopped = false; // Who asked to stop is heard by what comes after: here nothing is left to be continued.
            break;
        }
        if let (true, Some(checkpoints)) = (epoch_ends || due || stopped || pauses, &mut checkpoints) {
            resume::save(checkpoints, backend, params, optimizer, average.as_ref(), &progress, observer)?;
        }
        if stopped {
            observer.on(&Event::Stopped { epoch, step: done });
            break;
        }
    }

    let steps = progress.step;
    let left = leaves(&degenerate);
    let paused = steps < total_steps && !progress.finished && !is_before_pause(steps) && !stopped && !left;
    let mut now = None;
    if let (true, Some(split)) = (paused, validation) {
        // After an epoch it was measured.
        now = progress.epochs.last().filter(|_| steps % epoch_steps == 0).and_then(|epoch| epoch.validation);
        if now.is_none() {
            let cache = prefix.as_deref_mut().and_then(|caches| caches.validation.as_mut());
            average.iter_mut().for_each(|average| average.exchange(backend, params));
            let report = evaluate(backend, model, params, pool, split, task, cache, settings.evaluation_limit())?;
            average.iter_mut().for_each(|average| average.exchange(backend, params));
            now = Some(Measured { loss: report.loss(), value: report.summary().value(settings.metric) });
        }
    }
    let mut best_epoch = steps.div_ceil(epoch_steps.max(1));
    let (mut report, mut averaged) = (None, Vec::new());
    let degenerate = degenerate.filter(|_| settings.leave_degenerate).map(|finding| finding.message);
    let ended = !stopped && !paused && degenerate.is_none();
    if let (true, Some(average), true) = (progress.best.is_empty(), &mut average, ended) {
        average.exchange(backend, params);
    }
    if let (Some(best), true) = (progress.best.first(), ended) {
        best_epoch = best.epoch;
        let epochs = || progress.best.iter().map(|best| best.epoch).collect();
        if let (Some(split), true) = (validation, progress.best.len() > 1) {
            resume::upload(backend, params, &kept::mean(&progress.best));
            let cache = prefix.and_then(|caches| caches.validation.as_mut());
            let of_mean = evaluate(backend, model, params, pool, split, task, cache, settings.evaluation_limit())?;
            let (metric, value) = (settings.metric, of_mean.summary().value(settings.metric));
            let is_kept = !metric.better(best.value, value) && !value.is_nan();
            observer.on(&Event::Averaged { epochs: epochs(), metric, value, best: best.value, kept: is_kept });
            if is_kept {
                (report, averaged) = (Some(of_mean), epochs());
            }
        }
        if averaged.is_empty() {
            // The current weights are other ones after later steps, with an average beside them, and after a mean that was not kept.
            if best.step != steps || average.is_some() || progress.best.len() > 1 {
                resume::upload(backend, params, &best.weights);
            }
            if best.step != steps {
                let (epoch, step, metric, value) = (best.epoch, best.step, settings.metric, best.value);
                observer.on(&Event::Restored { epoch, step, metric, value });
            }
            report = Some(best.report.clone());
        }
    }
    let (samples_per_second, tokens_per_second) = speed.per_second();
    let seconds = begin.elapsed().as_secs_f64();
    let epochs = steps.div_ceil(epoch_steps.max(1));
    observer.on(&Event::Finished { epochs, steps, seconds, samples_per_second, tokens_per_second });
    Ok(Outcome {
        steps,
        best_epoch,
        validation: report,
        samples_per_second,
        tokens_per_second,
        seconds: speed.all_seconds,
        stopped,
        paused,
        now,
        averaged,
        epochs: progress.epochs,
        degenerate,
    })
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

/// Rows, tokens and seconds of the steps that count for the speed.
#[derive(Default)]
struct Speed {
    rows: usize,
    tokens: usize,
    seconds: f64,
    all_seconds: f64,
}

impl Speed {
    fn add(&mut self, nth: u64, rows: usize, tokens: usize, seconds: f64) {
        self.all_seconds += seconds;
        if nth > WARM_UP_STEPS {
            self.rows += rows;
            self.tokens += tokens;
            self.seconds += seconds;
        }
    }

    /// Rows and tokens; none for runs too short to be measured.
    fn per_second(&self) -> (Option<f64>, Option<f64>) {
        let rate = |count: usize| (self.seconds > 0.0).then(|| count as f64 / self.seconds);
        (rate(self.rows), rate(self.tokens))
    }
}
