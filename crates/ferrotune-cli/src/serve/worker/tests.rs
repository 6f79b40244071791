//! The worker over a model that says what it was asked together: order, passes, and failures that stay with those that they belong to.

use super::*;
use serde_json::Value;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::oneshot::{self, Receiver};

/// A row has as many tokens as its text has characters.
#[derive(Default)]
struct Echo {
    /// The texts of each computation.
    asked: Vec<String>,
    /// Trials that fail before one works.
    broken: u32,
}

impl Model for Echo {
    fn encode(&self, rows: &[Row]) -> Vec<Result<Encoded, DataError>> {
        let of = |row: &Row| match row.text.as_str() {
            "refused" => Err(DataError::EmptySequence { line: row.line }),
            "bad tokens" => panic!("in the tokenizer"),
            text => Ok(Encoded {
                ids: vec![1; text.len()],
                type_ids: vec![0; text.len()],
                offsets: vec![0, text.len() as u32],
                truncated: Vec::new(),
                longest_untruncated: text.len(),
                windows: Vec::new(),
                words: None,
            }),
        };
        rows.iter().map(of).collect()
    }

    fn answer(&mut self, rows: &[&Row], encoded: &Encoded) -> Result<Vec<Option<Said>>, String> {
        assert_eq!(rows.len(), encoded.len());
        let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
        self.asked.push(texts.join(" "));
        assert!(!texts.contains(&"poison"), "in the model");
        if texts.contains(&"fault") {
            return Err("a device".to_string());
        }
        let said = |text: &&str| Said::from_iter([("said".to_string(), Value::from(*text))]);
        Ok(texts.iter().map(|text| (*text != "nan").then(|| said(text))).collect())
    }

    fn try_out(&mut self) -> Result<(), String> {
        let broken = self.broken;
        self.broken = broken.saturating_sub(1);
        assert_ne!(broken, 2, "in a trial");
        if broken > 0 { Err("the device is gone".to_string()) } else { Ok(()) }
    }
}

fn queue() -> Queue {
    Queue::new(100, Duration::from_secs(3600))
}

type Answer = Receiver<Result<Vec<Said>, Failed>>;

fn job(texts: &str) -> (Job, Answer) {
    let (reply, answer) = oneshot::channel();
    let row = |text: &str| Row { text: text.to_string(), text_b: None, words: None, label: None, line: 1 };
    (Job { since: Instant::now(), rows: texts.split(',').map(row).collect(), reply, _room: None }, answer)
}

/// Requests that wait together, and what they are answered, said again with blanks; and what was computed together.
#[track_caller]
fn check(most: usize, requests: &[&str], answers: &[Result<&str, Failed>], together: &[&str]) -> Metrics {
    let (queue, metrics, mut model) = (queue(), Metrics::default(), Echo::default());
    let mut waiting = Vec::new();
    for texts in requests {
        let (job, answer) = job(texts);
        queue.push(job).unwrap();
        waiting.push(answer);
    }
    queue.close();
    work(&mut model, &queue, &metrics, &Health::default(), most).unwrap();
    let said = |answer: &mut Answer| {
        let text = |said: &Said| said["said"].as_str().unwrap().to_string();
        answer.try_recv().unwrap().map(|said| said.iter().map(text).collect::<Vec<_>>().join(","))
    };
    let said: Vec<Result<String, Failed>> = waiting.iter_mut().map(said).collect();
    assert_eq!(said, answers.iter().map(|answer| answer.clone().map(str::to_string)).collect::<Vec<_>>());
    assert_eq!(model.asked, together);
    metrics
}

#[test]
fn what_waits_goes_together_as_far_as_it_fits() {
    let metrics = check(6, &["aa,bb", "cc", "dd,ee"], &[Ok("aa,bb"), Ok("cc"), Ok("dd,ee")], &["aa bb cc", "dd ee"]);
    assert_eq!(metrics.rows.load(Ordering::Relaxed), 5);
    assert_eq!(metrics.tokens.load(Ordering::Relaxed), 10);
    // A request may be larger than what goes together, and a row may not.
    check(4, &["aa,bb,cc,dd,ee"], &[Ok("aa,bb,cc,dd,ee")], &["aa bb", "cc dd", "ee"]);
    let rows = |count: usize| vec!["a"; count];
    let long = rows(ROWS + 1).join(",");
    check(999, &[&long, "b"], &[Ok(&long), Ok("b")], &[&rows(ROWS).join(" "), "a b"]);
    check(3, &["aa,bb", "c"], &[Ok("aa,bb"), Ok("c")], &["aa", "bb c"]);
    let too_long = Failed::TooLong { row: 1, tokens: 5 };
    check(4, &["aa,bbbbb", "c"], &[Err(too_long), Ok("c")], &["c"]);
}

#[test]
fn a_failure_stays_with_its_request() {
    let refused = Failed::Refused(
        "row 1 has no tokens: the text is empty and the tokenizer adds none of its own: send a text".to_string(),
    );
    check(99, &["a", "b,refused", "c"], &[Ok("a"), Err(refused), Ok("c")], &["a c"]);
    check(99, &["a", "bad tokens", "c"], &[Ok("a"), Err(Failed::Broken), Ok("c")], &["a c"]);
    check(99, &["a", "b,nan", "c"], &[Ok("a"), Err(Failed::NotANumber { row: 1 }), Ok("c")], &["a b nan c"]);
    for poison in ["poison", "fault"] {
        let together = [format!("a b {poison} c"), "a".to_string(), format!("b {poison}"), "c".to_string()];
        let together = together.each_ref().map(String::as_str);
        let request = format!("b,{poison}");
        let metrics = check(99, &["a", &request, "c"], &[Ok("a"), Err(Failed::Broken), Ok("c")], &together);
        assert_eq!(metrics.failures.load(Ordering::Relaxed), 2);
        // Alone it is computed once.
        let metrics = check(99, &[poison], &[Err(Failed::Broken)], &[poison]);
        assert_eq!(metrics.failures.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn nothing_is_computed_for_who_has_gone() {
    let (queue, metrics, mut model) = (queue(), Metrics::default(), Echo::default());
    let (first, gone) = job("a");
    let (second, mut answer) = job("b");
    queue.push(first).unwrap();
    queue.push(second).unwrap();
    drop(gone);
    queue.close();
    work(&mut model, &queue, &metrics, &Health::default(), 99).unwrap();
    assert!(answer.try_recv().unwrap().is_ok());
    assert_eq!((model.asked, metrics.dropped.load(Ordering::Relaxed)), (vec!["b".to_string()], 1));
}

/// A request that has no answer when its waiter goes is left after the pass that is under way.
#[test]
fn a_long_request_is_left_when_nobody_waits() {
    struct Slow(Echo, Option<Answer>);
    impl Model for Slow {
        fn encode(&self, rows: &[Row]) -> Vec<Result<Encoded, DataError>> {
            self.0.encode(rows)
        }
        fn answer(&mut self, rows: &[&Row], encoded: &Encoded) -> Result<Vec<Option<Said>>, String> {
            drop(self.1.take());
            std::thread::sleep(Duration::from_millis(1));
            self.0.answer(rows, encoded)
        }
        fn try_out(&mut self) -> Result<(), String> {
            self.0.try_out()
        }
    }
    let (queue, metrics) = (queue(), Metrics::default());
    let (long, answer) = job("aa,bb,cc");
    queue.push(long).unwrap();
    queue.close();
    let mut model = Slow(Echo::default(), Some(answer));
    work(&mut model, &queue, &metrics, &Health::default(), 2).unwrap();
    assert_eq!(model.0.asked, ["aa"]);
    assert_eq!(metrics.dropped.load(Ordering::Relaxed), 1);
}

/// Who is refused has its answer before the others are computed.
#[test]
fn who_is_refused_does_not_wait_for_others() {
    struct Asks(Echo, Answer);
    impl Model for Asks {
        fn encode(&self, rows: &[Row]) -> Vec<Result<Encoded, DataError>> {
            self.0.encode(rows)
        }
        fn answer(&mut self, rows: &[&Row], encoded: &Encoded) -> Result<Vec<Option<Said>>, String> {
            assert!(matches!(self.1.try_recv(), Ok(Err(Failed::Refused(_)))));
            self.0.answer(rows, encoded)
        }
        fn try_out(&mut self) -> Result<(), String> {
            self.0.try_out()
        }
    }
    let (queue, metrics) = (queue(), Metrics::default());
    let (good, mut answer) = job("a");
    let (bad, refused) = job("refused");
    queue.push(good).unwrap();
    queue.push(bad).unwrap();
    queue.close();
    work(&mut Asks(Echo::default(), refused), &queue, &metrics, &Health::default(), 99).unwrap();
    assert!(answer.try_recv().unwrap().is_ok());
}

/// Words that have no tokens are not read all at once.
#[test]
fn words_count_as_well() {
    let (mut job, _answer) = job("a,b,c,d");
    for (row, words) in job.rows.iter_mut().zip([2, 3, 9, 1]) {
        row.words = Some(vec![String::new(); words]);
    }
    let mut open = Open { job, encoded: Vec::new(), said: Vec::new(), failed: None };
    let mut read = Vec::new();
    for _ in 0..4 {
        open.prepare(&Echo::default(), 6);
        read.push(open.encoded.len());
        open.said.resize(open.encoded.len(), Said::new());
    }
    assert_eq!(read, [2, 3, 4, 4]);
}

#[test]
fn a_model_that_fails_is_tried_again_and_given_up() {
    for (broken, works) in [(0, true), (1, true), (3, false)] {
        let (queue, metrics, health) = (queue(), Metrics::default(), Health::default());
        let mut model = Echo { broken, ..Echo::default() };
        let (bad, mut failed) = job("fault");
        let (good, mut answer) = job("a");
        queue.push(bad).unwrap();
        queue.push(good).unwrap();
        queue.close();
        // Alone, so that the other one is not computed before.
        let worked = work(&mut model, &queue, &metrics, &health, 5);
        assert_eq!(failed.try_recv().unwrap(), Err(Failed::Broken));
        assert_eq!((worked.is_ok(), answer.try_recv().is_ok()), (works, works), "{broken}");
        assert_eq!(health.trouble(Duration::from_secs(60)).is_none(), works);
    }
}
