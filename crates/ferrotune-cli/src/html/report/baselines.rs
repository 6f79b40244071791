//! What simple models reach on the same rows, and what fine-tuning gained. It must not know how they were fitted.

use crate::html::table::{Cell, table};
use crate::html::{interval, value};
use crate::run::files::{Beside, RunFiles};
use ferrotune_train::metrics::{Interval, MetricName};
use maud::{Markup, html};

/// A table of baselines; none where none were computed.
pub fn baselines(run: &RunFiles) -> Option<Markup> {
    let all = &run.results.baselines;
    let split = &all.first()?.rows;
    let row = |beside: &Beside| {
        let gain = &beside.accuracy_gain;
        vec![
            Cell::Text(beside.baseline.clone()),
            Cell::Number(value(MetricName::Accuracy, beside.accuracy), beside.accuracy),
            Cell::Number(interval(MetricName::Accuracy, beside.accuracy_interval), beside.accuracy_interval.low),
            Cell::Number(value(MetricName::F1Macro, beside.f1_macro), beside.f1_macro),
            Cell::Number(points(gain.difference), gain.difference),
            Cell::Number(ends(gain.interval), gain.interval.low),
        ]
    };
    let rows: Vec<Vec<Cell>> = all.iter().map(row).collect();
    let headings =
        ["model", "accuracy", "95 % interval", "macro F1", "points gained by fine-tuning", "95 % interval of the gain"];
    Some(html! {
        (table("Baselines", &headings, &rows, false))
        p.note { "Fitted on the training rows, measured on the " (split) " rows. A gain whose interval holds 0 may be chance." }
    })
}

fn points(difference: f64) -> String {
    format!("{:+.2}", 100.0 * difference)
}

fn ends(Interval { low, high }: Interval) -> String {
    format!("{} to {}", points(low), points(high))
}
