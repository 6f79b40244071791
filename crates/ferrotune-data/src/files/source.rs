//! [`Source`]: the files that hold the rows of one part of a data set, in a folder as Hugging Face's `datasets` lays them out, or one file. It
//! knows nothing of what is in them.

use crate::files::open::{Opened, open, without_compression};
use crate::files::reader::stream_headers;
use crate::files::table::{read_keeping, read_opened};
use crate::names::listed;
use crate::{Columns, DataError, Format, Need, Table, Wanted};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Rows that are learned from.
    Train,
    /// Rows that choose.
    Validation,
    /// Rows that are measured.
    Test,
}

impl Part {
    /// What messages call it.
    pub fn name(self) -> &'static str {
        self.words()[0]
    }

    /// The names that files and folders of the part have: those of `datasets` that nobody uses for another.
    fn words(self) -> &'static [&'static str] {
        match self {
            Part::Train => &["train", "training"],
            Part::Validation => &["validation", "valid", "dev", "val"],
            Part::Test => &["test", "testing"],
        }
    }

    /// Whether a file name without its extension, or the name of a folder, begins with one of the words, and goes on, if at all, with a digit or
    /// one of `-_. `: `train`, `train-00000-of-00002`, `train_1`, `dev-v2`, `test.en`, as `datasets` has it.
    fn has(self, name: &str) -> bool {
        let name = name.to_lowercase();
        let rest = |word: &&str| name.strip_prefix(*word).map(str::to_owned);
        let is_end = |rest: String| {
            rest.is_empty() || rest.starts_with(['-', '_', '.', ' ', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
        };
        self.words().iter().filter_map(rest).any(is_end)
    }
}

/// The files of one part, and what they are called together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file, or the folder.
    pub name: PathBuf,
    /// The files, in the order in which their rows count; several are the shards of a Parquet data set.
    pub files: Vec<PathBuf>,
}

impl Source {
    /// The file `path`, or the files of `part` in the folder `path`: those that its name begins (`train.csv`, `train-00000-of-00001.parquet`), in
    /// the folder itself or in `data`, or those in a folder with the part's name.
    ///
    /// # Errors
    /// No such file; several that are not shards of one data set.
    pub fn find(path: &Path, part: Part) -> Result<Source, DataError> {
        if !path.is_dir() {
            return Ok(Source::file(path));
        }
        let folder = || path.display().to_string();
        let own = entries(path)?;
        let mut files: Vec<PathBuf> = Vec::new();
        for folder in [path.to_owned(), path.join("data")] {
            let inside = entries(&folder)?;
            files.extend(inside.iter().filter(|file| is_data(file) && part.has(&stem(file))).cloned());
            for folder in inside.iter().filter(|inside| inside.is_dir() && part.has(&file_name(inside))) {
                files.extend(entries(folder)?.into_iter().filter(|file| is_data(file)));
            }
        }
        match files.len() {
            0 if own
                .iter()
                .any(|file| ["dataset_dict.json", "dataset_info.json"].contains(&file_name(file).as_str())) =>
            {
                Err(DataError::ArrowFolder { folder: folder() })
            }
            0 => {
                let names: Vec<String> = own.iter().map(|file| file_name(file)).collect();
                let holds = if names.is_empty() {
                    "it is empty".to_owned()
                } else {
                    format!("it holds {}", listed(names.iter().map(String::as_str)))
                };
                Err(DataError::NoPart { folder: folder(), part: part.name(), holds })
            }
            1 => Ok(Source { name: path.to_owned(), files }),
            _ if files.iter().all(|file| is_parquet(file)) && same_folder(&files) => {
                Ok(Source { name: path.to_owned(), files })
            }
            _ => {
                let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
                Err(DataError::SeveralFiles {
                    folder: folder(),
                    part: part.name(),
                    files: listed(names.iter().map(String::as_str)),
                })
            }
        }
    }

    /// The file `path`.
    pub fn file(path: &Path) -> Source {
        Source { name: path.to_owned(), files: vec![path.to_owned()] }
    }

    /// The rows; their lines are counted through all files.
    ///
    /// # Errors
    /// As [`read_table_with`](crate::read_table_with).
    pub fn read(&self, columns: Option<&Wanted>, need: Need) -> Result<Table, DataError> {
        read_opened(self.open()?, &self.name, columns, need)
    }

    /// The rows, and of each column that is named in `kept` its fields, one for each row; of JSON Lines as the text that a table would have, with
    /// nothing for null and for a missing key.
    ///
    /// # Errors
    /// As [`Source::read`]; no such column.
    pub fn read_keeping(
        &self,
        columns: Option<&Wanted>,
        need: Need,
        kept: &[String],
    ) -> Result<(Table, Vec<Vec<String>>), DataError> {
        read_keeping(self.open()?, &self.name, columns, need, kept)
    }

    /// The names of the columns.
    ///
    /// # Errors
    /// As [`headers`](crate::headers).
    pub fn headers(&self) -> Result<Vec<String>, DataError> {
        let opened = self.open()?;
        stream_headers(opened.reader, &self.name.display().to_string(), opened.format)
    }

    /// The columns that are read where these are `wanted`.
    ///
    /// # Errors
    /// As [`Source::read`], of the header alone.
    pub fn columns(&self, wanted: Option<&Wanted>, need: Need) -> Result<Columns, DataError> {
        Ok(self.open()?.rows(&self.name.display().to_string(), wanted, need)?.columns().clone())
    }

    /// The extension for one file with these rows as text.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub fn extension(&self) -> Result<String, DataError> {
        Ok(self.open()?.extension(&self.files[0]))
    }

    /// All files as one stream.
    pub(crate) fn open(&self) -> Result<Opened, DataError> {
        let (first, more) = self.files.split_first().expect("a source has a file");
        let mut all = open(first, None)?;
        for file in more {
            let next = open(file, None)?;
            if next.format != Format::JsonLines || all.format != Format::JsonLines {
                return Err(DataError::NotParquet { file: file.display().to_string() });
            }
            all.reader = Box::new(all.reader.chain(next.reader));
            let known = all.left_out.clone();
            all.left_out.extend(next.left_out.into_iter().filter(|left| !known.contains(left)));
        }
        Ok(all)
    }
}

/// What a folder holds, by name; nothing where there is no such folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(DataError::Io { file: folder.display().to_string(), source }),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| !file_name(path).starts_with('.'));
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The name without its extensions.
fn stem(path: &Path) -> String {
    file_name(&without_compression(path).with_extension(""))
}

fn is_data(path: &Path) -> bool {
    path.is_file() && Format::from_path(path).is_ok()
}

fn is_parquet(path: &Path) -> bool {
    crate::files::open::has_extension(path, "parquet")
}

fn same_folder(files: &[PathBuf]) -> bool {
    files.iter().all(|file| file.parent() == files[0].parent())
}
