//! config.json of the families beside BERT: their own keys, defaults and refusals.

use super::*;

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
    fields.extend(changes.as_object().unwrap().clone());
    document.to_string()
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
    ] {
        let config: EncoderConfig = family(model_type, json!({})).parse().unwrap();
        assert_eq!(config.family.model_type, model_type);
        let sizes = (config.hidden_size, config.num_hidden_layers, config.head_dim(), config.intermediate_size);
        assert_eq!(sizes, (24, 2, 8, 40), "{model_type}");
        let own = (config.embedding_size, config.longest_sequence(), config.type_vocab_size);
        assert_eq!(own, (embedding, longest, types), "{model_type}");
        assert_eq!((config.head_dropout(HeadKind::Sequence), config.pad_token_id), (head, pad), "{model_type}");
        assert_eq!(config.head_dropout(HeadKind::Tokens), 0.1, "{model_type}");
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
        "xlm-roberta",
        json!({"is_decoder": true}),
        expect!["config.json: is_decoder is true: a decoder is not supported, only encoders are"],
    );
}
