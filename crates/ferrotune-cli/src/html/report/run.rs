//! What surrounds the result: advice, audit, time, machine, settings, files.

use crate::args::{PretrainSettings, TrainSettings};
use crate::html::grouped;
use crate::html::table::{Cell, facts, table};
use crate::results::evaluation;
use crate::run::files::RunFiles;
use crate::run::folder::{ADAPTER, BEST, LOG, RESULTS, SETTINGS};
use crate::settings::{from_table, resolve, resolve_pretraining};
use maud::{Markup, html};

/// What the curves say.
pub fn advice(run: &RunFiles) -> Option<Markup> {
    // Runs of `pretrain` have no such rules.
    if run.results.epochs.is_empty() {
        return None;
    }
    Some(html! {
        @if run.results.advice.is_empty() { p { "The curves show nothing that the rules know a treatment for." } }
        @else { ul.said { @for advice in &run.results.advice { li { strong { (advice.rule) } ": " (advice.message) } } } }
    })
}

/// What the short audit warned of.
pub fn audit(run: &RunFiles) -> Option<Markup> {
    let found = &run.evaluation.as_ref()?.audit;
    Some(html! {
        @if found.is_empty() { p { "The short audit before training found nothing to warn of." } }
        @else { ul.said { @for line in found { li { (line) } } } }
    })
}

/// How long it took.
pub fn timings(run: &RunFiles) -> Markup {
    let train = &run.results.train;
    let evaluating: f64 = run.evaluations.iter().map(|evaluated| evaluated.seconds).sum();
    let mut rows = vec![
        ("Training", format!("{:.1} s in {} steps", train.seconds, grouped(train.steps))),
        ("Evaluation", format!("{evaluating:.1} s in {} evaluations", run.evaluations.len())),
    ];
    if let (Some(samples), Some(tokens)) = (train.samples_per_second, train.tokens_per_second) {
        rows.insert(1, ("Rows a second", format!("{samples:.1}")));
        rows.insert(2, ("Tokens a second", grouped(tokens.round() as u64)));
    }
    if let Some(mib) = run.results.peak_memory_mib {
        rows.push(("Peak memory", format!("{mib:.0} MiB")));
    }
    html! { (facts("Timings", &rows)) p.note { "Speed is that of training steps alone, after the first three." } }
}

/// What it ran on.
pub fn environment(run: &RunFiles) -> Option<Markup> {
    let evaluation = run.evaluation.as_ref()?;
    let (here, model) = (&evaluation.environment, &evaluation.model);
    let mut rows = vec![
        ("ferrotune", here.ferrotune.clone()),
        ("Device", here.device.clone()),
        ("Instruction set or GPU", here.processor.clone()),
    ];
    rows.extend(here.cpu.clone().map(|cpu| ("Processor", cpu)));
    rows.extend([
        ("Precision of products", here.precision.clone()),
        ("Threads", here.threads.to_string()),
        ("System", here.system.clone()),
        (
            "Encoder",
            format!(
                "{}, {} layers of {}, {} parameters",
                model.model_type,
                model.layers,
                model.hidden_size,
                grouped(model.parameters as u64)
            ),
        ),
    ]);
    Some(facts("Environment", &rows))
}

/// The settings as resolved, in the order of `--help`.
pub fn settings(run: &RunFiles) -> Option<Markup> {
    if run.settings.is_empty() {
        return None;
    }
    let keys = [PretrainSettings::keys(), TrainSettings::keys()].concat();
    let known = keys.iter().filter(|key| run.settings.contains_key(*key));
    let others = run.settings.keys().filter(|key| !keys.contains(key));
    let row = |key: &String| {
        let value = &run.settings[key];
        let said = if is_default(&run.settings, key) { "default" } else { "" };
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        vec![Cell::Text(key.clone()), Cell::Text(shown), Cell::Text(said.to_string())]
    };
    let rows: Vec<Vec<Cell>> = known.chain(others).map(row).collect();
    let caption = format!(
        "As resolved: flags over the settings file over a recipe over defaults. {SETTINGS} of the run has the same."
    );
    Some(table(&caption, &["setting", "value", ""], &rows, false))
}

/// Whether a setting has the value that it has where it is not said and all others are: some defaults depend on the optimizer or the schedule.
fn is_default(settings: &toml::Table, key: &str) -> bool {
    let mut others = settings.clone();
    // Its default is the task's, and the run wrote it down where it could not have been said.
    others.remove("metric");
    let value = others.remove(key);
    value.is_some() && resolved(others).is_some_and(|resolved| resolved.get(key) == value.as_ref())
}

/// Settings with all defaults of the command that they belong to; nothing if it refuses them.
fn resolved(said: toml::Table) -> Option<toml::Table> {
    let own_keys = PretrainSettings::keys();
    let (own, shared): (toml::Table, toml::Table) = said.into_iter().partition(|(key, _)| own_keys.contains(key));
    let shared: TrainSettings = from_table(shared, SETTINGS).ok()?;
    if own.is_empty() {
        let mut run = resolve(shared, TrainSettings::default()).ok()?;
        // Its default follows the model, which no file of the run describes.
        run.settings.lr = run.settings.lr.filter(|_| run.rate_was_said);
        return toml::Table::try_from(run.settings).ok();
    }
    Some(resolve_pretraining(from_table(own, SETTINGS).ok()?, shared, None).ok()?.table)
}

/// What lies in the folder.
pub fn files(run: &RunFiles) -> Markup {
    let known = [
        (BEST, "the model, a Hugging Face folder"),
        (ADAPTER, "the adapters, which PEFT loads"),
        (RESULTS, "all figures"),
        (evaluation::FILE, "what this page shows besides"),
        (LOG, "a row for each logged step and evaluation"),
        (SETTINGS, "the settings; --config reads them again"),
    ];
    let there = known.into_iter().filter(|(name, _)| run.path.join(name).exists());
    html! { ul.said { @for (name, what) in there { li { code { (name) } ", " (what) } } } }
}
