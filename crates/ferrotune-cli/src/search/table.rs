//! What a person reads at the end of a search: the trials, the best first, what mattered, and where the trials lie, as text. It must not know files.

use crate::results::report::metric;
use ferrotune_train::metrics::{MetricName, wilson};
use ferrotune_train::search::space::{Domain, Parameter, Space};
use ferrotune_train::search::study::{Origin, State, Trial};
use ferrotune_train::tasks::Unit;
use std::fmt::Write;

/// The trials in this order, a line each.
pub fn trials(space: &Space, trials: &[Trial], order: &[usize], metric: MetricName) -> String {
    let names = space.parameters().iter().map(|parameter| parameter.name.as_str());
    let header: Vec<String> =
        ["trial", metric.name(), "state", "seconds"].into_iter().chain(names).map(str::to_string).collect();
    let mut rows = vec![header];
    for &n in order {
        let trial = &trials[n];
        let value = trial.value().map_or("-".to_string(), |value| format!("{value:.4}"));
        let mut row = vec![n.to_string(), value, state(trial), format!("{:.1}", trial.seconds)];
        let settings = space.parameters().iter().map(|parameter| trial.settings.get(&parameter.name));
        row.extend(settings.map(|value| value.map_or("-".to_string(), |value| value.to_string())));
        rows.push(row);
    }
    aligned(&rows)
}

/// Where a trial is, in words.
pub fn state(trial: &Trial) -> String {
    let (step, steps) = trial.steps;
    let state = match &trial.state {
        State::Waiting => format!("at step {step} of {steps}"),
        State::Pruned => format!("pruned at step {step} of {steps}"),
        State::Finished(epoch) => format!("done, epoch {epoch}"),
        State::Failed(_) => "failed".to_string(),
    };
    if trial.origin == Origin::Baseline { format!("{state} (as said)") } else { state }
}

/// How much each parameter mattered, the largest first.
pub fn importance(measures: &[(String, Option<f64>)]) -> String {
    let row = |(name, measure): &(String, Option<f64>)| match measure {
        Some(measure) => {
            vec![name.clone(), format!("{measure:.2}"), "#".repeat((measure * 20.0).round() as usize)]
        }
        None => vec![name.clone(), "-".to_string(), "too few trials".to_string()],
    };
    aligned(&measures.iter().map(row).collect::<Vec<_>>())
}

/// A trial as one line while a search runs.
pub fn line(n: usize, trial: &Trial, name: MetricName, seconds: f64, settings: &str) -> String {
    let (step, steps) = trial.steps;
    let came = match &trial.state {
        State::Failed(why) => format!("failed: {why}"),
        state => {
            let value = trial.value().map_or(String::new(), |value| metric(name, value));
            let how = if matches!(state, State::Finished(_)) { "done".to_string() } else { format!("{step}/{steps}") };
            format!("{how:<10} {value:<18} {seconds:>6.1} s")
        }
    };
    format!("trial {n:<4} {came}   {settings}")
}

/// Rows with their columns one below the other; the last one is not filled up.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|it| it.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

/// How a trial is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// It did not go on from this rung.
    Pruned(usize),
    /// It came to its end.
    Done,
    /// It is the best of those.
    Best,
}

/// Where a trial is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its number.
    pub trial: usize,
    /// Across, from 0 to 1.
    pub x: f64,
    /// The value.
    pub y: f64,
    /// How.
    pub mark: Mark,
}

/// The trials that have a value, at a place across that is a function of the trial.
pub fn points(trials: &[Trial], best: Option<usize>, x: impl Fn(usize, &Trial) -> Option<f64>) -> Vec<Point> {
    let point = |(n, trial): (usize, &Trial)| {
        let y = trial.value().filter(|value| value.is_finite())?;
        let mark = match trial.standing.finished {
            Some(_) if best == Some(n) => Mark::Best,
            Some(_) => Mark::Done,
            None => Mark::Pruned(trial.standing.reached.len().saturating_sub(1)),
        };
        Some(Point { trial: n, x: x(n, trial)?, y, mark })
    };
    trials.iter().enumerate().filter_map(point).collect()
}

/// By the number of the trial.
pub fn by_trial(trials: &[Trial], best: Option<usize>) -> Vec<Point> {
    let last = trials.len().saturating_sub(1).max(1) as f64;
    points(trials, best, |n, _| Some(n as f64 / last))
}

/// By a parameter; trials that have it not are left out.
pub fn by_parameter(trials: &[Trial], best: Option<usize>, parameter: &Parameter) -> Vec<Point> {
    let (start, end) = parameter.domain.interval();
    let middle = if matches!(parameter.domain, Domain::Choice(_)) { 0.5 } else { 0.0 };
    points(trials, best, |_, trial| {
        let place = parameter.domain.place_of(trial.settings.get(&parameter.name)?)?;
        Some((place + middle - start) / (end - start))
    })
}

/// What stands at the axis of a parameter: the ends of a range, or all choices.
pub fn ends(parameter: &Parameter) -> Vec<String> {
    parameter.domain.grid(2).iter().map(ToString::to_string).collect()
}

/// Columns and rows of a picture in text.
const WIDTH: usize = 60;
const HEIGHT: usize = 10;

/// A picture in text: values upwards, between the lowest and the highest. Where several trials fall on one place the farthest is seen.
pub fn scatter(title: &str, ends: [&str; 2], points: &[Point]) -> String {
    let ys = points.iter().map(|point| point.y);
    let (low, high) = (ys.clone().fold(f64::INFINITY, f64::min), ys.fold(f64::NEG_INFINITY, f64::max));
    let mut grid: Vec<Vec<Option<Mark>>> = vec![vec![None; WIDTH]; HEIGHT];
    for point in points {
        let up = if high > low { (point.y - low) / (high - low) } else { 0.5 };
        let row = HEIGHT - 1 - (up * (HEIGHT - 1) as f64).round() as usize;
        let column = (point.x.clamp(0.0, 1.0) * (WIDTH - 1) as f64).round() as usize;
        let cell = &mut grid[row][column];
        *cell = Some(cell.map_or(point.mark, |mark| mark.max(point.mark)));
    }
    let mut text = format!("{title}\n");
    for (n, row) in grid.iter().enumerate() {
        let label = match n {
            0 => format!("{high:.4}"),
            _ if n == HEIGHT - 1 => format!("{low:.4}"),
            _ => String::new(),
        };
        let cells: String = row.iter().map(|mark| mark.map_or(' ', sign)).collect();
        let _ = writeln!(text, "{label:>9} |{}", cells.trim_end());
    }
    let gap = WIDTH.saturating_sub(ends[0].chars().count() + ends[1].chars().count());
    let _ = writeln!(text, "{:>9} +{}\n{:>11}{}{:gap$}{}", "", "-".repeat(WIDTH), "", ends[0], "", ends[1]);
    text
}

fn sign(mark: Mark) -> char {
    match mark {
        Mark::Pruned(0) => '.',
        Mark::Pruned(_) => ':',
        Mark::Done => 'o',
        Mark::Best => '*',
    }
}

/// What the signs mean.
pub const SIGNS: &str = ". pruned at the first rung, : at a later one, o done, * the best";

/// How far chance reaches on so many validation rows: what share of other rows the best trial may get right, and how many of the trials that came to
/// their end lie inside that. None of metrics that are no share of rows, and of words: those of a row are right or wrong together, so that their number
/// says too much.
pub fn chance(trials: &[Trial], best: usize, name: MetricName, unit: Unit, rows: u64) -> Option<String> {
    let is_of_rows = name == MetricName::Accuracy && unit == Unit::Row;
    let value = trials[best].standing.finished.filter(|_| is_of_rows)?;
    let around = wilson((value * rows as f64).round() as u64, rows)?;
    let others = trials.iter().enumerate().filter(|&(n, _)| n != best);
    let others: Vec<f64> = others.filter_map(|(_, trial)| trial.standing.finished).collect();
    let inside = others.iter().filter(|&&other| other >= around.low).count();
    let [low, high] = [around.low, around.high].map(|share| 100.0 * share);
    let also = match (inside, others.len()) {
        (_, 0) => String::new(),
        (inside, all) => format!("; inside it: {inside} of {all} other trials that came to their end"),
    };
    Some(format!(
        "{rows} validation rows, which chose it: on others {low:.1} to {high:.1} % are as likely (95 %){also}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use ferrotune_train::search::halving::Standing;
    use ferrotune_train::search::space::{Settings, Value};

    /// A pruned trial, the baseline at its end, the best one and one that failed.
    fn some() -> (Space, Vec<Trial>) {
        let lr = Domain::Number { low: 1e-5, high: 1e-3, log: true };
        let parameter = Parameter { name: "lr".to_string(), domain: lr, when: Vec::new(), points: 3 };
        let trial = |lr: f64, reached: &[f64], state: State, finished, origin| Trial {
            origin,
            settings: Settings::from([("lr".to_string(), Value::Number(lr))]),
            standing: Standing { reached: reached.to_vec(), finished, ..Standing::default() },
            state,
            steps: (3, 9),
            seconds: 1.25,
        };
        let trials = vec![
            trial(2e-5, &[0.5], State::Pruned, None, Origin::Baseline),
            trial(1e-4, &[0.6, 0.7], State::Finished(3), Some(0.75), Origin::Random),
            trial(1e-3, &[0.7, 0.8], State::Finished(2), Some(0.875), Origin::Tpe),
            trial(5e-4, &[], State::Failed("the loss is NaN".to_string()), None, Origin::Tpe),
        ];
        (Space::new(vec![parameter]).unwrap(), trials)
    }

    #[test]
    fn the_table_names_state_and_settings() {
        let (space, all) = some();
        expect![[r#"
            trial  accuracy  state                            seconds  lr
            2      0.8750    done, epoch 2                    1.2      0.001
            1      0.7500    done, epoch 3                    1.2      1e-4
            0      0.5000    pruned at step 3 of 9 (as said)  1.2      2e-5
            3      -         failed                           1.2      5e-4
        "#]]
        .assert_eq(&trials(&space, &all, &[2, 1, 0, 3], MetricName::Accuracy));
        let line = line(3, &all[3], MetricName::Accuracy, 0.5, "lr 5e-4");
        assert_eq!(line, "trial 3    failed: the loss is NaN   lr 5e-4");
    }

    #[test]
    fn chance_is_the_interval_of_a_share() {
        let (_, all) = some();
        // 35 of 40 rows: Wilson's interval as scipy gives it.
        let line = chance(&all, 2, MetricName::Accuracy, Unit::Row, 40).unwrap();
        expect!["40 validation rows, which chose it: on others 73.9 to 94.5 % are as likely (95 %); inside it: 1 of 1 other trials that came to their end"].assert_eq(&line);
        assert!(chance(&all, 2, MetricName::Accuracy, Unit::Row, 400).unwrap().contains("inside it: 0 of 1"));
        assert_eq!(chance(&all, 2, MetricName::F1Macro, Unit::Row, 40), None);
        assert_eq!(chance(&all, 0, MetricName::Accuracy, Unit::Row, 40), None);
        assert_eq!(chance(&all, 2, MetricName::Accuracy, Unit::Word, 40), None);
    }

    #[test]
    fn points_lie_where_values_are() {
        let (space, all) = some();
        let points = by_parameter(&all, Some(2), &space.parameters()[0]);
        let marks: Vec<Mark> = points.iter().map(|point| point.mark).collect();
        assert_eq!(marks, [Mark::Pruned(0), Mark::Done, Mark::Best]);
        assert!((points[1].x - 0.5).abs() < 1e-9 && points[2].x > 0.999, "{points:?}");
        let text = scatter("lr", ["1e-5", "0.001"], &points);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), HEIGHT + 3);
        assert!(lines[1].starts_with("   0.8750 |") && lines[1].ends_with('*'));
        assert!(lines[HEIGHT].starts_with("   0.5000 |") && lines[HEIGHT].trim_end().ends_with('.'));
        assert_eq!(lines[HEIGHT + 2].trim_end().len(), 11 + WIDTH);
        // A value that all have lies in the middle, and nothing is divided by 0.
        assert!(scatter("one", ["", ""], &points[..1]).lines().nth(5).unwrap().ends_with('.'));
    }
}
