//! How one tensor is called in different checkpoints. The model says `bert.encoder...LayerNorm.weight`; files may leave
//! out `bert.` (saved from the bare encoder) and may say `LayerNorm.gamma` and `.beta` (converted from TensorFlow).
//! It must not know files or shapes.

/// Heads of pre-training; a fine-tuning model leaves them behind.
const PRETRAINING_HEAD: &str = "cls.";
/// Task heads that a new head replaces.
const TASK_HEADS: [&str; 2] = ["classifier.", "qa_outputs."];
/// The three parts of the encoder, at the top of a checkpoint without prefix.
const ENCODER_PARTS: [&str; 3] = ["embeddings.", "encoder.", "pooler."];

/// The names under which a file may hold the tensor that the model calls `wanted`, that name itself first.
pub(crate) fn candidates(wanted: &str) -> Vec<String> {
    let mut names = vec![wanted.to_string()];
    if let Some(bare) = wanted.strip_prefix("bert.") {
        names.push(bare.to_string());
    } else if ENCODER_PARTS.iter().any(|part| wanted.starts_with(part)) {
        names.push(format!("bert.{wanted}"));
    }
    for modern in names.clone() {
        if let Some(stem) = modern.strip_suffix("LayerNorm.weight") {
            names.push(format!("{stem}LayerNorm.gamma"));
        } else if let Some(stem) = modern.strip_suffix("LayerNorm.bias") {
            names.push(format!("{stem}LayerNorm.beta"));
        }
    }
    names
}

/// Whether a stored tensor that no model asks for may be left behind without an error: the constant `position_ids`
/// buffer and the pre-training heads.
pub(crate) fn is_ignorable(stored: &str) -> bool {
    stored.starts_with(PRETRAINING_HEAD)
        || ["embeddings.position_ids", "bert.embeddings.position_ids"].contains(&stored)
}

/// Whether a stored tensor belongs to a task head, which may stay behind once the model gets a new head.
pub(crate) fn is_task_head(stored: &str) -> bool {
    TASK_HEADS.iter().any(|head| stored.starts_with(head))
}

/// The module a parameter belongs to: `classifier` for `classifier.weight`.
pub(crate) fn module_of(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(module, _)| module)
}
