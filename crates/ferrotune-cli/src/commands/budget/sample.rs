//! A few rows of a run, how much of what there is in all, and how long it takes with them. It must not know what is given up, or for what time.

use crate::args::{BaselinesName, TrainSettings};
use crate::audit;
use crate::commands::attempt::{self, Course, Ready, Rows};
use crate::commands::start::Start;
use crate::device::Machine;
use crate::exit::{Failure, io};
use crate::model::hidden_means::hidden_means;
use crate::results::baselines::{Baselines, class_names};
use crate::rows::data::Labelled;
use crate::rows::task;
use crate::run::folder::RunFolder;
use crate::settings::budget::{Amounts, Costs};
use crate::settings::{Resolved, resolve};
use ferrotune_data::{Part, Row, Source, Tokenizer, held_out_rows, shuffled, subset_rows};
use ferrotune_tensor::Cpu;
use ferrotune_train::baselines::ClassRows;
use ferrotune_train::events::Event;
use ferrotune_train::metrics::MetricName;
use ferrotune_train::model::Split;
use ferrotune_train::store::fingerprint::Fingerprint;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Steps of an epoch that are timed; the first one is not counted.
const STEPS: usize = 5;

/// Rows that the frozen encoder is timed with, for a baseline.
const ASKED: usize = 32;

/// Rows whose tokens are counted.
const LOOKED_AT: usize = 2000;

/// Rows to measure with, and how much there is in all.
pub(super) struct Sample<B: Machine> {
    labelled: Labelled<B>,
    /// Tokens of the rows.
    pub lengths: Vec<usize>,
    /// How much there is to do.
    pub amounts: Amounts,
}

impl<B: Machine> Sample<B> {
    /// Reads all rows, and prepares a few of them as a run prepares all.
    ///
    /// # Errors
    /// Those of a run: rows that cannot be read, a metric of another task.
    pub fn read(resolved: &Resolved, start: &Start) -> Result<Sample<B>, Failure> {
        let clock = Instant::now();
        let mut labelled = Labelled::<B>::read(&resolved.settings, &resolved.train)?;
        metric(&labelled, resolved)?;
        let all = labelled.table.rows.len();
        let count = |path: &Option<PathBuf>, part| match path {
            Some(path) => labelled.read_more(&Source::find(path, part)?).map(|table| table.rows.len()),
            None => Ok(0),
        };
        let (named, test) =
            (count(&resolved.settings.validation, Part::Validation)?, count(&resolved.settings.test, Part::Test)?);
        let held_out = resolved.held_out.map_or(0, |asked| held_out_rows(all, asked.share));
        let part = resolved.part.map_or(1.0, |part| part.share);
        let train = subset_rows(all - held_out, part);
        let read = clock.elapsed().as_secs_f64();

        let order = shuffled(all, resolved.numbers.seed, 0);
        let marked = |count: usize| {
            let mut marked = vec![false; all];
            order[..count.min(all)].iter().for_each(|&row| marked[row] = true);
            marked
        };
        let (timed, looked_at) = (marked(STEPS * resolved.numbers.batch_size), marked(LOOKED_AT));
        let is_timed: Vec<bool> = (0..all).filter(|&row| looked_at[row]).map(|row| timed[row]).collect();
        labelled.table = labelled.table.take_out(&looked_at);
        let texts = labelled.table.rows.len() as f64;
        let clock = Instant::now();
        audit::lines(&labelled.table, None, None, labelled.task.need())?;
        let split = encode(&labelled, resolved, start)?;
        let each = clock.elapsed().as_secs_f64() / texts;
        let preparing = each * (train + held_out + named + test) as f64;
        let measured = if test > 0 { test } else { named + held_out };
        let fits = measured > 0 && class_names(labelled.task.as_ref()).is_some();
        let asked = resolved.settings.baselines.filter(|&asked| fits && asked != BaselinesName::Off);
        let mut fitting = match asked {
            Some(_) => baselines(&labelled, &split)? / texts * train as f64,
            None => 0.0,
        };
        // Long texts may be several rows each.
        let rows_each = split.rows() as f64 / texts;
        let lengths: Vec<usize> = (0..split.rows()).map(|row| split.encoded.row(row).0.len()).collect();
        labelled.table = labelled.table.take_out(&is_timed);
        if asked == Some(BaselinesName::All) {
            fitting += asking(&labelled, resolved, start)? * (train + measured) as f64;
        }
        let of = |rows: usize| (rows as f64 * rows_each).round() as usize;
        let numbers = &resolved.numbers;
        let amounts = Amounts {
            epoch_steps: numbers.steps(of(train)).0,
            epochs: numbers.epochs,
            max_steps: numbers.max_steps,
            checkpoint_every: numbers.checkpoint_every,
            validation: of(held_out + named),
            test: of(test),
            reading: read + preparing + fitting,
            layers: start.config.num_hidden_layers,
            labels: labelled.task.labels().len(),
        };
        Ok(Sample { labelled, lengths, amounts })
    }

    /// Trains two epochs of the sample with these settings, as a run would, in a folder that is removed afterwards.
    ///
    /// # Errors
    /// Those of a run.
    pub fn measure(
        &self,
        backend: &B,
        settings: TrainSettings,
        start: &Start,
        stop: &AtomicBool,
    ) -> Result<Costs, Failure> {
        let mut resolved = resolve(settings, TrainSettings::default())?;
        let start = start.clone().fitted(&mut resolved)?;
        let split = encode(&self.labelled, &resolved, &start)?;
        let folder = folder_beside(&resolved.output)?;
        resolved.output = folder.path().join("run");
        resolved.numbers.metric = metric(&self.labelled, &resolved)?;
        let numbers = &mut resolved.numbers;
        (numbers.epochs, numbers.max_steps, numbers.patience, numbers.average_best) = (2, None, None, 1);
        (numbers.log_every, numbers.checkpoint_every, numbers.leave_degenerate) = (1, None, false);
        // The whole model moves in the last epochs, which is the most.
        resolved.gradual_unfreezing = None;
        resolved.settings.prefix_cache_dir = None;

        let clock = Instant::now();
        let task = self.labelled.task.as_ref();
        let loaded = attempt::load(backend, &resolved, &start, task)?;
        let ready = Ready::of(backend, &resolved, &start, loaded, split.rows())?;
        let load = clock.elapsed().as_secs_f64();
        let mut run = RunFolder::open(&resolved.output, false, true)?;
        let rows = Rows { train: &split, validation: Some(&split), objective: task, stay: true, warnings: &[] };
        let times = Mutex::new(Times::default());
        let listen = |event: &Event| times.lock().expect("nobody panics with it").on(event);
        let course =
            Course { fingerprint: &Fingerprint::default(), stop, resume: false, pause: None, listener: Some(&listen) };
        ready.train(&resolved, backend, &rows, &mut run, &course, None)?;
        drop(run);
        let times = times.into_inner().expect("nobody panics with it");
        // What was timed may be shorter or longer than the rows are on average.
        let mean = |lengths: &[usize]| {
            lengths.iter().map(|&length| length.min(resolved.max_length)).sum::<usize>() as f64 / lengths.len() as f64
        };
        let of_timed = split.encoded.tokens() as f64 / split.rows() as f64;
        Ok(times.costs(load, split.rows(), mean(&self.lengths) / of_timed))
    }
}

/// The metric that chooses the best epoch.
fn metric<B: Machine>(labelled: &Labelled<B>, resolved: &Resolved) -> Result<MetricName, Failure> {
    let task = labelled.task.as_ref();
    task::metric(task.name(), task.metrics(), resolved.settings.metric)
}

/// Seconds that baselines on words take for these rows; none where rows have no class each.
fn baselines<B: Machine>(labelled: &Labelled<B>, split: &Split) -> Result<f64, Failure> {
    let Some(names) = class_names(labelled.task.as_ref()) else { return Ok(0.0) };
    let clock = Instant::now();
    let targets = split.row_targets();
    let rows = || ClassRows::of(&labelled.table.rows, &targets);
    Baselines::of(&names, rows(), ("train", rows()), None)?;
    Ok(clock.elapsed().as_secs_f64())
}

/// Seconds in which the frozen encoder says what it makes of a row: as for the baseline on the processor, and without what is done once.
fn asking<B: Machine>(labelled: &Labelled<B>, resolved: &Resolved, start: &Start) -> Result<f64, Failure> {
    let (folder, rows) = (&start.model.folder, &labelled.table.rows);
    let rows = &rows[..rows.len().min(ASKED)];
    let tokenizer = Tokenizer::from_folder(folder, resolved.max_length)?;
    let time = |rows: &[Row]| {
        let encoded = tokenizer.encode(rows)?;
        let clock = Instant::now();
        hidden_means(&Cpu, folder, &tokenizer, &[&encoded])?;
        Ok::<_, Failure>(clock.elapsed().as_secs_f64())
    };
    // The first time reads the model from the disk and starts the threads.
    time(&rows[..1])?;
    let once = time(&rows[..1])?;
    Ok((time(rows)? - once).max(0.0) / (rows.len() - 1).max(1) as f64)
}

fn encode<B: Machine>(labelled: &Labelled<B>, resolved: &Resolved, start: &Start) -> Result<Split, Failure> {
    let tokenizer = Tokenizer::from_folder(&start.model.folder, resolved.max_length)?;
    let encoded = tokenizer.with_long_texts(resolved.long_texts.into()).encode(&labelled.table.rows)?;
    let targets = labelled.task.targets(&labelled.table, &encoded)?;
    Ok(Split::of_rows(encoded, targets))
}

/// A folder on the disk where the run will lie, gone when it is dropped.
fn folder_beside(output: &Path) -> Result<tempfile::TempDir, Failure> {
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error| io(format!("cannot make a folder to measure in, in {}", parent.display()))(error);
    std::fs::create_dir_all(parent).map_err(failed)?;
    tempfile::Builder::new().prefix(".ferrotune-budget-").tempdir_in(parent).map_err(failed)
}

/// What two epochs took.
#[derive(Default)]
struct Times {
    steps: [Vec<f64>; 2],
    evaluations: Vec<f64>,
    checkpoints: Vec<f64>,
}

impl Times {
    fn on(&mut self, event: &Event) {
        match event {
            Event::Step { epoch, seconds, .. } => self.steps[*epoch as usize - 1].push(*seconds),
            Event::Evaluated { seconds, .. } => self.evaluations.push(*seconds),
            Event::CheckpointSaved { seconds, .. } => self.checkpoints.push(*seconds),
            _ => {}
        }
    }

    /// Of rows that are on average `longer` times as long as those that were timed.
    fn costs(&self, load: f64, rows: usize, longer: f64) -> Costs {
        let mean = |seconds: &[f64]| seconds.iter().sum::<f64>() / seconds.len().max(1) as f64;
        let [first, later] = &self.steps;
        // The first step of all makes room in memory.
        let first = if first.len() > 1 { &first[1..] } else { first };
        let of_row = |n: usize| longer * self.evaluations.get(n).copied().unwrap_or_default() / rows as f64;
        Costs {
            load,
            first_step: longer * mean(first),
            later_step: longer * mean(later),
            first_row: of_row(0),
            later_row: of_row(1),
            checkpoint: mean(&self.checkpoints),
        }
    }
}
