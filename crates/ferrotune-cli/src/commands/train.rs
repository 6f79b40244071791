//! `ferrotune train`: from labelled rows to a saved model, with everything that was decided said on the way.

use super::attempt::{Course, Ready, Rows};
use super::budget::{self, Asked};
use super::results::{Reports, advice, finish, results};
use super::start::Start;
use super::{learning_curve, on_pool, seeds, use_threads};
use crate::args::{Switch, TrainArgs};
use crate::calibrated::AtEnd;
use crate::card::Card;
use crate::data::Data;
use crate::device::{Machine, Work};
use crate::evaluation::{Environment, Evaluation, Measured, Model};
use crate::exit::{Failure, usage};
use crate::model::{BertClassifier, head_kind};
use crate::notes::Notes;
use crate::recipes::Recipe;
use crate::run_folder::{ADAPTER, BEST, RESTARTS, RunFolder, has_checkpoints, restarts_of};
use crate::settings::{Resolved, resolve, said};
use crate::sums::Sums;
use crate::{fingerprint, hub, inputs, manifest, task};
use ferrotune_bert::pretrained::{self, Head, Pretrained};
use ferrotune_bert::{EncoderConfig, lora};
use ferrotune_tensor::{Backend, Pool};
use ferrotune_train::evaluate::logits;
use ferrotune_train::metrics::{Classified, Summary};
use ferrotune_train::model::Split;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Runs the command.
pub fn run(args: TrainArgs) -> Result<(), Failure> {
    let begin = Instant::now();
    let mut said = said(args.settings, args.config.as_deref())?;
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

/// What a run came to.
pub(super) struct Finished {
    folder: PathBuf,
    seed: u64,
    /// The rows that were measured, if any were: test, else validation.
    pub split: Option<&'static str>,
    /// Their metrics.
    pub summary: Option<Summary>,
    /// What was said of each of them, where they have one class each.
    pub said: Option<Classified>,
    /// Training rows that were learned from.
    pub train_rows: usize,
}

impl Finished {
    /// For `results.json` of a series.
    pub fn to_json(&self) -> serde_json::Value {
        json!({ "folder": self.folder, "seed": self.seed, "split": self.split, "metrics": self.summary })
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
    let device = start.device.clone();
    device.run(One { resolved, start, resume, overwrite, stop })
}

/// One run of a series in its own folder. With `resume` it goes on from its newest checkpoint; what an interrupted series left without a checkpoint has
/// nothing to go on from, and begins again.
pub(super) fn one_of_series(
    resolved: Resolved,
    resume: bool,
    overwrite: bool,
    stop: &AtomicBool,
) -> Result<Finished, Failure> {
    let goes_on = resume && has_checkpoints(&resolved.output);
    one(resolved, goes_on, overwrite || resume && !goes_on, stop)
}

/// A run whose device and model are known.
struct One<'a> {
    resolved: Resolved,
    start: Start,
    resume: bool,
    overwrite: bool,
    stop: &'a AtomicBool,
}

impl Work for One<'_> {
    type Output = Result<Finished, Failure>;

    fn on<B: Machine>(self, backend: B) -> Result<Finished, Failure> {
        run_on(&backend, self)
    }
}

fn run_on<B: Machine>(backend: &B, one: One<'_>) -> Result<Finished, Failure> {
    let One { mut resolved, start, resume, overwrite, stop } = one;
    let model_folder = &start.model.folder;
    let mut data = Data::read(&resolved, model_folder, &start.config)?;
    resolved.numbers.metric = task::metric(data.task.name(), data.task.metrics(), resolved.settings.metric)?;
    (resolved.settings.task, resolved.settings.metric) = (Some(data.task_name), Some(resolved.numbers.metric));
    check_restarts(&resolved, &data)?;
    let sums = Sums::of(&resolved, model_folder)?;
    let fingerprint = fingerprint::of(&resolved, &sums, &backend.processor());

    let kind = head_kind(data.task.unit());
    let ready = |resolved: &Resolved, data: &Data<B>| {
        let head = Head::For { labels: data.task.labels(), kind, seed: resolved.numbers.seed };
        let loaded = pretrained::load_with_adapters(backend, model_folder, head, resolved.lora.as_ref())?;
        Ready::of(backend, resolved, &start, loaded)
    };
    let seed = resolved.numbers.seed;
    let restarts = if resume { restarts_of(&resolved.output).unwrap_or(0) } else { 0 };
    resolved.numbers.seed = seed.wrapping_add(restarts);
    let mut next = ready(&resolved, &data)?;
    let mut folder = RunFolder::open(&resolved.output, resume, overwrite)?;
    folder.write_settings(&resolved.settings)?;
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
    let (mut loaded, outcome) = loop {
        // The last attempt goes to its end, whatever comes of it.
        resolved.numbers.leave_degenerate &= folder.restarts() < RESTARTS;
        let course = Course { fingerprint: &fingerprint, stop, resume, pause: None, listener: None };
        let (loaded, outcome) = next.train(&resolved, backend, &rows, &mut folder, &course, None)?;
        if outcome.degenerate.is_none() {
            break (loaded, outcome);
        }
        drop(loaded);
        folder.restart()?;
        resume = false;
        resolved.numbers.seed = seed.wrapping_add(folder.restarts());
        next = ready(&resolved, &data)?;
    };

    let Pretrained { config, model, params, .. } = &mut loaded;
    let classifier = BertClassifier { model, config, frozen_layers: None };
    let mut pool = Pool::new(backend.clone());
    let best = folder.path().join(BEST);
    if let Some(spec) = &resolved.lora {
        folder.clear_adapter()?;
        lora::save(backend, &folder.path().join(ADAPTER), params, config, model.kind(), spec, &resolved.model)?;
        lora::merge(backend, params, spec);
    }
    let mut scores = |split: &Split| on_pool(|| logits(backend, &classifier, params, &mut pool, &split.encoded, None));
    // What the model says of the rows that are looked at: test rows, else validation rows.
    let mut looked_at = None;
    let (mut fitted, mut calibration) = (None, AtEnd::nothing());
    if let Some(split) = &data.validation {
        let (scores, targets) = (scores(split)?, split.row_targets());
        data.task.fit(&scores, &targets);
        calibration = AtEnd::fit(data.task.as_mut(), &scores, &targets);
        fitted = data.task.fits().then(|| data.task.report(&scores, &targets));
        looked_at = Some(("validation", split, scores));
    }
    let task = data.task.as_ref();
    let saved_config = EncoderConfig { problem_type: task.problem_type().map(str::to_string), ..config.clone() };
    pretrained::save(backend, &best, &saved_config, model.kind(), task.labels(), params, Some(model_folder), true)?;
    let mut notes = Notes::of(resolved.max_length, resolved.long_texts, task);
    notes.calibration = calibration.note();
    notes.write(&best)?;
    let mut test = None;
    if let Some(split) = &data.test {
        let (scores, targets) = (scores(split)?, split.row_targets());
        test = Some(task.report(&scores, &targets));
        calibration.test = calibration.on(task, &scores, &targets);
        looked_at = Some(("test", split, scores));
    }
    let said = looked_at.as_ref().and_then(|(_, split, scores)| task.classified(scores, &split.row_targets()));
    let beside = data.baselines.as_ref().zip(said.as_ref()).map(|(baselines, said)| baselines.beside(said));
    let reports = Reports {
        validation: outcome.validation.as_ref(),
        fitted,
        test,
        calibration,
        baselines: beside.unwrap_or_default(),
        advice: advice(&resolved, &data, &outcome),
    };
    let measured =
        looked_at.map(|(name, split, scores)| Measured::of(name, task, &scores, &split.row_targets(), &data.shown));
    folder.write_evaluation(&Evaluation {
        task: task.name().to_string(),
        model: Model {
            model_type: config.family.model_type.to_string(),
            layers: config.num_hidden_layers,
            hidden_size: config.hidden_size,
            parameters: params.layout().parameter_count(),
        },
        rows: data.rows(),
        data: fingerprint::data(&fingerprint),
        environment: Environment::here(
            resolved.device.to_string(),
            backend.processor(),
            task::shown(backend.precision()),
        ),
        audit: data.audit.clone(),
        measured,
    })?;
    folder.write_results(&results(&resolved, folder.restarts(), &data, &outcome, &reports))?;
    let from_hub = start.model.source != hub::Source::Folder;
    let card = Card {
        run: &resolved,
        base: from_hub.then_some(resolved.model.as_str()),
        model_type: start.config.family.model_type,
        task: task.name(),
        labels: task.labels(),
        rows: data.train_rows,
        held_out: data.held_out,
        validation: reports.validation,
        test: reports.test.as_ref(),
        calibrated: notes.calibration.is_some(),
    };
    card.write(&best)?;
    manifest::write(&resolved, sums, &backend.processor(), &folder, resumed)?;
    finish(&outcome, &reports, folder.path());
    if let Some(budget) = &resolved.budget {
        println!("{}", budget.line());
    }
    if resolved.settings.report == Some(Switch::On) {
        println!("report     {}", super::report::write(folder.path())?.display());
    }
    let measured = [("test", reports.test.as_ref()), ("validation", reports.validation)];
    let measured = measured.into_iter().find_map(|(split, report)| Some((split, report?.summary())));
    let (split, summary) = measured.unzip();
    Ok(Finished {
        folder: resolved.output,
        seed: resolved.numbers.seed,
        split,
        summary,
        said,
        train_rows: data.train_rows,
    })
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
        eprintln!("stopping after this step, with a checkpoint (again to stop at once)");
    });
    if let Err(error) = handler {
        eprintln!("warning: interrupting will not save a checkpoint: {error}");
    }
    stop
}
