//! `ferrotune train`: from labelled rows to a saved model, with everything that was decided said on the way.

use super::attempt::{Course, Ready, Rows};
use super::seeds;
use super::start::Start;
use super::{on_pool, use_threads};
use crate::args::TrainArgs;
use crate::card::Card;
use crate::data::Data;
use crate::device::{Machine, Work};
use crate::exit::{Failure, usage};
use crate::model::{BertClassifier, head_kind};
use crate::notes::Notes;
use crate::recipes::Recipe;
use crate::run_folder::{ADAPTER, BEST, RESTARTS, RunFolder, has_checkpoints, restarts_of};
use crate::settings::{Resolved, resolve, said};
use crate::{fingerprint, hub, inputs, memory, report, task};
use ferrotune_bert::pretrained::{self, Head, Pretrained};
use ferrotune_bert::{EncoderConfig, lora};
use ferrotune_tensor::{Backend, Pool};
use ferrotune_train::advice::{Advice, Facts, advise};
use ferrotune_train::evaluate::{evaluate, logits};
use ferrotune_train::metrics::{Report, Summary};
use ferrotune_train::trainer::Outcome;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs the command.
pub fn run(args: TrainArgs) -> Result<(), Failure> {
    let mut said = said(args.settings, args.config.as_deref())?;
    inputs::choose(&mut said);
    let recipe = Recipe::of(&said)?;
    let resolved = resolve(said, recipe.as_ref().map(|recipe| recipe.settings.clone()).unwrap_or_default())?;
    use_threads(resolved.settings.threads)?;
    let stop = stop_on_signal();
    for line in recipe.iter().flat_map(|recipe| recipe.lines(&resolved.settings)) {
        eprintln!("recipe     {line}");
    }
    match resolved.settings.seeds {
        None => one(resolved, args.earlier.resume, args.earlier.overwrite, &stop).map(drop),
        Some(count) => seeds::run(&resolved, count, args.earlier.resume, args.earlier.overwrite, &stop),
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
    let fingerprint = fingerprint::of(&resolved, model_folder, &backend.processor())?;

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
    let mut resume = resume && (restarts == 0 || has_checkpoints(&resolved.output));
    let (mut loaded, outcome) = loop {
        // The last attempt goes to its end, whatever comes of it.
        resolved.numbers.leave_degenerate &= folder.restarts() < RESTARTS;
        let course = Course { fingerprint: &fingerprint, stop, resume, pause: None };
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
    let mut fitted = None;
    if let (Some(split), true) = (&data.validation, data.task.fits()) {
        let scores = on_pool(|| logits(backend, &classifier, params, &mut pool, &split.encoded, None))?;
        let targets = split.row_targets();
        data.task.fit(&scores, &targets);
        fitted = Some(data.task.report(&scores, &targets));
    }
    let task = data.task.as_ref();
    let saved_config = EncoderConfig { problem_type: task.problem_type().map(str::to_string), ..config.clone() };
    pretrained::save(backend, &best, &saved_config, model.kind(), task.labels(), params, Some(model_folder), true)?;
    Notes::of(resolved.max_length, resolved.long_texts, task).write(&best)?;
    let measure = |split| on_pool(|| evaluate(backend, &classifier, params, &mut pool, split, task, None));
    let test = data.test.as_ref().map(measure).transpose()?;
    let reports =
        Reports { validation: outcome.validation.as_ref(), fitted, test, advice: advice(&resolved, &data, &outcome) };
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
    };
    card.write(&best)?;
    finish(&outcome, &reports, folder.path());
    let measured = [("test", reports.test.as_ref()), ("validation", reports.validation)];
    let measured = measured.into_iter().find_map(|(split, report)| Some((split, report?.summary())));
    let (split, summary) = measured.unzip();
    Ok(Finished { folder: resolved.output, seed: resolved.numbers.seed, split, summary })
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

/// What was measured.
struct Reports<'a> {
    /// As training saw it in the best epoch.
    validation: Option<&'a Report>,
    /// The same with what the task learned from these rows afterwards: better than it would be on others.
    fitted: Option<Report>,
    test: Option<Report>,
    advice: Vec<Advice>,
}

/// What the curves of the run say.
fn advice<B: Backend>(resolved: &Resolved, data: &Data<B>, outcome: &Outcome) -> Vec<Advice> {
    let constant_loss = data.task.constant_loss(&data.train.targets).filter(|_| !resolved.numbers.balanced);
    advise(&Facts {
        epochs: &outcome.epochs,
        metric: resolved.numbers.metric,
        best_epoch: outcome.best_epoch,
        validation: outcome.validation.as_ref(),
        constant_loss,
        rows: data.train.rows(),
        truncated: data.train.encoded.truncated.len(),
        max_length: resolved.max_length,
    })
}

fn results<B: Backend>(
    resolved: &Resolved,
    restarts: u64,
    data: &Data<B>,
    outcome: &Outcome,
    reports: &Reports<'_>,
) -> serde_json::Value {
    json!({
        "validation": reports.validation,
        "held_out_rows": data.held_out,
        "validation_fitted": reports.fitted,
        "test": reports.test,
        "best_epoch": outcome.best_epoch,
        "epochs": outcome.epochs,
        "advice": reports.advice,
        "seed": resolved.numbers.seed,
        "restarts": restarts,
        "ema": resolved.numbers.ema,
        "averaged_epochs": outcome.averaged,
        "train": {
            "samples_per_second": outcome.samples_per_second,
            "tokens_per_second": outcome.tokens_per_second,
            "steps": outcome.steps,
            "seconds": outcome.seconds,
        },
        "peak_memory_mib": memory::peak_mib(),
    })
}

fn finish(outcome: &Outcome, reports: &Reports<'_>, folder: &Path) {
    if outcome.samples_per_second > 0.0 {
        println!(
            "speed: {:.1} rows/s, {:.0} tokens/s in training steps",
            outcome.samples_per_second, outcome.tokens_per_second
        );
    }
    if let Some(mib) = memory::peak_mib() {
        println!("memory: {mib:.0} MiB at the peak");
    }
    if let Some(validation) = reports.validation {
        let epochs: Vec<String> = outcome.averaged.iter().map(u64::to_string).collect();
        let of = match epochs.is_empty() {
            true => format!("best epoch {}", outcome.best_epoch),
            false => format!("mean of epochs {}", epochs.join(", ")),
        };
        println!("{}   {of}", report::line("validation", validation));
    }
    if let Some(fitted) = &reports.fitted {
        println!("{}   with thresholds chosen on these rows", report::line("validation", fitted));
    }
    if let Some(test) = &reports.test {
        println!("{}", report::text("test", test));
    }
    for Advice { rule, message } in &reports.advice {
        println!("advice     {rule}: {message}");
    }
    println!("model      {}", folder.join(BEST).display());
    if folder.join(ADAPTER).is_dir() {
        println!("adapter    {}", folder.join(ADAPTER).display());
    }
    println!("results    {}", folder.join("results.json").display());
    println!("log        {}", folder.join("metrics.jsonl").display());
}
