//! Malformed and hostile tokenizers: each with the exact message that it must give, and never a panic.

use super::row;
use super::tokenizing::{fixture, folder, load};
use crate::{DataError, ErrorKind, MAX_TOKENIZER_BYTES, Tokenizer};
use expect_test::{Expect, expect};
use serde_json::{Value, json};
use std::path::Path;

/// Checks the message, with the folder's name left out.
fn check(error: DataError, folder: &Path, expected: Expect) {
    assert_eq!(error.kind(), ErrorKind::Tokenizer);
    expected.assert_eq(&error.to_string().replace(&folder.display().to_string(), "DIR"));
}

/// Checks the message that loading the fixture gives after `change`.
fn check_changed(change: impl FnOnce(&mut Value), expected: Expect) {
    let mut changed = fixture();
    change(&mut changed);
    let folder = folder(&changed);
    check(Tokenizer::from_folder(folder.path(), 16).map(|_| ()).unwrap_err(), folder.path(), expected);
}

#[test]
fn files() {
    let empty = tempfile::tempdir().unwrap();
    let check_file = |expected| {
        check(Tokenizer::from_folder(empty.path(), 16).map(|_| ()).unwrap_err(), empty.path(), expected);
    };
    check_file(expect![
        "no tokenizer.json in DIR, and no SentencePiece model to make it of: save the model's fast tokenizer there"
    ]);
    let path = empty.path().join("tokenizer.json");
    std::fs::write(&path, "{\n\"version\": ").unwrap();
    check_file(expect![
        "cannot use DIR/tokenizer.json: EOF while parsing a value at line 2 column 11; take the file from the model's original folder"
    ]);
    std::fs::write(&path, "[".repeat(100_000)).unwrap();
    check_file(expect![
        "cannot use DIR/tokenizer.json: invalid type: sequence, expected struct Tokenizer at line 1 column 1; take the file from the model's original folder"
    ]);
    std::fs::write(&path, "[]").unwrap();
    check_file(expect![
        "cannot use DIR/tokenizer.json: invalid type: sequence, expected struct Tokenizer at line 1 column 2; take the file from the model's original folder"
    ]);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    check_file(expect![
        "cannot use DIR/tokenizer.json: it is not a regular file; take the file from the model's original folder"
    ]);
    std::fs::remove_dir(&path).unwrap();
    std::fs::File::create(&path).unwrap().set_len(MAX_TOKENIZER_BYTES + 1).unwrap();
    check_file(expect![
        "DIR/tokenizer.json has 67108865 bytes, more than the limit of 67108864: it is no tokenizer of a BERT model"
    ]);
}

#[test]
fn contents() {
    check_changed(
        |json| json["model"]["type"] = json!("Oracle"),
        expect![
            "cannot use DIR/tokenizer.json: data did not match any variant of untagged enum ModelUntagged at line 1 column 1121; take the file from the model's original folder"
        ],
    );
    check_changed(
        |json| json["model"]["max_input_chars_per_word"] = json!(u32::MAX),
        expect![
            "cannot use DIR/tokenizer.json: max_input_chars_per_word is 4294967295, more than 1000; take the file from the model's original folder"
        ],
    );
    check_changed(
        |json| json["model"]["unk_token"] = json!("<unk>"),
        expect![[
            r#"cannot use DIR/tokenizer.json: its unknown token "<unk>" is not in its vocabulary; take the file from the model's original folder"#
        ]],
    );
    check_changed(
        |json| (json["model"]["vocab"], json["added_tokens"]) = (json!({}), json!([])),
        expect![
            "cannot use DIR/tokenizer.json: its vocabulary is empty; take the file from the model's original folder"
        ],
    );
    check_changed(
        |json| json["post_processor"]["special_tokens"]["[SEP]"]["ids"] = json!([77]),
        expect![[
            r#"cannot use DIR/tokenizer.json: its template adds "[SEP]" with id 77, which the vocabulary lacks; take the file from the model's original folder"#
        ]],
    );
    check_changed(
        |json| json["post_processor"]["pair"][3]["Sequence"]["type_id"] = json!(2),
        expect![
            "cannot use DIR/tokenizer.json: its template uses segment 2; BERT has segments 0 and 1; take the file from the model's original folder"
        ],
    );
    // The crate panics on these.
    check_changed(
        |json| json["post_processor"]["special_tokens"] = json!({}),
        expect![
            "the tokenizers library panicked on DIR/tokenizer.json while checking it: the file is malformed; take the original one"
        ],
    );
    check_changed(
        |json| json["pre_tokenizer"] = json!({"type": "FixedLength", "length": 0}),
        expect![
            "the tokenizers library panicked on DIR/tokenizer.json while checking it: the file is malformed; take the original one"
        ],
    );
}

#[test]
fn encoding() {
    let check_row = |json: &Value, max_length, text: &str, text_b: Option<&str>, expected: Expect| {
        let folder = folder(json);
        let tokenizer = Tokenizer::from_folder(folder.path(), max_length).unwrap();
        check(
            tokenizer.encode(&[row("a", None, None, 2), row(text, text_b, None, 3)]).unwrap_err(),
            folder.path(),
            expected,
        );
    };
    check_row(
        &fixture(),
        4,
        "a",
        Some("b"),
        expect!["max length 4 is too short: this input needs 5 (3 special tokens and the text)"],
    );
    let mut repeating = fixture();
    let text = repeating["post_processor"]["single"][1].clone();
    repeating["post_processor"]["single"] = json!([text, text]);
    check_row(
        &repeating,
        5,
        "fun fun fun",
        None,
        expect!["the tokenizer failed on the row of line 3: its template gives 10 tokens for 5 of text"],
    );
    // A model without its unknown token passes the probes "a" and "b", and fails on the first word that it lacks.
    let mut words = fixture();
    words["model"] =
        json!({"type": "WordLevel", "unk_token": "<unk>", "vocab": {"[CLS]": 2, "[SEP]": 3, "a": 0, "b": 1}});
    words["added_tokens"] = json!([]);
    check_row(
        &words,
        16,
        "a c",
        None,
        expect!["the tokenizer failed on the row of line 3: WordLevel error: Missing [UNK] token from the vocabulary"],
    );
    // The trie of this character map ends at "b": it holds the probes, and the crate runs over its end on "x".
    let mut short_trie = fixture();
    let character_map = format!("jAEA{}AA==", "AAAA".repeat(132));
    short_trie["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": character_map});
    check_row(
        &short_trie,
        16,
        "x",
        None,
        expect![
            "the tokenizers library panicked on DIR/tokenizer.json while encoding the row of line 3: the file is malformed; take the original one"
        ],
    );
    let too_short = load(&fixture(), 2).map(|_| ()).unwrap_err();
    check(
        too_short,
        Path::new("/"),
        expect!["max length 2 is too short: this input needs 3 (2 special tokens and the text)"],
    );
}
