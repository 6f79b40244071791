//! How much memory a training step of this network needs, from its sizes alone: said before anything is allocated. It must not know
//! optimizers or data.

use crate::config::{EncoderConfig, Pooling};
use crate::family::Block;
use crate::model::HeadKind;

/// Numbers of f32 that the activations and gradients of one training pass hold at their peak, for a ragged batch of `rows` sequences
/// with `tokens` tokens in all. Embeddings and the first `frozen_layers` layers keep nothing if they are frozen. With `checkpointing` a
/// layer keeps its result alone, and one layer at a time holds the rest ([`Encoder::checkpointing`](crate::model::Encoder)).
///
/// Counted op by op from the forward pass; buffers are up to an eighth larger than what they hold
/// ([`Pool`](ferrotune_tensor::Pool)). A test compares it with the pool of a real step.
pub fn activation_numbers(
    config: &EncoderConfig,
    kind: HeadKind,
    frozen_layers: Option<usize>,
    tokens: usize,
    rows: usize,
    checkpointing: bool,
) -> usize {
    let h = config.hidden_size;
    let LayerNumbers { all, for_first, gradients_for_first, gradients: layer_gradients } = LayerNumbers::of(config);
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
    let top = layers + head;
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
    fn of(config: &EncoderConfig) -> LayerNumbers {
        let (h, i, heads) = (config.hidden_size, config.intermediate_size, config.num_attention_heads);
        match config.family.block {
            Block::PostNorm => LayerNumbers {
                // q, k, v; context; projection; norm; the intermediate with its saved input; projection; norm.
                all: 8 * h + 2 * i + heads + 4,
                // Keys and values.
                for_first: 2 * h,
                // The same, and their input.
                gradients_for_first: 3 * h,
                // Of the intermediate before and after GELU, and of three states around it.
                gradients: 2 * i + 3 * h,
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
