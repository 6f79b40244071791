//! The row that a JSON object holds: a text or two, or words, and what is said about them. It knows nothing of files but their name.

use crate::files::jsonl::{self, Object};
use crate::files::lines::MAX_FIELD_BYTES;
use crate::{Columns, DataError, Need, Row};
use serde_json::Value;

/// Where a value stands, for messages.
struct Place<'a> {
    file: &'a str,
    line: u64,
    key: &'a str,
}

/// A label may be a string, an integer or a boolean; a set of labels also an array of those, a score any number; null counts as empty.
/// Words and tags are arrays of strings of the same length.
pub(crate) fn read(file: &str, line: u64, object: &Object, columns: &Columns, need: Need) -> Result<Row, DataError> {
    let value = |key: &str| jsonl::get(object, key);
    let missing = |key: &str| DataError::JsonMissingKey { file: file.to_owned(), line, key: key.to_owned() };
    let given = |key: &str| value(key).ok_or_else(|| missing(key));
    if need.words() {
        let at = |key| Place { file, line, key };
        let words = at(&columns.text).strings(given(&columns.text)?)?;
        let label = match &columns.label {
            Some(key) if need == Need::Tags => Some(at(key).tags(given(key)?, words.len())?),
            Some(key) => value(key).map(|value| at(key).checked(jsonl::plain(value))).transpose()?,
            None => None,
        };
        return Ok(Row { text: words.join(" "), text_b: None, words: Some(words), label, line });
    }
    let text = |key: &String| match given(key)? {
        Value::String(text) => Place { file, line, key }.checked(text.clone()),
        other => Err(Place { file, line, key }.wrong_type(other, "a string")),
    };
    let label = |key: &String| match value(key) {
        Some(value) => Place { file, line, key }.label(value, need).map(Some),
        None if need.no_label() => Ok(None),
        None => Err(missing(key)),
    };
    Ok(Row {
        text: text(&columns.text)?,
        text_b: columns.text_b.as_ref().map(text).transpose()?,
        words: None,
        label: columns.label.as_ref().map(label).transpose()?.flatten(),
        line,
    })
}

impl Place<'_> {
    fn wrong_type(&self, value: &Value, expected: &'static str) -> DataError {
        let found = jsonl::type_name(value);
        DataError::JsonType { file: self.file.to_owned(), line: self.line, key: self.key.to_owned(), found, expected }
    }

    fn checked(&self, text: String) -> Result<String, DataError> {
        let (file, line) = (|| self.file.to_owned(), self.line);
        if text.contains('\0') {
            return Err(DataError::JsonNul { file: file(), line, key: self.key.to_owned() });
        }
        if text.len() > MAX_FIELD_BYTES {
            return Err(DataError::TooLarge { file: file(), line, what: "field", limit: MAX_FIELD_BYTES });
        }
        Ok(text)
    }

    fn name(&self, value: &Value) -> Result<String, DataError> {
        let expected = "a string, an integer or a boolean";
        match value {
            Value::Array(_) | Value::Object(_) => Err(self.wrong_type(value, expected)),
            Value::Number(number) if number.is_f64() => Err(self.wrong_type(value, expected)),
            _ => self.checked(jsonl::plain(value)),
        }
    }

    fn label(&self, value: &Value, need: Need) -> Result<String, DataError> {
        match (value, need) {
            (Value::Array(values), Need::LabelSets { separator }) => {
                let (file, line) = (|| self.file.to_owned(), self.line);
                let names: Vec<String> = values.iter().map(|value| self.name(value)).collect::<Result<_, _>>()?;
                if names.iter().any(|name| name.trim().is_empty()) {
                    return Err(DataError::EmptyLabelInSet { file: file(), line, separator });
                }
                if let Some(label) = names.iter().find(|name| name.contains(separator)) {
                    return Err(DataError::SeparatorInLabel { file: file(), line, label: label.clone(), separator });
                }
                Ok(names.join(&separator.to_string()))
            }
            (Value::Number(_), Need::Scores) => self.checked(jsonl::plain(value)),
            // Not needed and only shown: anything is fine.
            (_, Need::TextOnly) => self.checked(jsonl::plain(value)),
            _ => self.name(value),
        }
    }

    fn strings(&self, value: &Value) -> Result<Vec<String>, DataError> {
        let expected = "an array of strings";
        let Value::Array(values) = value else { return Err(self.wrong_type(value, expected)) };
        let string = |value: &Value| match value {
            Value::String(text) => self.checked(text.clone()),
            other => Err(self.wrong_type(other, "strings in the array")),
        };
        values.iter().map(string).collect()
    }

    /// Tags for so many words, joined by blanks, which no tag holds.
    fn tags(&self, value: &Value, words: usize) -> Result<String, DataError> {
        let (file, line) = (|| self.file.to_owned(), self.line);
        let tags = self.strings(value)?;
        if tags.len() != words {
            return Err(DataError::TagCount { file: file(), line, words, tags: tags.len() });
        }
        match tags.iter().find(|tag| tag.is_empty() || tag.contains(char::is_whitespace)) {
            Some(tag) => Err(DataError::BadTag { file: file(), line, tag: tag.clone() }),
            None => Ok(tags.join(" ")),
        }
    }
}
