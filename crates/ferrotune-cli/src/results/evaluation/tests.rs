//! What is kept of each task, from logits. It must not know models.

use super::*;
use ferrotune_data::{Labels, Words};
use ferrotune_tensor::Cpu;
use ferrotune_train::tasks::{MultiLabel, Regression, SingleLabel, Tokens, WordTags};

fn rows(texts: &[&str]) -> Vec<Row> {
    let row = |(n, text): (usize, &&str)| Row {
        text: text.to_string(),
        text_b: (n == 0).then(|| "second\u{1b}[31m".to_string()),
        words: None,
        label: None,
        line: 10 + n as u64,
    };
    texts.iter().enumerate().map(row).collect()
}

fn labels(names: &[&str]) -> Labels {
    Labels::from_names(names.iter().map(|name| name.to_string()).collect()).unwrap()
}

fn lines(measured: &Measured) -> Vec<(u64, &str, &str)> {
    measured.mistakes.iter().map(|m| (m.line, &*m.label, &*m.predicted)).collect()
}

#[test]
fn classes_have_all_figures_and_their_worst_rows() {
    let task: &dyn Task<Cpu> = &SingleLabel::new(labels(&["a", "b"]));
    let logits = [3.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 5.0];
    let targets = Targets::Classes(vec![0, 0, 1, 1]);
    let found = Measured::of("test", task, &logits, &targets, &rows(&["one", "twoo", "three", "seven"]));
    assert_eq!(lines(&found), [(12, "b", "a"), (11, "a", "b")]);
    let p = found.mistakes[1].label_probability.unwrap();
    assert!((p - 1.0 / (1.0 + 1f64.exp())).abs() < 1e-6, "{p}");
    assert!(found.detail.is_some() && found.intervals.is_some() && found.points.is_empty());
    // The first row has the lengths of both its texts.
    let groups: Vec<_> = found.by_length.iter().map(|group| (group.from, group.to, group.rows, group.value)).collect();
    assert_eq!(groups, [(4, 4, 1, 0.0), (5, 5, 2, 0.5), (14, 14, 1, 1.0)]);
    let half = found.by_length[1].interval.unwrap();
    assert!(half.low < 0.5 && 0.5 < half.high);
}

#[test]
fn sets_are_right_as_a_whole() {
    let task: &dyn Task<Cpu> = &MultiLabel::new(labels(&["a", "b", "c"]), '|');
    let logits = [1.0, -1.0, -1.0, 1.0, -1.0, 9.0, -1.0, -1.0, -1.0];
    let targets = Targets::Sets(vec![vec![0], vec![0, 1], vec![1]]);
    let found = Measured::of("validation", task, &logits, &targets, &rows(&["x", "y", "z"]));
    assert_eq!(lines(&found), [(11, "a, b", "a, c"), (12, "b", "")]);
    assert_eq!((found.by_length_of, found.detail), (Some(Figure::SubsetAccuracy), None));
    let right: f64 = found.by_length.iter().map(|group| group.value * group.rows as f64).sum();
    assert_eq!(right, 1.0);
}

#[test]
fn rows_of_words_show_their_wrong_words() {
    let words = Words {
        rows: vec![0, 0, 1, 2],
        places: vec![1, 1, 1, 1, 2],
        words: vec![1, 0, 0, 0, 1],
        offsets: vec![0, 1, 2, 3, 5],
        table_rows: 3,
        ..Words::default()
    };
    let targets =
        Targets::Words(WordTags { tags: vec![vec![0, 1], vec![1], vec![0, 0]], words: std::sync::Arc::new(words) });
    let row = |(n, text): (usize, &str)| Row {
        text: text.to_string(),
        text_b: None,
        words: Some(text.split(' ').map(str::to_string).collect()),
        label: None,
        line: 10 + n as u64,
    };
    let rows: Vec<Row> = ["rain falls", "wind", "it blows"].into_iter().enumerate().map(row).collect();
    let task: &dyn Task<Cpu> = &Tokens::new(labels(&["NOUN", "VERB"])).unwrap();
    // Both words of the first row are wrong, read in two windows; the second row is right; the last has one wrong word with a higher loss than both.
    let logits = [2.0, 0.0, 0.0, 2.0, 0.0, 2.0, 1.0, 0.0, 0.0, 9.0];
    let found = Measured::of("test", task, &logits, &targets, &rows);
    assert_eq!(
        lines(&found),
        [(12, "blows NOUN", "blows VERB"), (10, "rain NOUN, falls VERB", "rain VERB, falls NOUN")]
    );
}

#[test]
fn numbers_are_points_and_the_largest_errors_come_first() {
    let task: &dyn Task<Cpu> = &Regression::new("score".to_string(), None);
    let targets = Targets::Scores(vec![1.0, 2.0, 3.0]);
    let found = Measured::of("test", task, &[1.5, 2.0, -1.0], &targets, &rows(&["x", "y", "z"]));
    assert_eq!(found.points, [[1.0, 1.5], [2.0, 2.0], [3.0, -1.0]]);
    assert_eq!(lines(&found)[0], (12, "3.000", "-1.000"));
    assert_eq!(found.by_length_of, Some(Figure::Mae));
    // A model that diverged has points and groups of nothing, and its file can be read.
    let diverged = Measured::of("test", task, &[f32::NAN, 2.0, 0.0], &targets, &rows(&["x", "y", "z"]));
    assert_eq!((diverged.points.len(), diverged.by_length.len(), diverged.mistakes[0].line), (2, 0, 10));
    let text = serde_json::to_string(&diverged).unwrap();
    assert_eq!(serde_json::from_str::<Measured>(&text).unwrap(), diverged);
}

#[test]
fn many_points_are_thinned_and_texts_are_cut() {
    let scores: Vec<f64> = (0..5000).map(f64::from).collect();
    let logits: Vec<f32> = scores.iter().map(|&score| score as f32).collect();
    let long = "ö".repeat(1000);
    let rows: Vec<Row> = rows(&vec![&*long; 5000]);
    let task: &dyn Task<Cpu> = &Regression::new("score".to_string(), None);
    let found = Measured::of("test", task, &logits, &Targets::Scores(scores), &rows);
    assert_eq!((found.points.len(), found.points[1]), (1667, [3.0, 3.0]));
    assert!(found.mistakes[0].text.chars().count() < 300);
    assert_eq!(found.mistakes[0].text_b.as_deref(), Some("second\\u{1b}[31m"));
}
