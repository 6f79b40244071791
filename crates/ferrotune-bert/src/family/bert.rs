//! BERT: Devlin et al. 2018, <https://arxiv.org/abs/1810.04805>. It must not know the network.

use super::{
    BERT_EMBEDDINGS, BERT_KEYS, BERT_LAYER, Block, Family, HeadActivation, Positions, SequenceHeadPaths, TokenTypes,
    VocabularyHeadPaths,
};

/// `BertModel` and its heads in transformers.
pub(super) const BERT: Family = Family {
    model_type: "bert",
    class: "Bert",
    base: "bert",
    layers: "encoder.layer",
    embeddings: BERT_EMBEDDINGS,
    layer: BERT_LAYER,
    block: Block::PostNorm,
    keys: BERT_KEYS,
    positions: Positions::FromZero,
    relative: None,
    token_types: TokenTypes::Segments,
    projection: None,
    sequence_head: SequenceHeadPaths {
        dense: "bert.pooler.dense",
        activation: HeadActivation::Tanh,
        norm: None,
        drops_input: false,
        out: "classifier",
        modules: &["classifier"],
    },
    vocabulary_head: Some(VocabularyHeadPaths {
        dense: "cls.predictions.transform.dense",
        norm: "cls.predictions.transform.LayerNorm",
        out: "cls.predictions",
    }),
    pretraining: &["cls."],
    refused: &[],
};
