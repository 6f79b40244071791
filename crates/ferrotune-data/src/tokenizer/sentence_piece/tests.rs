//! Folders with SentencePiece models: what becomes of them is what transformers makes of them (`tests/golden/sentence_piece.py`), a kind that is not read is
//! refused by name, and no damage to a file leads to a panic.

use super::{CONFIG, Model, convert, tokenizer_files, tokenizer_to_save};
use crate::tokenizer::{TOKENIZER, Tokenizer};
use crate::{DataError, ErrorKind, Row};
use expect_test::{Expect, expect};
use prost::Message;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const GOLDEN: [&str; 6] =
    ["deberta", "deberta-options", "xlm-roberta", "xlm-roberta-options", "camembert", "camembert-options"];

/// What transformers says.
#[derive(Deserialize)]
struct Golden {
    tokenizer: Value,
    rows: Vec<GoldenRow>,
}

#[derive(Deserialize)]
struct GoldenRow {
    text: String,
    text_b: Option<String>,
    ids: Vec<u32>,
    offsets: Vec<(usize, usize)>,
    type_ids: Vec<u32>,
}

fn fixture(name: &str) -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/sentence-piece");
    Path::new(root).join(name)
}

fn golden(folder: &Path) -> Golden {
    serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap()
}

/// A copy of a fixture without its golden numbers.
fn copy(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(fixture(name)).unwrap().map(|file| file.unwrap()) {
        if file.file_name() != "golden.json" {
            std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
    }
    folder
}

/// Checks ids, offsets and token types of all rows.
fn check_rows(tokenizer: &Tokenizer, golden: &Golden, name: &str) {
    for GoldenRow { text, text_b, ids, offsets, type_ids } in &golden.rows {
        let encoding = match text_b {
            None => tokenizer.inner.encode_char_offsets(text.as_str(), true),
            Some(text_b) => tokenizer.inner.encode_char_offsets((text.as_str(), text_b.as_str()), true),
        };
        let encoding = encoding.unwrap();
        let said = (encoding.get_ids(), encoding.get_offsets(), encoding.get_type_ids());
        assert_eq!(said, (ids.as_slice(), offsets.as_slice(), type_ids.as_slice()), "{name}: {text:?} {text_b:?}");
    }
}

#[test]
fn tokenizers_are_those_of_transformers() {
    for name in GOLDEN {
        let (folder, golden) = (fixture(name), golden(&fixture(name)));
        let made = convert(&folder).unwrap().expect(name);
        let made: Value = serde_json::from_slice(&made.json).unwrap();
        for (part, expected) in golden.tokenizer.as_object().unwrap() {
            assert_eq!(&made[part], expected, "{name}: {part}");
        }
        check_rows(&Tokenizer::from_folder(&folder, 64).unwrap(), &golden, name);
    }
}

#[test]
fn what_is_saved_needs_no_model_and_reads_the_same() {
    for name in GOLDEN {
        let (folder, golden) = (copy(name), golden(&fixture(name)));
        let at = |file: &str| folder.path().join(file);
        let sources = tokenizer_files(folder.path());
        assert!(sources[0].ends_with(".model") && sources.iter().all(|file| at(file).exists()), "{sources:?}");
        let files = tokenizer_to_save(folder.path()).unwrap();
        let names: Vec<_> = files.iter().map(|file| file.0).collect();
        assert_eq!(names, [TOKENIZER, CONFIG], "{name}");
        std::fs::remove_file(at(sources[0])).unwrap();
        files.iter().for_each(|(file, content)| std::fs::write(at(file), content).unwrap());
        let tokenizer = Tokenizer::from_folder(folder.path(), 64).unwrap();
        check_rows(&tokenizer, &golden, name);
        assert!(tokenizer.contradictions(folder.path(), false).is_empty());
        assert!(tokenizer.masking(true).is_ok(), "{name} has a mask and words");
        assert_eq!(tokenizer_files(folder.path()), [TOKENIZER]);
        assert_eq!(tokenizer_to_save(folder.path()).unwrap(), []);
        let config: Value = serde_json::from_slice(&std::fs::read(at(CONFIG)).unwrap()).unwrap();
        let of_deberta = name.starts_with("deberta");
        assert_eq!(config["tokenizer_class"], "PreTrainedTokenizerFast", "{name}");
        assert_eq!(config["pad_token"], if of_deberta { "[PAD]" } else { "<pad>" }, "{name}");
        let inputs = config["model_input_names"].as_array().unwrap();
        assert_eq!(inputs.contains(&json!("token_type_ids")), of_deberta, "{name}");
        assert!(!of_deberta || config["vocab_type"] == "spm", "{name}: the rest stays");
    }
}

#[test]
fn tokenizer_json_comes_first() {
    let folder = copy("deberta");
    let own = include_bytes!("../../../../../tests/golden/tiny-camembert/model/tokenizer.json");
    std::fs::write(folder.path().join(TOKENIZER), own).unwrap();
    let tokenizer = Tokenizer::from_folder(folder.path(), 64).unwrap();
    assert_eq!(tokenizer.inner.token_to_id("[CLS]"), None);
    assert!(convert(folder.path()).unwrap().is_none());
}

/// Checks the message that a folder gives, with its name left out.
#[track_caller]
fn check(folder: &Path, expected: Expect) {
    let error = Tokenizer::from_folder(folder, 64).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tokenizer);
    expected.assert_eq(&error.to_string().replace(&folder.display().to_string(), "DIR"));
}

/// Checks the message after a file was written.
#[track_caller]
fn check_file(name: &str, file: &str, content: &str, expected: Expect) {
    let folder = copy(name);
    std::fs::write(folder.path().join(file), content).unwrap();
    check(folder.path(), expected);
}

/// Checks the message after a change of a model.
#[track_caller]
fn check_model(name: &str, change: impl FnOnce(&mut Model), expected: Expect) {
    let folder = copy(name);
    let path = folder.path().join(tokenizer_files(folder.path())[0]);
    let mut model = Model::decode(std::fs::read(&path).unwrap().as_slice()).unwrap();
    change(&mut model);
    std::fs::write(&path, model.encode_to_vec()).unwrap();
    check(folder.path(), expected);
}

#[test]
fn models() {
    fn trainer(model: &mut Model) -> &mut super::proto::Trainer {
        model.trainer.as_mut().unwrap()
    }
    let map = |map: &[u8]| {
        let map = map.to_vec();
        |model: &mut Model| model.normalizer.as_mut().unwrap().precompiled_charsmap = Some(map)
    };
    let unknown = |id: i32| {
        move |model: &mut Model| {
            model.pieces[3].piece = Some("[XXX]".to_owned());
            trainer(model).unk_id = Some(id);
        }
    };
    check_file(
        "deberta",
        "spm.model",
        "",
        expect![
            "cannot use DIR/spm.model: it is no SentencePiece model: it has no pieces; take the file from the model's original folder"
        ],
    );
    check_file(
        "deberta",
        "spm.model",
        "version https://git-lfs.github.com/spec/v1\n",
        expect![
            "cannot use DIR/spm.model: it is no SentencePiece model, or a damaged one (failed to decode Protobuf message: invalid wire type value: 6); take the file from the model's original folder"
        ],
    );
    check_model(
        "deberta",
        |model| trainer(model).model_type = Some(2),
        expect![
            "no tokenizer can be made of DIR/spm.model: it is a model of type BPE, and unigram models are read; save the model's fast tokenizer, tokenizer.json, beside it"
        ],
    );
    check_model(
        "deberta",
        |model| trainer(model).model_type = Some(9),
        expect![
            "no tokenizer can be made of DIR/spm.model: it is a model of type unknown, and unigram models are read; save the model's fast tokenizer, tokenizer.json, beside it"
        ],
    );
    check_model(
        "xlm-roberta",
        |model| trainer(model).byte_fallback = Some(true),
        expect![
            "no tokenizer can be made of DIR/sentencepiece.bpe.model: it writes unknown characters as bytes, which is not read; save the model's fast tokenizer, tokenizer.json, beside it"
        ],
    );
    check_model(
        "camembert",
        |model| trainer(model).treat_whitespace_as_suffix = Some(true),
        expect![
            "no tokenizer can be made of DIR/sentencepiece.bpe.model: it has no ▁ where words begin, which is not read; save the model's fast tokenizer, tokenizer.json, beside it"
        ],
    );
    check_model(
        "deberta",
        |model| model.pieces[7].piece = None,
        expect!["cannot use DIR/spm.model: its piece 7 is empty; take the file from the model's original folder"],
    );
    check_model(
        "deberta",
        |model| model.pieces[7].piece = Some("[CLS]".to_owned()),
        expect![[
            r#"cannot use DIR/spm.model: it has the piece "[CLS]" twice; take the file from the model's original folder"#
        ]],
    );
    check_model(
        "deberta",
        |model| model.pieces[7].score = Some(f32::NAN),
        expect![[
            r#"cannot use DIR/spm.model: its piece "日本" has the score NaN; take the file from the model's original folder"#
        ]],
    );
    check_model(
        "deberta",
        unknown(1000),
        expect![
            "cannot use DIR/spm.model: its unknown piece would be 1000 of 160; take the file from the model's original folder"
        ],
    );
    check_model(
        "deberta",
        unknown(-1),
        expect![
            "no tokenizer can be made of DIR/spm.model: it has no unknown piece; save the model's fast tokenizer, tokenizer.json, beside it"
        ],
    );
    check_model(
        "xlm-roberta",
        |model| drop(model.pieces.drain(1..2)),
        expect![
            "no tokenizer can be made of DIR/sentencepiece.bpe.model: its first pieces (3) are not the special ones that fairseq leaves out; save the model's fast tokenizer, tokenizer.json, beside it"
        ],
    );
    check_model(
        "camembert",
        |model| drop(model.pieces.drain(0..3)),
        expect![
            "no tokenizer can be made of DIR/sentencepiece.bpe.model: its first pieces (1) are not the special ones that fairseq leaves out; save the model's fast tokenizer, tokenizer.json, beside it"
        ],
    );
    check_model(
        "deberta",
        map(&[1, 0]),
        expect![
            "cannot use DIR/spm.model: its map of characters is shorter than it says; take the file from the model's original folder"
        ],
    );
    check_model(
        "deberta",
        map(&[0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0]),
        expect![
            "cannot use DIR/spm.model: its map of characters is shorter than it says; take the file from the model's original folder"
        ],
    );
    check_model(
        "deberta",
        map(&[0, 0, 0, 0, 0xff]),
        expect![
            "the tokenizers library panicked on DIR/spm.model while loading it: the file is malformed; take the original one"
        ],
    );
    check_model(
        "deberta",
        map(&[0, 0, 0, 0]),
        expect![
            "the tokenizers library panicked on DIR/spm.model while checking it: the file is malformed; take the original one"
        ],
    );
}

#[test]
fn folders() {
    check_file(
        "deberta",
        CONFIG,
        r#"{"tokenizer_class": "T5Tokenizer"}"#,
        expect![
            "no tokenizer can be made of DIR/spm.model: it is read for the families deberta-v2, xlm-roberta and camembert, and the folder is of another; save the model's fast tokenizer, tokenizer.json, beside it"
        ],
    );
    check_file(
        "deberta",
        "config.json",
        r#"{"model_type": "t5"}"#,
        expect![
            "no tokenizer can be made of DIR/spm.model: it is read for the families deberta-v2, xlm-roberta and camembert, and the folder is of another; save the model's fast tokenizer, tokenizer.json, beside it"
        ],
    );
    check_file(
        "deberta",
        "config.json",
        r#"{"model_type": "camembert"}"#,
        expect![
            "no tokenizer can be made of DIR/spm.model: the folder's family has sentencepiece.bpe.model; save the model's fast tokenizer, tokenizer.json, beside it"
        ],
    );
    check_file(
        "deberta",
        "config.json",
        "[]",
        expect!["cannot use DIR/config.json: it is no JSON object; take the file from the model's original folder"],
    );
    check_file(
        "deberta",
        CONFIG,
        "{",
        expect![
            "cannot use DIR/tokenizer_config.json: EOF while parsing an object at line 1 column 1; take the file from the model's original folder"
        ],
    );
    check_file(
        "deberta",
        CONFIG,
        r#"{"vocab_type": "gpt2"}"#,
        expect![
            "no tokenizer can be made of DIR/tokenizer_config.json: its vocab_type is not spm; save the model's fast tokenizer, tokenizer.json, beside it"
        ],
    );
    check_file(
        "deberta",
        CONFIG,
        r#"{"split_by_punct": "yes"}"#,
        expect![
            "no tokenizer can be made of DIR/spm.model: tokenizer_config.json says split_by_punct, and neither true nor false; save the model's fast tokenizer, tokenizer.json, beside it"
        ],
    );
    check_file(
        "deberta",
        CONFIG,
        r#"{"cls_token": "<s>"}"#,
        expect![[
            r#"no tokenizer can be made of DIR/spm.model: the folder's cls_token is "<s>", the family's [CLS]; save the model's fast tokenizer, tokenizer.json, beside it"#
        ]],
    );
    check_file(
        "deberta",
        CONFIG,
        r#"{"additional_special_tokens": [7]}"#,
        expect![[
            r#"no tokenizer can be made of DIR/spm.model: "7" describes no token (invalid type: integer `7`, expected struct Token); save the model's fast tokenizer, tokenizer.json, beside it"#
        ]],
    );
    check_file(
        "deberta",
        CONFIG,
        r#"{"additional_special_tokens": [""]}"#,
        expect![
            "no tokenizer can be made of DIR/spm.model: an added token is empty; save the model's fast tokenizer, tokenizer.json, beside it"
        ],
    );
    check_file(
        "deberta",
        CONFIG,
        r#"{"added_tokens_decoder": {"x": "[MASK]"}}"#,
        expect![[
            r#"no tokenizer can be made of DIR/spm.model: "x" is no id of an added token; save the model's fast tokenizer, tokenizer.json, beside it"#
        ]],
    );
    check_file(
        "deberta",
        "added_tokens.json",
        r#"{"[MASK]": 7}"#,
        expect![[
            r#"no tokenizer can be made of DIR/spm.model: the folder gives "[MASK]" the id 7, the vocabulary gives it 160; save the model's fast tokenizer, tokenizer.json, beside it"#
        ]],
    );
    check_file(
        "deberta",
        "added_tokens.json",
        r#"{"[MASK]": -1}"#,
        expect![[
            r#"no tokenizer can be made of DIR/spm.model: "-1" is no id of an added token; save the model's fast tokenizer, tokenizer.json, beside it"#
        ]],
    );
    check_file(
        "xlm-roberta",
        "special_tokens_map.json",
        r#"{"mask_token": "<MASK>"}"#,
        expect![[
            r#"no tokenizer can be made of DIR/sentencepiece.bpe.model: the folder's mask_token is "<MASK>", the family's <mask>; save the model's fast tokenizer, tokenizer.json, beside it"#
        ]],
    );
}

/// The class of the tokenizer goes before the kind of model.
#[test]
fn the_class_may_say_the_family() {
    let folder = copy("xlm-roberta");
    let golden = golden(&fixture("xlm-roberta"));
    for (model_type, class, in_file) in [
        ("bert", "XLMRobertaTokenizer", CONFIG),
        ("bert", "XLMRobertaTokenizer", "config.json"),
        ("camembert", "XLMRobertaTokenizerFast", CONFIG),
        ("xlm-roberta", "PreTrainedTokenizerFast", CONFIG),
    ] {
        std::fs::write(folder.path().join(CONFIG), "{}").unwrap();
        std::fs::write(folder.path().join("config.json"), json!({"model_type": model_type}).to_string()).unwrap();
        let said = json!({"model_type": model_type, "tokenizer_class": class}).to_string();
        std::fs::write(folder.path().join(in_file), said).unwrap();
        check_rows(&Tokenizer::from_folder(folder.path(), 64).unwrap(), &golden, class);
    }
}

/// Every seventh byte of a model changed, and the file cut there: it loads or is refused, and what loads reads texts or refuses them.
#[test]
fn no_damage_leads_to_a_panic() {
    let folder = copy("deberta");
    let path = folder.path().join("spm.model");
    let whole = std::fs::read(&path).unwrap();
    let read = |bytes: &[u8]| -> Result<(), DataError> {
        std::fs::write(&path, bytes).unwrap();
        let tokenizer = Tokenizer::from_folder(folder.path(), 64)?;
        let row = |text: &str| Row { text: text.to_owned(), text_b: None, words: None, label: None, line: 1 };
        tokenizer.encode(&[row("bane \u{fb01}\u{ff21} tiro\t"), row("")]).map(drop)
    };
    let mut refused = [0, 0];
    for n in (0..whole.len()).step_by(7) {
        let mut changed = whole.clone();
        changed[n] ^= [0x01, 0x80, 0xff][n % 3];
        refused[0] += usize::from(read(&changed).is_err());
        refused[1] += usize::from(read(&whole[..n]).is_err());
    }
    read(&whole).unwrap();
    assert!(refused.iter().all(|&count| count > whole.len() / 70), "{refused:?} of {}", whole.len() / 7);
}
