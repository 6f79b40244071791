//! Encoding with a tiny WordPiece tokenizer: ids, segments, our truncation in place of the file's, thread independence.

use super::row;
use crate::{DataError, Encoded, LongTexts, Row, Tokenizer};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The vocabulary; the id of a token is its place.
const VOCABULARY: [&str; 40] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "a", "an", "and", "not", "movie", "film", "plot", "actor",
    "is", "was", "good", "great", "bad", "dull", "fun", "very", "too", "long", "short", "play", "##s", "##ed", "##ing",
    "##er", "love", "hate", "it", "i", "!", ".", ",", "?", "un", "##fun",
];

/// A `tokenizer.json` like those of BERT, with the padding and truncation that sentence encoders are shipped with.
pub(super) fn fixture() -> Value {
    let special = |name: &str| json!({"SpecialToken": {"id": name, "type_id": 0}});
    let special_b = |name: &str| json!({"SpecialToken": {"id": name, "type_id": 1}});
    let text = |name: &str, segment: u32| json!({"Sequence": {"id": name, "type_id": segment}});
    let vocabulary: serde_json::Map<String, Value> =
        VOCABULARY.iter().enumerate().map(|(id, &token)| (token.to_owned(), json!(id))).collect();
    let added: Vec<Value> = VOCABULARY[..5]
        .iter()
        .enumerate()
        .map(|(id, token)| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        })
        .collect();
    json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 128, "strategy": "OnlyFirst", "stride": 8},
        "padding": {"strategy": {"Fixed": 128}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                    "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special("[CLS]"), text("A", 0), special("[SEP]")],
            "pair": [special("[CLS]"), text("A", 0), special("[SEP]"), text("B", 1), special_b("[SEP]")],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]},
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocabulary},
    })
}

/// A folder that holds `tokenizer` as its `tokenizer.json`.
pub(super) fn folder(tokenizer: &Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    folder
}

pub(super) fn load(tokenizer: &Value, max_length: usize) -> Result<Tokenizer, DataError> {
    Tokenizer::from_folder(folder(tokenizer).path(), max_length)
}

/// Checks the tokens (segment 1 after the bar), and the length before truncation where it differs.
fn check(text: &str, text_b: Option<&str>, max_length: usize, expected: &str, untruncated: Option<usize>) {
    let tokenizer = load(&fixture(), max_length).unwrap();
    let encoded = tokenizer.encode_row(&row(text, text_b, None, 1)).unwrap();
    let (ids, type_ids) = encoded.row(0);
    let token = |(&id, &segment): (&u32, &u32)| (VOCABULARY[id as usize], segment);
    let (first, second) = expected.split_once('|').unwrap_or((expected, ""));
    let with = |segment| move |token| (token, segment);
    let expected: Vec<_> =
        first.split_whitespace().map(with(0)).chain(second.split_whitespace().map(with(1))).collect();
    assert_eq!(ids.iter().zip(type_ids).map(token).collect::<Vec<_>>(), expected);
    assert_eq!(encoded.truncated, if untruncated.is_some() { vec![0] } else { vec![] });
    assert_eq!(encoded.longest_untruncated, untruncated.unwrap_or(expected.len()));
}

#[test]
fn tokens_and_segments() {
    check("The movie was GREAT!", None, 128, "[CLS] the movie was great ! [SEP]", None);
    check("unfun, played\nactors", None, 128, "[CLS] un ##fun , play ##ed actor ##s [SEP]", None);
    check("xyzzy f\u{fb}n", None, 128, "[CLS] [UNK] fun [SEP]", None);
    check("", None, 128, "[CLS] [SEP]", None);
    check("a film", Some("it is dull."), 128, "[CLS] a film [SEP] | it is dull . [SEP]", None);
    check("a", Some(""), 128, "[CLS] a [SEP] | [SEP]", None);
}

#[test]
fn truncation_is_ours() {
    check("very very long", None, 5, "[CLS] very very long [SEP]", None);
    check("very very long plot", None, 5, "[CLS] very very long [SEP]", Some(6));
    check("very very long plot", None, 3, "[CLS] very [SEP]", Some(6));
    // Longest first: the short text stays whole until the long one is as short; the longer one gets the odd token.
    check("good", Some("a very very long dull plot"), 8, "[CLS] good [SEP] | a very very long [SEP]", Some(10));
    check("a very long plot", Some("i hate it"), 8, "[CLS] a very long [SEP] | i hate [SEP]", Some(10));
    check("a very long plot", Some("it was not good"), 5, "[CLS] a [SEP] | it [SEP]", Some(11));
    // Both texts alone are too long: their true lengths decide which keeps the odd token, as in tokenizers 0.23.3 for
    // Python. (This crate's 0.23.2 would stop reading each text at 6 tokens and take them for equally long.)
    check(&"fun ".repeat(7), Some(&"a ".repeat(6)), 6, "[CLS] fun fun [SEP] | a [SEP]", Some(16));
    let two_hundred = "fun ".repeat(200);
    check(&two_hundred, None, 202, &format!("[CLS] {two_hundred} [SEP]"), None);
}

/// Checks the sequences that a text becomes (segment 1 after the bar), between a short row before it and one behind it.
#[track_caller]
fn check_long(how: LongTexts, text: &str, text_b: Option<&str>, max_length: usize, expected: &[&str]) {
    let tokenizer = load(&fixture(), max_length).unwrap().with_long_texts(how);
    let rows = [row("fun", None, None, 1), row(text, text_b, None, 2), row("bad", None, None, 3)];
    let encoded = tokenizer.encode(&rows).unwrap();
    let shown = |sequence| {
        let (ids, segments) = encoded.row(sequence);
        let mut tokens: Vec<&str> = ids.iter().map(|&id| VOCABULARY[id as usize]).collect();
        if let Some(second) = segments.iter().position(|&segment| segment == 1) {
            tokens.insert(second, "|");
        }
        tokens.join(" ")
    };
    let all = [&["[CLS] fun [SEP]"], expected, &["[CLS] bad [SEP]"]].concat();
    assert_eq!((0..encoded.len()).map(shown).collect::<Vec<_>>(), all);
    let long = encoded.longest_untruncated > max_length;
    let windowed = long && how == LongTexts::Windows;
    assert_eq!(encoded.truncated, if long && !windowed { vec![1] } else { vec![] });
    assert_eq!(encoded.windowed_rows(), usize::from(windowed));
    if windowed {
        let (one, end) = (1, all.len());
        assert_eq!(encoded.window_groups().collect::<Vec<_>>(), [0..one, one..end - 1, end - 1..end]);
        assert_eq!(encoded.windows, [vec![0], vec![1; end - 2], vec![2]].concat());
    } else {
        assert!(encoded.windows.is_empty());
    }
}

#[test]
fn long_texts_are_cut_as_asked() {
    let text = "the a an and not movie film plot actor is";
    let words = |from: usize, to: usize| text.split(' ').collect::<Vec<_>>()[from..to].join(" ");
    let only = |inner: String| format!("[CLS] {inner} [SEP]");
    use LongTexts::{Head, HeadTail, Windows};
    check_long(Head, text, None, 8, &[&only(words(0, 6))]);
    for how in [Head, HeadTail, Windows] {
        check_long(how, text, None, 12, &[&only(words(0, 10))]);
    }
    // A quarter, rounded up: of 8, 6, 4 and 1 tokens.
    for (max_length, head, tail) in [(10, 2, 6), (8, 2, 4), (6, 1, 3), (3, 1, 0)] {
        let kept = [words(0, head), words(10 - tail, 10)].join(" ");
        check_long(HeadTail, text, None, max_length, &[&only(kept.trim().to_string())]);
    }
    // Of a pair the longer text is cut first, to 4 tokens here; one that keeps its length keeps its words.
    check_long(HeadTail, text, Some("it was"), 9, &["[CLS] the plot actor is [SEP] | it was [SEP]"]);
    check_long(HeadTail, "it was", Some(text), 9, &["[CLS] it was [SEP] | the plot actor is [SEP]"]);
    // Windows of 6 overlap by 2 at least; so do the three of 4, by 1.
    check_long(Windows, text, None, 8, &[&only(words(0, 6)), &only(words(4, 10))]);
    check_long(Windows, text, None, 6, &[&only(words(0, 4)), &only(words(3, 7)), &only(words(6, 10))]);
    // What looks like a special token in the text is a token of it.
    check_long(Windows, "[SEP] a an and", None, 5, &["[CLS] [SEP] a an [SEP]", "[CLS] a an and [SEP]"]);
    check_long(HeadTail, "[SEP] a an and", None, 5, &["[CLS] [SEP] an and [SEP]"]);
}

/// Also where all would fit: the answer must not depend on the other rows.
#[test]
fn pairs_have_no_windows() {
    let tokenizer = load(&fixture(), 20).unwrap().with_long_texts(LongTexts::Windows);
    let error = tokenizer.encode(&[row("a", None, None, 1), row("a", Some("fun"), None, 2)]).unwrap_err();
    assert!(matches!(error, DataError::PairInWindows { line: 2 }), "{error}");
}

/// At the paper's length its numbers come out: 128 tokens of the begin and 382 of the end.
#[test]
fn head_and_tail_of_512() {
    let text = ["fun "; 300].concat() + &["bad "; 400].concat();
    let tokenizer = load(&fixture(), 512).unwrap().with_long_texts(LongTexts::HeadTail);
    let encoded = tokenizer.encode_row(&row(&text, None, None, 1)).unwrap();
    let of = |token: &str| encoded.ids.iter().filter(|&&id| VOCABULARY[id as usize] == token).count();
    assert_eq!((encoded.len(), encoded.tokens(), of("fun"), of("bad")), (1, 512, 128, 382));
}

#[test]
fn rows_in_order_with_any_number_of_threads() {
    let rows: Vec<Row> = (0..500)
        .map(|n| row(&format!("the {}film", "very ".repeat(n % 9)), (n % 3 == 0).then_some("fun"), None, n as u64))
        .collect();
    let tokenizer = load(&fixture(), 9).unwrap();
    let encode = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| tokenizer.encode(&rows).unwrap())
    };
    let encoded: Encoded = encode(1);
    assert_eq!(encoded, encode(4));
    assert_eq!((encoded.len(), tokenizer.vocab_size(), tokenizer.max_length()), (500, 40, 9));
    let lengths: Vec<usize> = (0..500).map(|n| n % 9 + if n % 3 == 0 { 6 } else { 4 }).collect();
    assert!((0..500).all(|n| encoded.row(n).0.len() == lengths[n].min(9)));
    assert_eq!(encoded.truncated, (0..500).filter(|&n| lengths[n] > 9).collect::<Vec<_>>());
    assert_eq!(encoded.longest_untruncated, 12);
    assert_eq!(tokenizer.encode(&[]).unwrap().offsets, [0]);
}

/// The crate pairs every cut-off piece of one text with every piece of the other; here that would be 10^8 sequences.
#[test]
fn two_long_texts_fit_in_memory() {
    let long = "fun ".repeat(20_000);
    let encoded = load(&fixture(), 7).unwrap().encode_row(&row(&long, Some(&long), None, 1)).unwrap();
    assert_eq!((encoded.tokens(), encoded.longest_untruncated), (7, 40_003));
}

#[test]
fn without_a_template() {
    let mut plain = fixture();
    plain["post_processor"] = Value::Null;
    let tokenizer = load(&plain, 4).unwrap();
    let encoded = tokenizer.encode_row(&row("a film", Some("fun"), None, 1)).unwrap();
    assert_eq!(encoded.row(0), (&[6, 11, 20][..], &[0, 0, 1][..]));
    let error = tokenizer.encode(&[row("a", None, None, 1), row(" ", None, None, 2)]).unwrap_err();
    assert!(matches!(error, DataError::EmptySequence { line: 2 }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    /// The crate's own pair encoding and truncation, set up directly, gives the same ids and segments; for pairs only
    /// where it does not stop reading a text early (see above).
    #[test]
    fn equals_the_crate(
        text in "((the|movie|unfun|played|zz|!|\u{e9}) ?){0,12}",
        text_b in prop::option::of("((a|film|is|dull|,) ?){0,12}"),
        max_length in 5usize..26,
    ) {
        let mut plain = fixture();
        plain["padding"] = Value::Null;
        plain["truncation"] = json!({"direction": "Right", "max_length": max_length, "strategy": "LongestFirst", "stride": 0});
        let reference = tokenizers::Tokenizer::from_bytes(plain.to_string()).unwrap();
        let expected = match &text_b {
            None => reference.encode(text.as_str(), true),
            Some(text_b) => reference.encode((text.as_str(), text_b.as_str()), true),
        };
        let expected = expected.unwrap();
        let alone = |text: &str| reference.encode(text, false).unwrap().len();
        prop_assume!(text_b.as_ref().is_none_or(|text_b| alone(&text).max(alone(text_b)) < max_length));
        let encoded = load(&fixture(), max_length).unwrap().encode_row(&row(&text, text_b.as_deref(), None, 1)).unwrap();
        prop_assert_eq!(encoded.row(0), (expected.get_ids(), expected.get_type_ids()));
    }
}

/// Hugging Face's classes let `tokenizer_config.json` win; here `tokenizer.json` alone is read, and lowers case.
#[test]
fn files_that_contradict_each_other_are_said() {
    let folder = folder(&fixture());
    for (config, expected) in [
        (json!({"do_lower_case": true, "strip_accents": null, "tokenize_chinese_chars": true}), vec![]),
        (json!({"do_lower_case": false}), vec!["says do_lower_case false, tokenizer.json has it true"]),
        (json!({"strip_accents": true}), vec![]),
        (
            json!({"strip_accents": false, "tokenize_chinese_chars": false, "tokenizer_class": "BertTokenizer"}),
            vec!["strip_accents false", "tokenize_chinese_chars false"],
        ),
        // Those classes take the tokenizer as it is, and no byte-level one is here.
        (json!({"do_lower_case": false, "tokenizer_class": "PreTrainedTokenizerFast"}), vec![]),
        (json!({"do_lower_case": false, "tokenizer_class": "TokenizersBackend"}), vec![]),
        (json!({"add_prefix_space": true}), vec![]),
        (json!([]), vec![]),
    ] {
        std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        let said = Tokenizer::from_folder(folder.path(), 16).unwrap().contradictions(folder.path(), false);
        assert_eq!(said.len(), expected.len(), "{config}: {said:?}");
        said.iter().zip(expected).for_each(|(line, part)| assert!(line.contains(part), "{config}: {line}"));
    }
    let byte_level = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/tiny-roberta/model/tokenizer.json");
    std::fs::copy(byte_level, folder.path().join("tokenizer.json")).unwrap();
    std::fs::write(folder.path().join("tokenizer_config.json"), r#"{"add_prefix_space": true}"#).unwrap();
    let tokenizer = Tokenizer::from_folder(folder.path(), 16).unwrap();
    let said = tokenizer.contradictions(folder.path(), false);
    assert!(said.len() == 1 && said[0].contains("says add_prefix_space true, tokenizer.json has it false"), "{said:?}");
    assert!(tokenizer.contradictions(folder.path(), true).is_empty(), "words are read with a blank before each");
    assert_eq!(tokenizer.doubtful_words(folder.path()), None);
    for config in [r#"{"add_prefix_space": false}"#, "{}", "no JSON"] {
        std::fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
        assert!(tokenizer.doubtful_words(folder.path()).unwrap().contains("says add_prefix_space true"), "{config}");
    }
    let pieces = load(&fixture(), 16).unwrap();
    assert_eq!(pieces.doubtful_words(folder.path()), None, "word pieces have no blanks");
}
