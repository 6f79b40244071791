//! Tagging words with a tiny model: it learns, rows that were cut into windows too; passes add up; a resumed run has the same bits; the loss is
//! that of transformers, and a saved folder says the same as the model did.

use crate::harness::Trial;
use crate::training::settings;
use ferrotune_bert::checkpoint::Companions;
use ferrotune_bert::pretrained::{self, Head, Pretrained};
use ferrotune_bert::{EncoderConfig, freeze};
use ferrotune_data::{Batch, Labels, Row, Table, Tokenizer};
use ferrotune_optim::{AdamW, Groups, adamw};
use ferrotune_tensor::{Cpu, Pool, Tape};
use ferrotune_tests::{BertClassifier, golden, head_kind, on_threads};
use ferrotune_train::evaluate::{answers, logits};
use ferrotune_train::metrics::{MetricName, Report};
use ferrotune_train::model::{Classifier, Mode, Split};
use ferrotune_train::tasks::{Task, Tokens, stored};
use ferrotune_train::trainer::Settings;
use ferrotune_train::trainer::passes::PassLimit;
use ferrotune_train::trainer::resume::download;
use serde_json::Value;
use std::path::Path;

const FOLDER: &str = "tiny-single/model";
const TAGS: [&str; 3] = ["B-sky", "I-sky", "O"];

fn task() -> Tokens {
    Tokens::new(Labels::from_names(TAGS.map(str::to_string).to_vec()).unwrap()).unwrap()
}

/// Forty rows of 6 to 20 words, in each of which "rain" and a word after it that occurs nowhere else are an entity.
fn table() -> Table {
    let words = std::fs::read_to_string(golden(FOLDER).join("vocab.txt")).unwrap();
    let words: Vec<&str> =
        words.lines().filter(|word| word.len() > 2 && word.bytes().all(|b| b.is_ascii_lowercase())).collect();
    let row = |n: usize| {
        let mut row: Vec<&str> = (0..6 + n % 13).map(|k| words[(n * 13 + k * 7) % words.len()]).collect();
        row.retain(|word| *word != "rain" && *word != words[0]);
        row.splice(n % row.len()..n % row.len(), ["rain", words[0]]);
        if n.is_multiple_of(3) {
            row.push("\u{200d}");
        }
        let mut tags = vec![TAGS[2]; row.len()];
        let place = row.iter().position(|word| *word == "rain").unwrap();
        tags[place] = TAGS[0];
        tags[place + 1] = TAGS[1];
        let words = Some(row.iter().map(|word| word.to_string()).collect());
        Row { text: row.join(" "), text_b: None, words, label: Some(tags.join(" ")), line: n as u64 }
    };
    Table { path: "rows".into(), pair: false, rows: (0..40).map(row).collect() }
}

/// The rows in windows of at most so many tokens.
fn split(max_length: usize) -> Split {
    let table = table();
    let encoded = Tokenizer::from_folder(&golden(FOLDER), max_length).unwrap().encode(&table.rows).unwrap();
    let targets = Task::<Cpu>::targets(&task(), &table, &encoded).unwrap();
    Split { encoded, targets }
}

struct Trained {
    loaded: Pretrained<Cpu>,
    losses: Vec<f64>,
    report: Option<Report>,
}

impl Trained {
    fn weights(&self) -> Vec<u32> {
        download(&Cpu, &self.loaded.params).into_iter().map(f32::to_bits).collect()
    }
}

struct How<'a> {
    settings: Settings,
    max_length: usize,
    freeze: &'a str,
    cache: bool,
    folder: Option<(&'a Path, bool)>,
    stop_at: Option<u64>,
}

/// Twelve tokens a window, so that most rows are cut; a partial batch at the end.
fn usual() -> How<'static> {
    let limit = PassLimit { rows: 9, tokens: None };
    let settings = Settings { batch_size: 9, pass_limit: limit, epochs: 3, metric: MetricName::F1Micro, ..settings() };
    How { settings, max_length: 12, freeze: "", cache: false, folder: None, stop_at: None }
}

fn run(how: &How<'_>) -> Trained {
    let names = TAGS.map(str::to_string);
    let head = Head::For { labels: &names, kind: head_kind(Task::<Cpu>::unit(&task())), seed: 2 };
    let mut loaded: Pretrained<Cpu> = pretrained::load(&Cpu, &golden(FOLDER), head).unwrap();
    (loaded.config.hidden_dropout_prob, loaded.config.attention_probs_dropout_prob) = (0.1, 0.1);
    freeze::freeze(&mut loaded.params, &freeze::prefixes(how.freeze, &loaded.config).unwrap());
    let split = split(how.max_length);
    let groups = Groups::standard(&loaded.params, 0.01);
    let mut optimizer = AdamW::new(&Cpu, &loaded.params, groups, adamw::BETAS, adamw::EPS);
    let trial = Trial {
        train: &split,
        validation: &split,
        objective: &task(),
        optimizer: &mut optimizer,
        anchor: None,
        settings: &how.settings,
        cache: how.cache,
        folder: how.folder,
        stop_at: how.stop_at,
    };
    let (losses, outcome) = trial.run(&mut loaded);
    loaded.params.layout().ids().for_each(|id| loaded.params.set_trainable(id, true));
    Trained { losses, report: outcome.validation, loaded }
}

#[test]
fn a_tiny_model_learns_entities_in_whole_rows_and_in_windows() {
    for max_length in [12, 32] {
        let mut how = usual();
        (how.settings.epochs, how.max_length) = (12, max_length);
        let Some(Report::Tokens(report)) = run(&how).report else { panic!("another report") };
        let table = table();
        let words: usize = table.rows.iter().map(|row| row.words.as_ref().unwrap().len()).sum();
        assert_eq!((report.rows, report.words, report.entities), (40, words as u64, 40));
        assert!(report.f1_micro >= 0.95, "{max_length}: {report:?}");
        assert_eq!(report.per_type.len(), 1, "{report:?}");
    }
}

#[test]
fn passes_add_up_to_the_batch() {
    for freeze in ["", "embeddings,layers.0"] {
        let losses = |rows, tokens| {
            let mut how = How { freeze, ..usual() };
            how.settings.pass_limit = PassLimit { rows, tokens };
            how.settings.max_steps = Some(8);
            run(&how).losses
        };
        let whole = losses(9, None);
        for (rows, tokens) in [(1, None), (4, None), (9, Some(30))] {
            let cut = losses(rows, tokens);
            // The same numbers summed in another order: some 70 words.
            let bound = 70.0 * f64::from(f32::EPSILON) * whole[0];
            assert!((whole[0] - cut[0]).abs() <= bound, "{freeze} {rows} {tokens:?}: {} {}", whole[0], cut[0]);
            // Adam makes rounding errors of small gradients as large as its step.
            let near = whole.iter().zip(&cut).all(|(whole, cut)| (whole - cut).abs() < 2e-3);
            assert!(near, "{freeze} {rows} {tokens:?}: {whole:?} {cut:?}");
        }
    }
}

#[test]
fn resumed_runs_other_threads_and_caches_have_the_same_bits() {
    let whole = run(&usual());
    assert!(on_threads(1, || run(&usual()).weights()) == whole.weights(), "threads");
    for stop_at in [2, 11] {
        let folder = tempfile::tempdir().unwrap();
        let stopped = run(&How { folder: Some((folder.path(), false)), stop_at: Some(stop_at), ..usual() });
        let resumed = run(&How { folder: Some((folder.path(), true)), ..usual() });
        assert!(resumed.weights() == whole.weights(), "stopped at {stop_at}");
        assert_eq!([stopped.losses, resumed.losses].concat(), whole.losses);
    }
    for freeze in ["embeddings,layers.0", "encoder"] {
        let plain = run(&How { freeze, ..usual() });
        let cached = run(&How { freeze, cache: true, ..usual() });
        assert!(plain.weights() == cached.weights(), "{freeze}");
        assert_eq!(plain.report, cached.report);
    }
}

/// The mean over first tokens, with all others left out (`ignore_index`), of transformers.
#[test]
fn the_loss_is_that_of_transformers() {
    let text = std::fs::read_to_string(golden("tokens.json")).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_string()).collect()
    };
    let folder = golden("tiny-tokens/model");
    let loaded: Pretrained<Cpu> = pretrained::load(&Cpu, &folder, Head::Stored).unwrap();
    let rows = written["words"][0]["rows"].as_array().unwrap().iter().zip(written["loss"]["tags"].as_array().unwrap());
    let row = |(row, tags): (&Value, &Value)| {
        let words = strings(&row["words"]);
        Row { text: words.join(" "), text_b: None, words: Some(words), label: Some(strings(tags).join(" ")), line: 1 }
    };
    let table = Table { path: "rows".into(), pair: false, rows: rows.map(row).collect() };
    let task = stored::<Cpu>(Task::<Cpu>::unit(&task()), None, loaded.labels.clone(), None).unwrap();
    let encoded = Tokenizer::from_folder(&folder, 44).unwrap().encode(&table.rows).unwrap();
    let targets = task.targets(&table, &encoded).unwrap();
    let wanted = written["loss"]["value"].as_f64().unwrap();
    let model = BertClassifier { model: &loaded.model, config: &loaded.config, frozen_layers: None };
    let mut pool = Pool::new(Cpu);

    let all: Vec<usize> = (0..encoded.len()).collect();
    let mut tape = Tape::inference(&Cpu, &loaded.params, &mut pool);
    let scores = model.logits(&mut tape, &Batch::gather(&encoded, &all), Mode::Evaluation);
    let loss = task.loss(&mut tape, scores, &targets, &all, (1.0 / task.weight(&targets, &all)) as f32);
    let got = f64::from(tape.download(loss)[0]);
    assert!((got - wanted).abs() <= 5e-6, "{got}, expected {wanted}");
    drop(tape);

    let scores = logits(&Cpu, &model, &loaded.params, &mut pool, &encoded, None).unwrap();
    let reported = task.report(&scores, &targets).summary().value(MetricName::Loss);
    assert!((reported - wanted).abs() <= 5e-6, "{reported}, expected {wanted}");
}

#[test]
fn a_saved_folder_says_the_same() {
    let Trained { loaded, .. } = run(&usual());
    let folder = tempfile::tempdir().unwrap();
    let (saved, from) = (folder.path().join("best"), golden(FOLDER));
    let kind = loaded.model.kind();
    let config = EncoderConfig { problem_type: None, ..loaded.config.clone() };
    pretrained::save(&Cpu, &saved, &config, kind, &loaded.labels, &loaded.params, Some(Companions::of(&from)), false)
        .unwrap();

    let predict = |loaded: &Pretrained<Cpu>, folder: &Path| {
        let model = BertClassifier { model: &loaded.model, config: &loaded.config, frozen_layers: None };
        let unit = Task::<Cpu>::unit(&task());
        let task = stored::<Cpu>(unit, loaded.config.problem_type.as_deref(), loaded.labels.clone(), None).unwrap();
        let table = table();
        let encoded = Tokenizer::from_folder(folder, 12).unwrap().encode(&table.rows).unwrap();
        let scores = logits(&Cpu, &model, &loaded.params, &mut Pool::new(Cpu), &encoded, None).unwrap();
        let answers = answers(&scores, &encoded, 3);
        assert_eq!(answers.len(), 40);
        table.rows.iter().zip(answers).map(|(row, answer)| task.predict(row, answer)).collect::<Vec<_>>()
    };
    let before = predict(&loaded, &from);
    let again: Pretrained<Cpu> = pretrained::load(&Cpu, &saved, Head::Stored).unwrap();
    assert_eq!(predict(&again, &saved), before);
    // The last word of every third row has no token.
    let first = &before[0].json;
    assert_eq!(first["tags"].as_array().unwrap().last(), Some(&Value::from("O")));
    assert_eq!(first["scores"].as_array().unwrap().last(), Some(&Value::Null));
}
