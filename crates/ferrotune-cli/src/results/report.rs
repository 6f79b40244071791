//! What a person reads about a result: one line of metrics, a table of classes, a confusion matrix. It must not know where the result comes from.

use ferrotune_train::metrics::{ClassMetrics, EntityReport, MetricName, MultiLabelReport, Report, WordReport};
use std::fmt::Write;

/// One line: the metrics of a split.
pub fn line(split: &str, report: &Report) -> String {
    let summary = report.summary();
    let metrics: Vec<String> = summary.values.iter().map(|&(name, value)| metric(name, value)).collect();
    format!("{split}: {}   ({} rows)", metrics.join("   "), summary.rows)
}

/// A metric as a person reads it.
pub fn metric(name: MetricName, value: f64) -> String {
    format!("{} {}", word(name), bare(name, value))
}

/// Its value alone.
pub fn bare(name: MetricName, value: f64) -> String {
    match name {
        MetricName::Accuracy | MetricName::SubsetAccuracy => format!("{:.2} %", 100.0 * value),
        MetricName::Perplexity => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// Its name.
pub fn word(name: MetricName) -> &'static str {
    match name {
        MetricName::Loss => "loss",
        MetricName::Perplexity => "perplexity",
        MetricName::Accuracy => "accuracy",
        MetricName::F1Macro => "macro F1",
        MetricName::Mcc => "MCC",
        MetricName::F1Micro => "micro F1",
        MetricName::PrecisionMicro => "precision",
        MetricName::RecallMicro => "recall",
        MetricName::SubsetAccuracy => "subset accuracy",
        MetricName::Pearson => "Pearson",
        MetricName::Spearman => "Spearman",
        MetricName::Mse => "MSE",
        MetricName::Mae => "MAE",
    }
}

/// The line, and the tables that belong to the task.
pub fn text(split: &str, report: &Report) -> String {
    let tables = match report {
        Report::Classification(report) => {
            format!("\n\n{}\n{}", classes(&report.per_class), confusion(&report.per_class, &report.confusion))
        }
        Report::MultiLabel(report) => format!("\n\n{}", labels(report)),
        Report::Tokens(report) => format!("\n\n{}", types(report)),
        Report::Words(report) => format!("\n\n{}", words(report)),
        Report::Regression(_) | Report::Masked(_) => String::new(),
    };
    line(split, report) + &tables
}

/// A table with precision, recall and F1 of each class.
fn classes(per_class: &[ClassMetrics]) -> String {
    table(["class", "rows"], per_class)
}

/// The same under other names of the first and the last column.
fn table([name, support]: [&str; 2], per_class: &[ClassMetrics]) -> String {
    let width = per_class.iter().map(|class| class.name.chars().count()).max().unwrap_or(0).max(5);
    let mut text = format!("{name:<width$}  precision  recall  F1      {support}\n");
    for class in per_class {
        let _ = writeln!(
            text,
            "{:<width$}  {:<9.4}  {:<6.4}  {:<6.4}  {}",
            class.name, class.precision, class.recall, class.f1, class.support
        );
    }
    text
}

/// The same for types of entities, of which the last column counts entities, and their means.
fn types(report: &EntityReport) -> String {
    let mean = |name: &str, precision, recall, f1| {
        let support = report.entities;
        ClassMetrics { name: name.to_string(), precision, recall, f1, support }
    };
    let means = [
        mean("(micro)", report.precision_micro, report.recall_micro, report.f1_micro),
        mean("(macro)", report.precision_macro, report.recall_macro, report.f1_macro),
    ];
    let table = table(["type", "entities"], &[&report.per_type[..], &means].concat());
    format!("{table}{} words; entities as seqeval counts them, in its default mode\n", report.words)
}

/// The same for classes of words.
fn words(report: &WordReport) -> String {
    let table = table(["tag", "words"], &report.per_class);
    let left_out = match report.silent_words {
        0 => String::new(),
        count => format!(", and {count} of which the tokenizer leaves nothing, which are not counted"),
    };
    let matrix = confusion(&report.per_class, &report.confusion);
    format!("{table}\n{matrix}\n{} words{left_out}\n", report.words)
}

/// The same for labels, with the probability from which each was given.
fn labels(report: &MultiLabelReport) -> String {
    let thresholds = std::iter::once("  threshold".to_string())
        .chain(report.thresholds.iter().map(|threshold| format!("  {threshold:.4}")));
    let table = classes(&report.per_label);
    let width = table.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    table.lines().zip(thresholds).map(|(line, threshold)| format!("{line:<width$}{threshold}\n")).collect()
}

/// Classes beyond this number make a matrix that no terminal shows; the most confused pairs are listed instead.
const MATRIX_CLASSES: usize = 20;

/// Names of at most so many characters head their columns.
const SHORT_NAME: usize = 6;

/// The confusion matrix, true classes down and predictions across; for many classes the most confused pairs.
fn confusion(per_class: &[ClassMetrics], counts: &[Vec<u64>]) -> String {
    let names: Vec<&str> = per_class.iter().map(|class| class.name.as_str()).collect();
    if names.len() > MATRIX_CLASSES {
        return confused_pairs(counts, &names);
    }
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    // Numbers stand for long names; short ones stand for themselves, or labels that are numbers would be taken for others.
    let numbered = width > SHORT_NAME;
    let number = |place: usize| if numbered { (place + 1).to_string() } else { names[place].to_string() };
    let widest = (0..names.len()).map(|place| number(place).chars().count()).max().unwrap_or(0);
    let cell = counts.iter().flatten().max().map_or(1, |n| n.to_string().len()).max(2).max(widest);
    let before = if numbered { "     " } else { " " };
    let width = width.max("true".len());
    let mut text = format!("{:<width$}{before} predicted\n{:<width$}{before}", "true", "");
    for place in 0..names.len() {
        let _ = write!(text, " {:>cell$}", number(place));
    }
    text.push('\n');
    for (place, (name, row)) in names.iter().zip(counts).enumerate() {
        let own = if numbered { format!("  {:>2} ", place + 1) } else { before.to_string() };
        let _ = write!(text, "{name:<width$}{own}");
        for count in row {
            let shown = if *count == 0 { "·".to_string() } else { count.to_string() };
            let _ = write!(text, " {shown:>cell$}");
        }
        text.push('\n');
    }
    text
}

fn confused_pairs(counts: &[Vec<u64>], names: &[&str]) -> String {
    let mut pairs = Vec::new();
    for (i, row) in counts.iter().enumerate() {
        pairs.extend(row.iter().enumerate().filter(|&(j, &n)| i != j && n > 0).map(|(j, &n)| (n, i, j)));
    }
    pairs.sort_by(|a, b| b.cmp(a));
    let mut text = String::from("most confused (how many: true class -> prediction)\n");
    for (n, i, j) in pairs.into_iter().take(10) {
        let _ = writeln!(text, "{n:>4}  {} -> {}", names[i], names[j]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrotune_train::metrics::Confusion;

    /// The matrix of three classes with these names.
    fn matrix(names: [&str; 3]) -> String {
        let mut counts = Confusion::new(3);
        [(0, 0), (0, 2), (1, 1), (2, 2), (2, 2)].iter().for_each(|&(label, said)| counts.add(label, said));
        let report = counts.report(0.5, &names.map(str::to_string));
        confusion(&report.per_class, &report.confusion)
    }

    #[test]
    fn short_names_head_their_columns_and_numbers_stand_for_long_ones() {
        assert_eq!(
            matrix(["-1", "0", "1"]),
            "true  predicted\n      -1  0  1\n-1     1  ·  1\n0      ·  1  ·\n1      ·  ·  2\n"
        );
        assert_eq!(
            matrix(["late", "refunded", "lost"]),
            "true          predicted\n               1  2  3\nlate       1   1  ·  1\nrefunded   2   ·  1  ·\nlost       3   ·  ·  2\n"
        );
    }
}
