//! Settings that belong to a method (optimizer, schedule, L2-SP, LoRA): complete, alone, and within their range. It must not know how a method works.

use super::{takes_minimum, within};
use crate::args::{OptimizerName, ScheduleName, Switch, TrainSettings};
use crate::exit::{Failure, usage};
use ferrotune_bert::lora::{LoraSpec, Target};
use ferrotune_optim::schedule::Kind;

/// The optimizer, and whether its settings belong to it.
pub(super) fn chosen_optimizer(s: &TrainSettings) -> Result<OptimizerName, Failure> {
    let optimizer = s.optimizer.unwrap_or(OptimizerName::Adamw);
    if s.momentum.is_some() && optimizer != OptimizerName::Sgd {
        return Err(usage("--momentum belongs to --optimizer sgd; adamw has no such setting"));
    }
    Ok(optimizer)
}

/// The schedule, and whether its settings belong to it.
pub(super) fn schedule(s: &TrainSettings) -> Result<Kind, Failure> {
    let minimum = s.minimum_lr.unwrap_or(0.0);
    let name = s.schedule.unwrap_or(ScheduleName::Linear);
    let stray = |flag: &str, of: &str| Err(usage(format!("--{flag} belongs to --schedule {of}")));
    if s.minimum_lr.is_some() && !takes_minimum(Some(name)) {
        return stray("minimum-lr", "cosine or polynomial");
    }
    if s.cycles.is_some() && name != ScheduleName::Cosine {
        return stray("cycles", "cosine");
    }
    if s.power.is_some() && name != ScheduleName::Polynomial {
        return stray("power", "polynomial");
    }
    let kind = match name {
        ScheduleName::Constant => Kind::Constant,
        ScheduleName::Linear => Kind::Linear,
        ScheduleName::Cosine => Kind::Cosine { minimum, cycles: s.cycles.unwrap_or(1) },
        ScheduleName::SlantedTriangular => "slanted-triangular".parse().expect("is a schedule"),
        ScheduleName::OneCycle => "one-cycle".parse().expect("is a schedule"),
        ScheduleName::Polynomial => Kind::Polynomial { power: s.power.unwrap_or(1.0), minimum },
    };
    kind.check().map_err(|e| usage(e.to_string()))?;
    Ok(kind)
}

/// The decay of the average of weights.
pub(super) fn ema(s: &TrainSettings) -> Result<Option<f64>, Failure> {
    let checked = |decay| within("ema", decay, decay > 0.0 && decay < 1.0, "above 0 and below 1");
    s.ema.map(checked).transpose()
}

/// How many best evaluations are kept; one, where no mean is asked for.
pub(super) fn average_best(s: &TrainSettings, validated: bool) -> Result<usize, Failure> {
    let Some(count) = s.average_best else { return Ok(1) };
    within("average-best", count, count >= 2, "at least 2")?;
    if !validated {
        return Err(usage("--average-best needs validation rows: without them nothing says which epochs are the best"));
    }
    let epochs = s.epochs.unwrap_or_default();
    if count as u64 > epochs {
        return Err(usage(format!(
            "--average-best is {count}, and --epochs {epochs}: no more epochs than there are can be averaged"
        )));
    }
    Ok(count)
}

/// The factor of the pull back to pretrained weights.
pub(super) fn l2_sp(s: &TrainSettings) -> Result<f32, Failure> {
    let factor = s.l2_sp.unwrap_or(0.0);
    within("l2-sp", factor, factor.is_finite() && (0.0..=1000.0).contains(&factor), "between 0 and 1000")?;
    match (factor > 0.0, s.lora_rank.is_some(), s.bitfit == Some(Switch::On)) {
        (true, true, _) => Err(usage(
            "--l2-sp pulls pretrained weights back, and with --lora-rank they do not move; leave one of them out",
        )),
        (true, _, true) => Err(usage(
            "--l2-sp pulls pretrained weights back, and with --bitfit they do not move; leave one of them out",
        )),
        _ => Ok(factor as f32),
    }
}

/// The adapters that were asked for.
pub(super) fn lora(s: &TrainSettings) -> Result<Option<LoraSpec>, Failure> {
    let Some(rank) = s.lora_rank else {
        if s.lora_alpha.is_some() || s.lora_dropout.is_some() || s.lora_targets.is_some() {
            return Err(usage(
                "--lora-alpha, --lora-dropout and --lora-targets belong to --lora-rank, which is not set",
            ));
        }
        return Ok(None);
    };
    within("lora-rank", rank, (1..=1024).contains(&rank), "between 1 and 1024")?;
    let alpha = s.lora_alpha.unwrap_or(2.0 * rank as f64);
    within("lora-alpha", alpha, alpha.is_finite() && alpha > 0.0 && alpha <= 1e6, "above 0 and at most 1000000")?;
    let dropout = s.lora_dropout.unwrap_or(0.0);
    within("lora-dropout", dropout, (0.0..1.0).contains(&dropout), "at least 0 and below 1")?;
    if s.bitfit == Some(Switch::On) {
        return Err(usage("--lora-rank trains adapters and --bitfit biases; leave one of them out"));
    }
    let mut targets = Vec::new();
    for name in s.lora_targets.as_deref().unwrap_or("query,value").split(',').map(str::trim) {
        let found = Target::ALL.iter().filter(|target| name == "all" || name == target.name());
        let before = targets.len();
        targets.extend(found);
        if targets.len() == before {
            let known: Vec<_> = Target::ALL.iter().map(|target| target.name()).collect();
            return Err(usage(format!("--lora-targets: `{name}` is none of {}, all", known.join(", "))));
        }
    }
    // In the order of the layer, each once: the order of names does not change a run.
    let targets = Target::ALL.into_iter().filter(|target| targets.contains(target)).collect();
    Ok(Some(LoraSpec { rank, alpha: alpha as f32, dropout, targets }))
}
