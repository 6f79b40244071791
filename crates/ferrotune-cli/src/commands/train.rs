//! `ferrotune train`: from settings and labelled rows to a trained model, with everything that was decided said on the way. What becomes of the
//! model is `ending.rs`.

use super::attempt::{self, Course, Ready, Rows};
use super::budget::{self, Asked};
use super::ending::{Finished, Trained};
use super::start::Start;
use super::{learning_curve, seeds};
use crate::args::{TrainArgs, TrainSettings};
use crate::device::threads::use_threads;
use crate::device::{Machine, Work};
use crate::exit::{Failure, usage};
use crate::rows::data::Data;
use crate::rows::{inputs, task};
use crate::run::fingerprint;
use crate::run::folder::{MANIFEST, RESTARTS, RESULTS, RunFolder, SETTINGS, has_checkpoints, restarts_of};
use crate::run::sums::Sums;
use crate::settings::recipes::Recipe;
use crate::settings::{DEFAULT_FILE, Resolved, parse, resolve, said};
use ferrotune_tensor::Backend;
use ferrotune_train::store::fingerprint::{Fingerprint, compare};
use ferrotune_train::trainer::End;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Runs the command.
pub fn run(args: TrainArgs) -> Result<(), Failure> {
    let begin = Instant::now();
    let config = match args.config {
        Some(named) => Some(named),
        None => settings_of_run(&args.settings, args.earlier.resume)?,
    };
    let mut said = said(args.settings, config.as_deref())?;
    inputs::choose(&mut said);
    let recipe = Recipe::of(&said)?;
    let of_recipe = recipe.as_ref().map(|recipe| recipe.settings.clone()).unwrap_or_default();
    use_threads(resolve(said.clone(), of_recipe.clone())?.settings.threads)?;
    let stop = stop_on_signal();
    let (resume, overwrite) = (args.earlier.resume, args.earlier.overwrite);
    let asked = Asked { said: &mut said, recipe: &of_recipe, begin, stop: &stop };
    let budget = budget::fit(asked, resume, overwrite)?;
    let mut resolved = resolve(said, of_recipe)?;
    resolved.budget = budget;
    for line in recipe.iter().flat_map(|recipe| recipe.lines(&resolved.settings)) {
        eprintln!("recipe     {line}");
    }
    match (resolved.settings.seeds, &resolved.settings.learning_curve) {
        (Some(count), _) => seeds::run(&resolved, count, resume, overwrite, &stop),
        (None, Some(shares)) => learning_curve::run(&resolved, shares, resume, overwrite, &stop),
        (None, None) => one(resolved, resume, overwrite, &stop).map(drop),
    }
}

/// The settings that a run wrote, where it is to go on and nothing but its folder is named.
///
/// # Errors
/// There are none, as in a folder of `--seeds`, and none lie here either.
fn settings_of_run(typed: &TrainSettings, resume: bool) -> Result<Option<PathBuf>, Failure> {
    let alone = resume && typed.model.is_none() && typed.train.is_none();
    let Some(output) = typed.output.as_ref().filter(|_| alone) else { return Ok(None) };
    let written = output.join(SETTINGS);
    if written.is_file() {
        eprintln!("settings   {}", written.display());
        return Ok(Some(written));
    }
    match Path::new(DEFAULT_FILE).exists() {
        true => Ok(None),
        false => Err(usage(format!(
            "--resume: {} has no {SETTINGS} of a run to go on with: say the whole command again (of --seeds and --learning-curve too)",
            output.display()
        ))),
    }
}

/// One run, from its rows to its model.
pub(super) fn one(
    mut resolved: Resolved,
    resume: bool,
    overwrite: bool,
    stop: &AtomicBool,
) -> Result<Finished, Failure> {
    let start = Start::of(&mut resolved)?;
    if resume && nothing_was_saved(&resolved.output) {
        check_same_settings(&resolved)?;
    }
    let (resume, overwrite) = resumed_or_begun_again(&resolved.output, resume, overwrite);
    let device = start.device.clone();
    device.run(One { resolved, start, resume, overwrite, stop, begin: &|| Ok(()) })
}

/// A run that begins again is the one that began there.
///
/// # Errors
/// Other settings than those that are written there.
fn check_same_settings(now: &Resolved) -> Result<(), Failure> {
    let path = now.output.join(SETTINGS);
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(()) };
    let before = Resolved { settings: parse(&text, &path.display().to_string())?, ..now.clone() };
    // These follow the rows, which are not read yet.
    let by_rows = ["task", "metric"];
    let of = |run: &Resolved| fingerprint::with_settings(&Fingerprint::default(), run, &by_rows);
    compare(&of(&before), &of(now))?;
    Ok(())
}

/// `--resume` and `--overwrite` as they are meant for a run in this folder: one that has nothing to go on from begins again, and says so.
pub(super) fn resumed_or_begun_again(folder: &Path, resume: bool, overwrite: bool) -> (bool, bool) {
    if !resume || !nothing_was_saved(folder) {
        return (resume, overwrite);
    }
    eprintln!("resume     the run there was ended before its first checkpoint: it begins again");
    (false, true)
}

/// Whether a run began in this folder, and left nothing that is worth more than a step.
fn nothing_was_saved(folder: &Path) -> bool {
    restarts_of(folder) == Some(0)
        && !has_checkpoints(folder)
        && [RESULTS, MANIFEST].iter().all(|name| !folder.join(name).exists())
}

/// One run of a series in its own folder. With `resume` it goes on from its newest checkpoint; what an interrupted series left without a checkpoint has
/// nothing to go on from, and begins again. `begin` is called when rows and model are read and nothing is written yet.
pub(super) fn one_of_series(
    mut resolved: Resolved,
    resume: bool,
    overwrite: bool,
    stop: &AtomicBool,
    begin: &dyn Fn() -> Result<(), Failure>,
) -> Result<Finished, Failure> {
    let goes_on = resume && has_checkpoints(&resolved.output);
    let start = Start::of(&mut resolved)?;
    let device = start.device.clone();
    device.run(One { resolved, start, resume: goes_on, overwrite: overwrite || resume && !goes_on, stop, begin })
}

/// A run whose device and model are known.
struct One<'a> {
    resolved: Resolved,
    start: Start,
    resume: bool,
    overwrite: bool,
    stop: &'a AtomicBool,
    /// What a series does before its first run writes.
    begin: &'a dyn Fn() -> Result<(), Failure>,
}

impl Work for One<'_> {
    type Output = Result<Finished, Failure>;

    fn on<B: Machine>(self, backend: B) -> Result<Finished, Failure> {
        run_on(&backend, self)
    }
}

fn run_on<B: Machine>(backend: &B, one: One<'_>) -> Result<Finished, Failure> {
    let One { mut resolved, start, resume, overwrite, stop, begin } = one;
    let model_folder = &start.model.folder;
    let data = Data::read(&resolved, model_folder, &start.config)?;
    resolved.numbers.metric = task::metric(data.task.name(), data.task.metrics(), resolved.settings.metric)?;
    resolved.settings.task = Some(data.task_name);
    resolved.settings.metric = data.validation.is_some().then_some(resolved.numbers.metric);
    check_restarts(&resolved, &data)?;
    let sums = Sums::of(&resolved, model_folder)?;
    let fingerprint = fingerprint::of(&resolved, &sums, &backend.processor());

    let ready = |resolved: &Resolved, data: &Data<B>| {
        let loaded = attempt::load(backend, resolved, &start, data.task.as_ref())?;
        Ready::of(backend, resolved, &start, loaded, data.train.rows())
    };
    let seed = resolved.numbers.seed;
    let restarts = if resume { restarts_of(&resolved.output).unwrap_or(0) } else { 0 };
    resolved.numbers.seed = seed.wrapping_add(restarts);
    let mut next = ready(&resolved, &data)?;
    RunFolder::check(&resolved.output, resume, overwrite)?;
    begin()?;
    let mut folder = RunFolder::open(&resolved.output, resume, overwrite)?;
    // A resume that is refused leaves the settings as they were; one that comes to its end writes those that may differ.
    if !resume {
        budget::keep(resolved.budget.as_ref(), &folder)?;
        folder.write_settings(&resolved.settings)?;
    }
    let rows = Rows {
        train: &data.train,
        validation: data.validation.as_ref(),
        objective: data.task.as_ref(),
        stay: true,
        warnings: &data.audit,
    };
    // A run that began again may have no checkpoint yet.
    let resumed = resume;
    let mut resume = resume && (restarts == 0 || has_checkpoints(&resolved.output));
    let (loaded, outcome) = loop {
        // The last attempt goes to its end, whatever comes of it.
        resolved.numbers.leave_degenerate &= folder.restarts() < RESTARTS;
        let course = Course { fingerprint: &fingerprint, stop, resume, pause: None, listener: None };
        let (loaded, outcome) = next.train(&resolved, backend, &rows, &mut folder, &course, None)?;
        if !matches!(outcome.end, End::Degenerate { .. }) {
            break (loaded, outcome);
        }
        drop(loaded);
        folder.restart()?;
        resume = false;
        resolved.numbers.seed = seed.wrapping_add(folder.restarts());
        next = ready(&resolved, &data)?;
    };

    Trained { backend, resolved, start, data, loaded, outcome, folder, sums, fingerprint, resumed }.end()
}

/// `--on-degenerate restart` must have something that it can go by.
fn check_restarts<B: Backend>(resolved: &Resolved, data: &Data<B>) -> Result<(), Failure> {
    let by_loss = !resolved.numbers.balanced && data.task.constant_loss(&data.train.targets).is_some();
    if resolved.numbers.leave_degenerate && data.validation.is_none() && !by_loss {
        return Err(usage(
            "--on-degenerate restart needs validation rows here: a loss of weighted, smoothed, focused or balanced rows cannot be compared with that \
             of one answer for all",
        ));
    }
    Ok(())
}

/// A flag that the first Ctrl-C or termination signal sets; the second ends the program at once.
pub(super) fn stop_on_signal() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let handler = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("stopping as soon as what is done can be kept (again to stop at once)");
    });
    if let Err(error) = handler {
        eprintln!("warning: interrupting will not save a checkpoint: {error}");
    }
    stop
}
