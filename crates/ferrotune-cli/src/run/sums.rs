//! SHA-256 sums of what a run reads: the files of its rows and of its model. It must not know what they are compared with.

use crate::exit::{Failure, io};
use crate::settings::Resolved;
use ferrotune_bert::checkpoint::inspect;
use ferrotune_data::{Part, Source, tokenizer_files};
use ferrotune_train::store::fingerprint::sha256_file;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A file, by its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSum {
    /// Its last name, or its path inside the folder that is spoken of.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// The files of one part of the rows, in the order in which their rows count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartSums {
    /// `train`, `validation` or `test`.
    pub part: String,
    /// The file or the folder, as it was said.
    pub path: PathBuf,
    /// The files.
    pub files: Vec<FileSum>,
}

/// Everything that a run reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    /// The parts that there are.
    pub data: Vec<PartSums>,
    /// Configuration, tokenizer and weights of the model, by name.
    pub model: Vec<FileSum>,
}

impl FileSum {
    /// Of a file, under a name.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(path: &Path, name: String) -> Result<FileSum, Failure> {
        let bytes = std::fs::metadata(path).map_err(io(path.display()))?.len();
        Ok(FileSum { name, bytes, sha256: sha256_file(path)? })
    }
}

impl Sums {
    /// Of the rows of a run and the folder of its model.
    ///
    /// # Errors
    /// A file that is not there or cannot be read.
    pub fn of(resolved: &Resolved, model: &Path) -> Result<Sums, Failure> {
        let s = &resolved.settings;
        let named = [
            (Part::Train, Some(&resolved.train)),
            (Part::Validation, s.validation.as_ref()),
            (Part::Test, s.test.as_ref()),
        ];
        let mut data = Vec::new();
        for (part, path) in named {
            let Some(path) = path else { continue };
            let source = Source::find(path, part)?;
            let files = source.files.iter().map(|file| FileSum::of(file, last(file))).collect::<Result<_, _>>()?;
            data.push(PartSums { part: part.name().to_string(), path: path.clone(), files });
        }
        let mut names: Vec<_> =
            std::fs::read_dir(model).into_iter().flatten().flatten().map(|file| file.file_name()).collect();
        names.sort();
        let names: Vec<&str> = names.iter().filter_map(|name| name.to_str()).collect();
        let of_tokenizer = tokenizer_files(model);
        let weights = inspect(model)?.files;
        let is_weights = |name: &str| weights.iter().any(|file| file.name == name);
        let counts = |name: &&str| *name == "config.json" || of_tokenizer.contains(name) || is_weights(name);
        let model = names
            .into_iter()
            .filter(counts)
            .map(|name| FileSum::of(&model.join(name), name.to_string()))
            .collect::<Result<_, _>>()?;
        Ok(Sums { data, model })
    }
}

fn last(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
