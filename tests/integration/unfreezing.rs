//! Gradual unfreezing: what moves in which epoch, and that a run of it resumes to the same bits.

use super::training::{UNFREEZING, run, settings};
use ferrotune_bert::HeadKind;
use ferrotune_bert::parts::Part;
use ferrotune_bert::pretrained::{self, Head};
use ferrotune_tensor::Cpu;
use ferrotune_tests::golden;
use ferrotune_train::trainer::Settings;
use ferrotune_train::trainer::passes::PassLimit;
use std::collections::BTreeSet;

/// Five steps an epoch; the model has two layers. No penalty, which would move nothing either, but keeps gradients whole.
fn four_epochs() -> Settings {
    Settings { penalty: Default::default(), pass_limit: PassLimit { rows: 8, tokens: None }, ..settings() }
}

/// The parts whose weights differ from those of a run that moved nothing.
fn moved(weights: &[u32], start: &[u32]) -> BTreeSet<Part> {
    let names = ["calm", "storm"].map(str::to_string);
    let head = Head::For { kind: HeadKind::Sequence, labels: &names, seed: settings().seed };
    let loaded = pretrained::load(&Cpu, &golden("tiny-single/model"), head).unwrap();
    let mut at = 0;
    let mut parts = BTreeSet::new();
    for entry in loaded.params.layout().entries() {
        let range = at..at + entry.shape.len();
        at = range.end;
        if weights[range.clone()] != start[range] {
            parts.insert(Part::of(&entry.name));
        }
    }
    assert_eq!(at, weights.len());
    parts
}

#[test]
fn parts_move_from_the_top_epoch_by_epoch() {
    let start = run(&Settings { learning_rate: 0.0, max_steps: Some(1), ..four_epochs() }, "", None, None).unwrap();
    UNFREEZING.set(1);
    let mut expected = BTreeSet::from([Part::Head, Part::Pooler]);
    for (steps, new) in [(5, None), (6, Some(Part::Layer(1))), (11, Some(Part::Layer(0))), (16, Some(Part::Embeddings))]
    {
        let trained = run(&Settings { max_steps: Some(steps), ..four_epochs() }, "", None, None).unwrap();
        expected.extend(new);
        assert_eq!(moved(&trained.weights, &start.weights), expected, "after {steps} steps");
    }
    // Two layers an epoch, and the embeddings frozen for good.
    UNFREEZING.set(2);
    let trained = run(&Settings { max_steps: Some(20), ..four_epochs() }, "embeddings", None, None).unwrap();
    UNFREEZING.set(0);
    expected.remove(&Part::Embeddings);
    assert_eq!(moved(&trained.weights, &start.weights), expected);
}

#[test]
fn a_resumed_run_has_the_bits_of_an_uninterrupted_one() {
    UNFREEZING.set(1);
    let whole = run(&four_epochs(), "", None, None).unwrap();
    // Within an epoch, at its end, and in the last.
    for stop_at in [3, 5, 12, 17] {
        let folder = tempfile::tempdir().unwrap();
        run(&four_epochs(), "", Some((folder.path(), false)), Some(stop_at)).unwrap();
        let resumed = run(&four_epochs(), "", Some((folder.path(), true)), None).unwrap();
        assert!(resumed.weights == whole.weights, "stopped at {stop_at}");
    }
    UNFREEZING.set(0);
}
