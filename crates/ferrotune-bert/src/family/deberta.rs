//! DeBERTa in its third version: He et al. 2021, <https://arxiv.org/abs/2111.09543>, whose layers are those of the second (`deberta-v2`; He et al. 2020,
//! <https://arxiv.org/abs/2006.03654>) without its convolution. It must not know the network.

use super::{
    BERT_EMBEDDINGS, BERT_KEYS, BERT_LAYER, Block, Family, HeadActivation, Keys, LayerPaths, Positions, Relative,
    SequenceHeadPaths, TokenTypes,
};

/// `DebertaV2Model` and its heads in transformers.
pub(super) const DEBERTA: Family = Family {
    model_type: "deberta-v2",
    class: "DebertaV2",
    base: "deberta",
    layers: "encoder.layer",
    embeddings: BERT_EMBEDDINGS,
    layer: LayerPaths {
        query: "attention.self.query_proj",
        key: "attention.self.key_proj",
        value: "attention.self.value_proj",
        ..BERT_LAYER
    },
    block: Block::PostNorm,
    keys: Keys {
        classifier_dropout: Some("cls_dropout"),
        tokens_have_it_too: false,
        default_layer_norm_eps: 1e-7,
        ..BERT_KEYS
    },
    positions: Positions::None,
    relative: Some(Relative::Disentangled { table: "encoder.rel_embeddings", norm: "encoder.LayerNorm" }),
    token_types: TokenTypes::Absent,
    projection: None,
    sequence_head: SequenceHeadPaths {
        dense: "pooler.dense",
        activation: HeadActivation::Gelu,
        norm: None,
        drops_input: false,
        out: "classifier",
        modules: &["pooler", "classifier"],
    },
    // Its pre-training told replaced tokens from others, as ELECTRA's.
    vocabulary_head: None,
    pretraining: &["lm_predictions.", "mask_predictions.", "cls.", "deberta.embeddings.position_embeddings."],
    refused: &[],
};
