//! Sizes of well-known BERT models, for models that start from random weights. It must not know tokens or training.

use crate::config::EncoderConfig;
use crate::error::BertError;
use serde_json::json;

/// The sizes of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// Encoder layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Attention heads a layer.
    pub heads: usize,
    /// Width between the two feed-forward layers.
    pub intermediate: usize,
}

/// Rows of the position embedding of all of them.
const POSITIONS: usize = 512;

/// Tiny and mini are from Turc et al. 2019, <https://arxiv.org/abs/1908.08962>, base and large from Devlin et al. 2018,
/// <https://arxiv.org/abs/1810.04805>; minilm-l6 has the sizes of all-MiniLM-L6-v2.
pub const ALL: [Preset; 5] = [
    Preset { name: "bert-tiny", layers: 2, hidden: 128, heads: 2, intermediate: 512 },
    Preset { name: "bert-mini", layers: 4, hidden: 256, heads: 4, intermediate: 1024 },
    Preset { name: "minilm-l6", layers: 6, hidden: 384, heads: 12, intermediate: 1536 },
    Preset { name: "bert-base", layers: 12, hidden: 768, heads: 12, intermediate: 3072 },
    Preset { name: "bert-large", layers: 24, hidden: 1024, heads: 16, intermediate: 4096 },
];

impl Preset {
    /// The configuration of such a BERT over a vocabulary, as transformers writes it.
    ///
    /// # Errors
    /// A vocabulary that is empty or over the cap, a padding token outside of it.
    pub fn config(&self, vocab_size: usize, pad_token_id: usize) -> Result<EncoderConfig, BertError> {
        let document = json!({
            "model_type": "bert",
            "vocab_size": vocab_size,
            "pad_token_id": pad_token_id,
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": self.intermediate,
            "max_position_embeddings": POSITIONS,
            "type_vocab_size": 2,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
            "layer_norm_eps": 1e-12,
            "initializer_range": 0.02,
        });
        EncoderConfig::from_json(document.to_string().as_bytes(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EncoderClassifier;
    use crate::pretrained::{self, Head};
    use ferrotune_tensor::Cpu;

    /// The parameters of `BertModel`, pooler included, over the vocabulary of bert-base-uncased, as transformers counts them.
    #[test]
    fn presets_have_the_sizes_of_their_models() {
        let counts = [4_385_920, 11_170_560, 22_713_216, 109_482_240, 335_141_888];
        for (preset, expected) in ALL.iter().zip(counts) {
            let config = preset.config(30522, 0).unwrap();
            let (_, layout) = EncoderClassifier::new(&config, 1);
            assert_eq!(layout.parameter_count() - (preset.hidden + 1), expected, "{}", preset.name);
        }
    }

    #[test]
    fn a_vocabulary_that_cannot_be_is_refused() {
        for (vocabulary, pad) in [(0, 0), (100, 100), (usize::MAX >> 12, 0)] {
            assert!(ALL[0].config(vocabulary, pad).is_err(), "{vocabulary} {pad}");
        }
    }

    #[test]
    fn a_new_folder_is_a_base_model_and_its_weights_are_the_seed_s() {
        let folder = tempfile::tempdir().unwrap();
        let config = ALL[0].config(50, 0).unwrap();
        let create = |name: &str, seed| {
            let path = folder.path().join(name);
            pretrained::create(&Cpu, &path, &config, seed, None, false).unwrap();
            std::fs::read(path.join("model.safetensors")).unwrap()
        };
        assert!(create("a", 1) == create("b", 1));
        assert!(create("c", 2) != create("a-again", 1));
        let labels = ["calm", "storm"].map(str::to_string);
        for head in
            [Head::Vocabulary { seed: 5 }, Head::For { labels: &labels, kind: crate::HeadKind::Sequence, seed: 5 }]
        {
            let is_classifier = matches!(head, Head::For { .. });
            let loaded = pretrained::load(&Cpu, &folder.path().join("a"), head).unwrap();
            let new: Vec<&str> = loaded.report.newly_initialised.iter().map(|tensor| tensor.name.as_str()).collect();
            assert_eq!(new, if is_classifier { vec!["classifier.weight", "classifier.bias"] } else { vec![] });
            let id = loaded.params.layout().find("bert.encoder.layer.1.output.dense.weight").unwrap();
            let values = loaded.params.get(id).data;
            let deviation = (values.iter().map(|x| f64::from(x * x)).sum::<f64>() / values.len() as f64).sqrt();
            // 65536 values: the standard error of the deviation is 0.3 % of it.
            assert!((deviation / 0.02 - 1.0).abs() < 0.02, "{deviation}");
        }
    }
}
