//! What a run came to, in a few numbers. It must not know how they were measured.

use crate::html::table::{Cell, table};
use crate::html::{grouped, interval, title, value};
use crate::results::confidence::percent;
use crate::results::report::word;
use crate::run::files::RunFiles;
use ferrotune_train::metrics::{MetricName, Report};
use maud::{Markup, html};

/// One line: the task and the model.
pub fn subtitle(run: &RunFiles) -> String {
    let named = |key: &str| run.settings.get(key).and_then(toml::Value::as_str).map(last_part);
    let task = run.evaluation.as_ref().map(|evaluation| evaluation.task.clone());
    let task = task.or_else(|| named("task")).unwrap_or_else(|| "masked language modelling".to_string());
    let model = named("model").map(|model| format!(" with {model}")).unwrap_or_default();
    let rows = named("train").or_else(|| named("text")).map(|rows| format!(" on {rows}")).unwrap_or_default();
    format!("{task}{model}{rows}")
}

/// Of a path its last part: where files lie on a machine is nobody's affair. Hub ids stay as they are.
fn last_part(path: &str) -> String {
    let is_path = path.starts_with(['/', '.', '~']) || path.contains('\\') || path.matches('/').count() > 1;
    let last = path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next();
    if is_path { last.unwrap_or(path).to_string() } else { path.to_string() }
}

/// Tiles, a table of metrics, and what is behind them.
pub fn summary(run: &RunFiles) -> Markup {
    let results = &run.results;
    html! {
        dl.tiles {
            @if let Some((split, report)) = run.measured() { @let chosen = chosen(run, report);
                @for (metric, measured) in first(report, chosen) {
                    (tile(&format!("{} {}", capital(split), word(metric)), &value(metric, measured), run.interval(metric).map(|ends| format!("95 %: {}", interval(metric, ends)))))
                }
            }
            @if let Some(evaluation) = &run.evaluation {
                @let parts: Vec<String> = ["validation", "test"].into_iter()
                    .filter_map(|part| Some(format!("{} {part}", grouped(*evaluation.rows.get(part)? as u64)))).collect();
                (tile("Training rows", &grouped(evaluation.rows.get("train").copied().unwrap_or(0) as u64), (!parts.is_empty()).then(|| parts.join(", "))))
            }
            @if let Some(rows) = results.train.samples_per_second {
                (tile("Rows a second", &grouped(rows.round() as u64), Some(format!("{:.1} s in {} steps", results.train.seconds, grouped(results.train.steps)))))
            }
            @if let Some(mib) = results.peak_memory_mib { (tile("Peak memory", &format!("{mib:.0} MiB"), None)) }
        }
        (metrics(run))
        @for note in notes(run) { p.note { (note) } }
    }
}

fn tile(name: &str, shown: &str, below: Option<String>) -> Markup {
    html! { div { dt { (name) } dd { (shown) @if let Some(below) = below { small { (below) } } } } }
}

/// The metric that chose the best epoch if the report has it, else its first.
pub fn chosen(run: &RunFiles, report: &Report) -> MetricName {
    let values = report.summary().values;
    run.metric().filter(|metric| values.iter().any(|(name, _)| name == metric)).unwrap_or(values[0].0)
}

/// The chosen metric and the next one that is no loss.
fn first(report: &Report, chosen: MetricName) -> Vec<(MetricName, f64)> {
    let summary = report.summary();
    let other = summary.values.iter().find(|(name, _)| *name != chosen && *name != MetricName::Loss);
    std::iter::once((chosen, summary.value(chosen))).chain(other.copied()).collect()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// All metrics of all parts.
fn metrics(run: &RunFiles) -> Markup {
    let results = &run.results;
    let reports = [
        ("test", &results.test),
        ("validation", &results.validation),
        ("validation, thresholds fitted on it", &results.validation_fitted),
    ];
    let reports: Vec<(&str, &Report)> =
        reports.into_iter().filter_map(|(name, report)| Some((name, report.as_ref()?))).collect();
    let Some((measured, first)) = run.measured() else {
        return html! { p.note { "Nothing was measured: the run had neither validation nor test rows." } };
    };
    let intervals = first.summary().values.iter().any(|&(metric, _)| run.interval(metric).is_some());
    let ends = format!("95 % interval, {measured}");
    let mut headings = vec!["metric"];
    headings.extend(reports.iter().map(|(name, _)| *name));
    headings.extend(intervals.then_some(&*ends));
    let row = |&(metric, _): &(MetricName, f64)| {
        let mut cells = vec![Cell::Text(title(metric))];
        let number = |report: &Report| {
            report.summary().values.iter().find(|(name, _)| *name == metric).map_or(f64::NAN, |found| found.1)
        };
        cells.extend(reports.iter().map(|(_, report)| Cell::Number(value(metric, number(report)), number(report))));
        if intervals {
            let ends = run.interval(metric).map_or_else(|| "–".to_string(), |ends| interval(metric, ends));
            cells.push(Cell::Number(ends, 0.0));
        }
        cells
    };
    let mut rows: Vec<Vec<Cell>> = first.summary().values.iter().map(row).collect();
    let mut counts = vec![Cell::Text("Rows".to_string())];
    counts.extend(reports.iter().map(|(_, report)| Cell::count(report.summary().rows)));
    counts.extend(intervals.then(|| Cell::Text(String::new())));
    rows.push(counts);
    table("Metrics", &headings, &rows, false)
}

fn notes(run: &RunFiles) -> Vec<String> {
    let results = &run.results;
    let mut notes = Vec::new();
    if results.validation.is_some() {
        notes.push(match &results.averaged_epochs[..] {
            [] => format!("The weights are those of epoch {}, the best on the validation rows.", results.best_epoch),
            epochs => {
                let epochs: Vec<String> = epochs.iter().map(u64::to_string).collect();
                format!("The weights are the mean of those of epochs {}.", epochs.join(", "))
            }
        });
    }
    let held_out = run.settings.get("validation-share").and_then(toml::Value::as_float).filter(|share| *share > 0.0);
    if let Some(share) = held_out {
        notes.push(format!("The validation rows are {} % of the training file, held out.", percent(share)));
    }
    // `pretrain` has no test rows.
    if results.test.is_none() && results.validation.is_some() && !results.epochs.is_empty() {
        notes.push(
            "The validation rows chose the weights, so that on other rows the model is a little worse than shown: name --test for a figure that can be told others."
                .to_string(),
        );
    }
    if results.restarts > 0 {
        let (seed, restarts) = (results.seed, results.restarts);
        notes.push(format!(
            "The run learned one answer for all rows and began again {restarts} times; this is seed {seed}."
        ));
    }
    if run.interval(MetricName::Accuracy).is_some() {
        notes.push("The intervals hold the chance of the rows that were drawn, and not that of training: several --seeds show that.".to_string());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::last_part;

    #[test]
    fn paths_lose_their_folders_and_ids_stay() {
        for (path, shown) in [
            ("sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"),
            ("/home/me/model/", "model"),
            ("./data/train.csv", "train.csv"),
            ("a/b/c.csv", "c.csv"),
            ("C:\\data\\train.csv", "train.csv"),
            ("train.csv", "train.csv"),
        ] {
            assert_eq!(last_part(path), shown);
        }
    }
}
