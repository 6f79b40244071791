//! Masked language modelling: numbers of transformers, folders, and the promises of training for rows that are drawn anew in each epoch.

use crate::golden::is_shift;
use crate::harness::Trial;
use crate::training::settings;
use ferrotune_bert::checkpoint::Companions;
use ferrotune_bert::pretrained::{self, Head, Pretrained};
use ferrotune_bert::{Dropouts, EncoderConfig, HeadKind, freeze};
use ferrotune_data::{Encoded, Row, Tokenizer};
use ferrotune_optim::losses::CrossEntropy;
use ferrotune_optim::{AdamW, Groups, adamw};
use ferrotune_tensor::{Cpu, Grads, Pool, Tape};
use ferrotune_tests::{Fixture, assert_close, golden, on_threads};
use ferrotune_train::metrics::{MetricName, Report};
use ferrotune_train::tasks::{MaskedTokens, Objective};
use ferrotune_train::trainer::Settings;
use ferrotune_train::trainer::passes::PassLimit;
use std::path::Path;

/// The fixtures of tests/golden/masked.py.
const FAMILIES: [&str; 5] = ["masked-bert", "masked-roberta", "masked-distilbert", "masked-modernbert", "masked-mpnet"];

fn load(folder: &Path) -> Pretrained<Cpu> {
    pretrained::load(&Cpu, folder, Head::Vocabulary { seed: 1 }).unwrap_or_else(|error| panic!("{error}"))
}

/// Logits at the hidden places, loss and every gradient; that of the word embeddings is the sum of both uses.
#[test]
fn numbers_are_those_of_transformers() {
    for name in FAMILIES {
        let (fixture, loaded) = (Fixture::read(name), load(&golden(name).join("model")));
        assert_eq!(loaded.report.newly_initialised.len(), 0, "{name}");
        let (input, places, labels) = (fixture.sequences(), fixture.ids("places"), fixture.ids("labels"));
        let mut pool = Pool::new(Cpu);
        for by_rows in [false, true] {
            let mut grads =
                if by_rows { Grads::by_rows(&Cpu, &loaded.params) } else { Grads::new(&Cpu, &loaded.params) };
            let mut tape = Tape::new(&Cpu, &loaded.params, &mut pool);
            let hidden = loaded.model.prefix(&mut tape, &input, &Dropouts::off(), 1);
            let logits = loaded.model.logits_at(&mut tape, hidden, 1, &input, &Dropouts::off(), &places);
            assert_close(&format!("{name}: logits"), tape.get(logits).data, &fixture.floats("logits"), 1e-5, 1.0);
            let loss = tape.apply(CrossEntropy::new(labels.clone(), 1.0 / labels.len() as f32), &[logits]);
            assert_close(&format!("{name}: loss"), tape.get(loss).data, &fixture.floats("loss"), 5e-6, 1.0);
            tape.backward(loss, 1.0, &mut grads);
            let layout = loaded.params.layout();
            for (id, entry) in layout.ids().zip(layout.entries()) {
                let words =
                    entry.name.ends_with("word_embeddings.weight") || entry.name.ends_with("tok_embeddings.weight");
                if grads.rows(id).is_some() {
                    assert!(by_rows && !words, "{}: a tied table's gradient is whole", entry.name);
                    continue;
                }
                let (got, wanted) = (grads.get(id).data, fixture.floats(&format!("grad.{}", entry.name)));
                if is_shift(&entry.name) {
                    assert!(got.iter().all(|g| g.abs() <= 1e-6), "{}", entry.name);
                } else {
                    assert_close(&entry.name, got, &wanted, 1e-4, 0.0);
                }
            }
        }
        // Scores of all tokens are the same numbers.
        let mut tape = Tape::inference(&Cpu, &loaded.params, &mut pool);
        let all = loaded.model.forward(&mut tape, &input, &Dropouts::off()).logits;
        let (all, words) = (tape.download(all), loaded.config.vocab_size);
        let at_places: Vec<f32> =
            places.iter().flat_map(|&place| all[place as usize * words..][..words].to_vec()).collect();
        assert_close(name, &at_places, &fixture.floats("logits"), 1e-5, 1.0);
    }
}

/// What transformers wrote is written again byte for byte, so it loads there; and the folder is a base model.
#[test]
fn folders_are_those_of_transformers_and_base_models() {
    for name in FAMILIES {
        let source = golden(name).join("model");
        let folder = tempfile::tempdir().unwrap();
        let (loaded, to) = (load(&source), folder.path().join("best"));
        pretrained::save_vocabulary(&Cpu, &to, &loaded.config, &loaded.params, Companions::of(&source), false).unwrap();
        let read = |folder: &Path, file| std::fs::read(folder.join(file)).unwrap();
        assert!(read(&to, "model.safetensors") == read(&source, "model.safetensors"), "{name}");
        let json =
            |folder: &Path| -> serde_json::Value { serde_json::from_slice(&read(folder, "config.json")).unwrap() };
        assert_eq!(json(&to), json(&source), "{name}");

        let labels = ["a", "b"].map(str::to_string);
        for kind in [HeadKind::Sequence, HeadKind::Tokens] {
            let head = Head::For { labels: &labels, kind, seed: 3 };
            let base: Pretrained<Cpu> = pretrained::load(&Cpu, &to, head).unwrap();
            let words = base.model.base.embeddings.word_embeddings;
            assert!(base.params.get(words).data == loaded.params.get(words).data);
            assert!(base.report.newly_initialised.iter().all(|new| !new.name.contains("encoder.layer")));
        }
    }
}

/// A classifier's folder has no head over the vocabulary: it gets a new one, and its pooler comes along as it is.
#[test]
fn a_new_head_begins_where_the_folder_has_none_and_the_pooler_stays() {
    let source = golden("tiny-single/model");
    let loaded = load(&source);
    let mut new: Vec<&str> = loaded.report.newly_initialised.iter().map(|tensor| tensor.name.as_str()).collect();
    new.sort_unstable();
    assert_eq!(
        new,
        [
            "cls.predictions.bias",
            "cls.predictions.transform.LayerNorm.bias",
            "cls.predictions.transform.LayerNorm.weight",
            "cls.predictions.transform.dense.bias",
            "cls.predictions.transform.dense.weight"
        ]
    );
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("best");
    pretrained::save_vocabulary(&Cpu, &to, &loaded.config, &loaded.params, Companions::of(&source), false).unwrap();
    let labels = ["a", "b"].map(str::to_string);
    let pooler = |folder: &Path| {
        let head = Head::For { labels: &labels, kind: HeadKind::Sequence, seed: 3 };
        let base: Pretrained<Cpu> = pretrained::load(&Cpu, folder, head).unwrap();
        base.params.get(base.params.layout().find("bert.pooler.dense.weight").unwrap()).data.to_vec()
    };
    assert!(pooler(&to) == pooler(&source));
    let config = EncoderConfig::from_folder(&to).unwrap();
    assert_eq!(config.raw["architectures"][0], "BertForMaskedLM");
}

#[test]
fn what_cannot_be_adapted_so_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |edit: &dyn Fn(&mut serde_json::Value)| {
        let source = golden("masked-bert/model");
        let mut config: serde_json::Value =
            serde_json::from_slice(&std::fs::read(source.join("config.json")).unwrap()).unwrap();
        edit(&mut config);
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        std::fs::copy(source.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
        folder.path().to_path_buf()
    };
    let untied = copy(&|config| config["tie_word_embeddings"] = false.into());
    for (folder, says) in [
        (
            golden("tiny-electra/model"),
            "is of the family electra, whose encoder is not pre-trained by predicting masked",
        ),
        (untied, "says tie_word_embeddings false"),
    ] {
        let loaded: Result<Pretrained<Cpu>, _> = pretrained::load(&Cpu, &folder, Head::Vocabulary { seed: 1 });
        let error = loaded.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

/// Forty texts of which a word tells the next; some longer than a row.
fn texts() -> (MaskedTokens, Encoded) {
    let folder = golden("tiny-single/model");
    let words = std::fs::read_to_string(folder.join("vocab.txt")).unwrap();
    let words: Vec<&str> =
        words.lines().filter(|word| word.len() > 2 && word.bytes().all(|b| b.is_ascii_lowercase())).collect();
    let text = |n: usize| (0..4 + n % 11).map(|k| words[(n + k) % 9]).collect::<Vec<_>>().join(" ");
    let rows: Vec<Row> =
        (0..40).map(|n| Row { text: text(n), text_b: None, words: None, label: None, line: n as u64 }).collect();
    let tokenizer = Tokenizer::from_folder(&folder, 12).unwrap();
    (MaskedTokens::new(tokenizer.masking(true).unwrap()), tokenizer.encode_in_pieces(&rows).unwrap())
}

struct How<'a> {
    settings: Settings,
    freeze: &'a str,
    folder: Option<(&'a Path, bool)>,
    stop_at: Option<u64>,
    cache: bool,
}

fn usual() -> How<'static> {
    let settings = Settings { batch_size: 7, pass_limit: PassLimit { rows: 7, tokens: None }, epochs: 3, ..settings() };
    How { settings, freeze: "", folder: None, stop_at: None, cache: false }
}

struct Trained {
    losses: Vec<f64>,
    report: Option<Report>,
    bits: Vec<u32>,
    names: Vec<(String, Vec<f32>)>,
}

fn run(how: &How<'_>) -> Trained {
    let mut loaded = load(&golden("tiny-single/model"));
    (loaded.config.hidden_dropout_prob, loaded.config.attention_probs_dropout_prob) = (0.1, 0.1);
    freeze::freeze(&mut loaded.params, &freeze::prefixes(how.freeze, &loaded.config).unwrap());
    let (objective, encoded) = texts();
    let (rows, held_out) = (objective.train(&encoded), objective.held_out(&encoded, 5));
    let groups = Groups::standard(&loaded.params, 0.01);
    let mut optimizer = AdamW::new(&Cpu, &loaded.params, groups, adamw::BETAS, adamw::EPS);
    let trial = Trial {
        train: &rows,
        validation: &held_out,
        objective: &objective,
        optimizer: &mut optimizer,
        anchor: None,
        settings: &how.settings,
        cache: how.cache,
        folder: how.folder,
        stop_at: how.stop_at,
    };
    let (losses, outcome) = trial.run(&mut loaded);
    let layout = loaded.params.layout();
    let value = |id| loaded.params.get(id).data.to_vec();
    let names: Vec<_> = layout.ids().map(|id| (layout.entry(id).name.clone(), value(id))).collect();
    let bits = names.iter().flat_map(|(_, values)| values.iter().map(|value| value.to_bits())).collect();
    Trained { losses, report: outcome.validation, bits, names }
}

#[test]
fn a_tiny_model_learns_which_word_is_hidden() {
    let mut how = usual();
    how.settings.penalty = Default::default();
    (how.settings.epochs, how.settings.learning_rate) = (150, 5e-3);
    let trained = run(&how);
    let Some(Report::Masked(report)) = &trained.report else { panic!("another report") };
    // Nine words follow each other: chance tells one in nine.
    assert!(report.accuracy > 0.6 && report.loss < 1.2, "{report:?}");
    assert!((report.perplexity - report.loss.exp()).abs() < 1e-9);
    assert_eq!(trained.report.as_ref().unwrap().summary().value(MetricName::Loss), report.loss);
    assert!(trained.losses[0] > 3.0, "the first loss is that of a model that knows nothing: {}", trained.losses[0]);
}

#[test]
fn passes_add_up_to_the_batch_although_rows_hide_different_numbers() {
    let losses = |rows, tokens| {
        let mut how = usual();
        how.settings.pass_limit = PassLimit { rows, tokens };
        how.settings.max_steps = Some(6);
        run(&how).losses
    };
    let whole = losses(7, None);
    for cut in [losses(2, None), losses(7, Some(20))] {
        let close = whole.iter().zip(&cut).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(close && whole.len() == cut.len(), "{whole:?} {cut:?}");
    }
}

/// A resumed run draws in each epoch what the other drew; the masks of epochs differ, and threads do not matter.
#[test]
fn a_resumed_run_has_the_bits_of_an_uninterrupted_one() {
    let mut how = usual();
    how.settings.penalty = Default::default();
    let whole = on_threads(1, || run(&how));
    for stop_at in [1, 6, 8, 13] {
        let folder = tempfile::tempdir().unwrap();
        let stopped = run(&How { folder: Some((folder.path(), false)), stop_at: Some(stop_at), ..clone(&how) });
        assert_eq!(stopped.losses.len() as u64, stop_at);
        let resumed = on_threads(3, || run(&How { folder: Some((folder.path(), true)), ..clone(&how) }));
        assert!(resumed.bits == whole.bits, "stopped after step {stop_at}");
        assert_eq!(resumed.report, whole.report);
    }
    let other = run(&How { settings: Settings { seed: 4, ..how.settings.clone() }, ..clone(&how) });
    assert_ne!(other.losses[0], whole.losses[0]);
}

fn clone<'a>(how: &How<'a>) -> How<'a> {
    How { settings: how.settings.clone(), ..*how }
}

#[test]
fn frozen_parts_stay_and_the_rest_moves() {
    let start: Vec<_> =
        load(&golden("tiny-single/model")).params.layout().entries().iter().map(|e| e.name.clone()).collect();
    let loaded = load(&golden("tiny-single/model"));
    for (freeze, stays) in [
        ("embeddings", vec!["bert.embeddings."]),
        ("embeddings,layers.0", vec!["bert.embeddings.", "bert.encoder.layer.0."]),
        ("encoder", vec!["bert."]),
        ("layers.1", vec!["bert.encoder.layer.1."]),
    ] {
        let trained = run(&How { freeze, ..usual() });
        assert_eq!(trained.names.len(), start.len());
        for (name, values) in &trained.names {
            let before = loaded.params.get(loaded.params.layout().find(name).unwrap()).data;
            assert_eq!(before == values, stays.iter().any(|part| name.starts_with(part)), "{freeze}: {name}");
        }
    }
}

#[test]
#[should_panic(expected = "a prefix cache keeps rows, and these are drawn anew")]
fn a_cache_of_rows_that_change_is_loud() {
    run(&How { freeze: "embeddings", cache: true, ..usual() });
}

/// The loss of one answer for all is the entropy of the words.
#[test]
fn the_constant_loss_is_the_entropy_and_the_mean_is_over_what_is_hidden() {
    let (objective, encoded) = texts();
    let rows = objective.train(&encoded);
    let constant = Objective::<Cpu>::constant_loss(&objective, &rows.targets).unwrap();
    let mut counts = std::collections::BTreeMap::new();
    encoded.ids.iter().filter(|&&id| id > 4).for_each(|id| *counts.entry(id).or_insert(0.0) += 1.0);
    let all: f64 = counts.values().sum();
    let entropy: f64 = counts.values().map(|count: &f64| -(count / all) * (count / all).ln()).sum();
    assert!((constant - entropy).abs() < 1e-9, "{constant} {entropy}");

    // The mean of the loss is over what is hidden, and there is as much of it in every epoch.
    for epoch in 0..3 {
        let drawn = Objective::<Cpu>::draw(&objective, &rows, 3, epoch).unwrap();
        let places =
            drawn.encoded.words.as_ref().unwrap().of(7).0.len() + drawn.encoded.words.as_ref().unwrap().of(2).0.len();
        assert!(places > 2);
        assert_eq!(Objective::<Cpu>::weight(&objective, &drawn.targets, &[7, 2]), places as f64);
    }
}
