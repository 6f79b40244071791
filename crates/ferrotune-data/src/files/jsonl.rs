//! JSON Lines: one object a line, from [`Lines`], key order kept and duplicate keys refused.
//! It knows nothing of texts or labels; it turns values into the text that a label or an echoed column has.

use crate::DataError;
use crate::files::lines::Lines;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;
use std::io::BufRead;
use std::ops::Range;

/// The keys and values of one object in file order.
pub(crate) type Object = Vec<(String, Value)>;

/// Reads one object at a time.
pub(crate) struct JsonLines<R> {
    lines: Lines<R>,
    /// Where in the stream the line last read stands, without its end.
    span: Range<u64>,
}

impl<R: BufRead> JsonLines<R> {
    pub(crate) fn new(lines: Lines<R>) -> Self {
        JsonLines { lines, span: 0..0 }
    }

    /// The bytes of the stream that the line last read stands in, without its end.
    pub(crate) fn span(&self) -> Range<u64> {
        self.span.clone()
    }

    /// The next object and its line, or `None` at the end. Blank lines are skipped.
    pub(crate) fn read(&mut self) -> Result<Option<(u64, Object)>, DataError> {
        let file = self.lines.file.clone();
        loop {
            let Some(next) = self.lines.next()? else { return Ok(None) };
            let (line, text) = (next.number, next.text);
            if text.trim().is_empty() {
                continue;
            }
            self.span = next.span();
            let malformed = |error: serde_json::Error| {
                let full = error.to_string();
                // serde_json counts lines from the start of its input, which here is always one line.
                let detail = full.split(" at line ").next().unwrap_or_default().to_owned();
                DataError::Json { file: file.clone(), line, column: error.column().max(1) as u64, detail }
            };
            if !text.trim_start().starts_with('{') {
                let value: Value = serde_json::from_str(text).map_err(malformed)?;
                return Err(DataError::JsonNotObject { file, line, found: type_name(&value) });
            }
            let Pairs(object) = serde_json::from_str(text).map_err(malformed)?;
            let mut keys = HashSet::with_capacity(object.len());
            if let Some((key, _)) = object.iter().find(|(key, _)| !keys.insert(key.as_str())) {
                return Err(DataError::JsonDuplicateKey { file, line, key: key.clone() });
            }
            return Ok(Some((line, object)));
        }
    }
}

/// The value of `key`.
pub(crate) fn get<'a>(object: &'a Object, key: &str) -> Option<&'a Value> {
    object.iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// A value as the text of a table's field: strings as they are, null as nothing, everything else as JSON.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// What a message calls the value.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a fractional or huge number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// An object that keeps the order of its keys and every duplicate, which a map would silently drop.
struct Pairs(Object);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}
