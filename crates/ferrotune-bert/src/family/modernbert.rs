//! ModernBERT: Warner et al. 2024, <https://arxiv.org/abs/2412.13663>; Ettin and mmBERT are built so too. It must not know the network.

use super::{
    Block, EmbeddingPaths, Family, HeadActivation, Keys, LayerPaths, Positions, SequenceHeadPaths, TokenTypes,
    VocabularyHeadPaths,
};

/// Nothing but its class tells such a head from a classifier's.
const OTHER_TASK: &str =
    "has a head for another task under the name of a classifier's: start from the pretrained model";

/// `ModernBertModel` and its heads in transformers. Of the dropouts, that of hidden states is between the two feed-forward layers; what follows the
/// attention's projection goes with that of its probabilities, and that of the embeddings is one of its own.
pub(super) const MODERNBERT: Family = Family {
    model_type: "modernbert",
    class: "ModernBert",
    base: "model",
    layers: "layers",
    embeddings: EmbeddingPaths { words: "tok_embeddings", norm: "norm" },
    layer: LayerPaths {
        // One layer for all three.
        query: "attn.Wqkv",
        key: "attn.Wqkv",
        value: "attn.Wqkv",
        attention_output: "attn.Wo",
        attention_norm: "attn_norm",
        intermediate: "mlp.Wi",
        output: "mlp.Wo",
        output_norm: "mlp_norm",
    },
    block: Block::PreNorm { final_norm: "final_norm" },
    keys: Keys {
        hidden_size: "hidden_size",
        num_hidden_layers: "num_hidden_layers",
        num_attention_heads: "num_attention_heads",
        intermediate_size: "intermediate_size",
        hidden_act: "hidden_activation",
        hidden_dropout_prob: "mlp_dropout",
        attention_probs_dropout_prob: "attention_dropout",
        classifier_dropout: Some("classifier_dropout"),
        tokens_have_it_too: true,
        default_classifier_dropout: Some(0.0),
        layer_norm_eps: Some("norm_eps"),
        default_layer_norm_eps: 1e-5,
        embedding_dropout: Some("embedding_dropout"),
        default_dropout: 0.0,
        default_pad_token_id: 50283,
    },
    positions: Positions::Rotary,
    relative: None,
    token_types: TokenTypes::Absent,
    projection: None,
    sequence_head: SequenceHeadPaths {
        dense: "head.dense",
        activation: HeadActivation::Gelu,
        norm: Some("head.norm"),
        drops_input: false,
        out: "classifier",
        modules: &["head", "classifier"],
    },
    vocabulary_head: Some(VocabularyHeadPaths { dense: "head.dense", norm: "head.norm", out: "decoder" }),
    pretraining: &["decoder.weight", "decoder.bias"],
    refused: &[("ModernBertForQuestionAnswering", OTHER_TASK), ("ModernBertForMultipleChoice", OTHER_TASK)],
};
