//! `ferrotune search`: settings are tried, the weak ones given up early, and the best written down. It must not know how a trial trains, nor how
//! settings are chosen.

mod ending;
mod worker;

use super::start::Start;
use super::train::stop_on_signal;
use super::use_threads;
use crate::args::{EarlierRun, OnDegenerate, PruningName, SamplerName, SearchArgs};
use crate::data::Data;
use crate::device::{Machine, Work};
use crate::exit::{Failure, io, usage};
use crate::prefix::Shelf;
use crate::recipes::Recipe;
use crate::search::base::Base;
use crate::search::parse;
use crate::search::rungs::Rungs;
use crate::settings::said_and_searched;
use crate::sums::Sums;
use crate::{fingerprint, inputs, task};
use ferrotune_train::lock::RunLock;
use ferrotune_train::search::drive::{Plan, drive};
use ferrotune_train::search::halving::Halving;
use ferrotune_train::search::sampler::Method;
use ferrotune_train::search::space::Space;
use ferrotune_train::search::study::{Header, STUDY, Study};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use worker::{PREFIX, Trials, cut};

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
    let base = Base::new(said.clone(), with_recipe);
    let space = space.map_or_else(|| parse::usual_space(&said, parse::trains_few(&base)), Ok)?;
    let alone = base.alone()?;
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
    let earlier = &args.earlier;
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
    let validation_rows = data.rows().get("validation").copied().unwrap_or_default();
    let metric = task::metric(data.task.name(), data.task.metrics(), alone.settings.metric)?;
    (base.said.task, base.said.metric) = (Some(data.task_name), Some(metric));
    (alone.settings.task, alone.settings.metric) = (Some(data.task_name), Some(metric));

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
        PruningName::Halving => Rungs::new(args.first_rung, reduction, &space, &alone, data.train.rows())?,
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
    let plan = Plan { space, method, seed, halving, trials, seconds, baseline };
    say_plan(&plan, &rungs);

    let output = alone.output.clone();
    let contents = fingerprint::contents(&Sums::of(&alone, &start.model.folder)?, &backend.processor());
    let searched: Vec<&str> = plan.space.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
    let mut identity = fingerprint::with_settings(&contents, &alone, &searched);
    identity.fix("sampler", method);
    identity.fix("reduction", reduction);
    identity.fix("rungs", rungs.identity());
    let header = Header::new(plan.space.clone(), metric, identity);
    let (_lock, mut study) = open(&output, header, earlier)?;
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
        shelf: Shelf::new(output.join(PREFIX)),
    };
    let end = drive(&mut study, &plan, &mut worker)?;
    drop(worker);
    if base.said.prefix_cache_dir.is_none() {
        remove_prefix(&output)?;
    }
    base.said.test = test;
    ending::run(
        &ending::Ended { study: &study, plan: &plan, base: &base, end, validation_rows, output: &output },
        &args,
        stop,
    )
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
    let shown = output.display();
    let is_there = output.join(STUDY).exists();
    if earlier.resume && !is_there {
        return Err(usage(format!("--resume: {shown} holds no study; start it without --resume")));
    }
    if is_there && !earlier.resume && !earlier.overwrite {
        return Err(usage(format!(
            "{shown} holds an earlier study: say --resume to go on with it, --overwrite to replace it, or name another --output"
        )));
    }
    std::fs::create_dir_all(output).map_err(io(format!("cannot make {shown}")))?;
    let lock = RunLock::acquire(output)?;
    let study = match earlier.resume {
        true => {
            let study = Study::resume(output, &header)?;
            eprintln!(
                "resumed    {} trials are known, {:.0} seconds of training",
                study.trials().len(),
                study.seconds()
            );
            study
        }
        false => {
            worker::clear(output)?;
            Study::create(output, header)?
        }
    };
    Ok((lock, study))
}

/// What was kept for trials only.
fn remove_prefix(output: &Path) -> Result<(), Failure> {
    let path = output.join(PREFIX);
    match std::fs::remove_dir_all(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io(format!("cannot remove {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}
