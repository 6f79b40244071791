//! A resumed log equals an uninterrupted one, wherever the kill fell; a full disk is told once.

use super::*;
use crate::metrics::{MetricName, Summary};

fn step_event(step: u64, seconds: f64) -> Event {
    Event::Step {
        epoch: step.div_ceil(4),
        step,
        total_steps: 12,
        loss: 1.0 / step as f64,
        learning_rate: 2e-5,
        gradient_norm: 0.1 + 0.2,
        rows: 8,
        tokens: 100 + step,
        seconds,
    }
}

/// What the loop sends for one step: the row, an evaluation after every fourth, then a checkpoint.
fn run_steps(log: &mut MetricsLog, steps: std::ops::RangeInclusive<u64>, seconds: f64) {
    for step in steps {
        log.on(&step_event(step, seconds));
        if step % 4 == 0 {
            let summary = Summary { values: vec![(MetricName::Accuracy, 0.5), (MetricName::Loss, 1.0)], rows: 20 };
            log.on(&Event::Evaluated { split: "validation".into(), epoch: step / 4, step, summary, seconds });
        }
        log.on(&Event::CheckpointSaved { step, directory: "x".into(), bytes: 1, seconds });
        log.on(&Event::warning("not a row"));
    }
    assert_eq!(log.complaint(), None);
}

fn without_seconds(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().map(|line| {
        let mut row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(row.as_object_mut().unwrap().remove("seconds").is_some());
        row
    });
    rows.collect()
}

#[test]
fn a_resumed_log_equals_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (folder.path().join("whole.jsonl"), folder.path().join("metrics.jsonl"));
    run_steps(&mut MetricsLog::create(&whole).unwrap(), 1..=12, 0.5);
    let expected = without_seconds(&whole);
    assert_eq!(expected.len(), 12 + 3);
    for killed in [1, 4, 7, 12] {
        for resumed in 0..=killed {
            for torn in [&b""[..], b"{\"event\":\"st"] {
                let mut log = MetricsLog::create(&cut).unwrap();
                run_steps(&mut log, 1..=killed, 0.5);
                log.file.write_all(torn).unwrap();
                let before = std::fs::read(&cut).unwrap();
                let mut log = MetricsLog::resume(&cut, resumed).unwrap();
                let kept = std::fs::read(&cut).unwrap();
                assert!(before.starts_with(&kept), "kept rows are kept byte for byte");
                run_steps(&mut log, resumed + 1..=12, 0.75);
                assert_eq!(without_seconds(&cut), expected, "killed at {killed}, resumed from {resumed}");
            }
        }
    }
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "no temporary file is left: {names:?}");
}

#[test]
fn a_row_reads_like_this() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    MetricsLog::create(&path).unwrap().on(&step_event(2, 0.5));
    let expected = "{\"event\":\"step\",\"epoch\":1,\"step\":2,\"total_steps\":12,\"loss\":0.5,\"learning_rate\":0.00002,\
        \"gradient_norm\":0.30000000000000004,\"rows\":8,\"tokens\":102,\"seconds\":0.5}\n";
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
}

#[test]
fn missing_and_damaged_logs_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let mut log = MetricsLog::resume(&path, 3).unwrap();
    assert!(log.complaint().unwrap().contains("starts at step 3"));
    assert_eq!(log.complaint(), None);
    log.on(&step_event(4, 0.5));
    let mut bytes = b"\xff\xff\nnot json\n{\"step\":-1}\n[]\n".to_vec();
    bytes.extend(std::fs::read(&path).unwrap());
    std::fs::write(&path, bytes).unwrap();
    let mut log = MetricsLog::resume(&path, 9).unwrap();
    assert!(log.complaint().unwrap().starts_with("4 unreadable rows"));
    assert_eq!(without_seconds(&path).len(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let mut log = MetricsLog::create(&path).unwrap();
    log.on(&step_event(1, 0.5));
    // Every write to this device fails with "no space left".
    let real = std::mem::replace(&mut log.file, OpenOptions::new().append(true).open("/dev/full").unwrap());
    log.on(&step_event(2, 0.5));
    let complaint = log.complaint().unwrap();
    assert!(complaint.contains("No space left") && complaint.contains("metrics.jsonl"), "{complaint}");
    log.on(&step_event(3, 0.5));
    assert_eq!(log.complaint(), None);
    // Space again, with half a row on disk: the half goes and rows follow.
    log.file = real;
    log.file.write_all(b"{\"event\":\"st").unwrap();
    log.on(&step_event(4, 0.5));
    let steps: Vec<_> = without_seconds(&path).iter().map(|row| row["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [1, 4]);
}

#[cfg(unix)]
#[test]
fn a_linked_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    assert!(matches!(MetricsLog::resume(&path, 1), Err(TrainError::Symlink { .. })));
    assert!(matches!(MetricsLog::create(&path), Err(TrainError::Symlink { .. })));
}
