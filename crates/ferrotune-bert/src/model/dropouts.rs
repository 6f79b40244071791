//! Where the model drops, and how much: the masks are pure functions of (seed, step, layer, site, element).

use crate::config::BertConfig;
use ferrotune_tensor::Mask;

/// The dropouts of one forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Dropouts {
    hidden: f32,
    attention: f32,
    classifier: f32,
    seed: u64,
    step: u64,
}

/// The places, numbered for the mask generator. The numbers are part of what a seed means: never change them.
#[derive(Clone, Copy)]
pub(super) enum Site {
    Embeddings = 0,
    AttentionProbabilities = 1,
    AttentionOutput = 2,
    FeedForwardOutput = 3,
    Classifier = 4,
}

impl Dropouts {
    /// No dropout: evaluation and prediction.
    pub fn off() -> Dropouts {
        Dropouts { hidden: 0.0, attention: 0.0, classifier: 0.0, seed: 0, step: 0 }
    }

    /// The dropouts that the configuration names, for one micro-batch: `step` counts forward passes of training from 0.
    pub fn training(config: &BertConfig, seed: u64, step: u64) -> Dropouts {
        Dropouts {
            hidden: config.hidden_dropout_prob,
            attention: config.attention_probs_dropout_prob,
            classifier: config.classifier_dropout.unwrap_or(config.hidden_dropout_prob),
            seed,
            step,
        }
    }

    pub(super) fn mask(&self, site: Site, layer: usize) -> Mask {
        let p = match site {
            Site::AttentionProbabilities => self.attention,
            Site::Classifier => self.classifier,
            Site::Embeddings | Site::AttentionOutput | Site::FeedForwardOutput => self.hidden,
        };
        if p == 0.0 { Mask::NONE } else { Mask::new(p, self.seed, self.step, layer as u32, site as u32) }
    }
}
