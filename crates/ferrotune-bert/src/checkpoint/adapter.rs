//! Saves an adapter folder as PEFT reads it: `adapter_config.json` and `adapter_model.safetensors`. It must not know modules or
//! training.

use super::commit::Staging;
use super::write::{TensorToSave, check_tensors, create_durably, verify_weights, write_weights};
use crate::error::BertError;
use std::io::Write;
use std::path::Path;

/// The configuration in an adapter folder.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";
/// The tensors in an adapter folder.
pub const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";

/// Writes an adapter folder, complete and durable when this returns. The tensors are compared with memory before the folder takes its name.
///
/// # Errors
/// I/O; values that are not finite; a folder of that name that is not empty; a difference on reading back.
///
/// # Panics
/// As [`save_model`](super::save_model).
pub fn save_adapter(folder: &Path, config_json: &str, tensors: &[TensorToSave<'_>]) -> Result<(), BertError> {
    check_tensors(&folder.join(ADAPTER_WEIGHTS), tensors)?;
    let staging = Staging::new(folder, false)?;
    let inside = |name: &str| staging.folder.join(name);
    create_durably(&inside(ADAPTER_CONFIG), |file| file.write_all(config_json.as_bytes()))?;
    write_weights(&inside(ADAPTER_WEIGHTS), tensors)?;
    verify_weights(&inside(ADAPTER_WEIGHTS), tensors)?;
    staging.commit()
}
