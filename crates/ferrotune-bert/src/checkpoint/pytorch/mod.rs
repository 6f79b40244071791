//! `pytorch_model.bin`, which `torch.save` writes: a pickle that says which tensors there are, and their data, in a zip
//! archive (PyTorch 1.6 and later) or one behind the other. A pickle is a program for Python. Here it only builds plain data:
//! what it calls is looked up among the few names that weights need, everything else is refused by name, and nothing is
//! run. It must not know models, nor read the values.

mod archive;
mod legacy;
mod objects;
mod pickle;
mod tensors;

use super::sniff::known_wrong_file;
use super::stored::{Header, StoredTensor};
use crate::error::BertError;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What to do about a sound file that holds more than tensors.
const CONVERT: &str = "convert it with transformers, save_pretrained(folder, safe_serialization=True)";
/// What to do about a file that contradicts itself.
const DAMAGED: &str = "the file is damaged or was not fully downloaded, fetch it again";

/// Why a file was not read: what is wrong with it, or the system's answer.
enum Fault {
    Format(String),
    Io(io::Error),
}

impl From<String> for Fault {
    fn from(problem: String) -> Fault {
        Fault::Format(problem)
    }
}

impl From<io::Error> for Fault {
    fn from(cause: io::Error) -> Fault {
        Fault::Io(cause)
    }
}

/// Reads what a file of `file_bytes` bytes says of its tensors, and checks it. Reads no data, and of the pickle and the archive's directory no more than
/// [`HEADER_CAP`](super::HEADER_CAP) allows; the `zip` crate reserves room for as many entries as the end of the archive says, which the file's size
/// bounds.
pub(crate) fn read_header(file: &mut File, file_bytes: u64, path: &Path) -> Result<Header, BertError> {
    let mut tensors = tensors_of(file, file_bytes).map_err(|fault| match fault {
        Fault::Format(problem) => BertError::Format { file: path.to_path_buf(), problem },
        Fault::Io(cause) => BertError::io("read", path, cause),
    })?;
    tensors.sort_by(|a, b| (a.begin, a.bytes, &a.name).cmp(&(b.begin, b.bytes, &b.name)));
    Ok(Header { tensors, metadata: BTreeMap::new() })
}

fn tensors_of(file: &mut File, file_bytes: u64) -> Result<Vec<StoredTensor>, Fault> {
    let mut first = Vec::new();
    Read::take(&mut *file, 64).read_to_end(&mut first)?;
    if first.starts_with(archive::MAGIC) {
        return archive::tensors(file, file_bytes);
    }
    // The length of a header of safetensors may begin as a pickle does.
    let is_safetensors = first.get(8) == Some(&b'{');
    if first.first() == Some(&pickle::PROTO) && !is_safetensors {
        return legacy::tensors(file, file_bytes);
    }
    Err(Fault::Format(match known_wrong_file(&first) {
        Some(kind) => kind.to_string(),
        None if first.is_empty() => format!("the file is empty; {DAMAGED}"),
        None if is_safetensors => {
            "this is a safetensors file, not one of PyTorch: name it model.safetensors".to_string()
        }
        None => format!("is neither a zip archive nor a pickle, as files of PyTorch are; {DAMAGED}"),
    }))
}
