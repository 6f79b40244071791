//! Saves a model folder: weights, config.json, the tokenizer's files, all in a staging folder that is read back and
//! compared before it takes the name it is meant for. It must not know modules or training.

use super::commit::Staging;
use super::companions::{Companions, copy_companions};
use super::folder::WEIGHTS;
use super::write::{TensorToSave, check_tensors, create_durably, verify_weights, write_weights};
use crate::config::{CONFIG_FILE, EncoderConfig};
use crate::error::BertError;
use std::io::Write;
use std::path::Path;

/// Everything that goes into a saved folder.
#[derive(Clone, Copy, Debug)]
pub struct SaveRequest<'a> {
    /// The text of config.json, from [`EncoderConfig::to_json`].
    pub config_json: &'a str,
    /// Every tensor of the model. Their order does not matter: files are sorted by name.
    pub tensors: &'a [TensorToSave<'a>],
    /// Where the tokenizer's files come from, if there are any.
    pub companions: Option<Companions<'a>>,
    /// Whether it scores words: who loads the folder must then read each word with the blank before it.
    pub scores_words: bool,
    /// Whether a model folder that exists under the name may be replaced.
    pub replace: bool,
}

/// Writes a model folder that Hugging Face tools load.
///
/// The folder is complete and durable when this returns, and a crash at any moment leaves the old folder or the new one
/// (on Linux; elsewhere a crash between two renames can leave both, under temporary names beside the target). Before
/// the new folder takes the name, its configuration is parsed and every tensor is compared bit for bit with memory.
/// The same request gives the same bytes.
///
/// # Errors
/// I/O; values that are not finite; a target that exists (without `replace`) or is not a model folder; a difference on
/// reading back. After an error the target is as it was, except when the last step fails, the flush of the parent folder
/// after the new folder has taken the name: then the new one is there and may not survive a power cut.
///
/// # Panics
/// If a tensor's values are not as many as its shape says, or a name is bad or occurs twice.
pub fn save_model(folder: &Path, request: &SaveRequest) -> Result<(), BertError> {
    check_tensors(&folder.join(WEIGHTS), request.tensors)?;
    let staging = Staging::new(folder, request.replace)?;
    let inside = |name: &str| staging.folder.join(name);
    if let Some(companions) = request.companions {
        copy_companions(companions, &staging.folder, request.scores_words)?;
    }
    create_durably(&inside(CONFIG_FILE), |file| file.write_all(request.config_json.as_bytes()))?;
    write_weights(&inside(WEIGHTS), request.tensors)?;
    EncoderConfig::from_folder(&staging.folder)?;
    verify_weights(&inside(WEIGHTS), request.tensors)?;
    staging.commit()
}
