//! The page of several runs: results with intervals, curves one above the other, what differs. It must not read files.

use super::axis::Scale;
use super::chart::{COLOURS, Chart, Look, Series, line_chart};
use super::page::{Section, page};
use super::plots::{Estimate, Shape, estimates};
use super::report::{measured, smooth_loss, steps};
use super::table::{Cell, table};
use super::{interval, title, value};
use crate::results::comparison::{Comparison, Entry};
use crate::results::report::word;
use crate::run::files::RunFiles;
use ferrotune_train::metrics::{ClassMetrics, MetricName, Report};
use maud::{Markup, html};

/// The page.
pub fn compare(comparison: &Comparison) -> String {
    let sections: [(&'static str, &'static str, Option<Markup>); 4] = [
        ("results", "Results", Some(results(comparison))),
        ("curves", "Curves", Some(curves(comparison))),
        ("settings", "What differs", Some(differences(comparison))),
        ("classes", "F1 by class", classes(comparison)),
    ];
    let sections: Vec<Section> =
        sections.into_iter().filter_map(|(id, title, body)| Some(Section { id, title, body: body? })).collect();
    let names: Vec<&str> = comparison.entries.iter().map(|entry| &*entry.name).collect();
    let subtitle = html! { p.subtitle { (names.join(", ")) } };
    page(&format!("{} runs · ferrotune", names.len()), &subtitle, &sections)
}

fn results(comparison: &Comparison) -> Markup {
    let several = comparison.entries.iter().any(|entry| entry.runs.len() > 1);
    let mut headings = vec!["run".to_string()];
    headings.extend(comparison.metrics.iter().map(|&metric| title(metric)));
    let first = comparison.metrics.first().copied();
    headings.extend(first.map(|metric| format!("{}, 95 %", title(metric))));
    headings.extend(several.then(|| "seeds".to_string()));
    headings.extend(["rows/s", "seconds"].map(String::from));
    let row = |entry: &Entry| {
        let mut row = vec![Cell::Text(entry.name.clone())];
        row.extend(comparison.metrics.iter().map(|&metric| figure(entry, metric)));
        let ends = first.and_then(|metric| Some(interval(metric, entry.interval(metric)?)));
        row.extend(first.map(|_| Cell::Number(ends.unwrap_or_else(|| "–".to_string()), 0.0)));
        row.extend(several.then(|| Cell::count(entry.runs.len() as u64)));
        row.extend([entry.speed(), entry.seconds()].map(|figure| {
            let number = figure.map_or(f64::NAN, |figure| figure.value);
            Cell::Number(format!("{number:.1}"), number)
        }));
        row
    };
    let rows: Vec<Vec<Cell>> = comparison.entries.iter().map(row).collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    html! {
        @for warning in &comparison.warnings { p.warning role="note" { strong { "Warning: " } (warning) "." } }
        (table("What was measured at the end; ± is the standard deviation over seeds", &headings, &rows, true))
        @if let Some(metric) = first { div.charts { (estimated(comparison, metric)) } }
        p.note { "Whiskers are 95 % intervals over the rows, of series the standard deviation over seeds. Two runs on the same rows may differ for certain "
            "although their intervals overlap." }
    }
}

fn figure(entry: &Entry, metric: MetricName) -> Cell {
    let Some(figure) = entry.figure(metric) else { return Cell::figure(None) };
    let spread = figure.deviation.map(|deviation| format!(" ± {}", value(metric, deviation))).unwrap_or_default();
    Cell::Number(value(metric, figure.value) + &spread, figure.value)
}

/// Up to so many runs, with names of at most so many characters, have them below their values.
const NAMED: (usize, usize) = (6, 9);

fn estimated(comparison: &Comparison, metric: MetricName) -> Markup {
    let entries = &comparison.entries;
    let named = entries.len() <= NAMED.0 && entries.iter().all(|entry| entry.name.chars().count() <= NAMED.1);
    let one = |(n, entry): (usize, &Entry)| {
        let figure = entry.figure(metric)?;
        let spread = figure.deviation.map(|deviation| (figure.value - deviation, figure.value + deviation));
        Some(Estimate {
            name: if named { entry.name.clone() } else { (n + 1).to_string() },
            value: figure.value,
            interval: entry.interval(metric).map(|ends| (ends.low, ends.high)).or(spread),
            told: format!("{}: {}", entry.name, value(metric, figure.value)),
            colour: n % COLOURS,
        })
    };
    let values: Vec<Estimate> = entries.iter().enumerate().filter_map(one).collect();
    let x = if named { "run" } else { "run, in the order in which they were named" };
    estimates(&title(metric), x, &values, Shape::Dots)
}

fn curves(comparison: &Comparison) -> Markup {
    let chart = |name: &str, of: &dyn Fn(&RunFiles) -> Vec<(f64, f64)>, look: Look| {
        let mut series = Vec::new();
        for (colour, entry) in comparison.entries.iter().enumerate() {
            // The first seed stands for a series, the others show how far they go apart.
            series.extend(entry.runs.iter().enumerate().rev().map(|(n, run)| Series {
                name: entry.name.clone(),
                points: of(run),
                look: if n == 0 { look } else { Look::Faint },
                colour,
            }));
        }
        line_chart(&Chart { title: name, x: "step", scale: Scale::Linear, series, end: 0.0, mark: None })
    };
    let first = comparison.metrics.first().copied().filter(|metric| *metric != MetricName::Loss);
    html! {
        div.charts {
            (chart("Training loss, smoothed", &smooth_loss, Look::Line))
            (chart("Validation loss", &|run| measured(run, MetricName::Loss), Look::Marks))
            @if let Some(metric) = first { (chart(&format!("Validation {}", word(metric)), &|run| measured(run, metric), Look::Marks)) }
            (chart("Learning rate", &|run| steps(run, |step| step.learning_rate), Look::Line))
            (chart("Gradient norm", &|run| steps(run, |step| step.gradient_norm), Look::Line))
        }
    }
}

fn differences(comparison: &Comparison) -> Markup {
    if comparison.differences.is_empty() {
        return html! { p { "No setting differs." } };
    }
    let names: Vec<&str> = comparison.entries.iter().map(|entry| &*entry.name).collect();
    let headings = [vec![""], names].concat();
    let row = |(name, values): &(String, Vec<String>)| {
        std::iter::once(name).chain(values).map(|text| Cell::Text(text.clone())).collect()
    };
    let rows: Vec<Vec<Cell>> = comparison.differences.iter().map(row).collect();
    table("Settings and surroundings that are not the same for all", &headings, &rows, false)
}

/// F1 of each class, where all runs have the same classes.
fn classes(comparison: &Comparison) -> Option<Markup> {
    let of = |run: &RunFiles| -> Option<Vec<ClassMetrics>> {
        Some(match run.measured()?.1 {
            Report::Classification(report) => report.per_class.clone(),
            Report::MultiLabel(report) => report.per_label.clone(),
            Report::Tokens(report) => report.per_type.clone(),
            Report::Words(report) => report.per_class.clone(),
            Report::Regression(_) | Report::Masked(_) => return None,
        })
    };
    let all: Vec<Vec<Vec<ClassMetrics>>> =
        comparison.entries.iter().map(|entry| entry.runs.iter().map(of).collect()).collect::<Option<_>>()?;
    let names = |classes: &[ClassMetrics]| classes.iter().map(|class| class.name.clone()).collect::<Vec<_>>();
    let first = names(&all[0][0]);
    if all.iter().flatten().any(|classes| names(classes) != first) {
        return None;
    }
    let row = |(n, name): (usize, &String)| {
        let mean = |runs: &Vec<Vec<ClassMetrics>>| runs.iter().map(|run| run[n].f1).sum::<f64>() / runs.len() as f64;
        let means: Vec<f64> = all.iter().map(mean).collect();
        let (low, high) = means.iter().fold((1f64, 0f64), |(low, high), &f1| (low.min(f1), high.max(f1)));
        let mut row = vec![Cell::Text(name.clone())];
        row.extend(means.into_iter().map(|f1| Cell::Bar(format!("{f1:.4}"), f1)));
        row.push(Cell::figure(Some(high - low)));
        row
    };
    let rows: Vec<Vec<Cell>> = first.iter().enumerate().map(row).collect();
    let mut headings = vec!["class"];
    headings.extend(comparison.entries.iter().map(|entry| &*entry.name));
    headings.push("apart");
    Some(table("A click on a heading sorts; apart is the highest less the lowest", &headings, &rows, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::files::example::{HOSTILE, Kind, write};

    /// The page of runs of these kinds, in folders whose names would begin a script, and of a series.
    fn pages(kinds: [Kind; 2]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["<script>one", "<script>series"].map(|name| folder.path().join(name));
        write(&paths[0], kinds[0], "lr = 1e-4");
        (0..2).for_each(|n| write(&paths[1].join(format!("seed-{n}")), kinds[1], "lr = 2e-4\nfreeze = '<script>'"));
        std::fs::write(paths[1].join("results.json"), "{\"seeds\": 2}").unwrap();
        compare(&Comparison::read(&paths).map_err(|failure| failure.message).unwrap())
    }

    #[test]
    fn classes_are_compared_where_they_are_the_same() {
        for (kinds, same) in [
            ([Kind::Classes(3); 2], true),
            ([Kind::Words; 2], true),
            ([Kind::WordClasses; 2], true),
            ([Kind::Words, Kind::WordClasses], false),
            ([Kind::Classes(3), Kind::Classes(4)], false),
            ([Kind::Numbers, Kind::Numbers], false),
            ([Kind::Sets, Kind::Numbers], false),
        ] {
            let page = pages(kinds);
            assert_eq!(page.contains("<section id=\"classes\""), same);
            assert!(page.contains("<th scope=\"row\">lr</th><td>0.0001</td><td>0.0002</td>"), "settings differ");
            assert!(!page.contains(HOSTILE) && page.contains("&lt;script&gt;series"));
            assert_eq!(page.matches("<script").count(), 1, "our own alone");
            // The second seed of the series is a pale line under the first.
            assert_eq!(page.matches("class=\"line c1 faint\"").count(), page.matches("class=\"line c1\"").count());
        }
    }
}
