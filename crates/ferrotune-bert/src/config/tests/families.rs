//! config.json of the families beside BERT: their own keys, defaults and refusals.

use super::*;
use crate::family::ALL;

/// The least document of a family, with these fields changed.
fn family(model_type: &str, changes: Value) -> String {
    let mut document = match model_type {
        "distilbert" => json!({"vocab_size": 99, "dim": 24, "n_layers": 2, "n_heads": 3, "hidden_dim": 40}),
        _ => json!({"vocab_size": 99, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3,
            "intermediate_size": 40}),
    };
    let fields = document.as_object_mut().unwrap();
    fields.insert("model_type".to_string(), json!(model_type));
    fields.insert("max_position_embeddings".to_string(), json!(34));
    if model_type == "deberta-v2" {
        fields.extend(deberta());
    }
    fields.extend(changes.as_object().unwrap().clone());
    document.to_string()
}

/// What DeBERTa's third version says of its distances.
fn deberta() -> Map<String, Value> {
    let said = json!({"relative_attention": true, "position_buckets": 16, "max_relative_positions": -1, "share_att_key": true,
        "pos_att_type": "p2c|c2p", "norm_rel_ebd": "layer_norm", "position_biased_input": false});
    said.as_object().unwrap().clone()
}

#[test]
fn defaults_are_those_of_the_family() {
    for (model_type, embedding, longest, types, head, pad) in [
        ("bert", 24, 34, 2, 0.1, 0),
        ("distilbert", 24, 34, 0, 0.2, 0),
        ("electra", 128, 34, 2, 0.1, 0),
        ("roberta", 24, 32, 2, 0.1, 1),
        ("xlm-roberta", 24, 32, 2, 0.1, 1),
        ("camembert", 24, 32, 2, 0.1, 1),
        ("modernbert", 24, 34, 0, 0.0, 0),
        ("mpnet", 24, 32, 0, 0.1, 1),
        ("deberta-v2", 24, 34, 0, 0.1, 0),
    ] {
        let config: EncoderConfig = family(model_type, json!({})).parse().unwrap();
        assert_eq!(config.family.model_type, model_type);
        let sizes = (config.hidden_size, config.num_hidden_layers, config.head_dim(), config.intermediate_size);
        assert_eq!(sizes, (24, 2, 8, 40), "{model_type}");
        let own = (config.embedding_size, config.longest_sequence(), config.type_vocab_size);
        assert_eq!(own, (embedding, longest, types), "{model_type}");
        assert_eq!((config.head_dropout(HeadKind::Sequence), config.pad_token_id), (head, pad), "{model_type}");
        let (tokens, eps) = match model_type {
            "modernbert" => (0.0, 1e-5),
            "deberta-v2" => (0.1, 1e-7),
            _ => (0.1, 1e-12),
        };
        assert_eq!((config.head_dropout(HeadKind::Tokens), config.layer_norm_eps), (tokens, eps), "{model_type}");
    }
}

#[test]
fn given_values_are_read_under_the_familys_keys_and_written_there() {
    let given = json!({"dropout": 0.3, "attention_dropout": 0.4, "seq_classif_dropout": 0.5, "activation": "gelu",
        "hidden_size": 7, "layer_norm_eps": 1e-3});
    let config: EncoderConfig = family("distilbert", given).parse().unwrap();
    assert_eq!((config.hidden_dropout_prob, config.attention_probs_dropout_prob), (0.3, 0.4));
    assert_eq!(config.head_dropout(HeadKind::Sequence), 0.5);
    assert_eq!(config.head_dropout(HeadKind::Tokens), 0.3, "DistilBERT asks the hidden dropout there");
    // Keys of other families mean nothing to it; transformers has 1e-12 in its code.
    assert_eq!((config.hidden_size, config.layer_norm_eps), (24, 1e-12));
    let text = config.to_json("DistilBertForSequenceClassification", None);
    let written: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&written["dim"], &written["seq_classif_dropout"]), (&json!(24), &json!(0.5)));
    assert_eq!((&written["type_vocab_size"], &written["classifier_dropout"]), (&Value::Null, &Value::Null));
    assert_eq!(text.parse::<EncoderConfig>().unwrap().to_json("DistilBertForSequenceClassification", None), text);

    let config: EncoderConfig = family("electra", json!({"embedding_size": 16})).parse().unwrap();
    let written: Value = serde_json::from_str(&config.to_json("ElectraForSequenceClassification", None)).unwrap();
    assert_eq!((config.embedding_size, &written["embedding_size"]), (16, &json!(16)));
}

/// What is written is read again, for each family and whatever the document says of padding.
#[test]
fn what_is_written_is_read_again() {
    for known in ALL {
        // MPNet counts positions from this number, whatever its files say of padding.
        let own = if known.model_type == "mpnet" { 1 } else { 3 };
        for (pad, written) in [(None, false), (Some(Value::Null), true), (Some(json!(own)), false)] {
            let changes = pad.clone().map_or(json!({}), |pad| json!({"pad_token_id": pad}));
            let config: EncoderConfig = family(known.model_type, changes).parse().unwrap();
            let text = config.to_json(&config.architecture(HeadKind::Sequence), None);
            let again: EncoderConfig = text.parse().unwrap_or_else(|error| panic!("{}: {error}", known.model_type));
            assert_eq!(again.pad_token_id, config.pad_token_id, "{}", known.model_type);
            let document: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(document["pad_token_id"].is_null(), written, "{}: {pad:?}", known.model_type);
        }
    }
}

/// transformers 5 names the layers, older files count them; both say the same of ModernBERT.
#[test]
fn positions_of_layers_are_read_as_both_generations_write_them() {
    let old = json!({"num_hidden_layers": 5, "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0,
        "local_rope_theta": 10000.0, "local_attention": 128});
    let named = ["full_attention", "sliding_attention", "sliding_attention", "full_attention", "sliding_attention"];
    let new = json!({"num_hidden_layers": 5, "layer_types": named, "local_attention": 128, "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 160000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}});
    let read = |changes: Value| family("modernbert", changes).parse::<EncoderConfig>().unwrap().layer_positions;
    let (full, sliding) =
        (LayerPositions { theta: 160_000.0, window: None }, LayerPositions { theta: 10_000.0, window: Some(64) });
    let wanted = [full, sliding, sliding, full, sliding];
    assert_eq!((read(old), read(new)), (wanted.to_vec(), wanted.to_vec()));
    assert_eq!(read(json!({"num_hidden_layers": 5})), wanted, "what transformers takes where nothing is said");
    let own = json!({"global_attn_every_n_layers": 1, "global_rope_theta": 7e4, "local_attention": 9});
    assert_eq!(read(own), [LayerPositions { theta: 7e4, window: None }; 2]);
    let odd = json!({"layer_types": ["sliding_attention", "sliding_attention"], "local_attention": 9, "local_rope_theta": 2.5});
    assert_eq!(read(odd), [LayerPositions { theta: 2.5, window: Some(4) }; 2]);
    assert_eq!(family("bert", json!({})).parse::<EncoderConfig>().unwrap().layer_positions, []);
}

#[test]
fn distances_have_the_rows_that_the_file_says() {
    let read =
        |model_type: &str, changes: Value| family(model_type, changes).parse::<EncoderConfig>().unwrap().distance_rows;
    assert_eq!(read("bert", json!({})), None);
    assert_eq!(read("mpnet", json!({})), Some(DistanceRows::Halves { rows: 32, furthest: 128 }));
    let logarithmic = |span, furthest| Some(DistanceRows::Logarithmic { span, furthest });
    assert_eq!(read("deberta-v2", json!({})), logarithmic(16, 34));
    let said = json!({"position_buckets": 8, "max_relative_positions": 20, "pos_att_type": ["c2p", "p2c"], "conv_kernel_size": 0});
    assert_eq!(read("deberta-v2", said), logarithmic(8, 20));
    let config: EncoderConfig = family("deberta-v2", json!({"cls_dropout": 0.4})).parse().unwrap();
    assert_eq!([HeadKind::Sequence, HeadKind::Tokens].map(|kind| config.head_dropout(kind)), [0.4, 0.1]);
    // transformers has no such key there.
    let config: EncoderConfig = family("mpnet", json!({"classifier_dropout": 0.4})).parse().unwrap();
    assert_eq!([HeadKind::Sequence, HeadKind::Tokens].map(|kind| config.head_dropout(kind)), [0.1, 0.1]);
}

#[test]
fn modernbert_has_its_own_dropouts_and_pooling() {
    let given = json!({"mlp_dropout": 0.3, "attention_dropout": 0.4, "embedding_dropout": 0.5, "classifier_dropout": 0.6,
        "classifier_pooling": "mean", "hidden_dropout_prob": 0.9, "position_embedding_type": "sans_pos"});
    let config: EncoderConfig = family("modernbert", given).parse().unwrap();
    assert_eq!((config.hidden_dropout_prob, config.attention_probs_dropout_prob), (0.3, 0.4));
    assert_eq!((config.embedding_dropout(), config.pooling), (0.5, Pooling::Mean));
    let heads = [HeadKind::Sequence, HeadKind::Tokens].map(|kind| config.head_dropout(kind));
    assert_eq!(heads, [0.6, 0.6]);
    let changed = EncoderConfig { embedding_dropout_prob: Some(0.25), ..config };
    let written: Value = serde_json::from_str(&changed.to_json("ModernBertForTokenClassification", None)).unwrap();
    assert_eq!((&written["embedding_dropout"], &written["mlp_dropout"]), (&json!(0.25), &json!(0.3)));
    assert_eq!(written["classifier_pooling"], json!("mean"));
    // What other families say of pooling is not read.
    let config: EncoderConfig = family("bert", json!({"classifier_pooling": "mean"})).parse().unwrap();
    assert_eq!((config.pooling, config.embedding_dropout()), (Pooling::FirstToken, 0.1));
}

#[test]
fn what_is_not_built_is_refused() {
    let check = |model_type: &str, changes: Value, expected: Expect| check_text(&family(model_type, changes), expected);
    check(
        "distilbert",
        json!({"sinusoidal_pos_embds": true}),
        expect!["config.json: sinusoidal_pos_embds is true: fixed positions are not supported, only trained ones are"],
    );
    check(
        "distilbert",
        json!({"activation": "relu"}),
        expect![[r#"config.json: activation "relu" is not supported, only "gelu" (exact) is"#]],
    );
    check("distilbert", json!({"dim": 25}), expect!["config.json: dim 25 is not a multiple of n_heads 3"]);
    check(
        "distilbert",
        json!({"dim": null}),
        expect!["config.json: has no dim, which every distilbert configuration must give"],
    );
    check(
        "electra",
        json!({"architectures": ["ElectraForMaskedLM"]}),
        expect![
            "config.json: architecture ElectraForMaskedLM is ELECTRA's generator, which only served to train the discriminator: fine-tune the discriminator"
        ],
    );
    check(
        "electra",
        json!({"embedding_size": 20_000}),
        expect!["config.json: embedding_size must be a whole number from 1 to 16384, found 20000"],
    );
    check(
        "electra",
        json!({"position_embedding_type": "relative_key_query"}),
        expect![[r#"config.json: position_embedding_type "relative_key_query" is not supported, only "absolute" is"#]],
    );
    check(
        "roberta",
        json!({"max_position_embeddings": 2}),
        expect!["config.json: max_position_embeddings 2 leaves no position, because roberta counts from 2"],
    );
    check(
        "modernbert",
        json!({"attention_bias": true}),
        expect![
            "config.json: attention_bias is true, which is not supported: layers of modernbert have no biases here"
        ],
    );
    check(
        "modernbert",
        json!({"classifier_pooling": "max"}),
        expect![[r#"config.json: classifier_pooling "max" is not supported, only "cls" and "mean" are"#]],
    );
    check(
        "modernbert",
        json!({"classifier_activation": "relu"}),
        expect![[r#"config.json: classifier_activation "relu" is not supported, only "gelu" (exact) is"#]],
    );
    check(
        "modernbert",
        json!({"layer_types": ["full_attention"]}),
        expect!["config.json: layer_types names 1 layers, num_hidden_layers is 2"],
    );
    check(
        "modernbert",
        json!({"layer_types": ["full_attention", "linear_attention"]}),
        expect![[
            r#"config.json: layer_types names "linear_attention", which is not supported; known are full_attention and sliding_attention"#
        ]],
    );
    check(
        "modernbert",
        json!({"rope_parameters": {"full_attention": {"rope_type": "yarn", "rope_theta": 1e4}}}),
        expect![[r#"config.json: rope_type "yarn" of full_attention is not supported, only "default" is"#]],
    );
    check(
        "modernbert",
        json!({"local_rope_theta": null}),
        expect![
            "config.json: local_rope_theta is null, which means different things to different readers: say a number"
        ],
    );
    check(
        "modernbert",
        json!({"rope_parameters": {"full_attention": {"type": "linear", "factor": 2}}}),
        expect![[r#"config.json: rope_type "linear" of full_attention is not supported, only "default" is"#]],
    );
    check(
        "modernbert",
        json!({"rope_parameters": {"rope_theta": 500, "rope_type": "default"}}),
        expect![
            "config.json: rope_parameters has rope_theta, which is not supported; known are full_attention and sliding_attention"
        ],
    );
    check(
        "modernbert",
        json!({"sliding_window": 4}),
        expect!["config.json: sliding_window is 4, and half of local_attention 128 is 64: which is meant?"],
    );
    check(
        "modernbert",
        json!({"rope_scaling": {"type": "linear", "factor": 2}}),
        expect!["config.json: has a rope_scaling, which is not supported"],
    );
    check(
        "modernbert",
        json!({"architectures": ["ModernBertForQuestionAnswering"]}),
        expect![
            "config.json: architecture ModernBertForQuestionAnswering has a head for another task under the name of a classifier's: start from the pretrained model"
        ],
    );
    check(
        "modernbert",
        json!({"hidden_size": 21}),
        expect!["config.json: heads of 7 columns cannot be turned in pairs"],
    );
    check(
        "mpnet",
        json!({"relative_attention_num_buckets": 16}),
        expect!["config.json: relative_attention_num_buckets 16 is not supported, only 32 is"],
    );
    check(
        "mpnet",
        json!({"pad_token_id": 0}),
        expect!["config.json: pad_token_id 0 is not supported: positions are counted from 1"],
    );
    let only = |key: &str, value: Value, expected: Expect| check("deberta-v2", json!({key: value}), expected);
    only(
        "relative_attention",
        json!(false),
        expect![
            "config.json: relative_attention false is not supported, only true is, as in DeBERTa's third version (deberta-v3)"
        ],
    );
    only(
        "share_att_key",
        json!(false),
        expect![
            "config.json: share_att_key false is not supported, only true is, as in DeBERTa's third version (deberta-v3)"
        ],
    );
    only(
        "position_biased_input",
        json!(true),
        expect![
            "config.json: position_biased_input true is not supported, only false is, as in DeBERTa's third version (deberta-v3)"
        ],
    );
    only(
        "pos_att_type",
        json!("c2p"),
        expect![[
            r#"config.json: pos_att_type "c2p" is not supported, only "p2c|c2p" is, as in DeBERTa's third version (deberta-v3)"#
        ]],
    );
    only(
        "pos_att_type",
        json!(["c2p", 3]),
        expect![[
            r#"config.json: pos_att_type a list is not supported, only "p2c|c2p" is, as in DeBERTa's third version (deberta-v3)"#
        ]],
    );
    only(
        "norm_rel_ebd",
        json!("none"),
        expect![[
            r#"config.json: norm_rel_ebd "none" is not supported, only "layer_norm" is, as in DeBERTa's third version (deberta-v3)"#
        ]],
    );
    only(
        "conv_kernel_size",
        json!(3),
        expect![
            "config.json: conv_kernel_size 3 is not supported, only 0 is, as in DeBERTa's third version (deberta-v3)"
        ],
    );
    only(
        "type_vocab_size",
        json!(2),
        expect![
            "config.json: type_vocab_size 2 is not supported, only 0 is, as in DeBERTa's third version (deberta-v3)"
        ],
    );
    only(
        "embedding_size",
        json!(12),
        expect![
            "config.json: embedding_size 12 is not supported, only 24 is, as in DeBERTa's third version (deberta-v3)"
        ],
    );
    only(
        "pooler_hidden_size",
        json!(12),
        expect![
            "config.json: pooler_hidden_size 12 is not supported, only 24 is, as in DeBERTa's third version (deberta-v3)"
        ],
    );
    only(
        "attention_head_size",
        json!(4),
        expect![
            "config.json: attention_head_size 4 is not supported, only 8 is, as in DeBERTa's third version (deberta-v3)"
        ],
    );
    only(
        "pooler_hidden_act",
        json!("tanh"),
        expect![[r#"config.json: pooler_hidden_act "tanh" is not supported, only "gelu" (exact) is"#]],
    );
    only(
        "pooler_dropout",
        json!(0.1),
        expect!["config.json: pooler_dropout 0.1 is not supported, only 0 is: cls_dropout follows the pooler"],
    );
    only(
        "position_buckets",
        json!(-1),
        expect!["config.json: has no position_buckets of at least 4, which is not supported"],
    );
    only(
        "position_buckets",
        json!("many"),
        expect![[r#"config.json: position_buckets must be a whole number from 1 to 131072, found "many""#]],
    );
    only(
        "position_buckets",
        json!(80),
        expect!["config.json: position_buckets 80 are too many for distances up to 34"],
    );
    only(
        "max_relative_positions",
        json!(1e9),
        expect!["config.json: max_relative_positions must be a whole number from 1 to 131072, found 1000000000.0"],
    );
    check(
        "xlm-roberta",
        json!({"is_decoder": true}),
        expect!["config.json: is_decoder is true: a decoder is not supported, only encoders are"],
    );
}
