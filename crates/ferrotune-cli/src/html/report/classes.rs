//! What the model does with each class, label, type or number.

use crate::html::heat;
use crate::html::plots::{reliability, scatter};
use crate::html::table::{Cell, table};
use crate::html::{grouped, number, percent};
use crate::run::files::{RunFiles, Temperature};
use ferrotune_train::metrics::{ClassMetrics, ClassRanking, Report};
use maud::{Markup, html};

/// Counts of true and predicted classes.
pub fn confusion(run: &RunFiles) -> Option<Markup> {
    let (split, of, per_class, counts) = match run.measured()? {
        (split, Report::Classification(report)) => (split, "", &report.per_class, &report.confusion),
        (split, Report::Words(report)) => (split, "words of the ", &report.per_class, &report.confusion),
        _ => return None,
    };
    let names: Vec<&str> = per_class.iter().map(|class| class.name.as_str()).collect();
    Some(html! { p.note { "Of the " (of) (split) " rows." } (heat::confusion(&names, counts)) })
}

/// What the rows of the table of classes are called.
pub fn title(run: &RunFiles) -> &'static str {
    match run.measured() {
        Some((_, Report::Tokens(_))) => "Entity types",
        Some((_, Report::Words(_))) => "Tags",
        Some((_, Report::MultiLabel(_))) => "Labels",
        _ => "Classes",
    }
}

/// Precision, recall and F1 of each.
pub fn per_class(run: &RunFiles) -> Option<Markup> {
    let (split, report) = run.measured()?;
    let bar = |share: f64| Cell::Bar(format!("{share:.4}"), share);
    let cells = |class: &ClassMetrics| {
        vec![
            Cell::Text(class.name.clone()),
            Cell::count(class.support),
            bar(class.precision),
            bar(class.recall),
            bar(class.f1),
        ]
    };
    let (name, support, last, rows): (_, _, Vec<&str>, Vec<Vec<Cell>>) = match report {
        Report::Classification(report) => {
            let detail = run.evaluation.as_ref().and_then(|evaluation| evaluation.measured.as_ref()?.detail.as_ref());
            let rankings: &[ClassRanking] = detail.map_or(&[], |detail| &detail.rankings);
            // The probabilities are those of the same rows.
            let ranked = rankings.len() == report.per_class.len();
            let row = |(n, class): (usize, &ClassMetrics)| {
                let mut row = cells(class);
                if ranked {
                    row.extend([Cell::figure(rankings[n].roc_auc), Cell::figure(rankings[n].average_precision)]);
                }
                row
            };
            let last = if ranked { vec!["ROC-AUC", "average precision"] } else { Vec::new() };
            ("class", "rows", last, report.per_class.iter().enumerate().map(row).collect())
        }
        Report::MultiLabel(report) => {
            let row = |(class, &threshold)| {
                [cells(class), vec![Cell::figure(Some(threshold))]].into_iter().flatten().collect()
            };
            ("label", "rows", vec!["threshold"], report.per_label.iter().zip(&report.thresholds).map(row).collect())
        }
        Report::Tokens(report) => ("type", "entities", Vec::new(), report.per_type.iter().map(cells).collect()),
        Report::Words(report) => ("tag", "words", Vec::new(), report.per_class.iter().map(cells).collect()),
        Report::Regression(_) | Report::Masked(_) => return None,
    };
    let headings = [vec![name, support, "precision", "recall", "F1"], last].concat();
    let caption = format!("Of the {split} rows. A click on a heading sorts.");
    Some(table(&caption, &headings, &rows, true))
}

/// The temperature of the probabilities, and whether it was fitted on the rows that it is shown for.
fn temperature(run: &RunFiles, split: &str) -> Option<String> {
    Some(match run.results.calibration.as_ref()? {
        Temperature::Missing { why } => format!("No temperature was fitted: {why}."),
        Temperature::Fitted { temperature, standard_error, rows } => {
            let error = standard_error.map(|error| format!(" ± {error:.3}")).unwrap_or_default();
            let own = match split {
                "validation" => {
                    ". These are the rows that are measured here, so that on others the error is likely larger than shown: name --test for a figure that can be told others."
                }
                _ => ", and measured here on others.",
            };
            format!(
                "The logits are divided by the temperature {temperature:.3}{error}, which was fitted on the {} validation rows{own}",
                grouped(*rows)
            )
        }
    })
}

/// The reliability of probabilities.
pub fn calibration(run: &RunFiles) -> Option<Markup> {
    let measured = run.evaluation.as_ref()?.measured.as_ref()?;
    let detail = measured.detail.as_ref()?;
    let error = detail.calibration_error?;
    let filled = detail.reliability.iter().filter(|bin| bin.rows > 0);
    let mean = |of: fn(&ferrotune_train::metrics::ReliabilityBin) -> Option<f64>| {
        let rows: u64 = detail.reliability.iter().map(|bin| bin.rows).sum();
        let sum: f64 = filled.clone().filter_map(|bin| Some(of(bin)? * bin.rows as f64)).sum();
        sum / rows as f64
    };
    let (confidence, accuracy) = (mean(|bin| bin.confidence), mean(|bin| bin.accuracy));
    let verdict = if confidence > accuracy { "over-confident" } else { "under-confident" };
    let row = |bin: &ferrotune_train::metrics::ReliabilityBin| {
        vec![
            Cell::Number(format!("{:.3} to {:.3}", bin.above, bin.up_to), bin.above),
            Cell::count(bin.rows),
            Cell::figure(bin.confidence),
            Cell::figure(bin.accuracy),
        ]
    };
    let rows: Vec<Vec<Cell>> = filled.clone().map(row).collect();
    Some(html! {
        p { "Expected calibration error " strong { (number(Some(error))) } " over " (detail.reliability.len()) " bins of the " (measured.split)
            " rows; Brier score " (number(detail.brier)) "." }
        @if let Some(said) = temperature(run, &measured.split) { p.note { (said) } }
        p.note { "The predictions have a mean probability of " (percent(confidence)) " and " (percent(accuracy)) " of them are right: "
            @if (confidence - accuracy).abs() < 0.005 { "on the whole the model says what it knows." } @else { "on the whole the model is " (verdict) "." } }
        div.beside {
            (reliability(&detail.reliability))
            (table("Bins of the probability of the predicted class", &["probability", "rows", "mean", "right"], &rows, false))
        }
    })
}

/// Predicted against true numbers.
pub fn numbers(run: &RunFiles) -> Option<Markup> {
    let measured = run.evaluation.as_ref()?.measured.as_ref()?;
    if measured.points.is_empty() {
        return None;
    }
    let rows = run.measured().map_or(0, |(_, report)| report.summary().rows as usize);
    Some(html! {
        p.note { "Of the " (measured.split) " rows"
            @if measured.points.len() < rows { ", " (measured.points.len()) " of " (rows) }
            ". On the dashed line the prediction is right." }
        div.charts { (scatter(&measured.points)) }
    })
}
