//! MPNet: Song et al. 2020, <https://arxiv.org/abs/2004.09297>; its embeddings and heads are RoBERTa's. It must not know the network.

use super::roberta::ROBERTA;
use super::{BERT_KEYS, Family, Keys, LayerPaths, Relative, TokenTypes};

/// `MPNetModel` and its heads in transformers.
pub(super) const MPNET: Family = Family {
    model_type: "mpnet",
    class: "MPNet",
    base: "mpnet",
    layer: LayerPaths {
        query: "attention.attn.q",
        key: "attention.attn.k",
        value: "attention.attn.v",
        attention_output: "attention.attn.o",
        attention_norm: "attention.LayerNorm",
        intermediate: "intermediate.dense",
        output: "output.dense",
        output_norm: "output.LayerNorm",
    },
    keys: Keys { classifier_dropout: None, default_pad_token_id: 1, ..BERT_KEYS },
    relative: Some(Relative::Bias { table: "encoder.relative_attention_bias" }),
    token_types: TokenTypes::Absent,
    ..ROBERTA
};
