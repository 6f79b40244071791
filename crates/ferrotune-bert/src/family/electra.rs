//! ELECTRA: Clark et al. 2020, <https://arxiv.org/abs/2003.10555>; the discriminator, which is the one to fine-tune. It must not know the network.

use super::{
    BERT_EMBEDDINGS, BERT_KEYS, BERT_LAYER, Block, Family, HeadActivation, Positions, SequenceHeadPaths, TokenTypes,
};

/// `ElectraModel` and its heads in transformers.
pub(super) const ELECTRA: Family = Family {
    model_type: "electra",
    class: "Electra",
    base: "electra",
    layers: "encoder.layer",
    embeddings: BERT_EMBEDDINGS,
    layer: BERT_LAYER,
    block: Block::PostNorm,
    keys: BERT_KEYS,
    positions: Positions::FromZero,
    relative: None,
    token_types: TokenTypes::Segments,
    projection: Some("embeddings_project"),
    sequence_head: SequenceHeadPaths {
        dense: "classifier.dense",
        activation: HeadActivation::Gelu,
        norm: None,
        drops_input: true,
        out: "classifier.out_proj",
        modules: &["classifier"],
    },
    vocabulary_head: None,
    pretraining: &["discriminator_predictions.", "generator_predictions.", "generator_lm_head."],
    refused: &[(
        "ElectraForMaskedLM",
        "is ELECTRA's generator, which only served to train the discriminator: fine-tune the discriminator",
    )],
};
