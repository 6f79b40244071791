//! `train --learning-curve`: one run after another with more and more of the training rows, and whether still more would help. It must not know what a
//! run does.

use super::ending::Finished;
use super::train::one_of_series;
use crate::exit::{Failure, usage};
use crate::results::further::p_value;
use crate::results::report::metric;
use crate::run::folder::{Kind, RESULTS, claim, clear, restarts_of, rows_folder};
use crate::settings::{PartOfRows, Resolved};
use ferrotune_train::metrics::{Classified, Interval, Intervals, MetricName, Paired, Summary, paired};
use ferrotune_train::store::replace_file;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// The draws of intervals and permutations are the same in every series.
const SEED: u64 = 0;

/// One run.
#[derive(Serialize)]
struct Point {
    percentage: f64,
    train_rows: usize,
    folder: PathBuf,
    split: Option<&'static str>,
    metrics: Option<Summary>,
    /// Of tasks with one class a row.
    intervals: Option<Intervals>,
    #[serde(skip)]
    said: Option<Classified>,
}

/// What the last and largest part of the rows added.
#[derive(Serialize)]
struct LastStep {
    from_rows: usize,
    to_rows: usize,
    /// What each metric gained.
    gains: Map<String, Value>,
    /// Both models on the same rows, the one that learned from more of them first; of tasks with one class a row.
    paired: Option<Paired>,
    says: String,
}

/// Runs all parts of the rows, small ones first, each in a folder of its own. With `resume` each goes on from its newest checkpoint.
///
/// # Errors
/// Those of a run; percentages that are none; nothing to measure by, or to resume; something else in the folder.
pub fn run(
    resolved: &Resolved,
    percentages: &str,
    resume: bool,
    overwrite: bool,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let percentages = parse(percentages)?;
    let path = &resolved.output;
    if resolved.settings.test.is_none() && resolved.settings.validation.is_none() && resolved.held_out.is_none() {
        return Err(usage(
            "--learning-curve has nothing to measure by: name --test, or let validation rows be held out",
        ));
    }
    let folder = |percentage: f64| rows_folder(path, percentage);
    if resume && !percentages.iter().any(|&percentage| restarts_of(&folder(percentage)).is_some()) {
        let shown = path.display();
        return Err(usage(format!("--resume: {shown} holds no run of --learning-curve; start it without --resume")));
    }
    let _lock = claim(path, Kind::LearningCurve, resume, overwrite)?;
    let mut points = Vec::new();
    for (n, &percentage) in percentages.iter().enumerate() {
        println!("{percentage} % of the training rows ({} of {})", n + 1, percentages.len());
        let own = with_part(resolved, percentage, folder(percentage));
        let begin = || if n == 0 && overwrite { clear(path) } else { Ok(()) };
        let finished = one_of_series(own, resume, overwrite, stop, &begin)?;
        points.push(point(percentage, folder(percentage), finished));
        println!();
    }
    let last = last_step(&points);
    let results = json!({ "learning_curve": points, "last_step": last, "seed": resolved.numbers.seed });
    replace_file(&path.join(RESULTS), format!("{results:#}\n").as_bytes())?;
    print!("{}", text(&points, last.as_ref(), &path.join(RESULTS)));
    Ok(())
}

/// Percentages of all rows, ascending.
fn parse(text: &str) -> Result<Vec<f64>, Failure> {
    let refuse = |why: &str| usage(format!("--learning-curve is `{text}`: {why}; write percentages as 12.5,25,50,100"));
    let number = |part: &str| part.trim().parse::<f64>().map_err(|_| refuse(&format!("`{part}` is no number")));
    let percentages = text.split(',').map(number).collect::<Result<Vec<f64>, Failure>>()?;
    if percentages.iter().any(|&percentage| !(percentage > 0.0 && percentage <= 100.0)) {
        return Err(refuse("a percentage is above 0 and at most 100"));
    }
    if percentages.len() < 2 || percentages.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(refuse("it takes two percentages or more, each above the one before"));
    }
    Ok(percentages)
}

/// The run that learns from this part of the rows. With all of them it is the run without a learning curve.
fn with_part(resolved: &Resolved, percentage: f64, folder: PathBuf) -> Resolved {
    let mut own = resolved.clone();
    let seed = resolved.settings.train_share_seed.unwrap_or_default();
    own.part = (percentage < 100.0).then_some(PartOfRows { share: percentage / 100.0, seed });
    own.settings.learning_curve = None;
    own.settings.train_share = own.part.map(|part| part.share);
    own.settings.train_share_seed = own.part.map(|part| part.seed);
    own.settings.output = Some(folder.clone());
    own.output = folder;
    own
}

fn point(percentage: f64, folder: PathBuf, finished: Finished) -> Point {
    Point {
        percentage,
        train_rows: finished.train_rows,
        folder,
        split: finished.split,
        metrics: finished.summary,
        intervals: finished.said.as_ref().and_then(|said| Intervals::of(said, SEED)),
        said: finished.said,
    }
}

/// The last two runs compared.
fn last_step(points: &[Point]) -> Option<LastStep> {
    let [.., before, after] = points else { return None };
    let (from, to) = (before.metrics.as_ref()?, after.metrics.as_ref()?);
    let gain = |&(name, value): &(MetricName, f64)| (name.name().to_string(), Value::from(value - from.value(name)));
    let compared = before.said.as_ref().zip(after.said.as_ref()).and_then(|(before, after)| {
        paired(&after.labels, &after.predictions, &before.predictions, after.names.len(), SEED)
    });
    Some(LastStep {
        from_rows: before.train_rows,
        to_rows: after.train_rows,
        gains: to.values.iter().map(gain).collect(),
        says: says(before.train_rows, after.train_rows, from, to, compared.as_ref()),
        paired: compared,
    })
}

/// What the last step means, as far as one run of each size can say it.
fn says(from_rows: usize, to_rows: usize, from: &Summary, to: &Summary, paired: Option<&Paired>) -> String {
    let step = format!("from {from_rows} to {to_rows} training rows");
    let Some(paired) = paired else {
        let (name, value) = to.values[0];
        let before = from.value(name);
        let change = if name.better(value, before) { "better" } else { "no better" };
        return format!(
            "{step}: {} -> {}, {change}; whether that is chance only several seeds can say",
            metric(name, before),
            metric(name, value)
        );
    };
    let Interval { low, high } = paired.accuracy.interval;
    let points = |x: f64| 100.0 * x;
    let verdict = if low > 0.0 {
        "it still rises: more rows of this kind would likely help".to_string()
    } else if high < 0.0 {
        "it falls: look at the rows that came last, or train longer".to_string()
    } else if low == high {
        format!("no gain: both are right on the same of all {} rows", paired.rows)
    } else {
        let least = points(high - low) / 2.0;
        format!("no gain beyond chance: one below about {least:.2} points cannot be seen on {} rows", paired.rows)
    };
    format!(
        "{step}: accuracy {:+.2} points (95 % {:+.2} to {:+.2}; McNemar's exact test p {}), macro F1 {:+.4} (95 % {:+.4} to {:+.4}); {verdict}",
        points(paired.accuracy.difference),
        points(low),
        points(high),
        p_value(paired.mcnemar_p),
        paired.f1_macro.difference,
        paired.f1_macro.interval.low,
        paired.f1_macro.interval.high,
    )
}

fn text(points: &[Point], last: Option<&LastStep>, results: &Path) -> String {
    let split = points[0].split.unwrap_or("nothing");
    let mut text = format!("learning curve, measured on {split} rows, one run each\n");
    text.push_str("share    rows     ");
    let has_intervals = points.iter().any(|point| point.intervals.is_some());
    text.push_str(if has_intervals { "accuracy  95 % interval     macro F1  95 % interval\n" } else { "metrics\n" });
    for Point { percentage, train_rows, metrics, intervals, .. } in points {
        let _ = write!(text, "{:<7}  {train_rows:<7}  ", format!("{percentage} %"));
        let Some(metrics) = metrics else {
            text.push_str("-\n");
            continue;
        };
        let _ = match intervals {
            Some(Intervals { accuracy, f1_macro, .. }) => writeln!(
                text,
                "{:<8}  {:<16}  {:<8.4}  {:.4} to {:.4}",
                format!("{:.2} %", 100.0 * metrics.value(MetricName::Accuracy)),
                format!("{:.2} to {:.2}", 100.0 * accuracy.low, 100.0 * accuracy.high),
                metrics.value(MetricName::F1Macro),
                f1_macro.low,
                f1_macro.high
            ),
            None => {
                let shown: Vec<String> = metrics.values.iter().map(|&(name, value)| metric(name, value)).collect();
                writeln!(text, "{}", shown.join("   "))
            }
        };
    }
    if let Some(last) = last {
        let _ = writeln!(text, "{}", last.says);
        text.push_str("intervals hold the chance of the measured rows, not that of training\n");
    }
    let _ = writeln!(text, "results    {}", results.display());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_read_or_refused() {
        assert_eq!(parse("12.5, 25,50,100").map_err(|f| f.message).unwrap(), [12.5, 25.0, 50.0, 100.0]);
        for (text, says) in [
            ("50,x", "`x` is no number; write percentages as 12.5,25,50,100"),
            ("100", "it takes two percentages or more"),
            ("50,50", "it takes two percentages or more, each above the one before"),
            ("50,25", "it takes two percentages or more"),
            ("0,50", "a percentage is above 0 and at most 100"),
            ("50,101", "a percentage is above 0"),
            ("nan,50", "a percentage is above 0"),
        ] {
            let message = parse(text).unwrap_err().message;
            assert!(message.starts_with("--learning-curve is `") && message.contains(says), "{text}: {message}");
        }
    }

    /// A run on 200 test rows of two classes, of which so many are wrong.
    fn point(train_rows: usize, wrong: usize) -> Point {
        let labels: Vec<usize> = (0..200).map(|row| row % 2).collect();
        let predictions = labels.iter().enumerate().map(|(row, &label)| if row < wrong { 1 - label } else { label });
        let said = Classified {
            names: vec!["a".into(), "b".into()],
            predictions: predictions.collect(),
            labels,
            probabilities: vec![0.5; 400],
        };
        let confusion = said.confusion();
        let values = vec![(MetricName::Accuracy, confusion.accuracy()), (MetricName::F1Macro, confusion.f1_macro())];
        Point {
            percentage: train_rows as f64 / 10.0,
            train_rows,
            folder: PathBuf::from("rows"),
            split: Some("test"),
            metrics: Some(Summary { values, rows: 200 }),
            intervals: Intervals::of(&said, SEED),
            said: Some(said),
        }
    }

    #[test]
    fn the_last_step_says_whether_more_rows_help() {
        for (wrong, expected) in [
            ([60, 40, 20], "from 500 to 1000 training rows: accuracy +10.00 points (95 % "),
            ([60, 40, 20], "it still rises: more rows"),
            ([60, 20, 19], "no gain beyond chance: one below about "),
            ([60, 20, 20], "no gain: both are right on the same of all 200 rows"),
            ([20, 20, 40], "it falls"),
        ] {
            let points = [point(250, wrong[0]), point(500, wrong[1]), point(1000, wrong[2])];
            let last = last_step(&points).unwrap();
            assert!(last.says.contains(expected), "{wrong:?}: {}", last.says);
            let gained = (wrong[1] as f64 - wrong[2] as f64) / 200.0;
            assert!((last.gains["accuracy"].as_f64().unwrap() - gained).abs() < 1e-12);
        }
        let points = [point(500, 40), point(1000, 20)];
        let shown = text(&points, last_step(&points).as_ref(), Path::new("o/results.json"));
        assert!(
            shown.contains("50 %     500      80.00 %   ") && shown.contains("100 %    1000     90.00 %   "),
            "{shown}"
        );
    }

    #[test]
    fn other_tasks_have_metrics_without_intervals() {
        let of = |train_rows, value| Point {
            said: None,
            intervals: None,
            metrics: Some(Summary { values: vec![(MetricName::Pearson, value)], rows: 50 }),
            ..point(train_rows, 0)
        };
        let points = [of(500, 0.75), of(1000, 0.875)];
        let last = last_step(&points).unwrap();
        assert!(
            last.says.contains("Pearson 0.7500 -> Pearson 0.8750, better; whether that is chance"),
            "{}",
            last.says
        );
        assert!(text(&points, Some(&last), Path::new("r")).contains("100 %    1000     Pearson 0.8750\n"));
        assert!(last_step(&points[..1]).is_none());
    }
}
