//! Which tokens are hidden: shares, reproducibility, whole words, special tokens; texts in pieces and from plain files.

use super::row;
use super::tokenizing::{fixture, folder};
use crate::{DataError, Encoded, MASKED_SHARE, Tokenizer, read_texts};
use serde_json::{Value, json};

const MASK: u32 = 4;
/// Ids below are special.
const FIRST_ORDINARY: u32 = 5;

/// Rows of 3, 4, ... tokens: special ones around ordinary ones, of which every third goes on with a word.
fn rows(count: usize) -> Encoded {
    let mut encoded = Encoded {
        ids: Vec::new(),
        type_ids: Vec::new(),
        offsets: vec![0],
        truncated: Vec::new(),
        longest_untruncated: 0,
        windows: Vec::new(),
        words: None,
    };
    for row in 0..count {
        encoded.ids.push(2);
        encoded.ids.extend(
            (0..1 + row % 60).map(|n| if n % 3 == 2 { 26 + (n % 4) as u32 } else { 5 + ((n + row) % 20) as u32 }),
        );
        encoded.ids.push(3);
        encoded.offsets.push(encoded.ids.len() as u32);
    }
    encoded.type_ids = vec![0; encoded.ids.len()];
    encoded
}

fn tokenizer(json: &Value) -> Tokenizer {
    Tokenizer::from_folder(folder(json).path(), 8).unwrap()
}

/// Hides, and checks what holds for every draw: special tokens stay, each row has its number, the hidden tokens are the real ones.
fn check(whole_words: bool, seed: u64, draw: u64) -> (Encoded, Encoded) {
    let (encoded, masking) = (rows(600), tokenizer(&fixture()).masking(whole_words).unwrap());
    let (masked, hidden) = masking.hide(&encoded, seed, draw);
    let words = masked.words.clone().unwrap();
    for row in 0..encoded.len() {
        let (real, read, places) = (encoded.row(row).0, masked.row(row).0, words.of(row).0);
        let candidates = real.iter().filter(|&&id| id >= FIRST_ORDINARY).count();
        let wanted = ((MASKED_SHARE * candidates as f64).round() as usize).max(1);
        assert!(places.len() == wanted || whole_words && !places.is_empty(), "row {row}: {} of {wanted}", places.len());
        assert!(places.is_sorted_by(|a, b| a < b));
        assert!(places.iter().map(|&place| real[place as usize]).eq(hidden.of(row).iter().copied()));
        for (place, (&real, &read)) in (0u32..).zip(real.iter().zip(read)) {
            if places.contains(&place) {
                assert!(real >= FIRST_ORDINARY && (read == MASK || read >= FIRST_ORDINARY));
            } else {
                assert_eq!(real, read, "row {row}: what is not chosen stays");
            }
        }
    }
    (encoded, masked)
}

#[test]
fn fifteen_of_a_hundred_are_chosen_and_four_of_five_masked() {
    let (encoded, masked) = check(false, 3, 0);
    let words = masked.words.as_ref().unwrap();
    let chosen = (0..encoded.len()).flat_map(|row| {
        let places = words.of(row).0.iter().map(|&place| place as usize).collect::<Vec<_>>();
        places.into_iter().map(move |place| (row, place))
    });
    let (mut all, mut kept, mut replaced) = (0.0f64, 0.0, 0.0);
    for (row, place) in chosen {
        let (real, read) = (encoded.row(row).0[place], masked.row(row).0[place]);
        all += 1.0;
        kept += f64::from(u8::from(real == read));
        replaced += f64::from(u8::from(real != read && read != MASK));
    }
    // Five standard deviations of shares of a tenth; one of 35 replacements is the token itself.
    let close = |share: f64| (share - 0.1).abs() < 5.0 * (0.09 / all).sqrt() + 0.003;
    assert!(all > 2000.0 && close(kept / all) && close(replaced / all), "{kept} and {replaced} of {all}");
}

#[test]
fn a_draw_is_a_function_of_seed_number_and_row() {
    let (_, masked) = check(false, 3, 1);
    assert_eq!(masked, check(false, 3, 1).1);
    assert_ne!(masked, check(false, 3, 2).1);
    assert_ne!(masked, check(false, 4, 1).1);
    // What a row gets does not depend on the rows beside it.
    let fewer = tokenizer(&fixture()).masking(false).unwrap().hide(&rows(7), 3, 1).0;
    assert!((0..7).all(|row| fewer.row(row) == masked.row(row)));
}

#[test]
fn whole_words_are_chosen_together() {
    let (encoded, masked) = check(true, 5, 0);
    let words = masked.words.as_ref().unwrap();
    let mut several = 0;
    for row in 0..encoded.len() {
        let (ids, places) = (encoded.row(row).0, words.of(row).0);
        for place in 2..ids.len() as u32 - 1 {
            // The vocabulary's tokens 26 to 29 begin with ##.
            if (26..30).contains(&ids[place as usize]) {
                assert_eq!(places.contains(&place), places.contains(&(place - 1)), "row {row}, place {place}");
                several += usize::from(places.contains(&place));
            }
        }
    }
    assert!(several > 100);
}

#[test]
fn words_begin_where_the_vocabulary_says() {
    let continues = |vocabulary: &[&str], kind: &str| {
        let mut json = fixture();
        json["added_tokens"] = json!([{"id": 0, "content": "<mask>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true}]);
        json["post_processor"] = Value::Null;
        let map: serde_json::Map<String, Value> =
            (0..).zip(vocabulary).map(|(id, t): (u32, _)| (t.to_string(), json!(id))).collect();
        json["model"] = match kind {
            "bpe" => json!({"type": "BPE", "vocab": map, "merges": []}),
            _ => {
                json!({"type": "Unigram", "unk_id": 1, "vocab": vocabulary.iter().map(|t| json!([t, -1.0])).collect::<Vec<_>>()})
            }
        };
        let tokenizer = tokenizer(&json);
        // Two tokens after another: one unit, or two.
        tokenizer.masking(true).map(|masking| masking.continues()).map_err(|error| error.to_string())
    };
    let bytes = continues(&["<mask>", "a", "Ġa", "Ċ"], "bpe").unwrap();
    assert_eq!(bytes, [true, true, false, false]);
    assert_eq!(continues(&["<mask>", "a", "▁a"], "unigram").unwrap(), [true, true, false]);
    assert!(continues(&["<mask>", "a", "b"], "bpe").unwrap_err().contains("does not say where words begin"));
}

#[test]
fn a_vocabulary_without_a_mask_token_is_refused() {
    let mut json = fixture();
    json["added_tokens"].as_array_mut().unwrap().remove(4);
    assert!(
        matches!(tokenizer(&json).masking(false), Err(DataError::NoMaskToken { .. })),
        "[MASK] is an ordinary word there"
    );
}

#[test]
fn long_texts_become_several_rows_and_lose_nothing() {
    let tokenizer = tokenizer(&fixture());
    let text = ["the movie is good"; 4].join(" ");
    let rows = [row("fun", None, None, 1), row("", None, None, 2), row(&text, None, None, 3)];
    let encoded = tokenizer.encode_in_pieces(&rows).unwrap();
    assert_eq!((encoded.len(), &encoded.truncated[..], encoded.longest_untruncated), (4, &[2][..], 18));
    let inside: Vec<u32> = (1..4).flat_map(|n| encoded.row(n).0[1..encoded.row(n).0.len() - 1].to_vec()).collect();
    assert_eq!(inside, [5, 10, 14, 16].repeat(4));
    assert!(
        (0..4).all(|n| encoded.row(n).0[0] == 2 && encoded.row(n).0.ends_with(&[3]) && encoded.row(n).0.len() <= 8)
    );
    // Of a text whose words are all unknown nothing can be learned.
    let unknown = tokenizer.encode_in_pieces(&[row("xyzzy", None, None, 1), row("fun", None, None, 2)]).unwrap();
    let masking = tokenizer.masking(false).unwrap();
    let kept = unknown.retain(|ids| masking.finds_any(ids));
    assert_eq!((kept.len(), kept.row(0)), (1, unknown.row(1)));
}

#[test]
fn plain_files_and_columns_are_read_as_texts() {
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str, bytes: &str, column| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let table = read_texts(&path, column);
        table.map(|table| table.rows.into_iter().map(|row| (row.line, row.text)).collect::<Vec<_>>())
    };
    let two = |first: u64, second: u64| vec![(first, "a, \"b\"".to_string()), (second, "c".to_string())];
    assert_eq!(read("a.txt", "\u{feff}a, \"b\"\r\n\r\n \nc", None).unwrap(), two(1, 4));
    assert_eq!(read("a.csv", "text,label\n\"a, \"\"b\"\"\",x\nc,y\n", None).unwrap(), two(2, 3));
    assert_eq!(read("a.jsonl", "{\"body\": \"a, \\\"b\\\"\"}\n{\"body\": \"c\"}\n", Some("body")).unwrap(), two(1, 2));
    for (name, bytes, column, says) in [
        ("b.txt", " \n\n", None, "holds no text"),
        ("b.txt", "a\n", Some("text"), "is plain text and has no column \"text\""),
        ("b.csv", "text_a,text_b\na,b\n", None, "no column \"text\""),
    ] {
        let error = read(name, bytes, column).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
