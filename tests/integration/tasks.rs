//! Every task on a tiny model: it learns, micro-batches do not change it, and what it exports is what it was.

use crate::training::{rows, settings};
use ferrotune_bert::pretrained::{self, Head, Pretrained};
use ferrotune_data::Labels;
use ferrotune_optim::{AdamW, Groups, Penalty, adamw};
use ferrotune_tensor::{Cpu, Pool};
use ferrotune_tests::{BertClassifier, golden, head_kind};
use ferrotune_train::events::Event;
use ferrotune_train::metrics::MetricName;
use ferrotune_train::model::Split;
use ferrotune_train::tasks::{Binary, Emphasis, MultiLabel, Objective, Regression, SingleLabel, Targets, Task};
use ferrotune_train::trainer::passes::PassLimit;
use ferrotune_train::trainer::thaw::Thaw;
use ferrotune_train::trainer::{Run, train};
use std::sync::atomic::AtomicBool;

/// The rows of [`rows`] with other targets: odd rows hold the word "rain", and every fourth row has three words fewer than the longest.
fn with(targets: Targets) -> Split {
    Split { targets, ..rows() }
}

fn labels(names: &[&str]) -> Labels {
    Labels::from_names(names.iter().map(|name| name.to_string()).collect()).unwrap()
}

/// The losses of all steps, and the best value of the task's first metric.
fn run(task: &dyn Task<Cpu>, split: &Split, pass_rows: usize) -> (Vec<f64>, f64) {
    let mut settings = settings();
    settings.pass_limit = PassLimit { rows: pass_rows, tokens: None };
    settings.penalty = Penalty { l1: 0.0, l2: 0.0 };
    settings.epochs = 12;
    // A partial batch at the end of each epoch.
    settings.batch_size = 7;
    settings.metric = task.metrics()[0];
    let head = Head::For { labels: task.labels(), kind: head_kind(task.unit()), seed: 1 };
    let mut loaded: Pretrained<Cpu> = pretrained::load(&Cpu, &golden("tiny-single/model"), head).unwrap();
    let groups = Groups::standard(&loaded.params, 0.0);
    let mut optimizer = AdamW::new(&Cpu, &loaded.params, groups, adamw::BETAS, adamw::EPS);
    let model = BertClassifier { model: &loaded.model, config: &loaded.config, frozen_layers: None };
    let mut losses = Vec::new();
    let mut observer = |event: &Event| {
        if let Event::Step { loss, .. } = event {
            losses.push(*loss);
        }
    };
    let outcome = train(Run {
        backend: &Cpu,
        model: &model,
        params: &mut loaded.params,
        optimizer: &mut optimizer,
        pool: &mut Pool::new(Cpu),
        train: split,
        validation: Some(split),
        prefix: None,
        task,
        anchor: None,
        thaw: &Thaw::default(),
        settings: &settings,
        checkpoints: None,
        resume: false,
        stop: &AtomicBool::new(false),
        pause: None,
        observer: &mut observer,
    })
    .unwrap();
    (losses, outcome.validation.unwrap().summary().value(settings.metric))
}

#[track_caller]
fn check(task: impl Task<Cpu>, targets: Targets, at_least: f64) {
    let split = with(targets);
    let (losses, value) = run(&task, &split, 7);
    let name = task.name();
    assert!(value >= at_least, "{name}: {} is {value}", task.metrics()[0]);
    // Sums in another order; the first steps, before differences grow.
    let (cut, _) = run(&task, &split, 3);
    for (step, (whole, cut)) in losses.iter().zip(&cut).take(5).enumerate() {
        assert!((whole - cut).abs() <= 2e-5 * whole.abs().max(1.0), "{name}: step {step}: {whole} and {cut}");
    }
}

fn classes() -> Targets {
    Targets::Classes((0..40).map(|n| n % 2).collect())
}

#[test]
fn classification_with_class_weights_smoothing_and_focus() {
    let task = || SingleLabel::new(labels(&["calm", "storm"]));
    check(task().with_weights(vec![0.5, 3.0]), classes(), 0.95);
    check(task().with_emphasis(Emphasis { smoothing: 0.2, focal_gamma: None }), classes(), 0.95);
    check(
        task().with_weights(vec![0.5, 3.0]).with_emphasis(Emphasis { smoothing: 0.0, focal_gamma: Some(2.0) }),
        classes(),
        0.95,
    );
}

/// 10 rows of 40 are of the second class: 40 / (2·30) and 40 / (2·10).
#[test]
fn balanced_classes_weigh_the_same() {
    let mut task = SingleLabel::new(labels(&["calm", "storm"])).with_weights(vec![9.0, 9.0]);
    let targets = Targets::Classes((0..40).map(|n| u32::from(n % 4 == 0)).collect());
    assert_eq!(Task::<Cpu>::balance(&mut task, &targets), Some(&[40.0 / 60.0, 2.0][..]));
    let weight = |rows: Vec<usize>| Objective::<Cpu>::weight(&task, &targets, &rows);
    let (rare, usual): (Vec<usize>, Vec<usize>) = (0..40).partition(|row| row % 4 == 0);
    assert!((weight(rare) - 20.0).abs() < 1e-5 && (weight(usual) - 20.0).abs() < 1e-5);
    assert_eq!(Task::<Cpu>::balance(&mut MultiLabel::new(labels(&["calm", "storm"]), '|'), &targets), None);
}

#[test]
fn binary_with_one_logit() {
    let task = || Binary::new("calm".to_string(), "storm".to_string()).unwrap();
    check(task(), classes(), 0.95);
    check(task().with_emphasis(Emphasis { smoothing: 0.2, focal_gamma: None }), classes(), 0.95);
    check(task().with_emphasis(Emphasis { smoothing: 0.0, focal_gamma: Some(2.0) }), classes(), 0.95);
}

#[test]
fn several_labels_a_row() {
    let sets =
        (0..40u32).map(|n| [(n % 2 == 1).then_some(0), (n % 4 >= 2).then_some(1)].into_iter().flatten().collect());
    check(MultiLabel::new(labels(&["rain", "long"]), '|'), Targets::Sets(sets.collect()), 0.9);
}

#[test]
fn numbers() {
    let scores = || Targets::Scores((0..40).map(|n| if n % 2 == 1 { 4.5 } else { 1.25 }).collect());
    check(Regression::new("score".to_string(), None), scores(), 0.9);
    check(Regression::new("score".to_string(), Some(0.5)), scores(), 0.9);
}

/// Reports use the plain loss, whatever training adds to it.
#[test]
fn the_reported_loss_is_the_plain_one() {
    let logits: Vec<f32> = (0..80).map(|n| (n as f32 * 0.37).sin() * 3.0).collect();
    let task = || SingleLabel::new(labels(&["calm", "storm"]));
    let of = |task: SingleLabel| Objective::<Cpu>::report(&task, &logits, &classes()).summary().value(MetricName::Loss);
    let plain = of(task());
    assert!(plain > 0.0);
    assert_eq!(of(task().with_weights(vec![0.1, 9.0])), plain);
    assert_eq!(of(task().with_emphasis(Emphasis { smoothing: 0.5, focal_gamma: None })), plain);
}
