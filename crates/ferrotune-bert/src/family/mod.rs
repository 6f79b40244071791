//! Encoder families: what one of them does otherwise than the others, as plain data, one file each. The network, the checkpoint code and the
//! configuration read this table; it must not know any of them.
//!
//! They differ in names of parameters and of configuration keys, in how positions and token types enter, in a projection after the embeddings, in
//! the head, and in the layer: all but ModernBERT share the post-norm layer of BERT. A family that needs more than a row here (a shared layer)
//! adds a field that says so, and the one place in `model/` that reads it.

mod bert;
mod deberta;
mod distilbert;
mod electra;
mod modernbert;
mod mpnet;
mod roberta;
#[cfg(test)]
mod tests;

/// A family of encoders that Hugging Face knows under one `model_type`.
#[derive(Debug, PartialEq)]
pub struct Family {
    /// `model_type` in config.json.
    pub model_type: &'static str,
    /// What the names of its classes begin with: `Bert` of `BertForSequenceClassification`.
    pub class: &'static str,
    /// The path of the encoder without its head, transformers' `base_model_prefix`.
    pub base: &'static str,
    /// The path of the stack of layers below [`base`](Self::base); layer N is at `base.layers.N`.
    pub layers: &'static str,
    /// Names inside the embeddings.
    pub embeddings: EmbeddingPaths,
    /// Paths inside a layer.
    pub layer: LayerPaths,
    /// How a layer is built.
    pub block: Block,
    /// Keys of config.json.
    pub keys: Keys,
    /// How positions are counted.
    pub positions: Positions,
    /// How attention scores distances, in families where it does.
    pub relative: Option<Relative>,
    /// What is done with the two texts of a pair.
    pub token_types: TokenTypes,
    /// The linear layer from narrow embeddings to the hidden size, below [`base`](Self::base), in families that may have one.
    pub projection: Option<&'static str>,
    /// The head that gives a sequence its scores.
    pub sequence_head: SequenceHeadPaths,
    /// The head that gives a token the scores of all words, in families whose encoder is pre-trained with one.
    pub vocabulary_head: Option<VocabularyHeadPaths>,
    /// First parts of tensors that only pre-training needs.
    pub pretraining: &'static [&'static str],
    /// Classes of transformers whose folders are refused although their weights would fit, and what is said of them.
    pub refused: &'static [(&'static str, &'static str)],
}

/// Names of what all families have below `embeddings`.
#[derive(Debug, PartialEq)]
pub struct EmbeddingPaths {
    /// The table of words.
    pub words: &'static str,
    /// The layer norm.
    pub norm: &'static str,
}

/// How a layer is built.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Block {
    /// Attention and feed-forward part, each followed by residual and layer norm; biases everywhere.
    PostNorm,
    /// A layer norm before each part, but for the first of all, and one after the last layer; a gated feed-forward part; one linear layer for query, key
    /// and value; no biases but those of last layers of heads.
    PreNorm {
        /// The layer norm after the last layer, below [`base`](Family::base).
        final_norm: &'static str,
    },
}

/// Paths of a layer's parts, which are linear layers and layer norms, below the layer.
#[derive(Debug, PartialEq)]
#[allow(missing_docs)] // The names are those of BERT's parts.
pub struct LayerPaths {
    pub query: &'static str,
    pub key: &'static str,
    pub value: &'static str,
    pub attention_output: &'static str,
    pub attention_norm: &'static str,
    pub intermediate: &'static str,
    pub output: &'static str,
    pub output_norm: &'static str,
}

/// Keys of config.json that families call differently.
#[derive(Debug, PartialEq)]
#[allow(missing_docs)] // The names are those of BERT's keys.
pub struct Keys {
    pub hidden_size: &'static str,
    pub num_hidden_layers: &'static str,
    pub num_attention_heads: &'static str,
    pub intermediate_size: &'static str,
    pub hidden_act: &'static str,
    pub hidden_dropout_prob: &'static str,
    pub attention_probs_dropout_prob: &'static str,
    /// `None`: heads drop as much as the hidden states.
    pub classifier_dropout: Option<&'static str>,
    /// Whether the dropout of that key is also that of a head on tokens, which else drops as much as the hidden states.
    pub tokens_have_it_too: bool,
    /// What the head drops if the file does not say; `None`: as much as the hidden states.
    pub default_classifier_dropout: Option<f32>,
    /// `None`: the family has always the default.
    pub layer_norm_eps: Option<&'static str>,
    /// What is added to the variance if the file does not say.
    pub default_layer_norm_eps: f32,
    /// What is dropped after the embeddings; `None`: as much as of the hidden states.
    pub embedding_dropout: Option<&'static str>,
    /// What is dropped if the file does not say.
    pub default_dropout: f32,
    /// The padding token if the file does not say.
    pub default_pad_token_id: usize,
}

/// The keys that most families share with BERT.
const BERT_KEYS: Keys = Keys {
    hidden_size: "hidden_size",
    num_hidden_layers: "num_hidden_layers",
    num_attention_heads: "num_attention_heads",
    intermediate_size: "intermediate_size",
    hidden_act: "hidden_act",
    hidden_dropout_prob: "hidden_dropout_prob",
    attention_probs_dropout_prob: "attention_probs_dropout_prob",
    classifier_dropout: Some("classifier_dropout"),
    tokens_have_it_too: true,
    default_classifier_dropout: None,
    layer_norm_eps: Some("layer_norm_eps"),
    default_layer_norm_eps: 1e-12,
    embedding_dropout: None,
    default_dropout: 0.1,
    default_pad_token_id: 0,
};

/// The names that most families share with BERT.
const BERT_EMBEDDINGS: EmbeddingPaths = EmbeddingPaths { words: "word_embeddings", norm: "LayerNorm" };

/// The paths that most families share with BERT.
const BERT_LAYER: LayerPaths = LayerPaths {
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    intermediate: "intermediate.dense",
    output: "output.dense",
    output_norm: "output.LayerNorm",
};

/// The row of the position table that a sequence's first token gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Positions {
    /// Row 0.
    FromZero,
    /// The row after the padding token's id: fairseq keeps the rows before for padding.
    AfterPadding,
    /// No table: queries and keys are turned by an angle for each position.
    Rotary,
    /// No table, and no position of a token by itself.
    None,
}

/// How attention scores the distance between two tokens: by a table that all layers share, below [`base`](Family::base).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Relative {
    /// A row of the table has a number for each head, which is added to the scores.
    Bias {
        /// The table.
        table: &'static str,
    },
    /// A row of the table is an embedding. Each layer projects it as it does tokens; a query scores the key of its distance, and a key the query of it.
    Disentangled {
        /// The table.
        table: &'static str,
        /// The layer norm that all embeddings go through.
        norm: &'static str,
    },
}

/// What a family knows of the two texts of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TokenTypes {
    /// No table.
    Absent,
    /// A table of which only row 0 is read.
    AlwaysZero,
    /// Row 0 for the first text, row 1 for the second; row 0 for both in a model whose table has no other.
    Segments,
}

/// The head of sequence classification: (dropout,) linear, activation, (layer norm,) dropout, linear, on the first token, or on the mean of all where the
/// configuration says so.
#[derive(Debug, PartialEq)]
pub struct SequenceHeadPaths {
    /// The first linear layer, from the root.
    pub dense: &'static str,
    /// What follows it.
    pub activation: HeadActivation,
    /// The layer norm after that, from the root, in families whose heads on tokens have these three layers too.
    pub norm: Option<&'static str>,
    /// Whether there is dropout before it too.
    pub drops_input: bool,
    /// The last linear layer, from the root.
    pub out: &'static str,
    /// The modules that the head consists of for PEFT, without a pretrained pooler.
    pub modules: &'static [&'static str],
}

/// The head of masked language modelling: linear, GELU, layer norm, then the word embeddings as the last linear layer's weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VocabularyHeadPaths {
    /// The linear layer, from the root.
    pub dense: &'static str,
    /// The layer norm, from the root.
    pub norm: &'static str,
    /// Where the `bias` of the last layer is, from the root.
    pub out: &'static str,
}

/// An activation between the two linear layers of a head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeadActivation {
    /// `tanh(x)`
    Tanh,
    /// `max(x, 0)`
    Relu,
    /// `x Φ(x)`
    Gelu,
}

/// The linear layer that gives each token its scores: the same path in all families.
pub const TOKEN_HEAD: &str = "classifier";

/// Every family that is built.
pub const ALL: [&Family; 9] = [
    &bert::BERT,
    &roberta::CAMEMBERT,
    &deberta::DEBERTA,
    &distilbert::DISTILBERT,
    &electra::ELECTRA,
    &modernbert::MODERNBERT,
    &mpnet::MPNET,
    &roberta::ROBERTA,
    &roberta::XLM_ROBERTA,
];

/// The family of a configuration that names none: BERT's first ones did not.
pub const UNNAMED: &Family = &bert::BERT;

impl Family {
    /// The family of this `model_type`.
    pub fn of(model_type: &str) -> Option<&'static Family> {
        ALL.into_iter().find(|family| family.model_type == model_type)
    }

    /// The path of a layer, with the dot at its end.
    pub fn layer_path(&self, layer: usize) -> String {
        format!("{}.{}.{layer}.", self.base, self.layers)
    }

    /// The paths that everything below the first layer has, the table of distances included, with the dot at their ends.
    pub fn embedding_paths(&self) -> Vec<String> {
        let of_distances: &[&str] = match &self.relative {
            None => &[],
            Some(Relative::Bias { table }) => &[table],
            Some(Relative::Disentangled { table, norm }) => &[table, norm],
        };
        let parts = std::iter::once("embeddings").chain(self.projection).chain(of_distances.iter().copied());
        parts.map(|part| format!("{}.{part}.", self.base)).collect()
    }

    /// The path of the layer norm after the last layer, with the dot at its end, in families that have one.
    pub fn final_norm_path(&self) -> Option<String> {
        match self.block {
            Block::PostNorm => None,
            Block::PreNorm { final_norm } => Some(format!("{}.{final_norm}.", self.base)),
        }
    }

    /// Whether linear layers and layer norms have biases; the last layers of heads have them in every family.
    pub fn has_biases(&self) -> bool {
        self.block == Block::PostNorm
    }

    /// Whether the layers before the last one of a head on sequences stand in a head on tokens too.
    pub fn transforms_tokens(&self) -> bool {
        self.sequence_head.norm.is_some()
    }

    /// The pretrained pooler's path with the dot at its end, in families whose head has one.
    pub fn pooler_path(&self) -> Option<String> {
        let path = format!("{}.pooler.", self.base);
        self.sequence_head.dense.starts_with(&path).then_some(path)
    }
}

/// The names of all families, for messages.
pub fn known() -> String {
    ALL.map(|family| family.model_type).join(", ")
}
