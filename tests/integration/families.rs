//! Encoder families end to end on tiny models: a pretrained encoder gets a new head, trains, stops, resumes, is saved and read again.

use crate::golden::{FAMILIES, save};
use crate::harness::Trial;
use crate::training::{Dense, rows_for, settings};
use ferrotune_bert::lora::{self, LoraSpec, Target};
use ferrotune_bert::parts::{LayerwiseRates, Part};
use ferrotune_bert::pretrained::{self, FoldersHead, Head, Pretrained};
use ferrotune_bert::{Dropouts, HeadKind, freeze};
use ferrotune_data::Labels;
use ferrotune_optim::{AdamW, Anchor, Groups, Optimizer, Penalty, adamw};
use ferrotune_tensor::{Cpu, Params, Pool, Tape};
use ferrotune_tests::{BertClassifier, Fixture, assert_close, golden, sequences};
use ferrotune_train::evaluate::logits;
use ferrotune_train::metrics::MetricName;
use ferrotune_train::model::Split;
use ferrotune_train::tasks::SingleLabel;
use ferrotune_train::trainer::Settings;
use ferrotune_train::trainer::passes::PassLimit;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const NAMES: [&str; 2] = ["calm", "storm"];

/// Fixture, base, what transformers calls the layers of its sequence head, and tensors that pre-training leaves in such folders.
const PRETRAINED: [(&str, &str, &[&str], &[&str]); 9] = [
    (
        "tiny-tokens",
        "bert",
        &["bert.pooler.dense", "classifier"],
        &["cls.predictions.bias", "cls.seq_relationship.bias"],
    ),
    (
        "tiny-roberta",
        "roberta",
        &["classifier.dense", "classifier.out_proj"],
        &["lm_head.bias", "lm_head.dense.weight"],
    ),
    ("tiny-xlm-roberta", "roberta", &["classifier.dense", "classifier.out_proj"], &["lm_head.layer_norm.weight"]),
    ("tiny-camembert", "roberta", &["classifier.dense", "classifier.out_proj"], &["lm_head.bias"]),
    (
        "tiny-distilbert",
        "distilbert",
        &["pre_classifier", "classifier"],
        &["vocab_projector.bias", "vocab_transform.weight"],
    ),
    (
        "tiny-electra",
        "electra",
        &["classifier.dense", "classifier.out_proj"],
        &["discriminator_predictions.dense.weight", "discriminator_predictions.dense_prediction.bias"],
    ),
    ("tiny-mpnet", "mpnet", &["classifier.dense", "classifier.out_proj"], &["lm_head.bias", "lm_head.layer_norm.bias"]),
    (
        "tiny-deberta",
        "deberta",
        &["pooler.dense", "classifier"],
        &[
            "deberta.embeddings.position_embeddings.weight",
            "lm_predictions.lm_head.bias",
            "mask_predictions.dense.bias",
        ],
    ),
    ("tiny-modernbert", "model", &["head.dense", "head.norm", "classifier"], &["decoder.bias"]),
];

/// The fixture's encoder as a folder of pre-training: with the prefix and the heads of pre-training, or bare with a pooler that no head of
/// the family reads.
fn write_pretrained(folder: &Path, name: &str, base: &str, more: &[&str], is_bare: bool) -> Vec<String> {
    let source = golden(name).join("model");
    let bytes = std::fs::read(source.join("model.safetensors")).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let prefix = format!("{base}.");
    let mut tensors: BTreeMap<String, TensorView<'_>> = BTreeMap::new();
    for (name, view) in stored.tensors() {
        if let Some(bare) = name.strip_prefix(&prefix) {
            tensors.insert(if is_bare { bare.to_string() } else { name.clone() }, view);
        }
    }
    let three = [0u8; 12];
    let mut left: Vec<String> = more.iter().map(|name| name.to_string()).filter(|_| !is_bare).collect();
    // The pooler of DeBERTa is its head.
    if !["bert", "deberta"].contains(&base) {
        left.push(format!("{}pooler.dense.bias", if is_bare { "" } else { &prefix }));
    }
    left.sort();
    for name in &left {
        tensors.insert(name.clone(), TensorView::new(safetensors::Dtype::F32, vec![3], &three).unwrap());
    }
    let file = safetensors::serialize(&tensors, None).unwrap();
    std::fs::write(folder.join("model.safetensors"), file).unwrap();
    let text = std::fs::read_to_string(source.join("config.json")).unwrap();
    let mut config: Map<String, Value> = serde_json::from_str(&text).unwrap();
    config.retain(|key, _| !key.contains("label"));
    config.insert("architectures".to_string(), json!(["SomethingForPreTraining"]));
    std::fs::write(folder.join("config.json"), Value::Object(config).to_string()).unwrap();
    left
}

#[test]
fn a_pretrained_encoder_gets_a_new_head() {
    for (name, base, head, more) in PRETRAINED {
        for is_bare in [false, true] {
            for kind in [HeadKind::Sequence, HeadKind::Tokens] {
                let folder = tempfile::tempdir().unwrap();
                let left = write_pretrained(folder.path(), name, base, more, is_bare);
                let labels = NAMES.map(str::to_string);
                let new = Head::For { labels: &labels, kind, seed: 1 };
                let loaded: Pretrained<Cpu> = pretrained::load(&Cpu, folder.path(), new).unwrap();
                let report = &loaded.report;
                let is_renamed = |(stored, wanted): &(String, String)| *wanted == format!("{base}.{stored}");
                assert!(report.renamed.iter().all(is_renamed), "{name}");
                assert_eq!(report.renamed.len(), if is_bare { report.loaded.len() } else { 0 }, "{name}");
                // What stands before the last layer of a head on tokens too.
                let has_transform = loaded.config.family.transforms_tokens();
                let layers = if kind == HeadKind::Sequence || has_transform { head } else { &["classifier"] };
                let names = layers.iter().flat_map(|layer| [format!("{layer}.weight"), format!("{layer}.bias")]);
                let wanted: Vec<String> = names.filter(|name| loaded.params.layout().find(name).is_some()).collect();
                assert!(wanted.len() > layers.len(), "{name}");
                let got: Vec<&str> = report.newly_initialised.iter().map(|tensor| tensor.name.as_str()).collect();
                assert_eq!(got, wanted, "{name}");
                assert_eq!(report.ignored, left, "{name}");
                assert_eq!(loaded.folders_head, FoldersHead::AsItIs, "{name}");

                let fixture = Fixture::read(name);
                let mut pool = Pool::new(Cpu);
                let mut tape = Tape::inference(&Cpu, &loaded.params, &mut pool);
                let outputs = loaded.model.forward(&mut tape, &fixture.sequences(), &Dropouts::off());
                assert_close(name, tape.get(outputs.hidden[2]).data, &fixture.floats("hidden.2"), 1e-5, 1.0);
                assert!(tape.get(outputs.logits).data.iter().any(|&x| x != 0.0), "{name}: the head is not zero");
            }
        }
    }
}

#[test]
fn a_head_for_something_else_is_replaced() {
    for (name, kind, why) in [
        // The same labels: only what they are for differs.
        ("tiny-tokens", HeadKind::Sequence, Some("it is for tokens")),
        ("tiny-distilbert", HeadKind::Tokens, Some("it is for whole texts")),
        ("tiny-distilbert", HeadKind::Sequence, None),
        ("tiny-tokens", HeadKind::Tokens, None),
        ("tiny-modernbert-tokens", HeadKind::Sequence, Some("it is for tokens")),
        ("tiny-modernbert", HeadKind::Tokens, Some("it is for whole texts")),
        // Under another name, so that nothing of it is loaded.
        ("tiny-roberta", HeadKind::Tokens, None),
    ] {
        let folder = golden(name).join("model");
        let stored: Pretrained<Cpu> = pretrained::load(&Cpu, &folder, Head::Stored).unwrap();
        let head = Head::For { labels: &stored.labels, kind, seed: 1 };
        let loaded: Pretrained<Cpu> = pretrained::load(&Cpu, &folder, head).unwrap();
        let expected = why.map_or(FoldersHead::AsItIs, |why| FoldersHead::Replaced(why.to_string()));
        assert_eq!(loaded.folders_head, expected, "{name}");
        let out = |loaded: &Pretrained<Cpu>| {
            let id = loaded.params.layout().find(&format!("{}.weight", kind.output_path(&loaded.config)));
            id.map(|id| loaded.params.get(id).data.to_vec())
        };
        assert_eq!(out(&loaded) == out(&stored), loaded.model.kind() == stored.model.kind(), "{name}");
    }
}

/// Labels are sorted by name here, and other tools have them in any order.
#[test]
fn a_head_with_its_labels_in_another_order_is_kept() {
    for name in ["tiny-single", "tiny-tokens", "tiny-distilbert", "tiny-electra", "tiny-modernbert"] {
        let folder = tempfile::tempdir().unwrap();
        let source = golden(name).join("model");
        std::fs::copy(source.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
        let text = std::fs::read_to_string(source.join("config.json")).unwrap();
        let mut config: Map<String, Value> = serde_json::from_str(&text).unwrap();
        for is_named in [true, false] {
            if !is_named {
                config.retain(|key, _| !key.contains("label"));
            }
            std::fs::write(folder.path().join("config.json"), Value::Object(config.clone()).to_string()).unwrap();
            let stored: Pretrained<Cpu> = pretrained::load(&Cpu, folder.path(), Head::Stored).unwrap();
            let kind = stored.model.kind();
            let out = |loaded: &Pretrained<Cpu>, part: &str| {
                let id = loaded.params.layout().find(&format!("{}.{part}", kind.output_path(&loaded.config))).unwrap();
                loaded.params.get(id).data.to_vec()
            };
            let load = |labels: &[String]| -> Pretrained<Cpu> {
                pretrained::load(&Cpu, folder.path(), Head::For { labels, kind, seed: 1 }).unwrap()
            };
            let mut turned = stored.labels.clone();
            turned.rotate_left(1);
            let loaded = load(&turned);
            let expected = FoldersHead::Reordered(stored.labels.clone());
            assert_eq!((&loaded.labels, &loaded.folders_head), (&turned, &expected), "{name}");
            for part in ["weight", "bias"] {
                let (mut wanted, labels) = (out(&stored, part), stored.labels.len());
                let width = wanted.len() / labels;
                wanted.rotate_left(width);
                assert_eq!(out(&loaded, part), wanted, "{name} {part}");
            }
            // A label more: what is there keeps its rows, the new one begins as a new head does.
            let mut more = vec!["another".to_string()];
            more.extend(turned.iter().cloned());
            let (loaded, labels) = (load(&more), stored.labels.len());
            let expected = if is_named { FoldersHead::Extended(more[..1].to_vec()) } else { FoldersHead::AsItIs };
            assert_eq!(loaded.folders_head, expected, "{name}");
            if is_named {
                for part in ["weight", "bias"] {
                    let (mut wanted, got) = (out(&stored, part), out(&loaded, part));
                    let width = wanted.len() / labels;
                    wanted.rotate_left(width);
                    assert_eq!(got[width..], wanted, "{name} {part}");
                    assert!(
                        got[..width].iter().all(|&x| x != 0.0) == (part == "weight"),
                        "{name} {part}: the new row is initialised"
                    );
                }
            }
            turned[0] = "another".to_string();
            let loaded = load(&turned);
            let FoldersHead::Replaced(why) = loaded.folders_head else { panic!("{name}: {:?}", loaded.folders_head) };
            assert!(why.contains(&stored.labels[0]), "{name}: {why}");
        }
    }
}

#[test]
fn a_folder_without_a_head_is_no_classifier() {
    for (name, base, _, more) in PRETRAINED {
        let folder = tempfile::tempdir().unwrap();
        write_pretrained(folder.path(), name, base, more, false);
        let error = pretrained::load(&Cpu, folder.path(), Head::Stored).err().unwrap().to_string();
        assert!(
            error.contains("holds no classification head") && error.contains("fine-tune it first"),
            "{name}: {error}"
        );
    }
}

/// How a run differs from the plain one.
#[derive(Clone, Copy, Default)]
struct How<'a> {
    freeze: &'a str,
    cached: bool,
    lora: bool,
    checkpointing: bool,
    folder: Option<(&'a Path, bool)>,
    stop_at: Option<u64>,
    pass_rows: Option<usize>,
    /// Without L2-SP, which has a gradient for every row.
    plain: bool,
    dense: bool,
}

struct Trained {
    loaded: Pretrained<Cpu>,
    losses: Vec<f64>,
    accuracy: Option<f64>,
}

impl Trained {
    fn bits(&self) -> Vec<u32> {
        bits(&self.loaded.params)
    }
}

fn bits(params: &Params<Cpu>) -> Vec<u32> {
    let of = |id| params.get(id).data.iter().map(|x| x.to_bits());
    params.layout().ids().flat_map(of).collect()
}

/// Trains a new head on a fixture's encoder, with dropout, layer-wise rates and L2-SP.
fn run(name: &str, settings: &Settings, how: How<'_>) -> Trained {
    let split = rows_for(name);
    let labels = NAMES.map(str::to_string);
    let head = Head::For { labels: &labels, kind: HeadKind::Sequence, seed: 1 };
    let spec = LoraSpec { rank: 2, alpha: 4.0, dropout: 0.1, targets: vec![Target::Query, Target::Output] };
    let spec = how.lora.then_some(&spec);
    let mut loaded: Pretrained<Cpu> =
        pretrained::load_with_adapters(&Cpu, &golden(name).join("model"), head, spec).unwrap();
    let config = &mut loaded.config;
    (config.hidden_dropout_prob, config.attention_probs_dropout_prob, config.classifier_dropout) =
        (0.1, 0.1, Some(0.1));
    config.embedding_dropout_prob = config.embedding_dropout_prob.map(|_| 0.1);
    loaded.model.base.encoder.checkpointing = how.checkpointing;
    freeze::freeze(&mut loaded.params, &freeze::prefixes(how.freeze, &loaded.config).unwrap());
    if how.lora {
        lora::freeze_all_but_adapters(&mut loaded.params, &loaded.report);
    }
    let rates = LayerwiseRates { decay: 0.9, head: 2.0, layers: loaded.config.num_hidden_layers };
    let groups = Groups::standard(&loaded.params, 0.01).with_rates(&loaded.params, |name| rates.factor(Part::of(name)));
    let adamw = AdamW::new(&Cpu, &loaded.params, groups, adamw::BETAS, adamw::EPS);
    let mut optimizer: Box<dyn Optimizer<Cpu>> = if how.dense { Box::new(Dense(adamw)) } else { Box::new(adamw) };
    let anchor = Anchor::new(&Cpu, &loaded.params, 0.01, |name| matches!(Part::of(name), Part::Layer(_)));
    let rows = how.pass_rows.unwrap_or(settings.batch_size);
    let trial = Trial {
        train: &split,
        validation: &split,
        objective: &SingleLabel::new(Labels::from_names(labels.to_vec()).unwrap()),
        optimizer: &mut *optimizer,
        anchor: Some(&anchor).filter(|anchor| !anchor.is_empty() && !how.plain),
        settings: &Settings { pass_limit: PassLimit { rows, tokens: None }, ..settings.clone() },
        cache: how.cached,
        folder: how.folder,
        stop_at: how.stop_at,
    };
    let (losses, outcome) = trial.run(&mut loaded);
    let accuracy = outcome.validation.map(|report| report.summary().value(MetricName::Accuracy));
    Trained { loaded, losses, accuracy }
}

fn short() -> Settings {
    Settings { epochs: 2, ..settings() }
}

/// Every family's own fixture of a sequence classifier.
fn sequence_families() -> impl Iterator<Item = &'static str> {
    FAMILIES.into_iter().filter(|name| !name.ends_with("-tokens"))
}

#[test]
fn every_family_learns_and_predicts_the_same_when_saved_and_read_again() {
    for name in sequence_families() {
        let trained = run(name, &Settings { epochs: 12, ..settings() }, How::default());
        let accuracy = trained.accuracy.unwrap();
        assert!(accuracy >= 0.95, "{name}: accuracy {accuracy} after losses {:?}", trained.losses);
        let folder = tempfile::tempdir().unwrap();
        let best = folder.path().join("best");
        save(&trained.loaded, &golden(name).join("model"), &best);
        let again: Pretrained<Cpu> = pretrained::load(&Cpu, &best, Head::Stored).unwrap();
        assert_eq!((again.labels.as_slice(), again.report.ignored.len()), (&NAMES.map(str::to_string)[..], 0));
        assert_eq!(predict(&again, &rows_for(name)), predict(&trained.loaded, &rows_for(name)), "{name}");
    }
}

fn predict(loaded: &Pretrained<Cpu>, split: &Split) -> Vec<f32> {
    let model = BertClassifier { model: &loaded.model, config: &loaded.config, frozen_layers: None };
    logits(&Cpu, &model, &loaded.params, &mut Pool::new(Cpu), &split.encoded, None).unwrap()
}

#[test]
fn a_resumed_run_has_the_bits_of_an_uninterrupted_one() {
    for name in sequence_families() {
        let whole = run(name, &short(), How::default());
        for stop_at in [2, 7] {
            let folder = tempfile::tempdir().unwrap();
            let first = How { folder: Some((folder.path(), false)), stop_at: Some(stop_at), ..How::default() };
            let stopped = run(name, &short(), first);
            assert_eq!(stopped.losses.len() as u64, stop_at);
            let resumed = run(name, &short(), How { folder: Some((folder.path(), true)), ..How::default() });
            assert!(resumed.bits() == whole.bits(), "{name}: stopped at {stop_at}");
        }
    }
}

#[test]
fn a_frozen_prefix_is_the_same_cached_or_computed_again() {
    for name in sequence_families() {
        let start = run(name, &Settings { learning_rate: 1e-30, ..short() }, How::default());
        let layers = start.loaded.config.num_hidden_layers;
        let all_layers = format!("embeddings,layers.0-{}", layers - 1);
        for freeze in ["embeddings,layers.0", all_layers.as_str(), "encoder"] {
            let plain = run(name, &short(), How { freeze, ..How::default() });
            let cached = run(name, &short(), How { freeze, cached: true, ..How::default() });
            assert!(cached.bits() == plain.bits(), "{name} {freeze}");
            assert_eq!(cached.losses, plain.losses, "{name} {freeze}");
            let layout = plain.loaded.params.layout();
            for (id, entry) in layout.ids().zip(layout.entries()) {
                let stayed = plain.loaded.params.get(id).data == start.loaded.params.get(id).data;
                let part = Part::of(&entry.name);
                let frozen = match part {
                    Part::Embeddings | Part::Layer(0) => true,
                    Part::Layer(_) => freeze != "embeddings,layers.0",
                    Part::FinalNorm => freeze == "encoder",
                    Part::Pooler | Part::Head => false,
                };
                assert_eq!(stayed, frozen, "{name} {freeze}: {}", entry.name);
            }
        }
    }
}

/// Of batches of three, some are too short for the farthest distances, and none has all words.
#[test]
fn rows_of_tables_that_a_batch_does_not_read_are_moved_later_to_the_same_bits() {
    for name in sequence_families() {
        let settings = Settings { batch_size: 3, clip: 0.0, penalty: Penalty::default(), ..short() };
        let [late, dense] =
            [false, true].map(|dense| run(name, &settings, How { dense, plain: true, ..How::default() }));
        assert!(late.bits() == dense.bits() && late.losses == dense.losses, "{name}");
    }
}

#[test]
fn passes_checkpoints_of_activations_and_adapters() {
    for name in sequence_families() {
        let whole = run(name, &short(), How::default());
        let cut = run(name, &short(), How { pass_rows: Some(3), ..How::default() });
        // The same masks; sums of 8 losses in another order, before weights differ.
        assert!((whole.losses[0] - cut.losses[0]).abs() < 1e-6 * whole.losses[0].abs().max(1.0), "{name}");

        let again = run(name, &short(), How { checkpointing: true, ..How::default() });
        assert!(again.bits() == whole.bits() && again.losses == whole.losses, "{name}: a layer that runs again");

        let trained = run(name, &short(), How { lora: true, ..How::default() });
        let mut merged = trained.loaded;
        let before = predict(&merged, &rows_for(name));
        let spec = merged.adapters.clone().unwrap();
        lora::merge(&Cpu, &mut merged.params, &spec);
        let folder = tempfile::tempdir().unwrap();
        save(&merged, &golden(name).join("model"), &folder.path().join("best"));
        let again: Pretrained<Cpu> = pretrained::load(&Cpu, &folder.path().join("best"), Head::Stored).unwrap();
        assert_close(name, &predict(&again, &rows_for(name)), &before, 1e-5, 1.0);
    }
}

/// Each sequence alone gives the bits it gives in the batch: positions begin anew in each, after the padding token's where the family says so.
#[test]
fn a_sequence_does_not_depend_on_its_neighbours() {
    for name in FAMILIES {
        let fixture = Fixture::read(name);
        let loaded: Pretrained<Cpu> = pretrained::load(&Cpu, &golden(name).join("model"), Head::Stored).unwrap();
        let (ids, types, offsets) = (fixture.ids("ids"), fixture.ids("type_ids"), fixture.ids("offsets"));
        let logits = |ids: &[u32], types: &[u32], offsets: Vec<u32>| {
            let mut pool = Pool::new(Cpu);
            let mut tape = Tape::inference(&Cpu, &loaded.params, &mut pool);
            let input = sequences(ids.to_vec(), types.to_vec(), offsets);
            let logits = loaded.model.logits(&mut tape, &input, &Dropouts::off());
            tape.download(logits)
        };
        let alone = offsets.windows(2).flat_map(|pair| {
            let range = pair[0] as usize..pair[1] as usize;
            logits(&ids[range.clone()], &types[range], vec![0, pair[1] - pair[0]])
        });
        assert_eq!(alone.collect::<Vec<_>>(), logits(&ids, &types, offsets.clone()), "{name}");
    }
}
