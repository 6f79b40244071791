//! What holds for every family, on a small model of each: parts, freezing, new top layers, adapters.

use super::*;
use crate::checkpoint::LoadReport;
use crate::config::{DistanceRows, EncoderConfig};
use crate::freeze;
use crate::lora::{self, LoraSpec, Target};
use crate::model::{Dropouts, EncoderClassifier, HeadKind, Sequences};
use crate::parts::{Part, freeze_all_but_biases, reinitialise_top};
use ferrotune_tensor::{Cpu, Grads, Layout, Params, Pool, Tape, ops};

const KINDS: [HeadKind; 2] = [HeadKind::Sequence, HeadKind::Tokens];

fn config(family: &Family) -> EncoderConfig {
    let keys = &family.keys;
    let mut document = serde_json::json!({"model_type": family.model_type, "vocab_size": 9, "max_position_embeddings": 9,
        "initializer_range": 0.3, "relative_attention": true, "position_buckets": 4, "share_att_key": true, "pos_att_type": "p2c|c2p",
        "norm_rel_ebd": "layer_norm", "position_biased_input": false});
    if family.projection.is_some() {
        document["embedding_size"] = 6.into();
    }
    let sizes = [
        (keys.hidden_size, 8),
        (keys.num_hidden_layers, 3),
        (keys.num_attention_heads, 2),
        (keys.intermediate_size, 12),
    ];
    for (key, size) in sizes {
        document[key] = size.into();
    }
    document.to_string().parse().unwrap()
}

/// Every family with every head.
fn for_all(mut body: impl FnMut(&EncoderConfig, EncoderClassifier, Layout)) {
    for family in ALL {
        for kind in KINDS {
            let config = config(family);
            let (model, layout) = EncoderClassifier::with_head(&config, kind, 3);
            body(&config, model, layout);
        }
    }
}

/// Names of the parameters that `chosen` picks, and of those that are of the parts that `wanted` picks, are the same.
fn same_names(params: &Params<Cpu>, chosen: impl Fn(&str) -> bool, wanted: impl Fn(Part) -> bool) {
    for entry in params.layout().entries() {
        assert_eq!(chosen(&entry.name), wanted(Part::of(&entry.name)), "{}", entry.name);
    }
}

fn is_frozen(params: &Params<Cpu>) -> impl Fn(&str) -> bool {
    |name| !params.is_trainable(params.layout().find(name).unwrap())
}

fn logits(model: &EncoderClassifier, params: &Params<Cpu>) -> Vec<f32> {
    let input = Sequences {
        ids: vec![1, 5, 2, 1, 7, 8, 2],
        type_ids: vec![0, 0, 1, 0, 0, 1, 1],
        positions: vec![0, 1, 2, 0, 1, 2, 3].into(),
        offsets: vec![0, 3, 7].into(),
    };
    let mut pool = Pool::new(Cpu);
    let mut tape = Tape::new(&Cpu, params, &mut pool);
    let logits = model.logits(&mut tape, &input, &Dropouts::off());
    tape.download(logits)
}

#[test]
fn every_family_is_found_by_its_own_name() {
    for family in ALL {
        assert_eq!(Family::of(family.model_type), Some(family));
        assert_eq!(family.pooler_path().is_some(), family.model_type == "bert", "only BERT has a pretrained pooler");
    }
    assert_eq!(Family::of("gpt2"), None);
}

#[test]
fn every_parameter_belongs_to_a_part() {
    for_all(|config, model, layout| {
        let of = |part| layout.entries().iter().filter(|entry| Part::of(&entry.name) == part).count();
        let family = config.family;
        let token_types = usize::from(family.token_types != TokenTypes::Absent);
        let positions = usize::from(has_positions(family));
        let distances = family.relative.map_or(0, |relative| if let Relative::Bias { .. } = relative { 1 } else { 3 });
        let tables = 1 + positions + token_types + distances;
        let projection = if family.projection.is_some() { 2 } else { 0 };
        let is_pre_norm = family.block != Block::PostNorm;
        let norm = if is_pre_norm { 1 } else { 2 };
        assert_eq!(of(Part::Embeddings), tables + norm + projection, "{}", family.model_type);
        for layer in 0..3 {
            let wanted = if is_pre_norm { 5 + usize::from(layer > 0) } else { 16 };
            assert_eq!(of(Part::Layer(layer)), wanted, "{}", family.model_type);
        }
        assert_eq!(of(Part::FinalNorm), usize::from(is_pre_norm), "{}", family.model_type);
        let pooler = usize::from(family.pooler_path().is_some() && model.kind() == HeadKind::Sequence);
        let head = if is_pre_norm || model.kind() == HeadKind::Sequence { 4 } else { 2 };
        assert_eq!((of(Part::Pooler), of(Part::Head)), (2 * pooler, head - 2 * pooler), "{}", family.model_type);
    });
}

#[test]
fn parts_are_frozen_by_the_same_words() {
    for_all(|config, _, layout| {
        let frozen_by = |spec: &str| {
            let mut params = Params::zeros(&Cpu, layout.clone());
            freeze::freeze(&mut params, &freeze::prefixes(spec, config).unwrap());
            params
        };
        let params = frozen_by("embeddings,layers.0-1");
        let bottom = |part| matches!(part, Part::Embeddings | Part::Layer(0..=1));
        same_names(&params, is_frozen(&params), bottom);
        assert_eq!(freeze::frozen_layers(&params, config), Some(2));
        let params = frozen_by("encoder");
        same_names(&params, is_frozen(&params), |part| !matches!(part, Part::Pooler | Part::Head));
        assert_eq!(freeze::frozen_layers(&params, config), Some(3));
        // The norm after the top layer is trained, and with it what goes through it.
        let params = frozen_by("embeddings,layers.0-2");
        assert_eq!(freeze::frozen_layers(&params, config), Some(if config.family.has_biases() { 3 } else { 2 }));
        assert_eq!(freeze::frozen_layers(&frozen_by("layers.0-2"), config), None);
        assert_eq!(freeze::frozen_layers(&frozen_by("all-but.1"), config), Some(config.num_hidden_layers - 1));
        assert_eq!(freeze::frozen_layers(&frozen_by("all-but.0"), config), Some(config.num_hidden_layers));
        assert!(freeze::prefixes("all-but.9", config).is_err() && freeze::prefixes("all-but.x", config).is_err());
        let pooler = freeze::prefixes("pooler", config).map_err(|error| error.to_string());
        match config.family.pooler_path() {
            Some(path) => assert_eq!(pooler, Ok(vec![path])),
            None => assert!(pooler.unwrap_err().contains("has no pooler"), "{}", config.family.model_type),
        }
        let mut params = Params::zeros(&Cpu, layout.clone());
        freeze_all_but_biases(&mut params, &LoadReport::default());
        let fixed = |name: &str| !name.ends_with(".bias") && Part::of(name) != Part::Head;
        layout.entries().iter().for_each(|entry| assert_eq!(is_frozen(&params)(&entry.name), fixed(&entry.name)));
    });
}

#[test]
fn the_top_starts_anew_and_the_rest_stays() {
    for_all(|config, _, layout| {
        let mut params = Params::zeros(&Cpu, layout);
        reinitialise_top(&Cpu, &mut params, config, 1, 3);
        let (kept, layout) = (&params, params.layout());
        let moved = |name: &str| kept.get(layout.find(name).unwrap()).data.iter().any(|&x| x != 0.0);
        let top = |part| matches!(part, Part::Layer(2) | Part::Pooler);
        // Biases start as zero.
        let moves = |entry: &&ferrotune_tensor::layout::Entry| !entry.name.ends_with(".bias");
        for entry in layout.entries().iter().filter(moves) {
            assert_eq!(moved(&entry.name), top(Part::of(&entry.name)), "{}", entry.name);
        }
    });
}

#[test]
fn adapters_lie_beside_their_layers_and_merge_into_them() {
    for_all(|config, mut model, mut layout| {
        let spec = LoraSpec { rank: 2, alpha: 6.0, dropout: 0.0, targets: Target::ALL.to_vec() };
        let plain = layout.entries().len();
        lora::attach(&mut model, &mut layout, &spec);
        // One layer for query, key and value.
        let adapters = if config.family.has_biases() { 6 } else { 4 };
        assert_eq!(layout.entries().len(), plain + 3 * adapters * 2);
        let mut params = Params::init(&Cpu, layout.clone(), 5);
        lora::freeze_all_but_adapters(&mut params, &LoadReport::default());
        for (id, entry) in layout.ids().zip(layout.entries()) {
            let moves = lora::is_adapter(&entry.name) || Part::of(&entry.name) == Part::Head;
            assert_eq!(params.is_trainable(id), moves, "{}", entry.name);
            if entry.name.ends_with("lora_B.weight") {
                let values: Vec<f32> = (0..entry.shape.len()).map(|i| ((i * 7 % 11) as f32 - 5.0) / 20.0).collect();
                params.set(&Cpu, id, &values);
            }
        }
        let trained = logits(&model, &params);
        lora::merge(&Cpu, &mut params, &spec);
        let merged = logits(&model, &params);
        // Three layers of sums of a dozen terms of size 1, in another order.
        assert!(trained.iter().zip(&merged).all(|(a, b)| (a - b).abs() < 1e-5), "{trained:?} {merged:?}");
    });
}

fn has_positions(family: &Family) -> bool {
    matches!(family.positions, Positions::FromZero | Positions::AfterPadding)
}

/// The families with a table of positions.
fn with_positions() -> impl Iterator<Item = &'static Family> {
    ALL.into_iter().filter(|family| has_positions(family))
}

/// Without a table, words are all that the embeddings read.
#[test]
fn other_positions_are_no_rows_of_a_table() {
    for family in ALL.into_iter().filter(|family| !has_positions(family)) {
        let (model, _) = EncoderClassifier::new(&config(family), 2);
        let input = Sequences {
            ids: vec![4, 5],
            type_ids: vec![0, 1],
            positions: vec![0, 1].into(),
            offsets: vec![0, 2].into(),
        };
        let reads = model.base.embeddings.reads(&input);
        assert_eq!(reads, [(model.base.embeddings.word_embeddings, vec![4, 5])], "{}", family.model_type);
    }
}

/// A table whose logarithms leave out rows: what a pass says that it reads is what it looks up, these rows too.
#[test]
fn rows_between_those_of_distances_are_read_too() {
    let distance_rows = Some(DistanceRows::Logarithmic { span: 16, furthest: 12 });
    let config = EncoderConfig { distance_rows, ..config(&deberta::DEBERTA) };
    let (model, layout) = EncoderClassifier::new(&config, 2);
    let params = Params::init(&Cpu, layout, 5);
    let input = Sequences {
        ids: vec![1; 12],
        type_ids: vec![0; 12],
        positions: (0..12).collect(),
        offsets: vec![0, 12].into(),
    };
    let (mut pool, mut grads) = (Pool::new(Cpu), Grads::by_rows(&Cpu, &params));
    let mut tape = Tape::new(&Cpu, &params, &mut pool);
    let logits = model.logits(&mut tape, &input, &Dropouts::off());
    let loss = tape.apply(ops::Sum { scale: 1.0 }, &[logits]);
    tape.backward(loss, 1.0, &mut grads);
    let table = model.base.encoder.distances.as_ref().unwrap().table;
    let reads = model.base.reads(&input);
    let said: Vec<u32> = reads.into_iter().filter(|(id, _)| *id == table).flat_map(|(_, rows)| rows).collect();
    assert_eq!(said, (1..32).collect::<Vec<_>>());
    let seen = |distance| config.distance_rows.unwrap().row(distance);
    assert!((-11..=11).all(|distance| seen(distance) != 7), "one of them belongs to no distance");
    assert_eq!(grads.rows(table).map(<[u32]>::to_vec), Some(said));
}

/// A second text has another row where the family says so and the table has one.
#[test]
fn segments_count_where_the_model_has_them() {
    for family in with_positions() {
        for types in [1, 2] {
            let mut config = config(family);
            config.type_vocab_size = if family.token_types == TokenTypes::Absent { 0 } else { types };
            let (model, _) = EncoderClassifier::new(&config, 2);
            let input = Sequences {
                ids: vec![4, 5],
                type_ids: vec![0, 1],
                positions: vec![0, 1].into(),
                offsets: vec![0, 2].into(),
            };
            let reads = model.base.embeddings.reads(&input);
            let first = config.first_position() as u32;
            assert_eq!(reads[1].1, [first, first + 1], "{}", family.model_type);
            let wanted = match (family.token_types, types) {
                (TokenTypes::Absent, _) => None,
                (TokenTypes::Segments, 2) => Some(vec![0, 1]),
                _ => Some(vec![0, 0]),
            };
            assert_eq!(reads.get(2).map(|(_, rows)| rows.clone()), wanted, "{} {types}", family.model_type);
        }
    }
}

/// A padding token that is written out in a text: golden numbers are those of `create_position_ids_from_input_ids`, worked by hand.
#[test]
fn padding_within_a_text_counts_where_the_family_says() {
    for family in with_positions() {
        let mut config = config(family);
        config.pad_token_id = 1;
        let (model, _) = EncoderClassifier::new(&config, 2);
        let input = Sequences {
            ids: vec![0, 7, 1, 8, 1, 9, 0, 1, 7],
            type_ids: vec![0; 9],
            positions: vec![0, 1, 2, 3, 4, 5, 0, 1, 2].into(),
            offsets: vec![0, 6, 9].into(),
        };
        let wanted = match family.positions {
            Positions::FromZero => input.positions.to_vec(),
            Positions::Rotary | Positions::None => unreachable!("it has no table"),
            Positions::AfterPadding => vec![2, 3, 1, 4, 1, 5, 2, 1, 3],
        };
        assert_eq!(model.base.embeddings.reads(&input)[1].1, wanted, "{}", family.model_type);
    }
}

/// Some heads drop before their first layer too.
#[test]
fn heads_drop_where_the_family_says() {
    // In MPNet as much as the layers, so that nothing of it shows here.
    for family in ALL.into_iter().filter(|family| family.keys.classifier_dropout.is_some()) {
        let mut config = config(family);
        (config.hidden_dropout_prob, config.attention_probs_dropout_prob) = (0.0, 0.0);
        config.classifier_dropout = Some(0.5);
        let (model, layout) = EncoderClassifier::new(&config, 2);
        let params = Params::init(&Cpu, layout, 5);
        let pooled = |dropouts: &Dropouts| {
            let input = Sequences {
                ids: vec![1, 5],
                type_ids: vec![0, 0],
                positions: vec![0, 1].into(),
                offsets: vec![0, 2].into(),
            };
            let mut pool = Pool::new(Cpu);
            let mut tape = Tape::new(&Cpu, &params, &mut pool);
            let outputs = model.forward(&mut tape, &input, dropouts);
            (tape.download(outputs.pooled.unwrap()), tape.download(outputs.logits))
        };
        let (plain, dropped) = (pooled(&Dropouts::off()), pooled(&Dropouts::training(&config, 1, 1)));
        let drops_input = ["camembert", "electra", "roberta", "xlm-roberta"].contains(&family.model_type);
        assert_eq!(plain.0 != dropped.0, drops_input, "{}", family.model_type);
        assert_ne!(plain.1, dropped.1, "{}", family.model_type);
    }
}
