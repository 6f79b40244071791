//! Small JSON files from outside: read with a size cap, parsed so that a key given twice is an error.
//! It must not know what the documents mean.

use crate::error::{BertError, one_line, quoted};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Opens a regular file. A fifo or a device is refused before it is opened, since opening one can block for ever.
pub(crate) fn open_regular(path: &Path) -> Result<(File, std::fs::Metadata), BertError> {
    let not_a_file = || BertError::io("read", path, std::io::Error::other("not a regular file"));
    let before = std::fs::metadata(path).map_err(|cause| BertError::io("open", path, cause))?;
    if !before.is_file() {
        return Err(not_a_file());
    }
    let file = File::open(path).map_err(|cause| BertError::io("open", path, cause))?;
    let metadata = file.metadata().map_err(|cause| BertError::io("read", path, cause))?;
    if !metadata.is_file() {
        return Err(not_a_file());
    }
    Ok((file, metadata))
}

/// The bytes of a file of at most `cap` bytes; `Err(Ok(size))` tells the caller that it is larger.
pub(crate) fn read_capped(path: &Path, cap: u64) -> Result<Vec<u8>, Result<u64, BertError>> {
    let (file, metadata) = open_regular(path).map_err(Err)?;
    if metadata.len() > cap {
        return Err(Ok(metadata.len()));
    }
    let mut bytes = Vec::new();
    // One more than the cap, so that a file that grew meanwhile is noticed.
    file.take(cap + 1).read_to_end(&mut bytes).map_err(|cause| Err(BertError::io("read", path, cause)))?;
    if bytes.len() as u64 > cap { Err(Ok(bytes.len() as u64)) } else { Ok(bytes) }
}

/// Parses one JSON object. Duplicate keys at any depth, anything after the object, and nesting deeper than 128 are
/// errors; the message has line and column.
pub(crate) fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice::<Strict>(bytes) {
        Ok(Strict(Value::Object(map))) => Ok(map),
        Ok(_) => Err("is JSON, but not an object; fetch or write the file again".to_string()),
        Err(error) => {
            Err(format!("is not valid JSON: {}; fetch or write the file again", one_line(&error.to_string(), 300)))
        }
    }
}

/// A JSON value whose objects have unique keys; `serde_json` itself lets the last one win.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(de::Error::custom(format_args!("the key {} occurs twice", quoted(&key))));
            }
            let Strict(value) = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
