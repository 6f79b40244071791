//! config.json: what is accepted, what is refused with which line, and what is written back.

mod distances;
mod families;

use super::*;
use expect_test::{Expect, expect};
use serde_json::json;
use std::panic::catch_unwind;
use std::time::{Duration, Instant};

fn document() -> Map<String, Value> {
    let document = json!({
        "model_type": "bert", "architectures": ["BertModel"], "vocab_size": 30522, "hidden_size": 384,
        "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536, "max_position_embeddings": 512
    });
    document.as_object().unwrap().clone()
}

/// The document with these fields changed; null removes a field.
fn with(changes: Value) -> String {
    let mut document = document();
    for (key, value) in changes.as_object().unwrap() {
        document.insert(key.clone(), value.clone());
    }
    Value::Object(document).to_string()
}

fn check_text(text: &str, expected: Expect) {
    let begin = Instant::now();
    let outcome = catch_unwind(|| text.parse::<EncoderConfig>());
    let error = outcome.expect("parsing must not panic").expect_err("parsing must fail").to_string();
    // Nothing is allocated by what a size claims, so a refusal is immediate.
    assert!(begin.elapsed() < Duration::from_secs(5), "took {:?}", begin.elapsed());
    assert!(!error.contains('\n'), "not one line: {error}");
    expected.assert_eq(&error);
}

fn check(changes: Value, expected: Expect) {
    check_text(&with(changes), expected);
}

#[test]
fn defaults_and_given_values() {
    let config: EncoderConfig = with(json!({})).parse().unwrap();
    assert_eq!((config.hidden_size, config.head_dim(), config.type_vocab_size), (384, 32, 2));
    assert_eq!((config.hidden_dropout_prob, config.attention_probs_dropout_prob), (0.1, 0.1));
    assert_eq!((config.layer_norm_eps, config.initializer_range, config.pad_token_id), (1e-12, 0.02, 0));
    assert_eq!((config.classifier_dropout, config.id2label), (None, None));
    let given = json!({"type_vocab_size": 1, "classifier_dropout": 0.25, "layer_norm_eps": 1e-5, "pad_token_id": 7,
        "hidden_dropout_prob": 0, "is_decoder": false, "position_embedding_type": "absolute", "hidden_act": "gelu"});
    let config: EncoderConfig = with(given).parse().unwrap();
    assert_eq!((config.type_vocab_size, config.classifier_dropout, config.pad_token_id), (1, Some(0.25), 7));
    assert_eq!((config.layer_norm_eps, config.hidden_dropout_prob), (1e-5, 0.0));
    // Early configurations do not name their type.
    let mut early = document();
    early.remove("model_type");
    early.remove("architectures");
    assert!(Value::Object(early).to_string().parse::<EncoderConfig>().is_ok());
}

#[test]
fn documents_that_are_not_a_configuration() {
    check_text(
        "",
        expect![
            "config.json: is not valid JSON: EOF while parsing a value at line 1 column 0; fetch or write the file again"
        ],
    );
    check_text("[1]", expect!["config.json: is JSON, but not an object; fetch or write the file again"]);
    check_text("{}", expect!["config.json: has no vocab_size, which every bert configuration must give"]);
    check_text(
        "{\"vocab_size\": 1,}",
        expect!["config.json: is not valid JSON: trailing comma at line 1 column 18; fetch or write the file again"],
    );
    check_text(
        "{\"vocab_size\": 1} x",
        expect![
            "config.json: is not valid JSON: trailing characters at line 1 column 19; fetch or write the file again"
        ],
    );
    check_text(
        "{\"layer_norm_eps\": NaN}",
        expect!["config.json: is not valid JSON: expected value at line 1 column 20; fetch or write the file again"],
    );
    check_text(
        "{\"layer_norm_eps\": 1e999}",
        expect![
            "config.json: is not valid JSON: number out of range at line 1 column 24; fetch or write the file again"
        ],
    );
    check_text(
        "{\"vocab_size\": 1, \"vocab_size\": 2}",
        expect![[
            r#"config.json: is not valid JSON: the key "vocab_size" occurs twice at line 1 column 30; fetch or write the file again"#
        ]],
    );
    check_text(
        "{\"a\": {\"b\\n\": 1, \"b\\n\": 2}}",
        expect![[
            r#"config.json: is not valid JSON: the key "b\n" occurs twice at line 1 column 22; fetch or write the file again"#
        ]],
    );
    check_text(
        &format!("{{\"a\": {}", "[".repeat(200_000)),
        expect![
            "config.json: is not valid JSON: recursion limit exceeded at line 1 column 133; fetch or write the file again"
        ],
    );
    check_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
        expect!["config.json: this is a git-LFS pointer, not the file itself: run `git lfs pull` in the model folder"],
    );
    check_text(
        "<!doctype html>",
        expect!["config.json: this is an HTML or XML page, so the download went wrong: fetch the file again"],
    );
}

#[test]
fn other_models_are_refused_by_name() {
    check(
        json!({"model_type": "deberta-v2"}),
        expect![
            "config.json: relative_attention false is not supported, only true is, as in DeBERTa's third version (deberta-v3)"
        ],
    );
    check(
        json!({"model_type": "x\n\u{1b}[31m"}),
        expect![[
            r#"config.json: model_type "x\n\u{1b}[31m" is not supported; known are bert, camembert, deberta-v2, distilbert, electra, modernbert, mpnet, roberta, xlm-roberta"#
        ]],
    );
    check(json!({"model_type": 3}), expect!["config.json: model_type must be a string, found 3"]);
    let mut unnamed = document();
    unnamed.remove("model_type");
    unnamed.insert("architectures".to_string(), json!(["DistilBertModel"]));
    check_text(
        &Value::Object(unnamed).to_string(),
        expect![[
            r#"config.json: has no model_type, and architecture "DistilBertModel" is not BERT; add its model_type, known are bert, camembert, deberta-v2, distilbert, electra, modernbert, mpnet, roberta, xlm-roberta"#
        ]],
    );
    check(
        json!({"position_embedding_type": "relative_key"}),
        expect![[r#"config.json: position_embedding_type "relative_key" is not supported, only "absolute" is"#]],
    );
    check(
        json!({"is_decoder": true}),
        expect!["config.json: is_decoder is true: a decoder is not supported, only encoders are"],
    );
    check(
        json!({"add_cross_attention": true}),
        expect![
            "config.json: add_cross_attention is true: a model with cross attention is not supported, only encoders are"
        ],
    );
    check(json!({"is_decoder": "no"}), expect![[r#"config.json: is_decoder must be true or false, found "no""#]]);
    check(
        json!({"hidden_act": "gelu_new"}),
        expect![[r#"config.json: hidden_act "gelu_new" is not supported, only "gelu" (exact) is"#]],
    );
    check(
        json!({"hidden_act": null}),
        expect![[r#"config.json: hidden_act null is not supported, only "gelu" (exact) is"#]],
    );
    check(
        json!({"pruned_heads": {"0": [1]}}),
        expect!["config.json: pruned_heads is not empty: models with pruned heads are not supported"],
    );
    check(
        json!({"quantization_config": {"bits": 4}}),
        expect!["config.json: has a quantization_config: quantised weights are not supported, use the original model"],
    );
}

#[test]
fn sizes_out_of_range() {
    check(
        json!({"vocab_size": 4_000_000_000u64}),
        expect!["config.json: vocab_size must be a whole number from 1 to 4000000, found 4000000000"],
    );
    check(
        json!({"vocab_size": 0}),
        expect!["config.json: vocab_size must be a whole number from 1 to 4000000, found 0"],
    );
    check(
        json!({"vocab_size": null}),
        expect!["config.json: has no vocab_size, which every bert configuration must give"],
    );
    check(
        json!({"hidden_size": 16_385}),
        expect!["config.json: hidden_size must be a whole number from 1 to 16384, found 16385"],
    );
    check(
        json!({"hidden_size": -384}),
        expect!["config.json: hidden_size must be a whole number from 1 to 16384, found -384"],
    );
    check(
        json!({"hidden_size": 384.0}),
        expect!["config.json: hidden_size must be a whole number from 1 to 16384, found 384.0"],
    );
    check(
        json!({"hidden_size": "384"}),
        expect![[r#"config.json: hidden_size must be a whole number from 1 to 16384, found "384""#]],
    );
    check(
        json!({"num_hidden_layers": 257}),
        expect!["config.json: num_hidden_layers must be a whole number from 1 to 256, found 257"],
    );
    check(
        json!({"num_attention_heads": 0}),
        expect!["config.json: num_attention_heads must be a whole number from 1 to 16384, found 0"],
    );
    check(
        json!({"num_attention_heads": 7}),
        expect!["config.json: hidden_size 384 is not a multiple of num_attention_heads 7"],
    );
    check(
        json!({"num_attention_heads": 1}),
        expect!["config.json: hidden_size 384 over num_attention_heads 1 makes heads of 384, at most 256 is supported"],
    );
    check(
        json!({"intermediate_size": 65_537}),
        expect!["config.json: intermediate_size must be a whole number from 1 to 65536, found 65537"],
    );
    check(
        json!({"max_position_embeddings": 50_000_000}),
        expect!["config.json: max_position_embeddings must be a whole number from 1 to 131072, found 50000000"],
    );
    check(
        json!({"max_position_embeddings": u64::MAX}),
        expect![
            "config.json: max_position_embeddings must be a whole number from 1 to 131072, found 18446744073709551615"
        ],
    );
    check(
        json!({"type_vocab_size": 0}),
        expect!["config.json: type_vocab_size must be a whole number from 1 to 1024, found 0"],
    );
    check(
        json!({"pad_token_id": 30_522}),
        expect!["config.json: pad_token_id must be a whole number from 0 to 30521, found 30522"],
    );
    check(
        json!({"pad_token_id": -1}),
        expect!["config.json: pad_token_id must be a whole number from 0 to 30521, found -1"],
    );
}

#[test]
fn real_numbers_out_of_range() {
    check(
        json!({"hidden_dropout_prob": 1.0}),
        expect!["config.json: hidden_dropout_prob must be a number at least 0 and below 1, found 1.0"],
    );
    check(
        json!({"hidden_dropout_prob": 0.99999999999}),
        expect!["config.json: hidden_dropout_prob must be a number at least 0 and below 1, found 0.99999999999"],
    );
    check(
        json!({"attention_probs_dropout_prob": -0.1}),
        expect!["config.json: attention_probs_dropout_prob must be a number at least 0 and below 1, found -0.1"],
    );
    check(
        json!({"classifier_dropout": "0.1"}),
        expect![[r#"config.json: classifier_dropout must be a number at least 0 and below 1, found "0.1""#]],
    );
    check(
        json!({"layer_norm_eps": 0}),
        expect!["config.json: layer_norm_eps must be a number above 0 and at most 0.1, found 0"],
    );
    check(
        json!({"layer_norm_eps": 1e-60}),
        expect!["config.json: layer_norm_eps must be a number above 0 and at most 0.1, found 1e-60"],
    );
    check(
        json!({"layer_norm_eps": -1e-12}),
        expect!["config.json: layer_norm_eps must be a number above 0 and at most 0.1, found -1e-12"],
    );
    check(
        json!({"initializer_range": 1e300}),
        expect!["config.json: initializer_range must be a number above 0 and at most 1, found 1e+300"],
    );
}

#[test]
fn labels_that_disagree() {
    check(
        json!({"id2label": ["a", "b"]}),
        expect!["config.json: id2label must be an object of id: label, found a list"],
    );
    check(
        json!({"id2label": {"0": "a", "2": "b"}}),
        expect!["config.json: id2label has 2 labels but the id 2; ids must be 0 to 1"],
    );
    check(
        json!({"id2label": {"0": "a", "01": "b"}}),
        expect![[r#"config.json: id2label has the id "01", expected a whole number"#]],
    );
    check(
        json!({"id2label": {"0": "a", "x": "b"}}),
        expect![[r#"config.json: id2label has the id "x", expected a whole number"#]],
    );
    check(
        json!({"id2label": {"0": "a", "1": "a"}}),
        expect![[r#"config.json: id2label has the label "a" for both 0 and 1"#]],
    );
    check(json!({"id2label": {"0": 7}}), expect![[r#"config.json: id2label gives 7 for "0", expected a string"#]]);
    check(
        json!({"id2label": {"18446744073709551615": "a"}}),
        expect!["config.json: id2label has 1 labels but the id 18446744073709551615; ids must be 0 to 0"],
    );
    check(json!({"label2id": ["a"]}), expect!["config.json: label2id must be an object of label: id, found a list"]);
    check(
        json!({"label2id": {"a": 0, "b": 0}}),
        expect![[r#"config.json: label2id gives the id 0 to both "a" and "b""#]],
    );
    check(
        json!({"label2id": {"a": -1}}),
        expect![[r#"config.json: label2id gives -1 for "a", expected a whole number"#]],
    );
    check(
        json!({"label2id": {"a": 5}}),
        expect!["config.json: label2id has 1 labels but the id 5; ids must be 0 to 0"],
    );
    check(
        json!({"id2label": {"0": "a"}, "label2id": {"a": 0, "b": 1}}),
        expect!["config.json: id2label has 1 labels and label2id has 2; make them agree"],
    );
    check(
        json!({"id2label": {"0": "a", "1": "b"}, "label2id": {"b": 0, "a": 1}}),
        expect![[r#"config.json: the label of id 0 is "a" in id2label and "b" in label2id; make them agree"#]],
    );
    check(
        json!({"id2label": {"0": "a", "1": "b"}, "num_labels": 3}),
        expect!["config.json: num_labels is 3, but id2label or label2id has 2; make them agree or remove num_labels"],
    );
    check(
        json!({"num_labels": 100_001}),
        expect!["config.json: num_labels must be a whole number from 0 to 100000, found 100001"],
    );
    check(json!({"problem_type": 1}), expect!["config.json: problem_type must be a string, found 1"]);
    let many: Map<String, Value> = (0..=LABEL_CAP).map(|id| (id.to_string(), json!(format!("l{id}")))).collect();
    check(json!({"id2label": many}), expect!["config.json: id2label has 100001 labels, at most 100000 are supported"]);
}

#[test]
fn labels_from_any_of_the_three_places() {
    let read = |changes: Value| with(changes).parse::<EncoderConfig>().unwrap().id2label;
    let names = |labels: &[&str]| Some(labels.iter().map(|label| label.to_string()).collect::<Vec<_>>());
    assert_eq!(read(json!({"id2label": {"1": "a", "0": "b"}})), names(&["b", "a"]));
    assert_eq!(read(json!({"label2id": {"a": 1, "b": 0}})), names(&["b", "a"]));
    assert_eq!(read(json!({"num_labels": 2})), names(&["LABEL_0", "LABEL_1"]));
    assert_eq!(read(json!({"id2label": {}, "label2id": null})), None);
}

#[test]
fn written_as_transformers_does() {
    let source = json!({"layer_norm_eps": 1e-12, "_name_or_path": "x/y", "hidden_dropout_prob": 0.1, "use_cache": true,
        "torch_dtype": "float16", "num_labels": 2, "auto_map": {"AutoModel": "evil.py"}, "architectures": ["Other"]});
    let mut config: EncoderConfig = with(source).parse().unwrap();
    config.attention_probs_dropout_prob = 0.2;
    let labels: Vec<String> = (0..11).map(|id| format!("label \"{id}\" ü")).collect();
    let text = config.to_json("BertForSequenceClassification", Some(&labels));
    expect![[r#"
        {
          "_name_or_path": "x/y",
          "architectures": [
            "BertForSequenceClassification"
          ],
          "attention_probs_dropout_prob": 0.2,
          "hidden_act": "gelu",
          "hidden_dropout_prob": 0.1,
          "hidden_size": 384,
          "id2label": {
            "0": "label \"0\" ü",
            "1": "label \"1\" ü",
            "2": "label \"2\" ü",
            "3": "label \"3\" ü",
            "4": "label \"4\" ü",
            "5": "label \"5\" ü",
            "6": "label \"6\" ü",
            "7": "label \"7\" ü",
            "8": "label \"8\" ü",
            "9": "label \"9\" ü",
            "10": "label \"10\" ü"
          },
          "initializer_range": 0.02,
          "intermediate_size": 1536,
          "label2id": {
            "label \"0\" ü": 0,
            "label \"1\" ü": 1,
            "label \"10\" ü": 10,
            "label \"2\" ü": 2,
            "label \"3\" ü": 3,
            "label \"4\" ü": 4,
            "label \"5\" ü": 5,
            "label \"6\" ü": 6,
            "label \"7\" ü": 7,
            "label \"8\" ü": 8,
            "label \"9\" ü": 9
          },
          "layer_norm_eps": 1e-12,
          "max_position_embeddings": 512,
          "model_type": "bert",
          "num_attention_heads": 12,
          "num_hidden_layers": 6,
          "pad_token_id": 0,
          "problem_type": "single_label_classification",
          "torch_dtype": "float32",
          "type_vocab_size": 2,
          "use_cache": true,
          "vocab_size": 30522
        }
    "#]]
    .assert_eq(&text);
    let again: EncoderConfig = text.parse().unwrap();
    assert_eq!(again.id2label.as_deref(), Some(&labels[..]));
    assert_eq!(again.attention_probs_dropout_prob, 0.2);
    assert_eq!(again.to_json("BertForSequenceClassification", Some(&labels)), text);
    assert_eq!(again.to_json("BertForSequenceClassification", None), text);
}

#[test]
fn files_that_are_too_large_or_not_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(CONFIG_FILE);
    let told = || EncoderConfig::from_folder(folder.path()).unwrap_err();
    assert!(told().is_io() && told().to_string().contains("cannot open"), "{}", told());
    std::fs::write(&path, b"{\"model_type\": \"b\xff\"}").unwrap();
    assert!(told().to_string().contains("is not valid JSON: invalid unicode code point"), "{}", told());
    // Sparse, so that the test writes nothing.
    std::fs::File::create(&path).unwrap().set_len(FILE_CAP + 1).unwrap();
    assert!(told().to_string().contains("has 16777217 bytes, the limit is 16777216"), "{}", told());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(told().to_string().contains("not a regular file"), "{}", told());
}
