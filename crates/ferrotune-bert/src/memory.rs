//! How much memory a training step of this network needs, from its sizes alone: said before anything is allocated. It must not know
//! optimizers or data.

use crate::config::{EncoderConfig, Pooling};
use crate::family::{Block, Relative};
use crate::model::HeadKind;

/// The size of a pass over a ragged batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassSize {
    /// Tokens of all sequences.
    pub tokens: usize,
    /// Sequences.
    pub rows: usize,
    /// Tokens of the longest one.
    pub longest: usize,
}

/// Embeddings of distances that a pass reads, which each layer projects as it does tokens; 0 in families without them.
pub(crate) fn embedded_distances(config: &EncoderConfig, pass: PassSize) -> usize {
    match (config.family.relative, config.distance_rows) {
        (Some(Relative::Disentangled { .. }), Some(rows)) => rows.count().min((2 * pass.longest).saturating_sub(1)),
        _ => 0,
    }
}

/// Numbers of f32 that the activations and gradients of one training pass hold at their peak. Embeddings and the first `frozen_layers` layers keep nothing if they are frozen. With `checkpointing` a
/// layer keeps its result alone, and one layer at a time holds the rest ([`Encoder::checkpointing`](crate::model::Encoder)).
///
/// Counted op by op from the forward pass; buffers are up to an eighth larger than what they hold
/// ([`Pool`](ferrotune_tensor::Pool)). A test compares it with the pool of a real step.
pub fn activation_numbers(
    config: &EncoderConfig,
    kind: HeadKind,
    frozen_layers: Option<usize>,
    pass: PassSize,
    checkpointing: bool,
) -> usize {
    let (h, PassSize { tokens, rows, .. }) = (config.hidden_size, pass);
    let distances = DistanceNumbers::of(config, pass, frozen_layers.is_none());
    let LayerNumbers { all, for_first, gradients_for_first, gradients: layer_gradients } =
        LayerNumbers::of(config, distances.each_token);
    let layer = |positions: usize| positions * all;
    let trained = config.num_hidden_layers - frozen_layers.unwrap_or(0);
    // Under a head on first tokens the last layer computes for all tokens what these read, and the rest for the first of each row.
    let reads_first = kind == HeadKind::Sequence && config.pooling == Pooling::FirstToken;
    let full_layers = if reads_first { trained.saturating_sub(1) } else { trained };
    let last = if trained > full_layers { tokens * for_first + layer(rows) } else { 0 };
    let has_end = config.family.final_norm_path().is_some() && trained > 0;
    let end = if !has_end {
        0
    } else if reads_first {
        rows * h
    } else {
        tokens * h
    };
    let has_transform = config.family.transforms_tokens();
    // Input, two linear layers and dropout of a head on rows; dropout of a head on tokens, and its gradient; in some families linear, GELU and norm
    // before that.
    let head = end
        + match kind {
            HeadKind::Sequence => rows * 6 * h,
            HeadKind::Tokens => tokens * if has_transform { 5 * h } else { 2 * h },
            // Of 15 % of the tokens, rounded for each row, the states of the head's layers, and scores, probabilities and their gradients; the
            // gradient of the hidden states that they are taken from.
            HeadKind::Vocabulary => (tokens * 3 / 20 + rows / 2) * (6 * h + 3 * config.vocab_size) + tokens * h,
        };
    let gradients = if full_layers > 0 { tokens * layer_gradients } else { last };
    let gradients_of_last = if trained > full_layers { tokens * gradients_for_first } else { 0 };
    let one = if full_layers > 0 { layer(tokens) } else { 0 };
    let layers = if checkpointing {
        // While the layer on top runs again it is alone with its gradients; while another does, that one is.
        full_layers * tokens * h + (one + gradients).max(last + gradients_of_last)
    } else {
        full_layers * one + last + gradients
    };
    let held = if checkpointing { trained.min(1) } else { trained };
    let top = layers + head + distances.pass + held * distances.layer;
    let is_narrow = config.embedding_size != h;
    let (projected, narrow) = if is_narrow { (tokens * h, tokens * 2 * config.embedding_size) } else { (0, 0) };
    match frozen_layers {
        // Sum and norm of the embeddings.
        None => tokens * (2 * config.embedding_size + 2) + projected + top,
        // Of the frozen part only what it hands on lives longer; while it runs, one layer with its input and output does.
        Some(0) => tokens * 2 * h + top,
        // Sum and norm of narrow embeddings fit nothing that follows, so the pool has them beside it.
        Some(_) => (layer(tokens) + tokens * 2 * h).max(tokens * h + top) + narrow,
    }
}

/// What distances between tokens add, in families that score them.
struct DistanceNumbers {
    /// For each token of a layer, its scores as a query, and the same again as a key.
    each_token: usize,
    /// Once in a pass.
    pass: usize,
    /// In each layer.
    layer: usize,
}

impl DistanceNumbers {
    fn of(config: &EncoderConfig, pass: PassSize, has_gradients: bool) -> DistanceNumbers {
        let (h, heads) = (config.hidden_size, config.num_attention_heads);
        if let (Some(Relative::Bias { .. }), Some(rows)) = (config.family.relative, config.distance_rows) {
            // Ones, and each token's scores; the gradient of these.
            let each = heads + heads * rows.count() * if has_gradients { 2 } else { 1 };
            return DistanceNumbers { each_token: 0, pass: pass.tokens * each, layer: 0 };
        }
        let found = embedded_distances(config, pass);
        // Rows of the table and their norm; of each layer what the dropout leaves, queries and keys.
        DistanceNumbers { each_token: heads * found, pass: 2 * found * h, layer: 3 * found * h }
    }
}

/// Numbers of one layer for each position.
struct LayerNumbers {
    /// Of what a training pass keeps.
    all: usize,
    /// Of what the last layer computes for all tokens where only the first ones are read.
    for_first: usize,
    /// Of the gradients of that.
    gradients_for_first: usize,
    /// Of gradients, as many as are alive at once of each size.
    gradients: usize,
}

impl LayerNumbers {
    /// `by_distance`: scores of a token as a query, and as many as a key.
    fn of(config: &EncoderConfig, by_distance: usize) -> LayerNumbers {
        let (h, i, heads) = (config.hidden_size, config.intermediate_size, config.num_attention_heads);
        match config.family.block {
            Block::PostNorm => LayerNumbers {
                // q, k, v; context; projection; norm; the intermediate with its saved input; projection; norm.
                all: 8 * h + 2 * i + heads + 4 + 2 * by_distance,
                // Keys and values.
                for_first: 2 * h + by_distance,
                // The same, and their input.
                gradients_for_first: 3 * h + by_distance,
                // Of the intermediate before and after GELU, and of three states around it.
                gradients: 2 * i + 3 * h + 2 * by_distance,
            },
            Block::PreNorm { .. } => {
                let dropped = |p: f32, width: usize| if p > 0.0 { width } else { 0 };
                let drops = dropped(config.attention_probs_dropout_prob, h) + dropped(config.hidden_dropout_prob, i);
                LayerNumbers {
                    // Norm; q, k, v; the same turned; context; projection; sum; norm; both halves of the intermediate; their product; projection; sum.
                    all: 13 * h + 3 * i + heads + 4 + drops,
                    // Norm; q, k, v; the same turned; context.
                    for_first: 8 * h + heads + 2,
                    // Context; q, k, v turned and as they were.
                    gradients_for_first: 7 * h,
                    // Of the product and of both halves, and of three states around them; of q, k, v turned and as they were, for which no buffer of
                    // those is of the right size.
                    gradients: 3 * i + 9 * h,
                }
            }
        }
    }
}
