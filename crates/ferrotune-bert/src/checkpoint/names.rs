//! How one tensor is called in different checkpoints. The model says `bert.encoder...LayerNorm.weight`; files may leave
//! out `bert.`, or the base of another family (saved from the bare encoder) and may say `LayerNorm.gamma` and `.beta` (converted from TensorFlow).
//! It must not know files or shapes.

use crate::family;

/// Task heads that a new head replaces.
const TASK_HEADS: [&str; 3] = ["classifier.", "pre_classifier.", "qa_outputs."];
/// Constant buffers and the pooler of models whose head has none; the model that has one asks for it.
const LEFT_BEHIND: [&str; 2] = ["embeddings.position_ids", "embeddings.token_type_ids"];
const POOLER: &str = "pooler.";
/// The three parts of BERT's encoder, at the top of a checkpoint without prefix.
const ENCODER_PARTS: [&str; 3] = ["embeddings.", "encoder.", "pooler."];

/// The names under which a file may hold the tensor that the model calls `wanted`, that name itself first.
pub(crate) fn candidates(wanted: &str) -> Vec<String> {
    let mut names = vec![wanted.to_string()];
    if let Some(bare) = bare(wanted) {
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

/// A name without the base of its family.
fn bare(name: &str) -> Option<&str> {
    family::ALL.iter().find_map(|family| name.strip_prefix(family.base)?.strip_prefix('.'))
}

/// Whether a stored tensor that no model asks for may be left behind without an error: constant buffers, the pre-training
/// heads, a pooler.
pub(crate) fn is_ignorable(stored: &str) -> bool {
    let inside = bare(stored).unwrap_or(stored);
    let mut pretraining = family::ALL.iter().flat_map(|family| family.pretraining);
    LEFT_BEHIND.contains(&inside) || inside.starts_with(POOLER) || pretraining.any(|head| stored.starts_with(head))
}

/// Whether a stored tensor belongs to a task head, which may stay behind once the model gets a new head.
pub(crate) fn is_task_head(stored: &str) -> bool {
    TASK_HEADS.iter().any(|head| stored.starts_with(head))
}

/// The module a parameter belongs to: `classifier` for `classifier.weight`.
pub(crate) fn module_of(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(module, _)| module)
}
