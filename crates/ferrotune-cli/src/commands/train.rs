//! `ferrotune train`: from labelled rows to a saved model, with everything that was decided said on the way.

use super::{find_model, on_pool, use_threads};
use crate::args::{OptimizerName, Precision, TrainArgs};
use crate::data::Data;
use crate::device::{self, device};
use crate::exit::{Failure, STOPPED, usage};
use crate::model::{BertClassifier, head_kind};
use crate::notes::Notes;
use crate::progress::Progress;
use crate::run_folder::{ADAPTER, BEST, RunFolder};
use crate::settings::{Resolved, resolve};
use crate::{fingerprint, memory, prefix, recipes, report, task, tuning};
use ferrotune_bert::pretrained::{self, Head, Pretrained};
use ferrotune_bert::{EncoderConfig, freeze, lora};
use ferrotune_optim::{AdamW, Groups, Optimizer, Sgd, adamw};
use ferrotune_tensor::{Cpu, Params, Pool};
use ferrotune_train::evaluate::{evaluate, logits};
use ferrotune_train::events::{Event, Observer, Tee};
use ferrotune_train::metrics::Report;
use ferrotune_train::model::Split;
use ferrotune_train::resume::Checkpoints;
use ferrotune_train::trainer::{Outcome, Run, train};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs the command.
pub fn run(args: TrainArgs) -> Result<(), Failure> {
    let mut resolved = resolve(args.settings, args.config.as_deref())?;
    use_threads(resolved.settings.threads)?;
    let backend = device(resolved.precision)?;
    resolved.settings.precision = Some(device::resolved(backend));
    if resolved.precision != Precision::F32 {
        eprintln!("precision  {} in matrix products", backend.precision().name());
    }
    if let Some(recipe) = resolved.settings.recipe {
        eprintln!("recipe     {}", recipes::line(recipe, &resolved.settings));
    }
    let model_folder = find_model(&resolved.model)?;
    eprintln!("model      {} ({})", model_folder.folder.display(), model_folder.source);
    let config = EncoderConfig::from_folder(&model_folder.folder)?;
    let most = config.longest_sequence();
    if resolved.max_length > most {
        return Err(usage(format!("--max-length is {}; this model reads at most {most} tokens", resolved.max_length)));
    }
    let frozen = resolved.settings.freeze.as_deref().map(|spec| freeze::prefixes(spec, &config)).transpose()?;

    let mut data = Data::read(&resolved, &model_folder.folder, &config)?;
    resolved.numbers.metric = task::metric(data.task.name(), data.task.metrics(), resolved.settings.metric)?;
    (resolved.settings.task, resolved.settings.metric) = (Some(data.task_name), Some(resolved.numbers.metric));
    let kind = head_kind(data.task.unit());
    let head = Head::For { labels: data.task.labels(), kind, seed: resolved.numbers.seed };
    let mut loaded = pretrained::load_with_adapters(&Cpu, &model_folder.folder, head, resolved.lora.as_ref())?;
    eprintln!("weights    {}", loaded.report.summary());
    if let Some(why) = &loaded.head_replaced {
        eprintln!("weights    the folder's classification head is replaced by a new one: {why}");
    }
    tuning::override_dropouts(&resolved, &mut loaded.config, loaded.model.kind())?;
    tuning::restart_top(&resolved, &mut loaded.params, &config)?;
    freeze::freeze(&mut loaded.params, &frozen.unwrap_or_default());
    tuning::keep_few(&resolved, &mut loaded.params);
    let anchor = tuning::anchor(&resolved, &loaded.params, &config)?;
    let thaw = tuning::thaw(&resolved, &loaded.params, &config)?;
    let fingerprint = fingerprint::of(&resolved, &model_folder.folder)?;

    let mut folder = RunFolder::open(&resolved.output, args.resume, args.overwrite)?;
    folder.write_settings(&resolved.settings)?;
    let mut optimizer = optimizer(&resolved, &loaded.params, &config);
    let mut observer = Tee::new();
    observer.add(Progress::new());
    observer.add(folder.metrics_log()?);
    if let Some(warning) = longer_than_a_pass(&resolved, &data.train) {
        observer.on(&Event::warning(warning));
    }
    data.audit.iter().for_each(|line| observer.on(&Event::warning(line.clone())));

    let stop = stop_on_signal();
    let mut pool = Pool::new(backend);
    let Pretrained { config, model, params, .. } = &mut loaded;
    model.base.encoder.checkpointing = resolved.checkpointing;
    let frozen_layers = freeze::frozen_layers(params, config);
    let classifier = BertClassifier { model, config, frozen_layers };
    let validation = data.validation.as_ref();
    let mut prefix =
        prefix::open(&resolved.settings, backend, folder.path(), &classifier, params, &data.train, validation)?;
    let predicted = memory::predicted_mib(
        &resolved,
        config,
        model.kind(),
        params,
        frozen_layers,
        &data.train,
        validation,
        prefix.memory,
    );
    if let Some(mib) = predicted {
        eprintln!("memory     about {mib:.0} MiB at the peak of training");
    }
    let outcome = on_pool(|| {
        train(Run {
            backend: &backend,
            model: &classifier,
            params,
            optimizer: optimizer.as_mut(),
            pool: &mut pool,
            train: &data.train,
            validation,
            prefix: prefix.caches.as_mut(),
            task: data.task.as_ref(),
            anchor: anchor.as_ref(),
            thaw: &thaw,
            settings: &resolved.numbers,
            checkpoints: Some(Checkpoints { store: &mut folder.store, fingerprint: &fingerprint }),
            resume: args.resume,
            stop: &stop,
            observer: &mut observer,
        })
    })?;
    if outcome.stopped {
        let message =
            format!("stopped on request after step {}; a checkpoint is saved: go on with --resume", outcome.steps);
        return Err(Failure { message, code: STOPPED });
    }

    // What follows needs the model alone.
    drop((optimizer, anchor));
    prefix.close()?;
    let best = folder.path().join(BEST);
    if let Some(spec) = &resolved.lora {
        folder.clear_adapter()?;
        lora::save(&Cpu, &folder.path().join(ADAPTER), params, config, model.kind(), spec, &resolved.model)?;
        lora::merge(&Cpu, params, spec);
    }
    let mut fitted = None;
    if let (Some(split), true) = (&data.validation, data.task.fits()) {
        let scores = on_pool(|| logits(&backend, &classifier, params, &mut pool, &split.encoded, None))?;
        let targets = split.row_targets();
        data.task.fit(&scores, &targets);
        fitted = Some(data.task.report(&scores, &targets));
    }
    let task = data.task.as_ref();
    let saved_config = EncoderConfig { problem_type: task.problem_type().map(str::to_string), ..config.clone() };
    pretrained::save(
        &Cpu,
        &best,
        &saved_config,
        model.kind(),
        task.labels(),
        params,
        Some(&model_folder.folder),
        true,
    )?;
    Notes::of(resolved.max_length, resolved.long_texts, task).write(&best)?;
    let measure = |split| on_pool(|| evaluate(&backend, &classifier, params, &mut pool, split, task, None));
    let test = data.test.as_ref().map(measure).transpose()?;
    let reports = Reports { validation: outcome.validation.as_ref(), fitted, test };
    folder.write_results(&results(&resolved, &outcome, &reports))?;
    finish(&outcome, &reports, folder.path());
    Ok(())
}

/// What `--max-tokens` cannot cut.
pub(super) fn longer_than_a_pass(resolved: &Resolved, train: &Split) -> Option<String> {
    let most = resolved.numbers.pass_limit.tokens?;
    let longer = (0..train.rows()).filter(|&row| train.encoded.row(row).0.len() > most).count();
    (longer > 0).then(|| format!("{longer} rows have more than --max-tokens {most}; each gets a pass of its own"))
}

/// The optimizer that was asked for, and what decays.
pub(super) fn optimizer(resolved: &Resolved, params: &Params<Cpu>, config: &EncoderConfig) -> Box<dyn Optimizer<Cpu>> {
    let groups = tuning::with_rates(resolved, Groups::standard(params, resolved.weight_decay), params, config);
    let [weights, vectors] = Groups::counts(params);
    eprintln!(
        "optimizer  weight decay {} on {} tensors ({} parameters), none on {} biases and layer norms ({} parameters)",
        resolved.weight_decay, weights.tensors, weights.elements, vectors.tensors, vectors.elements
    );
    match resolved.optimizer {
        OptimizerName::Adamw => Box::new(AdamW::new(&Cpu, params, groups, adamw::BETAS, adamw::EPS)),
        OptimizerName::Sgd => Box::new(Sgd::new(&Cpu, params, groups, resolved.momentum)),
    }
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
}

fn results(resolved: &Resolved, outcome: &Outcome, reports: &Reports<'_>) -> serde_json::Value {
    json!({
        "validation": reports.validation,
        "validation_fitted": reports.fitted,
        "test": reports.test,
        "best_epoch": outcome.best_epoch,
        "seed": resolved.numbers.seed,
        "ema": resolved.numbers.ema,
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
        println!("{}   best epoch {}", report::line("validation", validation), outcome.best_epoch);
    }
    if let Some(fitted) = &reports.fitted {
        println!("{}   with thresholds chosen on these rows", report::line("validation", fitted));
    }
    if let Some(test) = &reports.test {
        println!("{}", report::text("test", test));
    }
    println!("model      {}", folder.join(BEST).display());
    if folder.join(ADAPTER).is_dir() {
        println!("adapter    {}", folder.join(ADAPTER).display());
    }
    println!("results    {}", folder.join("results.json").display());
    println!("log        {}", folder.join("metrics.jsonl").display());
}
