//! The rows that the JSON of a request asks about. It must not know HTTP or the model; what is refused is said in one sentence that repeats little of
//! what was sent.

use crate::terminal::shown::short;
use ferrotune_data::Row;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::error::Category;
use std::fmt;

/// Characters that a message repeats of a request at most.
const ECHO: usize = 120;

/// What the rows of a model are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Single texts.
    Text,
    /// Pairs of texts.
    Pair,
    /// Either: the model does not say what it learned from.
    TextOrPair,
    /// Words.
    Words,
}

impl Kind {
    /// One row, as it is to be sent.
    pub fn example(self) -> &'static str {
        match self {
            Kind::Text => r#"{"text": "..."}"#,
            Kind::Pair => r#"{"text_a": "...", "text_b": "..."}"#,
            Kind::TextOrPair => r#"{"text": "..."} or {"text_a": "...", "text_b": "..."}"#,
            Kind::Words => r#"{"tokens": ["...", "..."]}"#,
        }
    }

    /// A row to try the model with.
    pub fn trial(self) -> Row {
        let (text, text_b) = ("a text".to_string(), (self == Kind::Pair).then(|| "a text".to_string()));
        let words = (self == Kind::Words).then(|| text.split(' ').map(str::to_string).collect());
        Row { text, text_b, words, label: None, line: 1 }
    }
}

/// What a request asks for.
#[derive(Debug, PartialEq)]
pub struct Asked {
    /// At least one.
    pub rows: Vec<Row>,
    /// Whether the answer is a list, even of one row.
    pub many: bool,
}

/// Why it cannot be asked.
#[derive(Debug, PartialEq)]
pub enum Refused {
    /// It is no JSON.
    NotJson(String),
    /// It is JSON, and not what the model reads.
    Wrong(String),
    /// It has more rows than one request may have.
    TooMany(String),
}

/// Reads a body.
///
/// # Errors
/// See [`Refused`].
pub fn read(body: &[u8], kind: Kind, most_rows: usize) -> Result<Asked, Refused> {
    let hint = || format!("send {}, or {{\"rows\": [...]}} with such objects", kind.example());
    let mut one = serde_json::from_slice::<Fields<false>>(body).map_err(|error| {
        let said = short(&error.to_string(), ECHO);
        match error.classify() {
            Category::Data => Refused::Wrong(format!("{said}: {}", hint())),
            _ => Refused::NotJson(format!("the body is no JSON ({said}): {}", hint())),
        }
    })?;
    let Some(rows) = one.rows.take() else {
        let row = one.row(kind, 1).map_err(|wrong| Refused::Wrong(format!("{wrong}: {}", hint())))?;
        return Ok(Asked { rows: vec![row], many: false });
    };
    if one != Fields::default() {
        return Err(Refused::Wrong(format!("there is text beside `rows`: {}", hint())));
    }
    if rows.is_empty() {
        return Err(Refused::Wrong(format!("`rows` is empty: {}", hint())));
    }
    if rows.len() > most_rows {
        let sent = rows.len();
        return Err(Refused::TooMany(format!(
            "`rows` has {sent} rows, and a request may have {most_rows}: send them in parts"
        )));
    }
    let row = |(n, fields): (usize, Fields<true>)| {
        let wrong = |wrong| Refused::Wrong(format!("row {}: {wrong}: {}", n + 1, hint()));
        fields.row(kind, n as u64 + 1).map_err(wrong)
    };
    let rows = rows.into_iter().enumerate().map(row).collect::<Result<_, _>>()?;
    Ok(Asked { rows, many: true })
}

/// An object as it was sent, of which only the outer one may have rows.
#[derive(Debug, PartialEq)]
struct Fields<const INNER: bool> {
    rows: Option<Vec<Fields<true>>>,
    text: Option<String>,
    text_a: Option<String>,
    text_b: Option<String>,
    tokens: Option<Vec<String>>,
}

impl<const INNER: bool> Default for Fields<INNER> {
    fn default() -> Fields<INNER> {
        Fields { rows: None, text: None, text_a: None, text_b: None, tokens: None }
    }
}

impl<const INNER: bool> Fields<INNER> {
    /// The row that it is for such a model.
    fn row(self, kind: Kind, line: u64) -> Result<Row, String> {
        let Fields { text, text_a, text_b, tokens, .. } = self;
        let of_pair = text_a.is_some() || text_b.is_some();
        let pair = kind == Kind::Pair || kind == Kind::TextOrPair && of_pair;
        for (key, given, fits) in [
            ("text", text.is_some(), kind != Kind::Words && !pair),
            ("text_a", text_a.is_some(), pair),
            ("text_b", text_b.is_some(), pair),
            ("tokens", tokens.is_some(), kind == Kind::Words),
        ] {
            match (given, fits) {
                (true, false) => return Err(format!("`{key}` is not what this model reads")),
                (false, true) => return Err(format!("`{key}` is missing")),
                _ => {}
            }
        }
        let readable = |key: &str, text: String| match text {
            text if text.trim().is_empty() => Err(format!("`{key}` is empty")),
            text if text.contains('\0') => Err(format!("`{key}` has a NUL character")),
            text => Ok(text),
        };
        if let Some(words) = tokens {
            if words.is_empty() {
                return Err("`tokens` is empty".to_string());
            }
            let text = words.join(" ");
            if text.contains('\0') {
                return Err("`tokens` has a NUL character".to_string());
            }
            return Ok(Row { text, text_b: None, words: Some(words), label: None, line });
        }
        let (key, first) = if pair { ("text_a", text_a) } else { ("text", text) };
        let text = readable(key, first.unwrap_or_default())?;
        let text_b = text_b.map(|text| readable("text_b", text)).transpose()?;
        Ok(Row { text, text_b, words: None, label: None, line })
    }
}

/// By hand, because what is derived also takes arrays for objects, and repeats unknown keys whole.
impl<'de, const INNER: bool> Deserialize<'de> for Fields<INNER> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields<INNER>, D::Error> {
        struct Object<const INNER: bool>;

        fn set<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
            slot: &mut Option<T>,
            key: &str,
            map: &mut A,
        ) -> Result<(), A::Error> {
            if slot.is_some() {
                return Err(A::Error::custom(format!("`{key}` is there twice")));
            }
            *slot = Some(map.next_value()?);
            Ok(())
        }

        impl<'de, const INNER: bool> Visitor<'de> for Object<INNER> {
            type Value = Fields<INNER>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<INNER>, A::Error> {
                let mut fields = Fields::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "rows" if !INNER => set(&mut fields.rows, &key, &mut map)?,
                        "text" => set(&mut fields.text, &key, &mut map)?,
                        "text_a" => set(&mut fields.text_a, &key, &mut map)?,
                        "text_b" => set(&mut fields.text_b, &key, &mut map)?,
                        "tokens" => set(&mut fields.tokens, &key, &mut map)?,
                        _ => return Err(A::Error::custom(format!("unknown field `{}`", short(&key, ECHO / 2)))),
                    }
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(kind: Kind, body: &str, says: &str) {
        let refused = read(body.as_bytes(), kind, 3).unwrap_err();
        let (status, said) = match &refused {
            Refused::NotJson(said) => (400, said),
            Refused::Wrong(said) => (422, said),
            Refused::TooMany(said) => (413, said),
        };
        let said = format!("{status} {said}");
        assert!(said.starts_with(says), "{body}: {said}");
        assert!(said.len() < 400, "{said}");
    }

    #[test]
    fn rows_are_what_the_model_reads() {
        let texts = |body: &str, kind| {
            let Asked { rows, many } = read(body.as_bytes(), kind, 3).unwrap();
            let row = |row: Row| (row.text, row.text_b, row.words.map(|words| words.len()), row.line);
            (rows.into_iter().map(row).collect::<Vec<_>>(), many)
        };
        let text = |text: &str, line| (text.to_string(), None, None, line);
        assert_eq!(texts(r#" {"text": "a"} "#, Kind::Text), (vec![text("a", 1)], false));
        assert_eq!(
            texts(r#"{"rows":[{"text":"a"},{"text":" ä "}]}"#, Kind::TextOrPair),
            (vec![text("a", 1), text(" ä ", 2)], true)
        );
        let pair = (vec![("a".to_string(), Some("b".to_string()), None, 1)], false);
        for kind in [Kind::Pair, Kind::TextOrPair] {
            assert_eq!(texts(r#"{"text_b":"b","text_a":"a"}"#, kind), pair);
        }
        assert_eq!(texts(r#"{"tokens":["a",""]}"#, Kind::Words), (vec![("a ".to_string(), None, Some(2), 1)], false));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let long = format!("{{\"{}\": 1}}", "k".repeat(100_000));
        let deep = "[".repeat(100_000);
        for (kind, body, says) in [
            (Kind::Text, "", "400 the body is no JSON (EOF"),
            (Kind::Text, r#"{"text": "a"#, "400 the body is no JSON (EOF"),
            (Kind::Text, r#"{"text": NaN}"#, "400 the body is no JSON (expected"),
            (Kind::Text, r#"{"text": "a"} x"#, "400 the body is no JSON (trailing"),
            (Kind::Text, r#"{"text": "\ud800"}"#, "400 the body is no JSON ("),
            (Kind::Text, deep.as_str(), "422 invalid type: sequence, expected an object"),
            (Kind::Text, r#"["a"]"#, "422 invalid type: sequence, expected an object"),
            (Kind::Text, "5", "422 invalid type: integer `5`, expected an object"),
            (Kind::Text, r#"{"text": 5}"#, "422 invalid type: integer `5`, expected a string"),
            (Kind::Text, r#"{"text": null}"#, "422 invalid type: null, expected a string"),
            (Kind::Text, r#"{"text": {"a": [[[]]]}}"#, "422 invalid type: map, expected a string"),
            (Kind::Text, long.as_str(), "422 unknown field `kkkkk"),
            (Kind::Text, r#"{"text": "a", "text": "b"}"#, "422 `text` is there twice"),
            (Kind::Text, "{}", "422 `text` is missing"),
            (Kind::Text, r#"{"text": " "}"#, "422 `text` is empty: send {\"text\": \"...\"}, or"),
            (Kind::Text, r#"{"text": "a\u0000"}"#, "422 `text` has a NUL character"),
            (Kind::Text, r#"{"text_a": "a", "text_b": "b"}"#, "422 `text` is missing"),
            (Kind::Text, r#"{"text": "a", "text_b": "b"}"#, "422 `text_b` is not what this model reads"),
            (Kind::Text, r#"{"tokens": ["a"]}"#, "422 `text` is missing"),
            (Kind::Text, r#"{"rows": []}"#, "422 `rows` is empty"),
            (Kind::Text, r#"{"rows": [["a"]]}"#, "422 invalid type: sequence, expected an object"),
            (Kind::Text, r#"{"rows": [{"rows": []}]}"#, "422 unknown field `rows`"),
            (Kind::Text, r#"{"rows": [{"text": "a"}], "text": "a"}"#, "422 there is text beside `rows`"),
            (Kind::Text, r#"{"rows": [{"text": "a"}, {}]}"#, "422 row 2: `text` is missing"),
            (Kind::Text, r#"{"rows": [{}, {}, {}, {}]}"#, "413 `rows` has 4 rows, and a request may have 3"),
            (Kind::Pair, r#"{"text": "a"}"#, "422 `text` is not what this model reads: send {\"text_a\""),
            (Kind::Pair, r#"{"text_a": "a"}"#, "422 `text_b` is missing"),
            (Kind::Pair, r#"{"text_a": "a", "text_b": ""}"#, "422 `text_b` is empty"),
            (Kind::TextOrPair, r#"{"text_a": "a"}"#, "422 `text_b` is missing"),
            (Kind::Words, r#"{"text": "a"}"#, "422 `text` is not what this model reads: send {\"tokens\""),
            (Kind::Words, r#"{"tokens": []}"#, "422 `tokens` is empty"),
            (Kind::Words, r#"{"tokens": "a b"}"#, "422 invalid type: string \"a b\", expected a sequence"),
        ] {
            refused(kind, body, says);
        }
        let refused = read(b"{\"text\": \"\xff\"}", Kind::Text, 3).unwrap_err();
        assert!(matches!(refused, Refused::NotJson(_)), "{refused:?}");
    }
}
