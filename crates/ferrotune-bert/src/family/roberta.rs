//! RoBERTa (Liu et al. 2019, <https://arxiv.org/abs/1907.11692>), and XLM-RoBERTa (Conneau et al. 2020, <https://arxiv.org/abs/1911.02116>) and
//! CamemBERT (Martin et al. 2020, <https://arxiv.org/abs/1911.03894>), which differ from it in vocabulary alone. It must not know the network.

use super::{
    BERT_EMBEDDINGS, BERT_KEYS, BERT_LAYER, Block, Family, HeadActivation, Keys, Positions, SequenceHeadPaths,
    TokenTypes, VocabularyHeadPaths,
};

/// `RobertaModel` and its heads in transformers.
pub(super) const ROBERTA: Family = Family {
    model_type: "roberta",
    class: "Roberta",
    base: "roberta",
    layers: "encoder.layer",
    embeddings: BERT_EMBEDDINGS,
    layer: BERT_LAYER,
    block: Block::PostNorm,
    keys: Keys { default_pad_token_id: 1, ..BERT_KEYS },
    positions: Positions::AfterPadding,
    relative: None,
    token_types: TokenTypes::AlwaysZero,
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

/// `XLMRobertaModel` and its heads in transformers.
pub(super) const XLM_ROBERTA: Family = Family { model_type: "xlm-roberta", class: "XLMRoberta", ..ROBERTA };

/// `CamembertModel` and its heads in transformers, whose tensors are named as RoBERTa's.
pub(super) const CAMEMBERT: Family = Family { model_type: "camembert", class: "Camembert", ..ROBERTA };
