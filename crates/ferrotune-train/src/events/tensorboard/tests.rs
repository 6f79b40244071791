//! The bytes of tensorboard's own writer (`fixtures/tensorboard`), and what becomes of the files of a folder.

use super::*;
use crate::metrics::{MetricName, Summary};

#[test]
fn records_are_those_of_tensorboard() {
    let scalars = |named: &[(&str, f64)]| {
        summary(&named.iter().map(|&(name, value)| (name.to_owned(), value)).collect::<Vec<_>>())
    };
    let step = scalars(&[("train/loss", 0.625), ("train/learning_rate", 2e-5), ("train/gradient_norm", 0.0)]);
    let measured = scalars(&[("validation/accuracy", 0.9375), ("validation/loss", f64::NAN)]);
    let written = [
        record(&message(1_700_000_000.5, 0, &text_field(3, VERSION))),
        record(&message(1_700_000_000.5, 301, &restart())),
        record(&message(1_700_000_001.25, 310, &step)),
        record(&message(1_700_000_002.0, 70_000, &measured)),
    ];
    assert_eq!(written.concat(), include_bytes!("../../../fixtures/tensorboard/events.bin"));
}

fn step(step: u64) -> Event {
    let (loss, learning_rate, gradient_norm) = (0.5, 1e-4, 2.0);
    let (epoch, total_steps, rows, tokens, seconds) = (1, 9, 8, 80, 0.1);
    Event::Step { epoch, step, total_steps, loss, learning_rate, gradient_norm, rows, tokens, seconds }
}

/// The lengths of a file's records, whose checksums are right.
fn records(path: &Path) -> Vec<usize> {
    let bytes = fs::read(path).unwrap();
    let (mut at, mut lengths) = (0, Vec::new());
    while at < bytes.len() {
        let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        assert_eq!(bytes[at + 8..at + 12], masked(&bytes[at..at + 8]));
        assert_eq!(bytes[at + 12 + length..at + 16 + length], masked(&bytes[at + 12..at + 12 + length]));
        lengths.push(length);
        at += 16 + length;
    }
    lengths
}

#[test]
fn a_new_run_begins_anew_and_a_resumed_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let files = || {
        let mut paths: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    fs::write(folder.path().join("events.out.tfevents.0000000001.old"), "old").unwrap();
    let mut first = EventFile::create(folder.path()).unwrap();
    let [only] = &files()[..] else { panic!("{:?}", files()) };
    let values = vec![(MetricName::Accuracy, 0.5)];
    let evaluated = Event::Evaluated {
        split: "validation".into(),
        epoch: 1,
        step: 2,
        summary: Summary { values, rows: 4 },
        seconds: 1.0,
    };
    for event in [step(1), step(2), evaluated, Event::warning("odd")] {
        first.on(&event);
    }
    assert_eq!((records(only).len(), first.complaint()), (4, None));
    let mut second = EventFile::resume(folder.path(), 2).unwrap();
    second.on(&step(3));
    let all = files();
    assert_eq!(all.len(), 2);
    assert!(all[0] == *only, "the newer file comes later by name");
    assert_eq!(records(&all[1]).len(), 3, "a head, a restart, a step");
}
