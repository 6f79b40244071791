//! Which weights move, from where and how fast: what the settings of a run say about parts of the model, done and said aloud.
//! It must not know rows or the loop.

use crate::exit::{Failure, usage};
use crate::settings::Resolved;
use crate::terminal::voice::say;
use ferrotune_bert::checkpoint::LoadReport;
use ferrotune_bert::parts::{self, LayerwiseRates, Part};
use ferrotune_bert::{EncoderConfig, HeadKind, lora};
use ferrotune_optim::{Anchor, Groups};
use ferrotune_tensor::{Backend, Params};
use ferrotune_train::trainer::thaw::Thaw;

/// `--reinit-layers`: gives the pooler and the top layers new random values.
///
/// # Errors
/// More layers than the model has.
pub fn restart_top<B: Backend>(
    backend: &B,
    resolved: &Resolved,
    params: &mut Params<B>,
    config: &EncoderConfig,
) -> Result<(), Failure> {
    let (count, layers) = (resolved.reinit_layers, config.num_hidden_layers);
    if count > layers {
        return Err(usage(format!("--reinit-layers is {count}; this model has {layers} layers")));
    }
    if count > 0 {
        let anew = parts::reinitialise_top(backend, params, config, count, resolved.numbers.seed);
        let which = if count == 1 {
            format!("layer {}", layers - 1)
        } else {
            format!("layers {}-{}", layers - count, layers - 1)
        };
        let path = config.family.pooler_path();
        let names = || params.layout().entries().iter().map(|entry| &entry.name);
        let has_pooler = path.is_some_and(|path| names().any(|name| name.starts_with(&path)));
        let pooler = if has_pooler { "the pooler and " } else { "" };
        say!("weights    {pooler}{which} start from random values ({anew} parameters)");
    }
    Ok(())
}

/// `--dropout`, `--attention-dropout` and `--classifier-dropout`: these instead of the model's own, in the saved configuration too.
///
/// # Errors
/// A classifier dropout that this family's head of this kind does not have (code 2).
pub fn override_dropouts(resolved: &Resolved, config: &mut EncoderConfig, kind: HeadKind) -> Result<(), Failure> {
    let s = &resolved.settings;
    let own = config.classifier_dropout.unwrap_or(config.hidden_dropout_prob);
    config.hidden_dropout_prob = s.dropout.map_or(config.hidden_dropout_prob, |p| p as f32);
    let is_other = s.classifier_dropout.is_some_and(|p| p as f32 != config.hidden_dropout_prob);
    if is_other && !config.has_head_dropout(kind) {
        let (family, kind) = (config.family.model_type, kind.to_string());
        return Err(usage(format!(
            "--classifier-dropout does nothing for a head on {kind} of {family}, which drops as much as the hidden states: use --dropout"
        )));
    }
    config.embedding_dropout_prob = config.embedding_dropout_prob.map(|own| s.dropout.map_or(own, |p| p as f32));
    config.attention_probs_dropout_prob = s.attention_dropout.map_or(config.attention_probs_dropout_prob, |p| p as f32);
    // The head follows `--dropout` only where it is told to: what it had, it keeps.
    if config.has_head_dropout(kind) && (s.dropout.is_some() || s.classifier_dropout.is_some()) {
        config.classifier_dropout = Some(s.classifier_dropout.map_or(own, |p| p as f32));
    }
    Ok(())
}

/// `--bitfit` and `--lora-rank`: freezes all but biases, or adapters, and the head.
///
/// # Errors
/// None of them is left to train, because `--freeze` holds them all (code 2).
pub fn keep_few<B: Backend>(resolved: &Resolved, params: &mut Params<B>, report: &LoadReport) -> Result<(), Failure> {
    if resolved.lora.is_some() {
        lora::freeze_all_but_adapters(params, report);
    }
    if resolved.bitfit {
        let has_biases = |id| {
            let name = &params.layout().entry(id).name;
            name.ends_with(".bias") && Part::of(name) != Part::Head
        };
        if !params.layout().ids().any(has_biases) {
            return Err(usage(
                "--bitfit trains the biases of the encoder, and this model has none: use --lora-rank or --freeze",
            ));
        }
        parts::freeze_all_but_biases(params, report);
    }
    if resolved.lora.is_some() || resolved.bitfit {
        let (flag, which) = if resolved.bitfit { ("bitfit", "biases") } else { ("lora-rank", "adapters") };
        let part = |id| Part::of(&params.layout().entry(id).name);
        if !params.trainable_ids().any(|id| matches!(part(id), Part::Embeddings | Part::Layer(_) | Part::FinalNorm)) {
            return Err(usage(format!(
                "--{flag} trains {which} of the encoder, and --freeze holds them all; leave one of them out"
            )));
        }
        let moving: usize = params.trainable_ids().map(|id| params.layout().entry(id).shape.len()).sum();
        let all = params.layout().parameter_count();
        let percent = 100.0 * moving as f64 / all as f64;
        say!("weights    {which} and the head alone are trained: {moving} of {all} parameters ({percent:.2} %)");
    }
    Ok(())
}

/// Whether all random values that `--reinit-layers` gave are trained, once it is known what is.
///
/// # Errors
/// Some of them would stay random (code 2).
pub fn check_restarted<B: Backend>(
    resolved: &Resolved,
    params: &Params<B>,
    config: &EncoderConfig,
) -> Result<(), Failure> {
    let first = config.num_hidden_layers - resolved.reinit_layers;
    let is_anew = |name: &str| match Part::of(name) {
        Part::Layer(layer) => layer >= first,
        Part::Pooler => resolved.reinit_layers > 0,
        Part::Embeddings | Part::FinalNorm | Part::Head => false,
    };
    let mut held =
        params.layout().ids().filter(|&id| !params.is_trainable(id)).map(|id| &params.layout().entry(id).name);
    match held.find(|name| is_anew(name)) {
        None => Ok(()),
        Some(name) => Err(usage(format!(
            "--reinit-layers {} gives {name} random values, and --freeze, --bitfit or --lora-rank would leave them so; take --reinit-layers 0, or \
             train these layers",
            resolved.reinit_layers
        ))),
    }
}

/// `--l2-sp`: holds the pretrained values of what is trained in embeddings and layers, but for layers that start anew.
pub fn anchor<B: Backend>(
    backend: &B,
    resolved: &Resolved,
    params: &Params<B>,
    config: &EncoderConfig,
) -> Result<Option<Anchor<B>>, Failure> {
    if resolved.l2_sp == 0.0 {
        return Ok(None);
    }
    let known = config.num_hidden_layers - resolved.reinit_layers;
    let has_past = |name: &str| match Part::of(name) {
        Part::Embeddings | Part::FinalNorm => true,
        Part::Layer(layer) => layer < known,
        Part::Pooler | Part::Head => false,
    };
    let anchor = Anchor::new(backend, params, resolved.l2_sp, has_past);
    if anchor.is_empty() {
        return Err(usage(
            "--l2-sp pulls pretrained weights back, and none of them is trained; leave it out, or freeze less",
        ));
    }
    say!(
        "anchor     {} pretrained weights are pulled back to where they were (L2-SP, {})",
        anchor.len(),
        resolved.l2_sp
    );
    Ok(Some(anchor))
}

/// `--gradual-unfreezing`: when the trained parts begin to move, said aloud.
///
/// # Errors
/// A run over `rows` training rows that ends before some of them move (code 2).
pub fn thaw<B: Backend>(
    resolved: &Resolved,
    params: &Params<B>,
    config: &EncoderConfig,
    rows: usize,
) -> Result<Thaw, Failure> {
    let Some(layers_an_epoch) = resolved.gradual_unfreezing else { return Ok(Thaw::default()) };
    let epoch_of = |name: &str| parts::unfreezing_epoch(Part::of(name), config.num_hidden_layers, layers_an_epoch);
    let trained = params.trainable_ids().map(|id| epoch_of(&params.layout().entry(id).name));
    let last = trained.max().unwrap_or(0) + 1;
    if last == 1 {
        return Err(usage(
            "--gradual-unfreezing has nothing to unfreeze: all that --freeze leaves moves from the first epoch; leave one of them out, or take another --recipe",
        ));
    }
    let (epoch_steps, steps) = resolved.numbers.steps(rows);
    let epochs = steps.div_ceil(epoch_steps);
    if last > epochs {
        let flag = if epochs < resolved.numbers.epochs { "with --max-steps" } else { "with --epochs" };
        return Err(usage(format!(
            "--gradual-unfreezing {layers_an_epoch} has trained all parts of this model in epoch {last}, and {flag} the run ends in epoch {epochs}: \
             take {last} epochs, more layers an epoch, or --freeze what is not to move"
        )));
    }
    say!(
        "unfreezing the head moves from epoch 1, {layers_an_epoch} more of the top layers from each later one, all from epoch {last}"
    );
    Ok(Thaw::new(params, epoch_of))
}

/// `--layer-lr-decay` and `--head-lr`: the groups with a learning rate for each part.
pub fn with_rates<B: Backend>(
    resolved: &Resolved,
    groups: Groups,
    params: &Params<B>,
    config: &EncoderConfig,
) -> Groups {
    let rates =
        LayerwiseRates { decay: resolved.layer_lr_decay, head: resolved.head_rate, layers: config.num_hidden_layers };
    if rates.decay != 1.0 || rates.head != 1.0 {
        let rate = |part| resolved.numbers.learning_rate * rates.factor(part);
        say!(
            "rates      head {:.2e}, layer {} {:.2e}, layer 0 {:.2e}, embeddings {:.2e}",
            rate(Part::Head),
            config.num_hidden_layers - 1,
            rate(Part::Layer(config.num_hidden_layers - 1)),
            rate(Part::Layer(0)),
            rate(Part::Embeddings)
        );
    }
    groups.with_rates(params, |name| rates.factor(Part::of(name)))
}
