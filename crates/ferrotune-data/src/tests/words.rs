//! Rows of words: read with their tags, cut into tokens and windows as transformers does with single words, audited.

use super::auditing::{audited, lines};
use super::{rows_of, table, tokenizing};
use crate::{
    Batch, DataError, Format, Labels, Need, Row, Table, Tag, Tagging, Tokenizer, encode_tags, headers, row_tags,
};
use expect_test::{Expect, expect};
use serde_json::Value;
use std::path::Path;

fn read(text: &str, need: Need) -> Result<Table, DataError> {
    Ok(Table { path: "f".into(), pair: false, rows: rows_of(text.as_bytes(), Format::JsonLines, need)? })
}

fn of_words(words: &[&str]) -> Row {
    let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
    Row { text: words.join(" "), text_b: None, words: Some(words), label: None, line: 1 }
}

#[test]
fn tags_are_read() {
    let tag = |place, kind| Some(Tag { place, kind });
    for (text, expected) in [
        ("O", tag('O', "_")),
        ("B-person", tag('B', "person")),
        ("I-work-of-art", tag('I', "work-of-art")),
        ("E--", tag('E', "-")),
        ("S", tag('S', "_")),
        ("O-x", None),
        ("B-", None),
        ("b-x", None),
        ("L-x", None),
        ("Bx", None),
        ("B-a b", None),
        ("", None),
        ("\u{e9}-x", None),
    ] {
        assert_eq!(Tag::parse(text), expected, "{text:?}");
    }
}

#[test]
fn what_tags_spell_follows_from_all_of_them() {
    for (tags, expected) in [
        (&["B-a", "I-a", "O"][..], Ok(Tagging::Entities)),
        (&["B", "I", "O"], Ok(Tagging::Entities)),
        (&["O", "S-x"], Ok(Tagging::Entities)),
        (&["NOUN", "VERB"], Ok(Tagging::Classes)),
        (&["E", "O", "S"], Ok(Tagging::Classes)),
        // The Chinese words' places, whose M is none of an entity; marks of punctuation; Japanese parts of speech.
        (&["B", "E", "M", "S"], Ok(Tagging::Classes)),
        (&["COMMA", "O", "PERIOD"], Ok(Tagging::Classes)),
        (&["i-adj", "na-adj", "noun"], Ok(Tagging::Classes)),
        (&["LABEL_0", "LABEL_1"], Ok(Tagging::Classes)),
        (&["B-a", "O", "person"], Err("person")),
        (&["B-a", "I-a", "L-a", "U-a"], Err("L-a")),
        (&["B-a", "i-a"], Err("i-a")),
        (&["b-a", "i-a", "o"], Err("b-a")),
        (&["B_a", "I_a", "O"], Err("B_a")),
    ] {
        assert_eq!(Tagging::of(tags.iter().copied()), expected, "{tags:?}");
    }
}

#[test]
fn words_and_tags_are_read() {
    let file = concat!(
        r#"{"id":7,"tokens":["New York","is","big"],"tags":["B-loc","O","O"]}"#,
        "\n\n",
        r#"{"tokens":[],"tags":[]}"#,
        "\n",
        r#"{"tags":["O","S-x"],"tokens":["a",""]}"#
    );
    let table = read(file, Need::Tags).unwrap();
    let words: Vec<_> = table.rows.iter().map(|row| row.words.clone().unwrap()).collect();
    assert_eq!(words, [&["New York", "is", "big"][..], &[], &["a", ""]]);
    assert_eq!(
        table.rows.iter().map(|row| (row.text.as_str(), row.line)).collect::<Vec<_>>(),
        [("New York is big", 1), ("", 3), ("a ", 4)]
    );
    assert_eq!(row_tags(&table.rows[0]).collect::<Vec<_>>(), ["B-loc", "O", "O"]);
    assert_eq!(row_tags(&table.rows[1]).count(), 0);
    let labels = Labels::from_tags(&table).unwrap();
    assert_eq!(labels.names(), ["B-loc", "B-x", "O", "S-loc", "S-x"], "each type has the places of all");
    assert_eq!(encode_tags(&table, &labels).unwrap(), [&[0, 2, 2][..], &[], &[2, 4]]);
    // For a prediction tags need not be there, and may be anything.
    for line in [r#"{"tokens":["a"]}"#, r#"{"tokens":["a"],"tags":5}"#, r#"{"tokens":["a"],"tags":["x","y"]}"#] {
        assert_eq!(read(line, Need::WordsOnly).unwrap().rows[0].words.as_deref(), Some(&["a".to_string()][..]));
    }
}

#[track_caller]
fn fault(text: &str, expected: Expect) {
    let table = read(text, Need::Tags);
    expected.assert_eq(&table.and_then(|table| Labels::from_tags(&table)).unwrap_err().to_string());
}

#[test]
fn faults() {
    fault(r#"{"tokens":["a"],"tags":["O","O"]}"#, expect!["1 words and 2 tags in f, line 1: each word has one tag"]);
    fault(
        "{\"tokens\":[\"a\"],\"tags\":[\"B-x\"]}\n{\"tokens\":[\"a\",\"b\"],\"tags\":[\"O\",\"person\"]}",
        expect![[
            r#"tag "person" in f, line 2: the tags spell entities, and such a tag is O (outside), or B, I, E or S with a type, such as B-person (of BILOU write E for L and S for U); tags that are classes of words (NOUN) must not be mixed with these"#
        ]],
    );
    for tag in ["", "a b", "\u{a0}"] {
        let row = serde_json::json!({"tokens": ["a"], "tags": [tag]}).to_string();
        assert!(matches!(read(&row, Need::Tags), Err(DataError::BadTag { line: 1, .. })), "{tag:?}");
    }
    fault(
        r#"{"tokens":"a b","tags":["O","O"]}"#,
        expect![[r#"wrong type of "tokens" in f, line 1: got a string, expected an array of strings"#]],
    );
    fault(
        r#"{"tokens":["a",3],"tags":["O","O"]}"#,
        expect![[r#"wrong type of "tokens" in f, line 1: got an integer, expected strings in the array"#]],
    );
    fault(
        r#"{"tokens":["a"],"tags":[0]}"#,
        expect![[r#"wrong type of "tags" in f, line 1: got an integer, expected strings in the array"#]],
    );
    fault(
        "{\"tokens\":[\"a\"],\"tags\":[\"O\"]}\n{\"tokens\":[\"a\"]}",
        expect![[r#"missing key "tags" in f, line 2: every object needs it"#]],
    );
    fault(
        r#"{"token":["a"],"tags":["O"]}"#,
        expect![[
            r#"no column "tokens" in f: rename the right one of its columns "token", "tags", or name it with --text-column; did you mean "token"?"#
        ]],
    );
    fault(
        r#"{"tokens":["a\u0000"],"tags":["O"]}"#,
        expect![[r#"NUL character (\u0000) in "tokens" in f, line 1: remove it"#]],
    );
    fault(
        r#"{"tokens":["a"],"tags":["O"]}"#,
        expect![[r#"every word of f has the tag "O": nothing can be learned from it"#]],
    );
    fault(r#"{"tokens":[],"tags":[]}"#, expect!["no row of f has any label: nothing can be learned from it"]);
    let csv = rows_of(b"tokens,tags\na,O\n", Format::Csv, Need::Tags).unwrap_err();
    expect!["f is a table, and a table has no arrays of words: give words and tags as JSON Lines (.jsonl)"]
        .assert_eq(&csv.to_string());
    let labels = Labels::from_names(vec!["B-loc".into(), "O".into()]).unwrap();
    let table = read(r#"{"tokens":["a","b"],"tags":["O","B-log"]}"#, Need::Tags).unwrap();
    expect![[r#"unknown label "B-log" in f, line 1 (rows with unknown labels: 1): correct it to one of "B-loc", "O", or train with it; did you mean "B-loc"?"#]]
        .assert_eq(&encode_tags(&table, &labels).unwrap_err().to_string());
}

#[test]
fn headers_are_read_whatever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, expected) in [
        ("a.jsonl", r#"{"tokens":["a"],"tags":["O"],"intent":"x"}"#, &["tokens", "tags", "intent"][..]),
        ("b.csv", "x, y\n1,2\n", &["x", "y"]),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        assert_eq!(headers(&path).unwrap(), expected);
    }
}

/// Ids of all tokens, and first token and word of each word that has tokens: those of transformers with `is_split_into_words`.
#[test]
fn words_become_the_tokens_of_transformers() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let text = std::fs::read_to_string(golden.join("tokens.json")).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    for model in written["words"].as_array().unwrap() {
        let name = model["model"].as_str().unwrap();
        let tokenizer = Tokenizer::from_folder(&golden.join(name).join("model"), 64).unwrap();
        for row in model["rows"].as_array().unwrap() {
            let words: Vec<&str> = row["words"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
            let encoded = tokenizer.encode_row(&of_words(&words)).unwrap();
            let map = encoded.words.as_ref().unwrap();
            let first: Vec<Value> = map.places.iter().zip(&map.words).map(|(p, w)| Value::from(vec![*p, *w])).collect();
            assert_eq!(Value::from(first.clone()), row["first"], "{name}: {words:?}");
            assert_eq!(map.silent_words, words.len() - first.len());
            // A row without any token has no sequence.
            assert_eq!(encoded.len(), usize::from(!first.is_empty()));
            if encoded.len() == 1 {
                assert_eq!(Value::from(encoded.row(0).0), row["ids"], "{name}: {words:?}");
            }
        }
    }
}

/// With less room than the rows need, every word is scored once, by its own first token, and in order; nothing of a window is missing.
#[test]
fn long_rows_are_read_in_windows() {
    // Three pieces: `un`, `##fun`, `!`. The vocabulary knows no zzz.
    let texts = ["unfun!", "a", "\u{200d}", "film", "zzz", "played", "very"];
    let words: Vec<&str> = (0..40).map(|n| texts[n * 5 % 7]).collect();
    let whole = tokenizing::load(&tokenizing::fixture(), 512).unwrap();
    let all = whole.encode_row(&of_words(&words)).unwrap();
    let map = all.words.clone().unwrap();
    let first =
        |word: usize| map.words.iter().position(|&w| w as usize == word).map(|at| all.ids[map.places[at] as usize]);
    for max_length in [3, 4, 7, 12, 30, 50] {
        let tokenizer = tokenizing::load(&tokenizing::fixture(), max_length).unwrap();
        let rows = [of_words(&words), of_words(&["\u{200d}"]), of_words(&["a", "film"])];
        let encoded = tokenizer.encode(&rows).unwrap();
        let cut = encoded.words.as_ref().unwrap();
        assert_eq!((cut.table_rows, cut.windowed_rows, cut.silent_words), (3, 1 + usize::from(max_length < 4), 6));
        assert_eq!(
            (encoded.truncated.len(), encoded.longest_untruncated, cut.first_silent_line),
            (0, all.tokens(), Some(1))
        );
        let own: Vec<u32> =
            (0..encoded.len()).filter(|&s| cut.rows[s] == 0).flat_map(|s| cut.of(s).1.to_vec()).collect();
        assert_eq!(own, map.words, "max length {max_length}");
        assert!(!cut.rows.contains(&1) && cut.rows.is_sorted());
        for sequence in 0..encoded.len() {
            let (ids, _) = encoded.row(sequence);
            let (places, of) = cut.of(sequence);
            assert!(ids.len() <= max_length && !places.is_empty() && (ids[0], ids[ids.len() - 1]) == (2, 3));
            for (&place, &word) in places.iter().zip(of).filter(|_| cut.rows[sequence] == 0) {
                assert_eq!(Some(ids[place as usize]), first(word as usize));
            }
        }
        let order: Vec<usize> = (0..encoded.len()).rev().collect();
        let batch = Batch::gather(&encoded, &order);
        let scored: Vec<u32> = batch.scored.iter().map(|&token| batch.ids[token as usize]).collect();
        let expected = order.iter().flat_map(|&s| cut.of(s).0.iter().map(move |&p| (s, p)));
        assert_eq!(scored, expected.map(|(s, p)| encoded.row(s).0[p as usize]).collect::<Vec<_>>());
    }
}

#[test]
fn tagged_rows_are_audited() {
    let file = [
        r#"{"tokens":["New","York"],"tags":["B-a","I-a"]}"#,
        r#"{"tokens":["new york"],"tags":["B-a"]}"#,
        r#"{"tokens":["NEW","york"],"tags":["B-a","I-a"]}"#,
        r#"{"tokens":[],"tags":[]}"#,
        r#"{"tokens":["x","y"],"tags":["O","I-a"]}"#,
        r#"{"tokens":["x","y"],"tags":["I-a","O"]}"#,
    ];
    let train = read(&file.join("\n"), Need::Tags).unwrap();
    let found = audited(&[&train, &train], Need::Tags);
    let split = &found.splits[0];
    let repeats: Vec<u64> = found.overlap("train", "train").later_rows.iter().map(|found| found.row.line).collect();
    assert_eq!((repeats, lines(&split.blank)), (vec![2, 3, 6], vec![4]));
    let counts = [("B-a", 3), ("I-a", 4), ("O", 2)];
    assert_eq!(split.label_counts, counts.map(|(tag, count)| (tag.to_string(), count)));
    assert_eq!((found.overlap("train", "validation").copies(), found.conflicts.len()), (5, 2));
    // The audit of texts is as it was.
    assert_eq!(audited(&[&table("a", "text,label\nx,a b\n")], Need::Labels).splits[0].label_counts.len(), 1);
}
