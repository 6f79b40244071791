//! Model folders of Hugging Face: weights in safetensors or as PyTorch wrote them, one file or shards, under their usual
//! names. What is written is safetensors.
//! It speaks names, shapes and `Vec<f32>`; it must not know tensors of ours, modules or training.

mod adapter;
mod commit;
mod companions;
mod folder;
mod header;
mod inspect;
mod load;
mod names;
mod pytorch;
mod read;
mod report;
mod save;
mod sniff;
mod stored;
mod strides;
#[cfg(test)]
mod tests;
mod write;

pub use adapter::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, save_adapter};
pub use commit::{check_can_save, clear_interrupted_saves};
pub use companions::{COMPANION_FILES, Companions, MadeFile};
pub use inspect::{InspectedFile, InspectedTensor, Inspection, inspect};
pub use load::{LoadPlan, load, plan};
pub use report::{LoadReport, NewlyInitialised};
pub use save::{SaveRequest, save_model};
pub use stored::{DIMENSION_CAP, Dtype, HEADER_CAP, RANK_CAP};
pub use write::TensorToSave;

pub(crate) use sniff::known_wrong_file;

/// A tensor that a model wants from a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its field path in the model, which is its name in the folder: `bert.embeddings.word_embeddings.weight`.
    pub name: String,
    /// Its dimensions, outermost first.
    pub shape: Vec<usize>,
}
