//! MPNet: Song et al. 2020, <https://arxiv.org/abs/2004.09297>. It must not know the network.

use super::{
    BERT_EMBEDDINGS, BERT_KEYS, Block, Family, HeadActivation, Keys, LayerPaths, Positions, Relative,
    SequenceHeadPaths, TokenTypes, VocabularyHeadPaths,
};

/// `MPNetModel` and its heads in transformers.
pub(super) const MPNET: Family = Family {
    model_type: "mpnet",
    class: "MPNet",
    base: "mpnet",
    layers: "encoder.layer",
    embeddings: BERT_EMBEDDINGS,
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
    block: Block::PostNorm,
    keys: Keys { classifier_dropout: None, default_pad_token_id: 1, ..BERT_KEYS },
    positions: Positions::AfterPadding,
    relative: Some(Relative::Bias { table: "encoder.relative_attention_bias" }),
    token_types: TokenTypes::Absent,
    projection: None,
    sequence_head: SequenceHeadPaths {
        dense: "classifier.dense",
        activation: HeadActivation::Tanh,
        norm: None,
        drops_input: true,
        out: "classifier.out_proj",
        modules: &["classifier"],
    },
    vocabulary_head: Some(VocabularyHeadPaths { dense: "lm_head.dense", norm: "lm_head.layer_norm", out: "lm_head" }),
    pretraining: &["lm_head."],
    refused: &[],
};
