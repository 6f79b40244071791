//! Rows that were encoded one by one and joined are the rows encoded together; and of very long texts the same is kept, whether or not all was read.

use super::row;
use crate::{Encoded, LongTexts, Row, Tokenizer};
use std::path::Path;

const FAMILIES: [&str; 6] =
    ["tiny-single", "tiny-roberta", "tiny-xlm-roberta", "tiny-camembert", "tiny-distilbert", "tiny-modernbert"];

fn tokenizer(family: &str, max_length: usize) -> Tokenizer {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    Tokenizer::from_folder(&golden.join(family).join("model"), max_length).unwrap()
}

#[track_caller]
fn check_joined(tokenizer: &Tokenizer, rows: &[Row]) {
    let together = tokenizer.encode(rows).unwrap();
    let alone: Vec<Encoded> = rows.iter().map(|row| tokenizer.encode_row(row).unwrap()).collect();
    assert_eq!(Encoded::joined(&alone), together);
    // Tables of several rows too, and of none.
    let halves = rows.split_at(rows.len() / 2);
    let halves = [halves.0, &[], halves.1].map(|rows| tokenizer.encode(rows).unwrap());
    if rows[0].words.is_none() {
        assert_eq!(Encoded::joined(&halves), together);
    }
    assert_eq!(Encoded::joined([&together]), together);
}

#[test]
fn rows_that_were_encoded_alone_are_joined() {
    let texts = ["the river", "", "the river and the rain and the river and the rain again", "rain"];
    let rows: Vec<Row> = (1..).zip(texts).map(|(line, text)| row(text, None, None, line)).collect();
    for how in [LongTexts::Head, LongTexts::HeadTail, LongTexts::Windows] {
        let tokenizer = tokenizer("tiny-single", 8).with_long_texts(how);
        check_joined(&tokenizer, &rows);
        check_joined(&tokenizer, &rows[..2]);
    }
    let pairs: Vec<Row> = rows.iter().map(|row| Row { text_b: Some("the rain".to_string()), ..row.clone() }).collect();
    check_joined(&tokenizer("tiny-single", 8), &pairs);
    let words = |row: &Row| Row { words: Some(row.text.split(' ').map(str::to_string).collect()), ..row.clone() };
    check_joined(&tokenizer("tiny-single", 8), &rows.iter().map(words).collect::<Vec<_>>());
}

/// Each text is far longer than what is looked at first.
#[test]
fn nothing_that_is_kept_depends_on_what_is_not_looked_at() {
    let whole = |part: &str| part.repeat(12_000 / part.len());
    let mut texts: Vec<String> =
        ["the river and rain. ", "the", ".", "日本", "a[SEP]", "e\u{301} ", " \n", "</s>", "\u{7}x ", "of 100,5 % — "]
            .map(whole)
            .to_vec();
    // The first words are far apart; and cuts fall everywhere into special tokens and words.
    texts.push(["the", "river", "rain"].join(&" ".repeat(6_000)));
    texts.extend((0..20).map(|n| format!("{}{}", "x".repeat(n), whole("[MASK] rain<mask>"))));
    for family in FAMILIES {
        for max_length in [4, 40] {
            let (plain, quick) = (tokenizer(family, max_length), tokenizer(family, max_length).without_lengths());
            for (n, text) in texts.iter().enumerate() {
                let row = row(text, None, None, 1);
                let (plain, quick) = (plain.encode_row(&row).unwrap(), quick.encode_row(&row).unwrap());
                assert_eq!(
                    (&plain.ids, &plain.truncated),
                    (&quick.ids, &quick.truncated),
                    "{family}, {max_length}, text {n}"
                );
                let is_quick = quick.longest_untruncated < plain.longest_untruncated;
                assert!(is_quick || n != 0, "{family}, {max_length}: all was read");
            }
        }
    }
}
