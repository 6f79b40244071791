//! Pages to look at: one HTML file each, with all that it shows inside, for a browser without a network. What comes from outside goes through `maud`,
//! which escapes it; [`maud::PreEscaped`] is only for our own style sheet and script. The files here draw and know no runs; `report` and `compare` are
//! the two pages.

mod axis;
mod chart;
pub mod compare;
mod heat;
mod page;
mod plots;
pub mod report;
mod table;

use crate::results::report::{bare, word};
use ferrotune_train::metrics::{Interval, MetricName};

/// A metric's value as a table shows it: a dash where it is no number.
fn value(metric: MetricName, value: f64) -> String {
    if value.is_finite() { bare(metric, value) } else { "–".to_string() }
}

/// Both ends of an interval.
fn interval(metric: MetricName, ends: Interval) -> String {
    let low = value(metric, ends.low);
    format!("{} to {}", low.strip_suffix(" %").unwrap_or(&low), value(metric, ends.high))
}

/// The name of a metric as a heading shows it.
fn title(metric: MetricName) -> String {
    let mut letters = word(metric).chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// A number with four digits, one that they do not show by its power of ten; a dash where there is none.
fn number(value: Option<f64>) -> String {
    match value.filter(|value| value.is_finite()) {
        None => "–".to_string(),
        Some(value) if value != 0.0 && value.abs() < 5e-5 => format!("{value:.0e}"),
        Some(value) => format!("{value:.4}"),
    }
}

/// A whole number in groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}
