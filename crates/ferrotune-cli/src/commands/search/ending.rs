//! The end of a search: its table, what mattered, pictures, the best settings as a file for `train`, and a refit of them. It must not know how the
//! study came about.

use crate::args::{SearchArgs, TrainSettings};
use crate::commands::start::Start;
use crate::commands::{seeds, train};
use crate::exit::{DATA, Failure, usage};
use crate::results::report::metric;
use crate::run::fingerprint::with_settings;
use crate::run::folder::study::{BEST, BEST_RUN, PICTURE, REFIT};
use crate::run::folder::{RESULTS, SETTINGS, has_checkpoints, remove_folder};
use crate::search::base::Base;
use crate::search::{picture, table};
use crate::settings::{self, Resolved};
use ferrotune_data::{Part, Source};
use ferrotune_train::metrics::MetricName;
use ferrotune_train::search::drive::{End, Plan, ranked};
use ferrotune_train::search::importance::importance;
use ferrotune_train::search::space::shown;
use ferrotune_train::search::study::{State, Study, Trial};
use ferrotune_train::store::fingerprint::Fingerprint;
use ferrotune_train::store::replace_file;
use ferrotune_train::tasks::Unit;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// A search that is over.
pub struct Ended<'a> {
    /// Its trials.
    pub study: &'a Study,
    /// What it went by.
    pub plan: &'a Plan,
    /// What all trials had, and the test rows.
    pub base: &'a Base,
    /// Device and model.
    pub start: &'a Start,
    /// Why it ended.
    pub end: End,
    /// Rows that decided.
    pub validation_rows: usize,
    /// What of them was scored.
    pub unit: Unit,
    /// Its folder.
    pub output: &'a Path,
}

/// Says and writes what came of it, and trains the best settings anew if that was asked for.
///
/// # Errors
/// No trial came to its end; files that cannot be written; those of a run.
pub fn run(ended: &Ended<'_>, args: &SearchArgs, stop: &AtomicBool) -> Result<(), Failure> {
    let Ended { study, plan, base, end, output, validation_rows, unit, .. } = ended;
    let (trials, space, name) = (study.trials(), &plan.space, plan.halving.metric);
    let order = ranked(study, &plan.halving);
    let best = order.first().copied().filter(|&n| trials[n].standing.finished.is_some());
    let in_words = match end {
        End::Trials => "all trials are done",
        End::Time => "the time is over",
        End::Space => "there are no new settings in the space",
    };
    println!("{in_words}: {} trials, {:.0} seconds of training\n", trials.len(), study.seconds());
    print!("{}", table::trials(space, trials, &order, name));
    for (n, trial) in trials.iter().enumerate() {
        if let State::Failed(why) = &trial.state {
            println!("trial {n} failed: {why}");
        }
    }
    let Some(best) = best else {
        let message = format!("no trial came to its end; the table says why, and {} what they were", output.display());
        return Err(Failure { message, code: DATA });
    };
    let (at, measures) = measures(ended);
    println!("\nwhat mattered: share of the variance of {name} {at} that a parameter alone explains (epsilon squared)");
    print!("{}", table::importance(&measures));
    println!("\n{}", table::SIGNS);
    let last = trials.len().saturating_sub(1).to_string();
    print!("{}", table::scatter(&format!("{name} by trial"), ["0", &last], &table::by_trial(trials, Some(best))));
    for parameter in space.parameters() {
        let values = table::ends(parameter);
        let ends = [values[0].as_str(), values[values.len() - 1].as_str()];
        let title = format!("{name} by {}", parameter.name);
        print!("{}", table::scatter(&title, ends, &table::by_parameter(trials, Some(best), parameter)));
    }

    let path = |name: &str| output.join(name);
    replace_file(&path(PICTURE), picture::svg(space, trials, Some(best), name).as_bytes())?;
    let resolved = fitted(&of_best(base, ended, best, path(BEST_RUN))?, ended.start)?;
    let text = toml::to_string(&resolved.settings).expect("settings are plain values");
    replace_file(&path(BEST), text.as_bytes())?;
    let results = json!({
        "metric": name,
        "trials": trials.len(),
        "seconds": study.seconds(),
        "best": { "trial": best, "value": trials[best].value(), "settings": trials[best].settings },
        "as_said": { "value": trials[0].value(), "finished": trials[0].standing.finished.is_some() },
        "epsilon_squared": measures.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "epsilon_squared_of": at,
    });
    replace_file(&path(RESULTS), format!("{results:#}\n").as_bytes())?;
    println!();
    println!("best       trial {best}: {}, {}", value(name, &trials[best]), shown(&trials[best].settings));
    if let Some(chance) = table::chance(trials, best, name, *unit, *validation_rows as u64) {
        println!("chance     {chance}");
    }
    println!("as said    {}", as_said(name, &trials[0], best == 0));
    println!("study      {}", study_path(output).display());
    println!("picture    {}", path(PICTURE).display());
    println!("settings   {}   (ferrotune train --config)", path(BEST).display());
    println!("results    {}", path(RESULTS).display());
    match args.refit_seeds {
        None => Ok(()),
        Some(count) => refit(of_best(base, ended, best, path(REFIT))?, count, ended.start, args, stop),
    }
}

/// Trains the best settings from so many seeds. A refit that was killed is gone on with, unless another trial is the best by now.
fn refit(
    mut resolved: Resolved,
    count: u64,
    start: &Start,
    args: &SearchArgs,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    println!("\nrefit      the best settings from {count} {}", if count == 1 { "seed" } else { "seeds" });
    let folder = resolved.output.clone();
    let resume = args.earlier.resume && goes_on(&resolved, count, start)?;
    if args.earlier.resume && !resume && folder.exists() {
        let first = seeds::of_seed(&fitted(&resolved, start)?, 0).output;
        if begun_alike(&resolved, &[folder.clone(), first], start)? {
            return Err(usage(format!(
                "{} holds a refit of these settings with one seed instead of several, several instead of one, or other test rows: say --refit-seeds and --test as before, or \
                 remove the folder",
                folder.display()
            )));
        }
        if let Some(test) = &resolved.settings.test {
            Source::find(test, Part::Test)?.headers()?;
        }
        println!("refit      {} holds no run of these settings to go on with, and is begun anew", folder.display());
        remove_folder(&folder)?;
    }
    // Without --resume the study was new, so what lies here is of an earlier one.
    if count == 1 {
        return train::one(resolved, resume, !resume, stop).map(drop);
    }
    resolved.settings.seeds = Some(count);
    seeds::run(&resolved, count, resume, !resume, stop)
}

/// Whether a run of the refit has a checkpoint, and all that have one were begun with these settings.
fn goes_on(resolved: &Resolved, count: u64, start: &Start) -> Result<bool, Failure> {
    let fitted = fitted(resolved, start)?;
    let mut runs = match count {
        1 => vec![fitted],
        _ => (0..count).map(|n| seeds::of_seed(&fitted, n)).collect(),
    };
    runs.retain(|run| has_checkpoints(&run.output));
    let so = |run: &Resolved| {
        settings_in(&run.output).is_some_and(|before| {
            (fixed(run, &before), &before.test) == (fixed(run, &run.settings), &run.settings.test)
        })
    };
    Ok(!runs.is_empty() && runs.iter().all(so))
}

/// Whether one of these folders has a checkpoint of the first seed with these settings, whatever the test rows.
fn begun_alike(resolved: &Resolved, folders: &[PathBuf], start: &Start) -> Result<bool, Failure> {
    let run = fitted(resolved, start)?;
    let alike = |folder: &PathBuf| {
        has_checkpoints(folder)
            && settings_in(folder).is_some_and(|before| fixed(&run, &before) == fixed(&run, &run.settings))
    };
    Ok(folders.iter().any(alike))
}

/// The settings as a run has them in the end.
fn fitted(resolved: &Resolved, start: &Start) -> Result<Resolved, Failure> {
    let mut fitted = resolved.clone();
    start.clone().fitted(&mut fitted)?;
    Ok(fitted)
}

/// The settings in the folder of a run, if they can be read.
fn settings_in(run: &Path) -> Option<TrainSettings> {
    let file = run.join(SETTINGS);
    settings::parse(&std::fs::read_to_string(&file).ok()?, &file.display().to_string()).ok()
}

/// What of the settings must be the same for a run to be continued. All else that is read is the same, or the study would not have gone on.
fn fixed(run: &Resolved, settings: &TrainSettings) -> Fingerprint {
    with_settings(&Fingerprint::default(), &Resolved { settings: settings.clone(), ..run.clone() }, &[])
}

/// The settings of the best trial, with the test rows.
fn of_best(base: &Base, ended: &Ended<'_>, best: usize, output: PathBuf) -> Result<Resolved, Failure> {
    let mut resolved = base.with(&ended.plan.space, &ended.study.trials()[best].settings)?;
    resolved.settings.output = Some(output.clone());
    resolved.output = output;
    Ok(resolved)
}

/// Of which values the measures are, and the measures: with rungs of the first one, which most trials reached, else of their ends.
fn measures(ended: &Ended<'_>) -> (&'static str, Vec<(String, Option<f64>)>) {
    let Ended { study, plan, .. } = ended;
    let first = |trial: &Trial| trial.standing.reached.first().copied().or(trial.standing.finished);
    match plan.halving.rungs {
        0 => ("at the end", importance(&plan.space, study.trials(), Trial::value)),
        _ => ("at the first rung", importance(&plan.space, study.trials(), first)),
    }
}

fn value(name: MetricName, trial: &Trial) -> String {
    trial.value().map_or_else(|| "nothing measured".to_string(), |value| metric(name, value))
}

fn as_said(name: MetricName, first: &Trial, is_best: bool) -> String {
    let value = value(name, first);
    match &first.state {
        State::Finished(_) if is_best => format!("{value}: no trial was better than the settings as they were said"),
        State::Finished(_) => format!("{value}, the settings without a search"),
        State::Failed(why) => format!("failed: {why}"),
        State::Pruned | State::Waiting => {
            format!("{value} at step {} of {}, where it was behind and given up", first.steps.0, first.steps.1)
        }
    }
}

fn study_path(output: &Path) -> PathBuf {
    output.join(ferrotune_train::search::study::STUDY)
}
