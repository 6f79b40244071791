//! The rows that the JSON of a request asks about. It must not know HTTP or the model; what is refused is said in one sentence that repeats little of
//! what was sent.

use crate::terminal::shown::short;
use ferrotune_data::Row;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use std::fmt;
use std::marker::PhantomData;

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

/// What a request may have.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// Rows.
    pub rows: usize,
    /// Words of a row. Their tokens are counted elsewhere, and there are words that have none.
    pub words: usize,
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
    /// It has more rows than one request may have, or more words than a row may.
    TooMany(String),
}

/// Reads a body.
///
/// # Errors
/// See [`Refused`].
pub fn read(body: &[u8], kind: Kind, most: Most) -> Result<Asked, Refused> {
    let hint = || format!("send {}, or {{\"rows\": [...]}} with such objects", kind.example());
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = Object::<false>(most).deserialize(&mut json).and_then(|one| json.end().map(|()| one));
    let mut one = read.map_err(|error| {
        let said = short(&error.to_string(), ECHO);
        match error.classify() {
            Category::Data => Refused::Wrong(format!("{said}: {}", hint())),
            _ => Refused::NotJson(format!("the body is no JSON ({said}): {}", hint())),
        }
    })?;
    let Some(rows) = one.rows.take() else {
        one.fits(kind, most).map_err(|wrong| Refused::TooMany(format!("the row {wrong}")))?;
        let row = one.row(kind, 1).map_err(|wrong| Refused::Wrong(format!("{wrong}: {}", hint())))?;
        return Ok(Asked { rows: vec![row], many: false });
    };
    if one != Fields::default() {
        return Err(Refused::Wrong(format!("there is text beside `rows`: {}", hint())));
    }
    if rows.sent == 0 {
        return Err(Refused::Wrong(format!("`rows` is empty: {}", hint())));
    }
    if rows.sent > most.rows {
        let (sent, most) = (rows.sent, most.rows);
        return Err(Refused::TooMany(format!(
            "`rows` has {sent} rows, and a request may have {most}: send them in parts"
        )));
    }
    let row = |(n, fields): (usize, Fields<true>)| {
        fields.fits(kind, most).map_err(|wrong| Refused::TooMany(format!("row {} {wrong}", n + 1)))?;
        let wrong = |wrong| Refused::Wrong(format!("row {}: {wrong}: {}", n + 1, hint()));
        fields.row(kind, n as u64 + 1).map_err(wrong)
    };
    let rows = rows.first.into_iter().enumerate().map(row).collect::<Result<_, _>>()?;
    Ok(Asked { rows, many: true })
}

/// An object as it was sent, of which only the outer one may have rows.
#[derive(Debug, PartialEq)]
struct Fields<const INNER: bool> {
    rows: Option<Listed<Fields<true>>>,
    text: Option<String>,
    text_a: Option<String>,
    text_b: Option<String>,
    tokens: Option<Listed<String>>,
}

impl<const INNER: bool> Default for Fields<INNER> {
    fn default() -> Fields<INNER> {
        Fields { rows: None, text: None, text_a: None, text_b: None, tokens: None }
    }
}

impl<const INNER: bool> Fields<INNER> {
    /// Whether such a model reads as many words.
    fn fits(&self, kind: Kind, most: Most) -> Result<(), String> {
        match &self.tokens {
            Some(words) if kind == Kind::Words && words.sent > most.words => {
                Err(format!("has {} words, and at most {} are read: send it in parts", words.sent, most.words))
            }
            _ => Ok(()),
        }
    }

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
        if let Some(Listed { first: words, .. }) = tokens {
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

/// Reads an object. By hand, because what is derived also takes arrays for objects, and repeats unknown keys whole.
#[derive(Clone, Copy)]
struct Object<const INNER: bool>(Most);

impl<'de, const INNER: bool> DeserializeSeed<'de> for Object<INNER> {
    type Value = Fields<INNER>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields<INNER>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const INNER: bool> Visitor<'de> for Object<INNER> {
    type Value = Fields<INNER>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<INNER>, A::Error> {
        fn set<'de, A: MapAccess<'de>, S: DeserializeSeed<'de>>(
            slot: &mut Option<S::Value>,
            key: &str,
            map: &mut A,
            of: S,
        ) -> Result<(), A::Error> {
            if slot.is_some() {
                return Err(A::Error::custom(format!("`{key}` is there twice")));
            }
            *slot = Some(map.next_value_seed(of)?);
            Ok(())
        }

        let (mut fields, most, text) = (Fields::default(), self.0, PhantomData::<String>);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "rows" if !INNER => set(&mut fields.rows, &key, &mut map, ListOf(most.rows, Object::<true>(most)))?,
                "text" => set(&mut fields.text, &key, &mut map, text)?,
                "text_a" => set(&mut fields.text_a, &key, &mut map, text)?,
                "text_b" => set(&mut fields.text_b, &key, &mut map, text)?,
                "tokens" => set(&mut fields.tokens, &key, &mut map, ListOf(most.words, text))?,
                _ => return Err(A::Error::custom(format!("unknown field `{}`", short(&key, ECHO / 2)))),
            }
        }
        Ok(fields)
    }
}

/// The first of a list, and how many there were. What is kept takes far more memory than the three bytes that one costs who sends it.
#[derive(Debug, PartialEq)]
struct Listed<T> {
    first: Vec<T>,
    sent: usize,
}

/// Reads a list, of which it keeps so many at most.
struct ListOf<S>(usize, S);

impl<'de, S: DeserializeSeed<'de> + Copy> DeserializeSeed<'de> for ListOf<S> {
    type Value = Listed<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, S: DeserializeSeed<'de> + Copy> Visitor<'de> for ListOf<S> {
    type Value = Listed<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let ListOf(most, of) = self;
        let mut first = Vec::new();
        while first.len() < most {
            let Some(one) = list.next_element_seed(of)? else { break };
            first.push(one);
        }
        let mut sent = first.len();
        // Beyond, only their number is of interest.
        while sent >= most && list.next_element::<IgnoredAny>()?.is_some() {
            sent += 1;
        }
        Ok(Listed { first, sent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Most = Most { rows: 3, words: 4 };

    #[track_caller]
    fn refused(kind: Kind, body: &str, says: &str) {
        let refused = read(body.as_bytes(), kind, MOST).unwrap_err();
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
            let Asked { rows, many } = read(body.as_bytes(), kind, MOST).unwrap();
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
            (Kind::Text, r#"{"rows": [{"text": "a"}, {}, {}, 4, [], {}]}"#, "413 `rows` has 6 rows"),
            (Kind::Text, r#"{"rows": [{}, {}, {}, {]}"#, "400 the body is no JSON ("),
            (Kind::Text, r#"{"tokens": ["", "", "", "", ""]}"#, "422 `text` is missing"),
            (Kind::Words, r#"{"tokens": ["", "", "", "", ""]}"#, "413 the row has 5 words, and at most 4 are read"),
            (Kind::Words, r#"{"rows": [{"tokens": ["a"]}, {"tokens": [1, 2]}]}"#, "422 invalid type: integer `1`"),
            (Kind::Words, r#"{"rows": [{"tokens": ["a"]}, {"tokens": ["","","","",5]}]}"#, "413 row 2 has 5 words"),
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
        let refused = read(b"{\"text\": \"\xff\"}", Kind::Text, MOST).unwrap_err();
        assert!(matches!(refused, Refused::NotJson(_)), "{refused:?}");
    }
    /// Two MiB of `{}` and of `""` are counted and not kept.
    #[test]
    fn what_is_too_many_is_not_kept() {
        let rows = format!("[{}{{}}]", "{},".repeat(700_000));
        let read = |text: &str| {
            let mut json = serde_json::Deserializer::from_str(text);
            ListOf(MOST.rows, Object::<true>(MOST)).deserialize(&mut json).unwrap()
        };
        let listed = read(&rows);
        assert!((listed.first.len(), listed.sent) == (3, 700_001) && listed.first.capacity() < 8);
        let words = format!("[{{\"tokens\": [{}\"\"]}}]", "\"\",".repeat(700_000));
        let words = read(&words).first.pop().unwrap().tokens.unwrap();
        assert!((words.first.len(), words.sent) == (4, 700_001) && words.first.capacity() < 8);
    }
}
