//! `train --budget`: times a few steps of the run as it was said, and of cheaper ones, until the best that fits is known. It must not know how ways to
//! run are weighed.

use super::attempt::{Course, Ready, Rows};
use super::start::Start;
use crate::args::{RecipeName, TrainSettings};
use crate::audit;
use crate::budget::{
    Amounts, Budget, Costs, Depth, Open, PLANNED, Passes, Shape, Shown, Way, choose, depths, lengths, parse,
};
use crate::data::Labelled;
use crate::device::{Machine, Work};
use crate::exit::{Failure, STOPPED, io, usage};
use crate::model::head_kind;
use crate::recipes;
use crate::run_folder::{RunFolder, SETTINGS};
use crate::settings::{self, Resolved, merge, resolve};
use crate::voice::quietly;
use ferrotune_bert::pretrained::{self, Head};
use ferrotune_data::{Part, Source, Tokenizer, held_out_rows, shuffled};
use ferrotune_train::events::Event;
use ferrotune_train::fingerprint::Fingerprint;
use ferrotune_train::model::Split;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Steps of an epoch that are timed; the first one is not counted.
const STEPS: usize = 5;

/// Rows whose tokens are counted.
const LOOKED_AT: usize = 2000;

/// What a run with a budget begins with.
pub struct Asked<'a> {
    /// Flags over file.
    pub said: &'a mut TrainSettings,
    /// What a recipe sets where nothing was said.
    pub recipe: &'a TrainSettings,
    /// When the command began.
    pub begin: Instant,
    /// Set from outside to end.
    pub stop: &'a AtomicBool,
}

/// Chooses length, depth and epochs by measurement, and puts them among what was said. What was said already stays.
///
/// # Errors
/// A budget that is none, that nothing fits into, or that belongs to no single run; what a run would say of its rows and its model.
pub fn fit(asked: Asked<'_>, resume: bool, overwrite: bool) -> Result<Option<Budget>, Failure> {
    let Some(text) = asked.said.budget.take() else { return Ok(None) };
    let time = parse(&text)?;
    for (flag, is_said) in
        [("seeds", asked.said.seeds.is_some()), ("learning-curve", asked.said.learning_curve.is_some())]
    {
        if is_said {
            return Err(usage(format!(
                "--budget is the time of one run, and --{flag} makes several; leave one of them out"
            )));
        }
    }
    let mut as_said = resolve(asked.said.clone(), asked.recipe.clone())?;
    if resume {
        resumed(asked.said, asked.recipe, &as_said.output)?;
        return Ok(None);
    }
    RunFolder::check(&as_said.output, resume, overwrite)?;
    let start = quietly(|| Start::of(&mut as_said))?;
    let device = start.device.clone();
    let fitting = Fitting { asked, as_said, start, seconds: time.as_secs_f64() };
    device.run(fitting).map(Some)
}

/// What was chosen when the run began is what it goes on with: measured again it could be something else.
fn resumed(said: &mut TrainSettings, recipe: &TrainSettings, output: &Path) -> Result<(), Failure> {
    let path = output.join(SETTINGS);
    // A folder without a run is refused by whoever opens it.
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(()) };
    let before = settings::parse(&text, &path.display().to_string())?;
    let merged = merge(said.clone(), recipe.clone());
    let chosen = TrainSettings {
        epochs: before.epochs.filter(|_| said.epochs.is_none()),
        max_steps: before.max_steps.filter(|_| said.max_steps.is_none()),
        max_length: before.max_length.filter(|_| said.max_length.is_none()),
        freeze: before.freeze.filter(|_| merged.freeze.is_none()),
        lr: before.lr.filter(|_| said.lr.is_none()),
        ..TrainSettings::default()
    };
    *said = merge(said.clone(), chosen);
    eprintln!("budget     as it was chosen when the run began");
    Ok(())
}

/// A choice whose device and model are known.
struct Fitting<'a> {
    asked: Asked<'a>,
    as_said: Resolved,
    start: Start,
    seconds: f64,
}

impl Work for Fitting<'_> {
    type Output = Result<Budget, Failure>;

    fn on<B: Machine>(self, backend: B) -> Result<Budget, Failure> {
        fit_on(&backend, self)
    }
}

fn fit_on<B: Machine>(backend: &B, fitting: Fitting<'_>) -> Result<Budget, Failure> {
    let Fitting { asked, as_said, start, seconds } = fitting;
    let left = || seconds - asked.begin.elapsed().as_secs_f64();
    let sample = quietly(|| Sample::<B>::read(&as_said, &start))?;
    let with_recipe = merge(asked.said.clone(), asked.recipe.clone());
    let open = open(asked.said, &with_recipe, &sample, &as_said);
    let measure = |shape: Shape| {
        let mut settings = with_recipe.clone();
        put(&mut settings, asked.said, shape);
        let costs = quietly(|| sample.measure(backend, settings, &start, asked.stop)).map_err(unsaved)?;
        let of = match shape.depth {
            Depth::AsSaid if shape.max_length == as_said.max_length => " as said".to_string(),
            depth => format!(" with {}, {} tokens at most", moving(depth), shape.max_length),
        };
        let [first, later] = [costs.first_step, costs.later_step].map(milliseconds);
        eprintln!("budget     a step{of} takes {first} ms in the first epoch, {later} ms in later ones");
        Ok::<_, Failure>(costs)
    };
    let way = choose(&sample.amounts, &open, left, measure)?.map_err(|shortest| {
        let needed = Shown((shortest.seconds + asked.begin.elapsed().as_secs_f64()) / PLANNED);
        usage(format!(
            "--budget {} is too short: the shortest run that these settings leave open needs about {needed}; give it this time, fewer rows \
             (--train-share), or leave open what was said of --epochs, --max-length or --freeze",
            Shown(seconds)
        ))
    })?;
    let given_up = given_up(&way, &sample.amounts, &as_said, asked.said);
    put(asked.said, &asked.said.clone(), way.shape);
    match way.passes {
        Passes::Epochs(epochs) => asked.said.epochs = Some(epochs),
        Passes::Part(steps) => (asked.said.epochs, asked.said.max_steps) = (Some(1), Some(steps)),
    }
    let foreseen_seconds = way.seconds + asked.begin.elapsed().as_secs_f64();
    let all = if given_up.is_empty() { "nothing".to_string() } else { given_up.join("; ") };
    eprintln!("budget     {} of {}; given up: {all}", Shown(foreseen_seconds), Shown(seconds));
    Ok(Budget { seconds, foreseen_seconds, given_up, begin: asked.begin })
}

/// A stop while steps are timed leaves nothing that could be resumed.
fn unsaved(failure: Failure) -> Failure {
    match failure.code {
        STOPPED => {
            Failure { message: "stopped on request while steps were timed; nothing was saved".to_string(), code: 130 }
        }
        _ => failure,
    }
}

/// What nobody said may be given up.
fn open<B: Machine>(said: &TrainSettings, with_recipe: &TrainSettings, sample: &Sample<B>, as_said: &Resolved) -> Open {
    let s = with_recipe;
    let by_layer =
        s.lora_rank.is_some() || s.gradual_unfreezing.is_some() || s.reinit_layers.is_some() || as_said.bitfit;
    let depths = match s.freeze.is_some() || by_layer {
        true => vec![Depth::AsSaid],
        false => depths(sample.amounts.layers),
    };
    let lengths = match said.max_length {
        Some(_) => lengths(&[], as_said.max_length),
        None => lengths(&sample.lengths, as_said.max_length),
    };
    Open { depths, lengths, epochs: said.epochs.is_none() && said.max_steps.is_none() }
}

/// The rate that few moving layers want, where none was said: that of the recipe which moves as few.
fn rate(depth: Depth) -> Option<f64> {
    match depth {
        Depth::AsSaid => None,
        Depth::Top(_) => recipes::settings(RecipeName::Article).lr,
        Depth::Head => recipes::settings(RecipeName::HeadOnly).lr,
    }
}

/// The settings of a shape; `said` is what a person said of them.
fn put(settings: &mut TrainSettings, said: &TrainSettings, shape: Shape) {
    settings.max_length = Some(shape.max_length);
    settings.freeze = match shape.depth {
        Depth::AsSaid => return,
        Depth::Top(top) => Some(format!("all-but.{top}")),
        Depth::Head => Some("encoder".to_string()),
    };
    settings.lr = said.lr.or(rate(shape.depth));
}

fn milliseconds(seconds: f64) -> String {
    let shown = 1000.0 * seconds;
    if shown < 10.0 { format!("{shown:.2}") } else { format!("{shown:.0}") }
}

fn moving(depth: Depth) -> String {
    match depth {
        Depth::AsSaid => "what was said".to_string(),
        Depth::Top(1) => "one layer and the head moving".to_string(),
        Depth::Top(top) => format!("{top} layers and the head moving"),
        Depth::Head => "the head alone moving".to_string(),
    }
}

/// What a way gives up, a phrase each.
fn given_up(way: &Way, amounts: &Amounts, as_said: &Resolved, said: &TrainSettings) -> Vec<String> {
    let mut given_up = Vec::new();
    match way.passes {
        Passes::Epochs(epochs) if epochs == amounts.epochs => {}
        Passes::Epochs(epochs) => {
            given_up.push(format!("{} of {} epochs (--epochs)", amounts.epochs - epochs, amounts.epochs))
        }
        Passes::Part(steps) => given_up.push(format!(
            "all epochs but {:.0} % of one ({steps} steps, --max-steps)",
            100.0 * steps as f64 / amounts.epoch_steps as f64
        )),
    }
    if way.shape.depth != Depth::AsSaid {
        let rate = rate(way.shape.depth).filter(|_| said.lr.is_none());
        let rate = rate.map(|rate| format!(", at a rate of {rate:e}")).unwrap_or_default();
        given_up.push(format!("depth: {} of {} layers{rate} (--freeze)", moving(way.shape.depth), amounts.layers));
    }
    if way.shape.max_length != as_said.max_length {
        given_up.push(format!(
            "length: rows end after {} tokens instead of {}, {:.1} % of all tokens (--max-length)",
            way.shape.max_length,
            as_said.max_length,
            100.0 * (1.0 - way.kept)
        ));
    }
    given_up
}

/// Rows to measure with, and how much there is in all.
struct Sample<B: Machine> {
    labelled: Labelled<B>,
    /// Tokens of the rows.
    lengths: Vec<usize>,
    amounts: Amounts,
}

impl<B: Machine> Sample<B> {
    fn read(resolved: &Resolved, start: &Start) -> Result<Sample<B>, Failure> {
        let clock = Instant::now();
        let mut labelled = Labelled::<B>::read(&resolved.settings, &resolved.train)?;
        let all = labelled.table.rows.len();
        let count = |path: &Option<PathBuf>, part| match path {
            Some(path) => labelled.read_more(&Source::find(path, part)?).map(|table| table.rows.len()),
            None => Ok(0),
        };
        let (named, test) =
            (count(&resolved.settings.validation, Part::Validation)?, count(&resolved.settings.test, Part::Test)?);
        let held_out = resolved.held_out.map_or(0, |asked| held_out_rows(all, asked.share));
        let part = resolved.part.map_or(1.0, |part| part.share);
        let train = ((all - held_out) as f64 * part).ceil() as usize;
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
        // Long texts may be several rows each.
        let rows_each = split.rows() as f64 / texts;
        let lengths: Vec<usize> = (0..split.rows()).map(|row| split.encoded.row(row).0.len()).collect();
        labelled.table = labelled.table.take_out(&is_timed);
        let of = |rows: usize| (rows as f64 * rows_each).round() as usize;
        let numbers = &resolved.numbers;
        let amounts = Amounts {
            epoch_steps: numbers.steps(of(train)).0,
            epochs: numbers.epochs,
            max_steps: numbers.max_steps,
            checkpoint_every: numbers.checkpoint_every,
            validation: of(held_out + named),
            test: of(test),
            reading: read + preparing,
            layers: start.config.num_hidden_layers,
            labels: labelled.task.labels().len(),
        };
        Ok(Sample { labelled, lengths, amounts })
    }

    /// Trains two epochs of the sample with these settings, as a run would, in a folder that is removed afterwards.
    fn measure(
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
        let numbers = &mut resolved.numbers;
        (numbers.epochs, numbers.max_steps, numbers.patience, numbers.average_best) = (2, None, None, 1);
        (numbers.log_every, numbers.checkpoint_every, numbers.leave_degenerate) = (1, None, false);
        // The whole model moves in the last epochs, which is the most.
        resolved.gradual_unfreezing = None;
        resolved.settings.prefix_cache_dir = None;

        let clock = Instant::now();
        let task = self.labelled.task.as_ref();
        let head = Head::For { labels: task.labels(), kind: head_kind(task.unit()), seed: resolved.numbers.seed };
        let loaded = pretrained::load_with_adapters(backend, &start.model.folder, head, resolved.lora.as_ref())?;
        let ready = Ready::of(backend, &resolved, &start, loaded)?;
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
