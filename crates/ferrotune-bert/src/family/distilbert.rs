//! DistilBERT: Sanh et al. 2019, <https://arxiv.org/abs/1910.01108>. It must not know the network.

use super::{
    BERT_EMBEDDINGS, Block, Family, HeadActivation, Keys, LayerPaths, Positions, SequenceHeadPaths, TokenTypes,
    VocabularyHeadPaths,
};

/// `DistilBertModel` and its heads in transformers.
pub(super) const DISTILBERT: Family = Family {
    model_type: "distilbert",
    class: "DistilBert",
    base: "distilbert",
    layers: "transformer.layer",
    embeddings: BERT_EMBEDDINGS,
    layer: LayerPaths {
        query: "attention.q_lin",
        key: "attention.k_lin",
        value: "attention.v_lin",
        attention_output: "attention.out_lin",
        attention_norm: "sa_layer_norm",
        intermediate: "ffn.lin1",
        output: "ffn.lin2",
        output_norm: "output_layer_norm",
    },
    block: Block::PostNorm,
    keys: Keys {
        hidden_size: "dim",
        num_hidden_layers: "n_layers",
        num_attention_heads: "n_heads",
        intermediate_size: "hidden_dim",
        hidden_act: "activation",
        hidden_dropout_prob: "dropout",
        attention_probs_dropout_prob: "attention_dropout",
        classifier_dropout: Some("seq_classif_dropout"),
        tokens_have_it_too: false,
        default_classifier_dropout: Some(0.2),
        layer_norm_eps: None,
        default_layer_norm_eps: 1e-12,
        embedding_dropout: None,
        default_dropout: 0.1,
        default_pad_token_id: 0,
    },
    positions: Positions::FromZero,
    relative: None,
    token_types: TokenTypes::Absent,
    projection: None,
    sequence_head: SequenceHeadPaths {
        dense: "pre_classifier",
        activation: HeadActivation::Relu,
        norm: None,
        drops_input: false,
        out: "classifier",
        modules: &["pre_classifier", "classifier"],
    },
    vocabulary_head: Some(VocabularyHeadPaths {
        dense: "vocab_transform",
        norm: "vocab_layer_norm",
        out: "vocab_projector",
    }),
    pretraining: &["vocab_transform.", "vocab_layer_norm.", "vocab_projector."],
    refused: &[],
};
