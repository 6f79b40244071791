//! The values of a column, row by row, as JSON: texts, numbers, booleans, and lists of these. It knows nothing of files or pages.

use super::ROWS;
use super::Trouble;
use super::footer::{Chunk, one_line};
use super::pages::{Budget, Pages};
use crate::{MAX_FIELD_BYTES, MAX_RECORD_BYTES};
use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{ByteArray, DataType};
use parquet::schema::types::{ColumnDescPtr, Type};
use serde_json::{Number, Value};
use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A column that is read.
pub(super) struct Shape {
    /// Its name.
    pub(super) name: String,
    descriptor: ColumnDescPtr,
    /// Of lists, the definition level from which there is an element.
    element: Option<i16>,
    /// Whether numbers have no sign.
    unsigned: bool,
    /// What the numbers stand for.
    names: Option<Arc<[String]>>,
}

impl Shape {
    /// The shape of a column whose one leaf this is; none if it holds something else than texts, numbers, booleans and lists of these.
    pub(super) fn of(field: &Type, leaf: ColumnDescPtr, names: &HashMap<String, Arc<[String]>>) -> Option<Shape> {
        let kind = leaf.self_type().get_basic_info();
        let (logical, converted) = (kind.logical_type_ref(), kind.converted_type());
        let is_text = matches!(logical, Some(LogicalType::String | LogicalType::Enum | LogicalType::Json))
            || logical.is_none()
                && matches!(converted, ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON);
        let is_integer = match logical {
            Some(LogicalType::Integer(_)) => true,
            Some(_) => false,
            None => !matches!(
                converted,
                ConvertedType::DATE
                    | ConvertedType::DECIMAL
                    | ConvertedType::TIME_MILLIS
                    | ConvertedType::TIME_MICROS
                    | ConvertedType::TIMESTAMP_MILLIS
                    | ConvertedType::TIMESTAMP_MICROS
            ),
        };
        let is_read = match leaf.physical_type() {
            Physical::BYTE_ARRAY => is_text,
            Physical::INT32 | Physical::INT64 => is_integer,
            Physical::FLOAT | Physical::DOUBLE => logical.is_none(),
            Physical::BOOLEAN => true,
            Physical::INT96 | Physical::FIXED_LEN_BYTE_ARRAY => false,
        };
        let unsigned = match logical {
            Some(LogicalType::Integer(integer)) => !integer.is_signed,
            _ => matches!(
                converted,
                ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64
            ),
        };
        let element = if field.is_primitive() && leaf.max_rep_level() == 0 { None } else { Some(list_element(field)?) };
        let name = field.name().to_owned();
        let names = names.get(&name).cloned();
        is_read.then_some(Shape { name, descriptor: leaf, element, unsigned, names })
    }

    /// A number, or what it stands for. Hugging Face writes -1 where a row has no label.
    fn integer(&self, value: i64) -> Result<Value, Trouble> {
        let Some(names) = &self.names else { return Ok(Value::from(value)) };
        match usize::try_from(value).ok().and_then(|place| names.get(place)) {
            Some(name) => Ok(Value::from(name.as_str())),
            None if value == -1 => Ok(Value::Null),
            None => Err(format!("column {}: {value} is none of its {} classes", self.name, names.len())),
        }
    }

    fn text(&self, value: &ByteArray, budget: &Budget) -> Result<Value, Trouble> {
        // As many bytes as all rows that are read at a time may have.
        const MOST_BYTES: u64 = (ROWS * MAX_RECORD_BYTES) as u64;
        let bytes = value.data();
        let together = budget.text.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
        if together > MOST_BYTES {
            return Err(format!("texts of more than {MOST_BYTES} bytes in {ROWS} rows"));
        }
        if bytes.len() > MAX_FIELD_BYTES {
            return Err(format!("column {}: a text over {MAX_FIELD_BYTES} bytes", self.name));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::from(text)),
            Err(_) => Err(format!("column {}: a text that is not UTF-8", self.name)),
        }
    }
}

/// What a column that has no shape holds, for a message.
pub(super) fn kind(field: &Type) -> &'static str {
    if !field.is_primitive() {
        return "struct, map or nested list";
    }
    let info = field.get_basic_info();
    match (info.logical_type_ref(), info.converted_type(), field.get_physical_type()) {
        (Some(LogicalType::Decimal(_)), ..) | (None, ConvertedType::DECIMAL, _) => "decimal",
        (Some(LogicalType::Float16), ..) => "float16",
        (Some(LogicalType::Unknown), ..) => "null",
        (Some(LogicalType::Date), ..) | (None, ConvertedType::DATE, _) => "date",
        (Some(LogicalType::Time(_)), ..) | (None, ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS, _) => "time",
        (Some(LogicalType::Timestamp(_)), ..)
        | (None, ConvertedType::TIMESTAMP_MILLIS | ConvertedType::TIMESTAMP_MICROS, _)
        | (.., Physical::INT96) => "timestamp",
        (.., Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY) => "binary",
        _ => "another type",
    }
}

/// The definition level from which a list has an element: a group with one repeated child, which is the element or a group with it alone.
fn list_element(field: &Type) -> Option<i16> {
    if field.is_primitive() {
        return Some(1);
    }
    let [repeated] = field.get_fields() else { return None };
    let is_repeated = repeated.get_basic_info().repetition() == parquet::basic::Repetition::REPEATED;
    let is_flat = repeated.is_primitive() || matches!(repeated.get_fields(), [element] if element.is_primitive());
    (is_repeated && is_flat).then(|| 1 + i16::from(field.is_optional()))
}

/// A column of one row group that is being read.
pub(super) struct Column<'a> {
    shape: &'a Shape,
    reader: ColumnReader,
    budget: Arc<Budget>,
}

impl Column<'_> {
    /// A column from its first row.
    pub(super) fn open<'a>(file: &Arc<File>, chunk: &Chunk, shape: &'a Shape, budget: &Arc<Budget>) -> Column<'a> {
        let descriptor = shape.descriptor.clone();
        let levels = [descriptor.max_rep_level() > 0, descriptor.max_def_level() > 0];
        let pages = Pages::new(file, *chunk, levels, budget.clone());
        Column { shape, reader: get_column_reader(descriptor, Box::new(pages)), budget: budget.clone() }
    }

    /// The values of the next rows.
    pub(super) fn read(&mut self, rows: usize) -> Result<Vec<Value>, Trouble> {
        let budget = &self.budget;
        let shape = self.shape;
        let unsigned = shape.unsigned;
        match &mut self.reader {
            ColumnReader::BoolColumnReader(reader) => shape.read(reader, rows, |&value| Ok(Value::from(value))),
            ColumnReader::Int32ColumnReader(reader) => shape.read(reader, rows, |&value| match unsigned {
                true => shape.integer(i64::from(value as u32)),
                false => shape.integer(i64::from(value)),
            }),
            ColumnReader::Int64ColumnReader(reader) => shape.read(reader, rows, |&value| match unsigned && value < 0 {
                true => Ok(Value::from(value as u64)),
                false => shape.integer(value),
            }),
            ColumnReader::FloatColumnReader(reader) => shape.read(reader, rows, |&value| Ok(single(value))),
            ColumnReader::DoubleColumnReader(reader) => shape.read(reader, rows, |&value| Ok(double(value))),
            ColumnReader::ByteArrayColumnReader(reader) => shape.read(reader, rows, |value| shape.text(value, budget)),
            ColumnReader::Int96ColumnReader(_) | ColumnReader::FixedLenByteArrayColumnReader(_) => {
                unreachable!("such columns have no shape")
            }
        }
    }
}

impl Shape {
    fn read<T: DataType>(
        &self,
        reader: &mut ColumnReaderImpl<T>,
        rows: usize,
        convert: impl Fn(&T::T) -> Result<Value, Trouble>,
    ) -> Result<Vec<Value>, Trouble> {
        let (mut definition, mut repetition, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let trouble = |what: &dyn std::error::Error| format!("column {}: {}", self.name, one_line(what));
        let read = reader.read_records(rows, Some(&mut definition), Some(&mut repetition), &mut values);
        let (records, _, levels) = read.map_err(|error| trouble(&error))?;
        let short = || format!("column {} has fewer values than it says", self.name);
        if records != rows {
            return Err(short());
        }
        let mut values = values.iter().map(convert);
        let present = self.descriptor.max_def_level();
        let mut value = |level: usize| match definition.get(level) {
            Some(&definition) if definition < present => Ok(Value::Null),
            _ => values.next().ok_or_else(short)?,
        };
        let Some(element) = self.element else { return (0..rows).map(value).collect() };
        let mut lists: Vec<Value> = Vec::with_capacity(rows);
        for level in 0..levels {
            let begins = repetition.get(level).is_none_or(|&repetition| repetition == 0);
            let defined = definition.get(level).copied().unwrap_or(present);
            if begins {
                // One level below an element is an empty list; further below is none.
                let is_null = defined + 1 < element;
                lists.push(if is_null { Value::Null } else { Value::Array(Vec::new()) });
            }
            if defined >= element {
                let Some(Value::Array(list)) = lists.last_mut() else { return Err(short()) };
                list.push(value(level)?);
            }
        }
        if lists.len() == rows { Ok(lists) } else { Err(short()) }
    }
}

/// A number; what JSON cannot say is its name.
fn double(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| Value::from(value.to_string()), Value::Number)
}

/// The shortest number that is this one in single precision: 0.1, not 0.10000000149011612.
fn single(value: f32) -> Value {
    double(value.to_string().parse().unwrap_or(f64::NAN))
}
