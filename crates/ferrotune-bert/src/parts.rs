//! Which part of the network a parameter belongs to, by its name, and what is chosen by parts: learning rates that fall from layer to layer,
//! top layers that start anew, biases alone. Must not know optimizers or settings files.

use crate::checkpoint::LoadReport;
use crate::config::EncoderConfig;
use crate::family;
use ferrotune_tensor::{Backend, ParamId, Params};

/// A part of the network, from bottom to top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Word, position and token-type embeddings, their layer norm, the projection after them if there is one, and the table of distances.
    Embeddings,
    /// An encoder layer, counted from 0.
    Layer(usize),
    /// The layer norm after the top layer, in families that have one.
    FinalNorm,
    /// The pooler.
    Pooler,
    /// The task's own layers.
    Head,
}

impl Part {
    /// The part of a parameter, by its name in any family.
    pub fn of(name: &str) -> Part {
        let below = |name: &'_ str, path: &str| Some(name.strip_prefix(path)?.strip_prefix('.')?.to_string());
        for family in family::ALL {
            let Some(inside) = below(name, family.base) else { continue };
            if let Some(rest) = below(&inside, family.layers) {
                let layer = rest.split('.').next().and_then(|layer| layer.parse().ok());
                return Part::Layer(layer.expect("parameters of a layer carry its number"));
            }
            return match inside.starts_with("pooler.") {
                true => Part::Pooler,
                false if family.final_norm_path().is_some_and(|path| name.starts_with(&path)) => Part::FinalNorm,
                false => Part::Embeddings,
            };
        }
        Part::Head
    }
}

/// The epoch, from 0, in which a part begins to move if head and pooler move first, then `layers_an_epoch` more layers in each epoch from the
/// top of `layers` (the top one with the norm that may follow it), and the embeddings after the lowest (Howard and Ruder 2018, section 3.3).
///
/// # Panics
/// If `layers_an_epoch` is 0.
pub fn unfreezing_epoch(part: Part, layers: usize, layers_an_epoch: usize) -> u64 {
    let epoch = match part {
        Part::Head | Part::Pooler => 0,
        Part::FinalNorm => 1,
        Part::Layer(layer) => 1 + (layers - 1 - layer) / layers_an_epoch,
        Part::Embeddings => 1 + layers.div_ceil(layers_an_epoch),
    };
    epoch as u64
}

/// Learning rates that fall from the top layer down (Howard and Ruder 2018, <https://arxiv.org/abs/1801.06146>; with the
/// geometric series of Zhang et al. 2021, <https://arxiv.org/abs/2006.05987>, section 5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerwiseRates {
    /// Each layer's rate is that of the layer above times this; embeddings lie below layer 0. 1 for one rate.
    pub decay: f64,
    /// The head's rate, as a multiple of the top layer's.
    pub head: f64,
    /// Layers of the encoder.
    pub layers: usize,
}

impl LayerwiseRates {
    /// What the learning rate of a part is multiplied by: 1 for the top layer and what follows it.
    pub fn factor(&self, part: Part) -> f64 {
        let below = |layers: usize| self.decay.powi(layers.min(i32::MAX as usize) as i32);
        match part {
            Part::Embeddings => below(self.layers),
            Part::Layer(layer) => below(self.layers - 1 - layer),
            Part::FinalNorm | Part::Pooler => 1.0,
            Part::Head => self.head,
        }
    }
}

/// Gives the top `count` layers and the pooler new random values (Zhang et al. 2021, section 4): pretraining leaves there what its own
/// task needed. Returns how many numbers that are.
///
/// # Panics
/// If the model has fewer layers.
pub fn reinitialise_top<B: Backend>(
    backend: &B,
    params: &mut Params<B>,
    config: &EncoderConfig,
    count: usize,
    seed: u64,
) -> usize {
    assert!(count <= config.num_hidden_layers, "re-initialise {count} of {} layers", config.num_hidden_layers);
    let first = config.num_hidden_layers - count;
    let is_top = |part| part == Part::Pooler || matches!(part, Part::Layer(layer) if layer >= first);
    let chosen = choose(params, |name| count > 0 && is_top(Part::of(name)));
    chosen.iter().for_each(|&id| params.reset(backend, id, seed));
    elements(params, &chosen)
}

/// Whether nothing pretrained is in a parameter: it is of the head, or the folder had none of it, as of the pooler in one of a masked language
/// model. What freezes the pretrained weights must leave it free, or it would stay random.
pub fn is_of_task(name: &str, report: &LoadReport) -> bool {
    Part::of(name) == Part::Head || report.is_new(name)
}

/// Freezes all but the biases and what is of the task (BitFit: Ben Zaken et al. 2022, <https://arxiv.org/abs/2106.10199>); biases of layer norms
/// count. What was frozen before stays frozen. Returns how many numbers it froze.
pub fn freeze_all_but_biases<B: Backend>(params: &mut Params<B>, report: &LoadReport) -> usize {
    let moves = |name: &str| name.ends_with(".bias") || is_of_task(name, report);
    let chosen = choose(params, |name| !moves(name));
    chosen.iter().for_each(|&id| params.set_trainable(id, false));
    elements(params, &chosen)
}

fn choose<B: Backend>(params: &Params<B>, wanted: impl Fn(&str) -> bool) -> Vec<ParamId> {
    let layout = params.layout();
    layout.ids().zip(layout.entries()).filter(|(_, entry)| wanted(&entry.name)).map(|(id, _)| id).collect()
}

fn elements<B: Backend>(params: &Params<B>, ids: &[ParamId]) -> usize {
    ids.iter().map(|&id| params.layout().entry(id).shape.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EncoderClassifier;
    use ferrotune_tensor::Cpu;

    fn small() -> (EncoderConfig, Params<Cpu>) {
        let json = r#"{"model_type": "bert", "vocab_size": 9, "hidden_size": 4, "num_hidden_layers": 3, "num_attention_heads": 2,
            "intermediate_size": 8, "max_position_embeddings": 7, "type_vocab_size": 2, "hidden_act": "gelu"}"#;
        let config: EncoderConfig = json.parse().unwrap();
        let (_, layout) = EncoderClassifier::new(&config, 2);
        (config, Params::zeros(&Cpu, layout))
    }

    #[test]
    fn rates_fall_from_the_top_layer_to_the_embeddings() {
        let rates = LayerwiseRates { decay: 0.5, head: 10.0, layers: 3 };
        for (name, expected) in [
            ("classifier.weight", 10.0),
            ("bert.pooler.dense.bias", 1.0),
            ("bert.encoder.layer.2.output.dense.weight", 1.0),
            ("bert.encoder.layer.1.attention.self.query.bias", 0.5),
            ("bert.encoder.layer.0.output.LayerNorm.weight", 0.25),
            ("bert.embeddings.word_embeddings.weight", 0.125),
            ("distilbert.transformer.layer.1.ffn.lin1.weight", 0.5),
            ("electra.embeddings_project.bias", 0.125),
            ("roberta.encoder.layer.0.attention.self.key.weight", 0.25),
            ("model.layers.1.attn.Wqkv.weight", 0.5),
            ("model.final_norm.weight", 1.0),
            ("model.embeddings.norm.weight", 0.125),
            ("head.norm.weight", 10.0),
            ("pre_classifier.weight", 10.0),
            ("classifier.out_proj.weight", 10.0),
        ] {
            assert_eq!(rates.factor(Part::of(name)), expected, "{name}");
        }
    }

    #[test]
    fn the_top_layers_and_the_pooler_start_anew_and_the_rest_stays() {
        for count in 0..=3 {
            let (config, mut params) = small();
            let anew = reinitialise_top(&Cpu, &mut params, &config, count, 7);
            let layout = params.layout().clone();
            let mut changed = 0;
            for (id, entry) in layout.ids().zip(layout.entries()) {
                // Weights start at random and norms at 1, so both differ from the zeros before; biases are zero in both.
                let (is_bias, moved) = (entry.name.ends_with("bias"), params.get(id).data.iter().any(|&x| x != 0.0));
                let is_top = match Part::of(&entry.name) {
                    Part::Layer(layer) => layer + count >= 3,
                    part => part == Part::Pooler && count > 0,
                };
                assert_eq!(moved, is_top && !is_bias, "{count}: {}", entry.name);
                changed += if is_top { entry.shape.len() } else { 0 };
            }
            assert_eq!(anew, changed);
        }
    }

    #[test]
    fn bitfit_leaves_biases_the_head_and_what_the_folder_had_not() {
        for new in [None, Some("bert.pooler.dense.weight")] {
            let (_, mut params) = small();
            let frozen = freeze_all_but_biases(&mut params, &LoadReport::without(new));
            let layout = params.layout().clone();
            let mut left = 0;
            for (id, entry) in layout.ids().zip(layout.entries()) {
                let is_new = new == Some(entry.name.as_str());
                let moves = entry.name.ends_with("bias") || entry.name.starts_with("classifier") || is_new;
                assert_eq!(params.is_trainable(id), moves, "{}", entry.name);
                left += if moves { entry.shape.len() } else { 0 };
            }
            assert_eq!(frozen + left, layout.parameter_count());
        }
    }
}
