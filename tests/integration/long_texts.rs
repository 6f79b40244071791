//! Texts in windows: every task is measured on texts and not on windows, and runs keep the promises of training.

use super::training::{WINDOWS, rows, run, run_with, settings};
use ferrotune_bert::HeadKind;
use ferrotune_bert::pretrained::{self, Head, Pretrained};
use ferrotune_data::{Encoded, Labels};
use ferrotune_tensor::{Cpu, Params, Pool};
use ferrotune_tests::{BertClassifier, golden, on_threads};
use ferrotune_train::evaluate::{answers, evaluate, logits};
use ferrotune_train::metrics::MetricName;
use ferrotune_train::model::Split;
use ferrotune_train::prefix::{PrefixCache, PrefixCaches, lengths};
use ferrotune_train::tasks::{Binary, MultiLabel, Regression, SingleLabel, Targets, Task};
use ferrotune_train::trainer::Settings;
use ferrotune_train::trainer::passes::PassLimit;

/// The forty rows of three to seven words, of which three fit into a window.
fn windowed() -> Split {
    WINDOWS.set(5);
    let split = rows();
    WINDOWS.set(0);
    split
}

/// Windows as rows of their own.
fn apart(encoded: &Encoded) -> Encoded {
    Encoded { windows: Vec::new(), ..encoded.clone() }
}

/// The report on windows is that of the mean logits on texts.
#[track_caller]
fn check(task: impl Task<Cpu>, targets: Targets) {
    let split = Split::of_rows(windowed().encoded, targets.clone());
    assert!(split.rows() > 60 && split.targets.rows() == split.rows(), "{}", split.rows());
    assert_eq!(*split.row_targets(), targets);
    let head = Head::For { labels: task.labels(), kind: HeadKind::Sequence, seed: 1 };
    let loaded: Pretrained<Cpu> = pretrained::load(&Cpu, &golden("tiny-single/model"), head).unwrap();
    let model = BertClassifier { model: &loaded.model, config: &loaded.config, frozen_layers: None };
    let mut pool = Pool::new(Cpu);
    let mut of = |encoded: &Encoded| logits(&Cpu, &model, &loaded.params, &mut pool, encoded, None).unwrap();
    let (windows, texts) = (of(&apart(&split.encoded)), of(&split.encoded));
    let outputs = task.labels().len();
    let mut sums = vec![(0.0, 0.0); 40 * outputs];
    for (logits, &row) in windows.chunks(outputs).zip(&split.encoded.windows) {
        for (output, &logit) in logits.iter().enumerate() {
            let (sum, count) = &mut sums[row * outputs + output];
            (*sum, *count) = (*sum + f64::from(logit), *count + 1.0);
        }
    }
    let means: Vec<f32> = sums.into_iter().map(|(sum, count)| (sum / count) as f32).collect();
    assert_eq!(texts, means);
    assert_ne!(texts[..outputs], texts[outputs..2 * outputs], "rows differ");
    let answers = answers(&texts, &split.encoded, outputs);
    assert!(answers.iter().map(|answer| answer.logits).eq(means.chunks(outputs)));
    let limit = PassLimit { rows: 7, tokens: None };
    let report = evaluate(&Cpu, &model, &loaded.params, &mut pool, &split, &task, None, limit).unwrap();
    assert_eq!(report, task.report(&means, &targets));
    assert_eq!(report.summary().rows, 40);
}

#[test]
fn every_task_is_measured_on_texts() {
    let labels = || Labels::from_names(["calm", "storm"].map(str::to_string).to_vec()).unwrap();
    let classes = || Targets::Classes((0..40).map(|n| n % 2).collect());
    check(SingleLabel::new(labels()), classes());
    check(Binary::new("calm".to_string(), "storm".to_string()).unwrap(), classes());
    let sets = (0..40).map(|n| if n % 3 == 0 { vec![0, 1] } else { vec![n % 2] }).collect();
    check(MultiLabel::new(labels(), '|'), Targets::Sets(sets));
    check(Regression::new("score".to_string(), None), Targets::Scores((0..40).map(|n| f64::from(n % 5)).collect()));
}

#[test]
fn a_run_on_windows_keeps_the_promises() {
    WINDOWS.set(5);
    let whole = run(&settings(), "", None, None).unwrap();
    let report = whole.outcome.validation.as_ref().unwrap();
    assert_eq!(report.summary().rows, 40);
    // A window is a row of a step, and rows are what an epoch goes over.
    assert_eq!(whole.outcome.steps, settings().steps(windowed().rows()).1);
    WINDOWS.set(5);
    let on = |threads| {
        on_threads(threads, || {
            WINDOWS.set(5);
            run(&settings(), "", None, None).unwrap().weights
        })
    };
    assert!(on(1) == whole.weights && on(3) == whole.weights, "threads");
    for stop_at in [3, 20] {
        let folder = tempfile::tempdir().unwrap();
        run(&settings(), "", Some((folder.path(), false)), Some(stop_at)).unwrap();
        let resumed = run(&settings(), "", Some((folder.path(), true)), None).unwrap();
        assert!(resumed.weights == whole.weights, "stopped at {stop_at}");
    }
    for (rows, tokens) in [(1, None), (3, None), (8, Some(20))] {
        let cut = Settings { pass_limit: PassLimit { rows, tokens }, ..settings() };
        let cut = run(&cut, "", None, None).unwrap();
        // As in the tests of training: sums of 8 losses and of some 40 tokens' gradients in another order.
        let close = |a: f64, b: f64, terms: f64| (a - b).abs() <= terms * f64::from(f32::EPSILON) * a.abs();
        assert!(close(whole.losses[0], cut.losses[0], 8.0), "{rows} {tokens:?}: {} {}", whole.losses[0], cut.losses[0]);
        assert!(close(whole.norms[0], cut.norms[0], 40.0), "{rows} {tokens:?}: {} {}", whole.norms[0], cut.norms[0]);
    }
    for freeze in ["embeddings,layers.0", "encoder"] {
        let plain = run(&settings(), freeze, None, None).unwrap();
        let mut caches = |model: &BertClassifier<'_>, _: &Params<Cpu>, split: &Split| {
            let cache = || PrefixCache::in_memory(lengths::<Cpu>(model, &split.encoded));
            Some(PrefixCaches { train: cache(), validation: Some(cache()) })
        };
        let cached = run_with(0.1, &settings(), freeze, None, None, &mut caches).unwrap();
        assert!(cached.weights == plain.weights, "{freeze}");
        assert_eq!(cached.outcome.validation, plain.outcome.validation, "{freeze}");
    }
    WINDOWS.set(0);
}

/// Windows without the word that the label speaks of are taught the label too; their mean still tells texts apart.
#[test]
fn a_tiny_model_learns_texts_by_their_windows() {
    WINDOWS.set(5);
    let long = Settings { epochs: 20, metric: MetricName::Accuracy, ..settings() };
    let trained = run(&long, "", None, None).unwrap();
    WINDOWS.set(0);
    let accuracy = trained.outcome.validation.unwrap().summary().value(MetricName::Accuracy);
    assert!(accuracy >= 0.95, "accuracy {accuracy} after losses {:?}", trained.losses);
}
