//! How the run went: loss, metrics, learning rate and gradient norm over the steps.

use super::summary::chosen;
use crate::html::axis::Scale;
use crate::html::chart::{Chart, Look, Series, line_chart, smoothed};
use crate::html::table::{Cell, table};
use crate::html::{title, value};
use crate::results::report::word;
use crate::run::files::{RunFiles, Step};
use ferrotune_train::metrics::MetricName;
use maud::{Markup, html};

/// A gradient norm that varies by more than this factor is drawn by its logarithm.
const WIDE: f64 = 50.0;

/// The charts, and a table of the epochs.
pub fn curves(run: &RunFiles) -> Option<Markup> {
    if run.steps.is_empty() && run.evaluations.is_empty() {
        return None;
    }
    let metric = run.results.validation.as_ref().map(|report| chosen(run, report));
    // The loss has a chart of its own, and one evaluation is no curve.
    let shown = metric.filter(|&metric| metric != loss_name(run) && measured(run, metric).len() > 1);
    let end = run.results.train.steps as f64;
    let norms: Vec<(f64, f64)> = steps(run, |step| step.gradient_norm);
    let wide = {
        let positive = norms.iter().map(|&(_, y)| y).filter(|&y| y > 0.0);
        let (low, high) = positive.fold((f64::INFINITY, 0f64), |(low, high), y| (low.min(y), high.max(y)));
        high > WIDE * low
    };
    Some(html! {
        div.charts {
            (line_chart(&Chart { title: "Loss", x: "step", scale: Scale::Linear, series: losses(run), end, mark: kept(run) }))
            @if let Some(metric) = shown {
                @let name = format!("Validation {}", word(metric));
                @let series = Series { name: name.clone(), points: measured(run, metric), look: Look::Marks, colour: 1 };
                (line_chart(&Chart { title: &name, x: "step", scale: Scale::Linear, series: vec![series], end, mark: kept(run) }))
            }
            (line_chart(&Chart {
                title: "Learning rate", x: "step", scale: Scale::Linear, end, mark: None,
                series: vec![Series { name: "learning rate".into(), points: steps(run, |step| step.learning_rate), look: Look::Line, colour: 2 }],
            }))
            (line_chart(&Chart {
                title: "Gradient norm", x: "step", scale: if wide { Scale::Log } else { Scale::Linear }, end, mark: None,
                series: vec![Series { name: "gradient norm before clipping".into(), points: norms, look: Look::Line, colour: 3 }],
            }))
        }
        @if kept(run).is_some() { p.note { "The dotted line is the step whose weights were kept." } }
        (epochs(run, metric))
    })
}

/// What stands for the loss among the metrics of the run.
fn loss_name(run: &RunFiles) -> MetricName {
    let logged = run.evaluations.iter().any(|evaluated| evaluated.value(MetricName::Loss).is_some());
    if logged { MetricName::Loss } else { MetricName::Mse }
}

/// A number of the logged steps.
pub fn steps(run: &RunFiles, of: impl Fn(&Step) -> Option<f64>) -> Vec<(f64, f64)> {
    run.steps.iter().filter_map(|step| Some((step.step as f64, of(step)?))).collect()
}

/// The training loss, smoothed the more the more steps were logged.
pub fn smooth_loss(run: &RunFiles) -> Vec<(f64, f64)> {
    let points = steps(run, |step| step.loss);
    let keep = 1.0 - (24.0 / points.len().max(1) as f64).clamp(0.04, 0.5);
    smoothed(&points, keep)
}

/// A metric of the evaluations on validation rows.
pub fn measured(run: &RunFiles, metric: MetricName) -> Vec<(f64, f64)> {
    let of_validation = run.evaluations.iter().filter(|evaluated| evaluated.split == "validation");
    of_validation.filter_map(|evaluated| Some((evaluated.step as f64, evaluated.value(metric)?))).collect()
}

fn losses(run: &RunFiles) -> Vec<Series> {
    let raw = steps(run, |step| step.loss);
    let faint = Series { name: "training, each logged step".into(), points: raw, look: Look::Faint, colour: 0 };
    let line = Series { name: "training, smoothed".into(), points: smooth_loss(run), look: Look::Line, colour: 0 };
    let points = measured(run, loss_name(run));
    let validation = Series { name: "validation".into(), points, look: Look::Marks, colour: 1 };
    vec![faint, line, validation]
}

/// The step of the best epoch.
fn kept(run: &RunFiles) -> Option<(f64, String)> {
    let best = run.results.best_epoch;
    let evaluated =
        run.evaluations.iter().rfind(|evaluated| evaluated.split == "validation" && evaluated.epoch == best)?;
    run.results.averaged_epochs.is_empty().then(|| (evaluated.step as f64, format!("epoch {best} was kept")))
}

fn epochs(run: &RunFiles, metric: Option<MetricName>) -> Markup {
    let measured = run.results.epochs.iter().any(|epoch| epoch.validation.is_some());
    let metric = metric.filter(|&metric| measured && metric != loss_name(run));
    let mut headings = vec!["epoch", "training loss"];
    headings.extend(measured.then_some("validation loss"));
    let name = metric.map(title);
    headings.extend(name.as_deref());
    let row = |(n, epoch): (usize, &ferrotune_train::advice::Epoch)| {
        let kept = if measured && n as u64 + 1 == run.results.best_epoch { " (best)" } else { "" };
        let mut cells = vec![Cell::Number(format!("{}{kept}", n + 1), n as f64), Cell::figure(Some(epoch.train_loss))];
        if measured {
            cells.push(Cell::figure(epoch.validation.map(|validation| validation.loss)));
        }
        if let Some(metric) = metric {
            let number = epoch.validation.map_or(f64::NAN, |validation| validation.value);
            cells.push(Cell::Number(value(metric, number), number));
        }
        cells
    };
    let rows: Vec<Vec<Cell>> = run.results.epochs.iter().enumerate().map(row).collect();
    if rows.is_empty() {
        html! {}
    } else {
        table("Epochs", &headings, &rows, false)
    }
}
