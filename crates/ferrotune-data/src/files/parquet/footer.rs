//! The footer of a Parquet file: checked, then parsed, then reduced to the columns that are read and where they lie. It knows nothing of values.

use super::class_names::class_names;
use super::thrift::{Compact, LIST, STRUCT};
use super::values::{Shape, kind};
use super::{Stop, Trouble};
use crate::MAX_FILE_BYTES;
use crate::files::open::LeftOut;
use crate::names::quoted;
use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// A footer may have at most this many bytes: 4 MiB. Those of usual files have some thousand.
const MOST_FOOTER_BYTES: u64 = 4 << 20;
/// Elements of a schema: columns and the groups that they lie in.
const MOST_ELEMENTS: u64 = 10_000;
/// Groups of a schema may lie in each other this deep.
const MOST_DEPTH: usize = 16;
/// Row groups.
const MOST_GROUPS: usize = 100_000;

/// What is read of a file.
pub(super) struct Footer {
    /// The columns that are read.
    pub(super) shapes: Vec<Shape>,
    /// Those that are not.
    pub(super) left_out: Vec<LeftOut>,
    /// Row groups in file order.
    pub(super) groups: Vec<Group>,
}

/// Rows that lie together.
pub(super) struct Group {
    /// Their number.
    pub(super) rows: u64,
    /// Where each column that is read lies.
    pub(super) chunks: Vec<Chunk>,
}

/// The bytes of one column of one row group.
#[derive(Clone, Copy)]
pub(super) struct Chunk {
    pub(super) start: u64,
    pub(super) bytes: u64,
    /// Values in it, nulls and empty lists included.
    pub(super) values: u64,
    pub(super) compression: Compression,
}

impl Footer {
    /// Reads the footer of a file of so many bytes.
    pub(super) fn read(file: &mut File, bytes: u64) -> Result<Footer, Stop> {
        let footer = footer_bytes(file, bytes)?;
        check_schema(&footer)?;
        let metadata = ParquetMetaDataReader::decode_metadata(&footer).map_err(|error| one_line(&error))?;
        reduced(&metadata, bytes)
    }
}

/// The bytes that the last eight of the file speak of.
fn footer_bytes(file: &mut File, bytes: u64) -> Result<Vec<u8>, Trouble> {
    const TAIL: u64 = 8;
    const MAGIC: u64 = 4;
    let cut = || "it does not end as a Parquet file does; was it cut short?".to_owned();
    if bytes < MAGIC + TAIL {
        return Err(cut());
    }
    let io = |error: std::io::Error| error.to_string();
    let mut tail = [0; TAIL as usize];
    file.seek(SeekFrom::End(-(TAIL as i64))).and_then(|_| file.read_exact(&mut tail)).map_err(io)?;
    let [a, b, c, d, magic @ ..] = tail;
    match &magic {
        b"PAR1" => {}
        b"PARE" => return Err("it is encrypted".to_owned()),
        _ => return Err(cut()),
    }
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    if length > bytes - MAGIC - TAIL {
        return Err(format!("a footer of {length} bytes in a file of {bytes}"));
    }
    if length > MOST_FOOTER_BYTES {
        return Err(format!("a footer of {length} bytes, more than the limit of {MOST_FOOTER_BYTES}"));
    }
    let mut footer = vec![0; length as usize];
    file.seek(SeekFrom::End(-((TAIL + length) as i64))).and_then(|_| file.read_exact(&mut footer)).map_err(io)?;
    Ok(footer)
}

/// Refuses a schema that is too large, or deeper than the crate's recursion should go, or that claims more children than it has elements: the
/// crate allocates for what is claimed.
fn check_schema(footer: &[u8]) -> Result<(), Trouble> {
    const SCHEMA: i64 = 2;
    const CHILDREN: i64 = 5;
    let mut children = Vec::new();
    Compact::new(footer, footer.len() as u64).fields(|file, number, kind| {
        if (number, kind) != (SCHEMA, LIST) {
            return Ok(false);
        }
        let (elements, kind) = file.list()?;
        if elements > MOST_ELEMENTS || kind != STRUCT {
            return Err(format!("a schema of {elements} elements, more than the limit of {MOST_ELEMENTS}"));
        }
        children.clear();
        for _ in 0..elements {
            let mut own = 0;
            file.fields(|element, number, _| {
                if number == CHILDREN {
                    own = element.size()?;
                }
                Ok(number == CHILDREN)
            })?;
            children.push(own as usize);
        }
        Ok(true)
    })?;
    // Elements come depth first; of each group that is open, how many children are still to come.
    let mut open: Vec<usize> = Vec::new();
    for &own in &children {
        if own > children.len() {
            return Err(format!("a group of {own} columns in a schema of {} elements", children.len()));
        }
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        if own > 0 {
            open.push(own);
        }
        while open.last() == Some(&0) {
            open.pop();
        }
        if open.len() > MOST_DEPTH {
            return Err(format!("groups more than {MOST_DEPTH} deep"));
        }
    }
    if children.is_empty() || !open.is_empty() {
        return Err("a schema that does not end".to_owned());
    }
    Ok(())
}

fn reduced(metadata: &ParquetMetaData, bytes: u64) -> Result<Footer, Stop> {
    let file = metadata.file_metadata();
    let schema = file.schema_descr();
    let names = class_names(file.key_value_metadata().map_or(&[][..], |pairs| pairs));
    let fields = schema.root_schema().get_fields();
    let (mut shapes, mut leaves, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for (place, field) in fields.iter().enumerate() {
        let mut own = (0..schema.num_columns()).filter(|&leaf| schema.get_column_root_idx(leaf) == place);
        let only = own.next().filter(|_| own.next().is_none());
        let shape = only.and_then(|leaf| Some((leaf, Shape::of(field, schema.column(leaf), &names)?)));
        match shape {
            Some((leaf, shape)) => {
                shapes.push(shape);
                leaves.push(leaf);
            }
            None => left_out.push(LeftOut { column: field.name().to_owned(), kind: kind(field) }),
        }
    }
    if shapes.is_empty() {
        return Err(Stop::NotRead("none of its columns holds texts, numbers or lists of these".to_owned()));
    }
    if metadata.num_row_groups() > MOST_GROUPS {
        let groups = metadata.num_row_groups();
        return Err(format!("{groups} row groups, more than the limit of {MOST_GROUPS}").into());
    }
    let mut groups = Vec::new();
    for group in metadata.row_groups() {
        let rows = u64::try_from(group.num_rows()).map_err(|_| "a negative number of rows".to_owned())?;
        let of = |&leaf: &usize| -> Result<Chunk, Stop> {
            let column = group.columns().get(leaf).ok_or_else(|| "a row group that lacks a column".to_owned())?;
            match unread(column) {
                Some(detail) => Err(Stop::NotRead(detail)),
                None => Ok(chunk(column, rows, bytes)?),
            }
        };
        groups.push(Group { rows, chunks: leaves.iter().map(of).collect::<Result<_, _>>()? });
    }
    Ok(Footer { shapes, left_out, groups })
}

/// How a column is written, if that is not read. Pages say it once more, and are believed where the footer does not say it.
fn unread(column: &ColumnChunkMetaData) -> Option<String> {
    let name = quoted(&column.column_path().string());
    let packed = match column.compression() {
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_) | Compression::ZSTD(_) => None,
        Compression::BROTLI(_) => Some("Brotli".to_owned()),
        Compression::LZ4 | Compression::LZ4_RAW => Some("LZ4".to_owned()),
        other => Some(other.to_string()),
    };
    if let Some(packed) = packed {
        return Some(format!(
            "column {name} has the compression {packed}; write it with Snappy, gzip, Zstandard or none, which are read"
        ));
    }
    column.encodings().any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY).then(|| {
        format!(
            "column {name} has the encoding DELTA_BYTE_ARRAY; write it as PLAIN, with a dictionary or as DELTA_LENGTH_BYTE_ARRAY, which are read"
        )
    })
}

/// Where a column lies, if that is inside the file.
fn chunk(column: &ColumnChunkMetaData, rows: u64, file_bytes: u64) -> Result<Chunk, Trouble> {
    let name = column.column_path();
    let size = |what: &str, value: i64| u64::try_from(value).map_err(|_| format!("column {name}: {what} is {value}"));
    let data = size("where it begins", column.data_page_offset())?;
    // Some writers name 0 where there is no dictionary.
    let dictionary = column.dictionary_page_offset().map(|start| size("where it begins", start)).transpose()?;
    let start = dictionary.filter(|&start| start > 0 && start < data).unwrap_or(data);
    let bytes = size("its size", column.compressed_size())?;
    let values = size("its number of values", column.num_values())?;
    if start.checked_add(bytes).is_none_or(|end| end > file_bytes) {
        return Err(format!("column {name} lies outside of the file"));
    }
    let inflated = size("its size", column.uncompressed_size())?;
    if inflated > MAX_FILE_BYTES {
        return Err(format!(
            "column {name} has {inflated} bytes in a row group, more than the limit of {MAX_FILE_BYTES}"
        ));
    }
    if values < rows {
        return Err(format!("column {name} has {values} values for {rows} rows"));
    }
    Ok(Chunk { start, bytes, values, compression: column.compression() })
}

/// The message of a library's error, on one line.
pub(super) fn one_line(error: &dyn std::error::Error) -> Trouble {
    let text = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    text.strip_prefix("Parquet error: ").map(str::to_owned).unwrap_or(text)
}
