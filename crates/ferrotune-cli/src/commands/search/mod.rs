//! `ferrotune search`: settings are tried, the weak ones given up early, and the best written down. It must not know how a trial trains, nor how
//! settings are chosen.

mod ending;
mod worker;

use super::start::Start;
use super::train::stop_on_signal;
use crate::args::{EarlierRun, OnDegenerate, PruningName, SamplerName, SearchArgs};
use crate::device::threads::use_threads;
use crate::device::{Machine, Work};
use crate::exit::{Failure, usage};
use crate::rows::data::Data;
use crate::rows::{inputs, task};
use crate::run::fingerprint;
use crate::run::folder::{Kind, PREFIX_CACHE, claim, clear, remove_folder, study};
use crate::run::prefix::Shelf;
use crate::run::sums::Sums;
use crate::search::base::Base;
use crate::search::parse;
use crate::search::rungs::Rungs;
use crate::settings::recipes::Recipe;
use crate::settings::{Resolved, check_seeds, said_and_searched};
use ferrotune_train::metrics::MetricName;
use ferrotune_train::search::drive::{Plan, drive};
use ferrotune_train::search::halving::Halving;
use ferrotune_train::search::sampler::Method;
use ferrotune_train::search::space::{Settings, Space};
use ferrotune_train::search::study::{Header, STUDY, Study};
use ferrotune_train::store::fingerprint::Fingerprint;
use ferrotune_train::store::lock::RunLock;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use worker::{Trials, cut};

/// Trials, where neither their number nor minutes were said.
const TRIALS: u64 = 20;
/// Of so many trials one goes on.
const REDUCTION: u64 = 3;

/// Runs the command.
pub fn run(args: SearchArgs) -> Result<(), Failure> {
    let (mut said, table) = said_and_searched(args.settings.clone(), args.config.as_deref())?;
    inputs::choose(&mut said);
    if said.seeds.is_some() {
        return Err(usage("--seeds trains the same settings again; search has --refit-seeds for its best ones"));
    }
    if said.budget.is_some() {
        return Err(usage("--budget gives up depth, length and epochs of one run; a search has --minutes"));
    }
    if said.learning_curve.is_some() {
        return Err(usage(
            "--learning-curve trains with parts of the rows, and a search with all of them; leave one out",
        ));
    }
    if said.on_degenerate == Some(OnDegenerate::Restart) {
        return Err(usage(
            "--on-degenerate restart goes on with the next seed, and the trials of a search share one; leave it out",
        ));
    }
    let recipe = Recipe::of(&said)?;
    let space = table.map(|(table, file)| parse::space(&table, &file)).transpose()?;
    let is_usual = space.is_none();
    let with_recipe = recipe.as_ref().map(|recipe| recipe.settings.clone()).unwrap_or_default();
    let mut base = Base::new(said.clone(), with_recipe);
    let space = space.map_or_else(|| parse::usual_space(&said, parse::trains_few(&base)), Ok)?;
    let alone = base.alone()?;
    check_seeds(alone.numbers.seed, args.refit_seeds.unwrap_or(1))?;
    if alone.settings.validation.is_none() && alone.held_out.is_none() {
        return Err(usage("a search needs validation rows: without them nothing says which settings are better"));
    }
    use_threads(alone.settings.threads)?;
    let stop = stop_on_signal();
    for line in recipe.iter().flat_map(|recipe| recipe.lines(&alone.settings)) {
        eprintln!("recipe     {line}");
    }
    let why = if is_usual { "no [search] is written; these, but for what was said" } else { "[search]" };
    eprintln!("space      {why}");
    for parameter in space.parameters() {
        eprintln!("           {:<16} {}", parameter.name, parse::shown(parameter));
    }
    let mut alone = alone;
    let start = Start::of(&mut alone)?;
    if !alone.length_was_said {
        // It may have followed the model; the trials and best.toml say it.
        base.said.max_length = Some(alone.max_length);
    }
    if !alone.rate_was_said {
        base.said.lr = alone.settings.lr;
    }
    let device = start.device.clone();
    device.run(Search { args, base, space, start, stop: &stop })
}

/// A search whose device and model are known.
struct Search<'a> {
    args: SearchArgs,
    base: Base,
    space: Space,
    start: Start,
    stop: &'a AtomicBool,
}

impl Work for Search<'_> {
    type Output = Result<(), Failure>;

    fn on<B: Machine>(self, backend: B) -> Result<(), Failure> {
        search_on(&backend, self)
    }
}

fn search_on<B: Machine>(backend: &B, search: Search<'_>) -> Result<(), Failure> {
    let Search { args, mut base, space, start, stop } = search;
    // Test rows are not looked at, not even to be counted: they are for the best settings alone.
    let test = base.said.test.take();
    let mut alone = base.alone()?;
    let baseline = base.baseline(&space)?;
    parse::check(&space, &baseline, |chosen| start.clone().fitted(&mut base.with(&space, chosen)?).map(drop))?;
    start.clone().fitted(&mut alone)?;
    let data = Data::<B>::read(&alone.without_baselines(), &start.model.folder, &start.config)?;
    for line in &data.audit {
        eprintln!("warning: {line}");
    }
    let (validation_rows, unit) = (data.rows().get("validation").copied().unwrap_or_default(), data.task.unit());
    let metric = task::metric(data.task.name(), data.task.metrics(), alone.settings.metric)?;
    (base.said.task, base.said.metric) = (Some(data.task_name), Some(metric));
    (alone.settings.task, alone.settings.metric) = (Some(data.task_name), Some(metric));

    let (plan, rungs) = plan(&args, space, baseline, &alone, metric, data.train.rows())?;
    say_plan(&plan, &rungs);

    let output = alone.output.clone();
    let contents = fingerprint::contents(&Sums::of(&alone, &start.model.folder)?, &backend.processor());
    let header = Header::new(plan.space.clone(), metric, identity(&contents, &alone, &plan, &rungs));
    let (_lock, mut study) = open(&output, header, &args.earlier)?;
    let mut worker = Trials {
        backend,
        start: &start,
        base: &base,
        space: &plan.space,
        rungs,
        metric,
        contents: &contents,
        stop,
        folder: &output,
        data: vec![(cut(&alone), data)],
        shelf: Shelf::new(output.join(PREFIX_CACHE)),
    };
    let end = drive(&mut study, &plan, &mut worker)?;
    drop(worker);
    if base.said.prefix_cache_dir.is_none() {
        remove_folder(&output.join(PREFIX_CACHE))?;
    }
    base.said.test = test;
    ending::run(
        &ending::Ended {
            study: &study,
            plan: &plan,
            base: &base,
            start: &start,
            end,
            validation_rows,
            unit,
            output: &output,
        },
        &args,
        stop,
    )
}

/// How the search goes, and where its trials stop; `rows` is what a trial learns from.
///
/// # Errors
/// Flags that do not belong together, a grid that is too large, a first rung behind the end of every trial.
fn plan(
    args: &SearchArgs,
    space: Space,
    baseline: Settings,
    alone: &Resolved,
    metric: MetricName,
    rows: usize,
) -> Result<(Plan, Rungs), Failure> {
    let method = match args.sampler.unwrap_or(SamplerName::Tpe) {
        SamplerName::Tpe => Method::Tpe,
        SamplerName::Random => Method::Random,
        SamplerName::Grid => Method::Grid,
    };
    let grid = match method {
        Method::Grid => Some(space.grid().map_err(usage)?.len()),
        _ => None,
    };
    let reduction = args.reduction.unwrap_or(REDUCTION);
    let rungs = match args.pruning.unwrap_or(PruningName::Halving) {
        PruningName::Halving => Rungs::new(args.first_rung, reduction, &space, alone, rows)?,
        PruningName::Off if args.reduction.is_some() || args.first_rung.is_some() => {
            return Err(usage("--reduction and --first-rung belong to --pruning halving; leave them out"));
        }
        PruningName::Off => Rungs::none(reduction),
    };
    let trials = match (args.trials, args.minutes) {
        (None, None) => Some(grid.map_or(TRIALS, |grid| grid as u64 + 1)),
        (trials, _) => trials,
    };
    let halving = Halving { reduction, rungs: rungs.count, metric };
    let seed = alone.numbers.seed;
    let seconds = args.minutes.map(|minutes| 60.0 * minutes);
    Ok((Plan { space, method, seed, halving, trials, seconds, baseline }, rungs))
}

/// What must be the same for a study to go on.
fn identity(contents: &Fingerprint, alone: &Resolved, plan: &Plan, rungs: &Rungs) -> Fingerprint {
    let searched: Vec<&str> = plan.space.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
    let mut identity = fingerprint::with_settings(contents, alone, &searched);
    identity.fix("sampler", plan.method);
    identity.fix("reduction", plan.halving.reduction);
    identity.fix("rungs", rungs.identity());
    identity
}

/// What will be done, before it begins.
fn say_plan(plan: &Plan, rungs: &Rungs) {
    let Halving { reduction, rungs: count, metric } = plan.halving;
    let budget = match (plan.trials, plan.seconds) {
        (Some(trials), Some(seconds)) => format!("{trials} trials or {} minutes", seconds / 60.0),
        (None, Some(seconds)) => format!("{} minutes of training", seconds / 60.0),
        (trials, None) => format!("{} trials", trials.unwrap_or_default()),
    };
    let pruning = match count {
        0 => "each to its end".to_string(),
        _ => {
            let places: Vec<String> = (0..count).map(|rung| rungs.shown(rung)).collect();
            format!("halving: of {reduction} one goes on after {}", places.join(" and "))
        }
    };
    eprintln!("search     {budget} by {}, {pruning}; {metric} on validation rows decides", plan.method);
}

/// Locks the folder and opens its study.
fn open(output: &Path, header: Header, earlier: &EarlierRun) -> Result<(RunLock, Study), Failure> {
    if earlier.resume && !output.join(STUDY).exists() {
        return Err(usage(format!("--resume: {} holds no study; start it without --resume", output.display())));
    }
    let lock = claim(output, Kind::Study, earlier.resume, earlier.overwrite)?;
    if earlier.overwrite {
        clear(output)?;
    }
    if earlier.resume {
        let study = Study::resume(output, &header)?;
        eprintln!("resumed    {} trials are known, {:.0} seconds of training", study.trials().len(), study.seconds());
        return Ok((lock, study));
    }
    // Where somebody removed the study file alone, a new trial would go on from the checkpoint of an old one.
    remove_folder(&output.join(study::TRIALS))?;
    remove_folder(&output.join(PREFIX_CACHE))?;
    Ok((lock, Study::create(output, header)?))
}
