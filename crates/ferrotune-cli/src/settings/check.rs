//! Values within their ranges, and settings that go together. It must not know what the defaults are, or where a value was said.

use super::methods::{average_best, chosen_optimizer, ema, l2_sp, lora, schedule};
use super::{DEFAULT_FILE, Resolved, held_out, part_of_rows, with_defaults};
#[cfg(not(feature = "cuda"))]
use crate::args::DeviceName;
use crate::args::{LongTextsName, OnDegenerate, Precision, Switch, TrainSettings};
use crate::exit::{Failure, usage};
use crate::run::folder::RESTARTS;
use ferrotune_optim::Penalty;
use ferrotune_train::metrics::MetricName;
use ferrotune_train::trainer::Settings;
use ferrotune_train::trainer::passes::PassLimit;

/// `value` if `allowed` holds, else an error that names the flag.
pub(super) fn within<T: Copy + std::fmt::Display>(
    flag: &str,
    value: T,
    allowed: bool,
    rule: &str,
) -> Result<T, Failure> {
    if allowed { Ok(value) } else { Err(usage(format!("--{flag} is {value}; it must be {rule}"))) }
}

/// Whether so many seeds can be counted up from the first: a run's own seed is written with its settings.
///
/// # Errors
/// A first seed that is too large: exit code 2, before the first of them is trained.
pub fn check_seeds(first: u64, count: u64) -> Result<(), Failure> {
    let highest = i64::MAX as u64 - count.saturating_sub(1);
    within("seed", first, first <= highest, &format!("at most {highest}, so that later seeds can follow it")).map(drop)
}

/// Fills in defaults, checks every value, and what contradicts others.
///
/// # Errors
/// A setting that is missing, out of its range, or contradicts another: exit code 2.
pub(super) fn check(said: TrainSettings) -> Result<Resolved, Failure> {
    let (length_was_said, rate_was_said) = (said.max_length.is_some(), said.lr.is_some());
    let s = with_defaults(said);
    let needed =
        |flag: &str, what: &str| usage(format!("--{flag} is missing: name {what} (or set `{flag}` in {DEFAULT_FILE})"));
    let model = s.model.clone().ok_or_else(|| needed("model", "a model folder or hub id"))?;
    let train = s.train.clone().ok_or_else(|| needed("train", "a file of labelled rows"))?;
    let output = s.output.clone().ok_or_else(|| needed("output", "a folder for the run"))?;

    let float = |flag, value: Option<f64>, low: f64, high: f64, rule| {
        let value = value.unwrap_or(0.0);
        within(flag, value, value.is_finite() && (low..=high).contains(&value), rule)
    };
    let count = |flag, value: Option<u64>| {
        let value = value.unwrap_or(1);
        within(flag, value, (1..=1 << 40).contains(&value), "a whole number of at least 1")
    };
    let lr = float("lr", s.lr, 0.0, 10.0, "above 0 and at most 10")?;
    within("lr", lr, lr > 0.0, "above 0 and at most 10")?;
    let layer_lr_decay = float("layer-lr-decay", s.layer_lr_decay, 0.0, 1.0, "above 0 and at most 1")?;
    within("layer-lr-decay", layer_lr_decay, layer_lr_decay > 0.0, "above 0 and at most 1")?;
    let head_lr = float("head-lr", s.head_lr.or(Some(lr)), 0.0, 10.0, "above 0 and at most 10")?;
    within("head-lr", head_lr, head_lr > 0.0, "above 0 and at most 10")?;
    let share = "a share between 0 and 1";
    let factor = "between 0 and 1000";
    let warmup = float("warmup", s.warmup, 0.0, 1.0, share)?;
    let weight_decay = float("weight-decay", s.weight_decay, 0.0, 1000.0, factor)?;
    for (flag, value) in [
        ("momentum", s.momentum),
        ("dropout", s.dropout),
        ("attention-dropout", s.attention_dropout),
        ("classifier-dropout", s.classifier_dropout),
    ] {
        let value = float(flag, value, 0.0, 1.0, "at least 0 and below 1")?;
        within(flag, value, value < 1.0, "at least 0 and below 1")?;
    }
    let penalty = Penalty {
        l1: float("l1", s.l1, 0.0, 1000.0, factor)? as f32,
        l2: float("l2", s.l2, 0.0, 1000.0, factor)? as f32,
    };
    let clip = float("clip", s.clip, 0.0, 1e9, "0 (off) or a norm")?;
    let batch_size = count("batch-size", s.batch_size.map(|n| n as u64))? as usize;
    let micro_batch = count("micro-batch", s.micro_batch.map(|n| n as u64).or(Some(batch_size as u64)))? as usize;
    within("micro-batch", micro_batch, micro_batch <= batch_size, "at most --batch-size")?;
    let max_length = s.max_length.unwrap_or_default();
    within("max-length", max_length, max_length >= 3, "at least 3")?;
    let part = part_of_rows(&s)?;
    let held_out = held_out(&s)?;
    let validated = s.validation.is_some() || held_out.is_some();
    refuse_contradictions(&s, validated)?;

    Ok(Resolved {
        model,
        train,
        held_out,
        part,
        output,
        max_length,
        length_was_said,
        rate_was_said,
        long_texts: s.long_texts.unwrap_or(LongTextsName::Head),
        precision: s.precision.unwrap_or(Precision::F32),
        #[cfg(feature = "cuda")]
        device: s.device.unwrap_or_default(),
        #[cfg(not(feature = "cuda"))]
        device: DeviceName::Cpu,
        optimizer: chosen_optimizer(&s)?,
        weight_decay,
        momentum: s.momentum.unwrap_or_default() as f32,
        layer_lr_decay,
        head_rate: head_lr / lr,
        gradual_unfreezing: s
            .gradual_unfreezing
            .map(|n| count("gradual-unfreezing", Some(n as u64)))
            .transpose()?
            .map(|n| n as usize),
        reinit_layers: s.reinit_layers.unwrap_or_default(),
        l2_sp: l2_sp(&s)?,
        bitfit: s.bitfit == Some(Switch::On),
        lora: lora(&s)?,
        checkpointing: s.activation_checkpointing == Some(Switch::On),
        budget: None,
        numbers: Settings {
            batch_size,
            pass_limit: PassLimit {
                rows: micro_batch,
                tokens: s.max_tokens.map(|n| count("max-tokens", Some(n as u64))).transpose()?.map(|n| n as usize),
            },
            epochs: count("epochs", s.epochs)?,
            max_steps: s.max_steps.map(|n| count("max-steps", Some(n))).transpose()?,
            learning_rate: lr,
            schedule: schedule(&s)?,
            warmup,
            clip,
            penalty,
            ema: ema(&s)?,
            average_best: average_best(&s, validated)?,
            leave_degenerate: s.on_degenerate == Some(OnDegenerate::Restart),
            balanced: s.balanced_sampling == Some(Switch::On),
            seed: s.seed.unwrap_or_default(),
            // The task's own where none is said; `commands/train.rs` puts it in once the task is known.
            metric: s.metric.unwrap_or(MetricName::Loss),
            patience: s.patience.map(|n| count("patience", Some(n))).transpose()?,
            log_every: count("log-every", s.log_every)?,
            checkpoint_every: s.checkpoint_every.map(|n| count("checkpoint-every", Some(n))).transpose()?,
        },
        settings: s,
    })
}

/// Settings that say opposite things, or need what others take away. `validated` says whether there are validation rows.
fn refuse_contradictions(s: &TrainSettings, validated: bool) -> Result<(), Failure> {
    if let Some(seeds) = s.seeds {
        within("seeds", seeds, (2..=1000).contains(&seeds), "between 2 and 1000")?;
        if s.on_degenerate == Some(OnDegenerate::Restart) {
            return Err(usage(
                "--on-degenerate restart goes on with the next seed, which --seeds trains anyway; leave one of them out",
            ));
        }
    }
    let restarts = if s.on_degenerate == Some(OnDegenerate::Restart) { RESTARTS } else { 0 };
    check_seeds(s.seed.unwrap_or_default(), s.seeds.unwrap_or(1 + restarts))?;
    if s.patience.is_some() && !validated {
        return Err(usage("--patience needs validation rows: without them nothing says whether training still helps"));
    }
    if s.metric.is_some() && !validated {
        return Err(usage("--metric chooses the best epoch by validation rows, and there are none; leave it out"));
    }
    if s.text_b_column.is_some() && s.text_column.is_none() {
        return Err(usage("--text-b-column names the second text of a pair; name the first with --text-column too"));
    }
    if s.prefix_cache == Some(Switch::Off) && s.prefix_cache_dir.is_some() {
        return Err(usage(
            "--prefix-cache-dir names a folder for what --prefix-cache off does not keep; leave one of them out",
        ));
    }
    if let Some(threads) = s.threads {
        within("threads", threads, (1..=4096).contains(&threads), "between 1 and 4096")?;
    }
    Ok(())
}
