//! Where the model is wrong: by length of the text, and row by row.

use crate::html::plots::{Estimate, Shape, estimates};
use crate::html::table::{Cell, table};
use crate::html::{interval, number, value};
use crate::results::evaluation::{Figure, Measured, Mistake};
use crate::run::files::RunFiles;
use ferrotune_train::metrics::MetricName;
use maud::{Markup, html};

fn measured(run: &RunFiles) -> Option<&Measured> {
    run.evaluation.as_ref()?.measured.as_ref()
}

/// A figure for groups of rows by length.
pub fn by_length(run: &RunFiles) -> Option<Markup> {
    let measured = measured(run)?;
    let metric = match measured.by_length_of? {
        Figure::Accuracy => MetricName::Accuracy,
        Figure::SubsetAccuracy => MetricName::SubsetAccuracy,
        Figure::Mae => MetricName::Mae,
    };
    if measured.by_length.is_empty() {
        return None;
    }
    let name = crate::html::title(metric);
    let length = |from: usize, to: usize| if from == to { from.to_string() } else { format!("{from}–{to}") };
    let bars: Vec<Estimate> = measured
        .by_length
        .iter()
        .map(|group| Estimate {
            name: length(group.from, group.to),
            value: group.value,
            interval: group.interval.map(|ends| (ends.low, ends.high)),
            told: format!(
                "{} to {} characters, {} rows: {}",
                group.from,
                group.to,
                group.rows,
                value(metric, group.value)
            ),
            colour: 0,
        })
        .collect();
    let has_intervals = measured.by_length.iter().any(|group| group.interval.is_some());
    let mut headings = vec!["characters", "rows", &*name];
    headings.extend(has_intervals.then_some("95 % interval"));
    let row = |group: &crate::results::evaluation::LengthGroup| {
        let mut row = vec![
            Cell::Number(length(group.from, group.to), group.from as f64),
            Cell::count(group.rows),
            Cell::Number(value(metric, group.value), group.value),
        ];
        row.extend(group.interval.map(|ends| Cell::Number(interval(metric, ends), ends.low)));
        row
    };
    let rows: Vec<Vec<Cell>> = measured.by_length.iter().map(row).collect();
    Some(html! {
        div.beside {
            (estimates(&format!("{name} by length"), "characters", &bars, Shape::Bars))
            (table(&format!("The {} rows in groups of about the same size", measured.split), &headings, &rows, false))
        }
        @if has_intervals { p.note { "The intervals are Wilson's. Where they overlap, the difference may be chance." } }
    })
}

/// What the section is called: numbers are never quite right.
pub fn title(run: &RunFiles) -> &'static str {
    match measured(run).and_then(|measured| measured.by_length_of) {
        Some(Figure::Mae) => "Largest errors",
        _ => "Worst mistakes",
    }
}

/// The rows that the model was most wrong about.
pub fn mistakes(run: &RunFiles) -> Option<Markup> {
    let measured = measured(run)?;
    if measured.mistakes.is_empty() {
        measured.by_length_of?;
        return Some(html! { p { "None: every one of the " (measured.split) " rows is right." } });
    }
    let probabilities = measured.mistakes.iter().any(|mistake| mistake.probability.is_some());
    let caption = format!("The {} rows with the highest loss, of the {} rows", measured.mistakes.len(), measured.split);
    let caption = match measured.by_length_of {
        Some(Figure::Mae) => {
            format!("The {} rows with the largest error, of the {} rows", measured.mistakes.len(), measured.split)
        }
        _ => caption,
    };
    Some(html! {
        div.scroll.tall tabindex="0" role="region" aria-label=(caption) {
            table {
                caption { (caption) "; a true label may be wrong, too" }
                thead { tr {
                    th scope="col" { "line" } th scope="col" { "text" } th scope="col" { "true" } th scope="col" { "predicted" }
                    @if probabilities { th.wide scope="col" { "probability of the true one" } th.wide scope="col" { "of the predicted one" } }
                } }
                tbody { @for mistake in &measured.mistakes { (row(mistake, probabilities)) } }
            }
        }
    })
}

fn row(mistake: &Mistake, probabilities: bool) -> Markup {
    let label = |label: &str| if label.is_empty() { "(none)".to_string() } else { label.to_string() };
    html! {
        tr {
            th.number scope="row" { (mistake.line) }
            td.text { (mistake.text) @if let Some(second) = &mistake.text_b { br; (second) } }
            td { (label(&mistake.label)) }
            td { (label(&mistake.predicted)) }
            @if probabilities {
                td.number { (number(mistake.label_probability)) }
                td.number { (number(mistake.probability)) }
            }
        }
    }
}
