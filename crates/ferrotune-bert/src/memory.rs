//! How much memory a training step of this network needs, from its sizes alone: said before anything is allocated. It must not know
//! optimizers or data.

use crate::config::EncoderConfig;
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
    let (h, i, heads) = (config.hidden_size, config.intermediate_size, config.num_attention_heads);
    // q, k, v; context; projection; norm; the intermediate with its saved input; projection; norm.
    let layer = |positions: usize| positions * (8 * h + 2 * i + heads + 4);
    let trained = config.num_hidden_layers - frozen_layers.unwrap_or(0);
    // Under a head on first tokens the last layer has keys and values of all tokens, the rest for the first of each row.
    let full_layers = if kind == HeadKind::Sequence { trained.saturating_sub(1) } else { trained };
    let last = if trained > full_layers { tokens * 2 * h + layer(rows) } else { 0 };
    // Input, two linear layers and dropout of a head on rows; dropout of a head on tokens, and its gradient.
    let head = match kind {
        HeadKind::Sequence => rows * 6 * h,
        HeadKind::Tokens => tokens * 2 * h,
        // Of 15 % of the tokens, rounded for each row, the states of the head's layers, and scores, probabilities and their gradients; the
        // gradient of the hidden states that they are taken from.
        HeadKind::Vocabulary => (tokens * 3 / 20 + rows / 2) * (6 * h + 3 * config.vocab_size) + tokens * h,
    };
    // Gradients alive at once, in the feed-forward part: of the intermediate before and after GELU, and of three states around it.
    let gradients = if full_layers > 0 { tokens * (2 * i + 3 * h) } else { last };
    // Of keys, values and their input, for all tokens.
    let gradients_of_last = if trained > full_layers { tokens * 3 * h } else { 0 };
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
