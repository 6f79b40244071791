//! Data files and streams as text: what is compressed is unpacked, and Parquet becomes JSON Lines. It knows nothing of rows.

use crate::files::compressed::{PARQUET, Stream, decompressed};
use crate::files::parquet;
use crate::{DataError, Format, MAX_FILE_BYTES, Need, RowReader, Wanted, stream_with};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

/// Names of compressed files end in one of these after the format's own extension.
const COMPRESSED: [&str; 4] = ["gz", "gzip", "zst", "zstd"];

/// A file or stream as text, in the format that it is then written in.
pub struct Opened {
    /// The text.
    pub reader: Box<dyn BufRead + Send>,
    /// Its format: `format` of [`open`], or the one of the name; [`Format::JsonLines`] of a Parquet file.
    pub format: Format,
    /// Columns of a Parquet file that hold something other than texts, numbers, booleans, and lists of these, and are not read.
    pub left_out: Vec<LeftOut>,
}

/// A column that is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub column: String,
    /// What it holds.
    pub kind: &'static str,
}

/// Opens a data file; `format` overrides the extension. Whether it is compressed, or Parquet, is seen from its first bytes.
///
/// # Errors
/// It is no file, or too large; an extension that says nothing; another kind of archive; a Parquet file whose footer is wrong.
pub fn open(path: &Path, format: Option<Format>) -> Result<Opened, DataError> {
    let name = path.display().to_string();
    let (mut file, bytes) = regular_file(path)?;
    let failed = |source| DataError::of_stream(&name, 0, source);
    if begins_with_parquet(&mut file).map_err(failed)? {
        let (stream, left_out) = parquet::open(file, bytes).map_err(failed)?;
        return Ok(Opened { reader: stream, format: Format::JsonLines, left_out });
    }
    if has_extension(&without_compression(path), "parquet") {
        return Err(DataError::NotParquet { file: name });
    }
    let format = format.map_or_else(|| Format::from_path(path), Ok)?;
    let reader = decompressed(BufReader::with_capacity(1 << 16, file)).map_err(failed)?;
    Ok(Opened { reader, format, left_out: Vec::new() })
}

/// A stream such as standard input, unpacked if it is compressed. `name` is what messages call it.
///
/// # Errors
/// Those of the stream; another kind of archive.
pub fn unpacked(reader: impl BufRead + Send + 'static, name: &str) -> Result<Box<dyn BufRead + Send>, DataError> {
    decompressed(reader).map_err(|source| DataError::of_stream(name, 0, source))
}

/// Opens a file of plain text, unpacked if it is compressed.
pub(crate) fn open_text(path: &Path) -> Result<Stream, DataError> {
    unpacked(BufReader::with_capacity(1 << 16, regular_file(path)?.0), &path.display().to_string())
}

/// The name without what says that it is compressed: `a.csv` of `a.csv.gz`.
pub(crate) fn without_compression(path: &Path) -> PathBuf {
    match COMPRESSED.iter().any(|extension| has_extension(path, extension)) {
        true => path.with_extension(""),
        false => path.to_owned(),
    }
}

impl Opened {
    /// The rows of what messages call `name`.
    ///
    /// # Errors
    /// As [`stream_with`]; a column that is needed, and that is left out.
    pub fn rows(
        self,
        name: &str,
        columns: Option<&Wanted>,
        need: Need,
    ) -> Result<RowReader<Box<dyn BufRead + Send>>, DataError> {
        let Opened { reader, format, left_out } = self;
        stream_with(reader, name, format, columns, need).map_err(|error| with_types(error, &left_out))
    }

    /// The extension for a file with these rows as text: that of the name, if it is one of the format, without what says that it is compressed.
    pub fn extension(&self, path: &Path) -> String {
        let plain = without_compression(path);
        let own = plain.extension().map(|extension| extension.to_string_lossy().into_owned());
        let fits =
            !has_extension(&plain, "parquet") && Format::from_path(&plain).is_ok_and(|format| format == self.format);
        own.filter(|_| fits).unwrap_or_else(|| self.format.extension().to_owned())
    }
}

/// That a column is missing is said as that it was left out, where it was. A column of labels stands for that of another task: without it the rows
/// look as if they were to be learned otherwise.
fn with_types(error: DataError, left_out: &[LeftOut]) -> DataError {
    const LABELS: [&str; 4] = ["label", "labels", "score", "tags"];
    let DataError::MissingColumn { file, column, .. } = &error else { return error };
    let is_label = |name: &String| LABELS.contains(&name.as_str());
    // Nested tags are no label unless tags are what is read.
    let may_be = |name: &String| is_label(name) && name != "tags";
    let is_meant = |left: &&LeftOut| left.column == *column || is_label(column) && may_be(&left.column);
    match left_out.iter().find(is_meant) {
        Some(left) => DataError::UnreadType { file: file.clone(), column: left.column.clone(), kind: left.kind },
        None => error,
    }
}

pub(crate) fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

/// A file of a size that is read, and the size.
fn regular_file(path: &Path) -> Result<(File, u64), DataError> {
    let name = path.display().to_string();
    let io = |source| DataError::Io { file: name.clone(), source };
    // Looked at before opening: opening a named pipe would wait for its writer.
    let metadata = std::fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(DataError::NotAFile { file: name });
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(DataError::FileTooLarge { file: name, bytes: metadata.len(), limit: MAX_FILE_BYTES });
    }
    Ok((File::open(path).map_err(io)?, metadata.len()))
}

fn begins_with_parquet(file: &mut File) -> std::io::Result<bool> {
    let mut first = Vec::new();
    file.by_ref().take(PARQUET.len() as u64).read_to_end(&mut first)?;
    file.rewind()?;
    Ok(first == PARQUET)
}
