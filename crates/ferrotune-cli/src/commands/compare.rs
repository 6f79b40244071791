//! `ferrotune compare`: finished runs side by side, as a table in the terminal and as a page. It must not know what makes runs comparable.

use crate::args::CompareArgs;
use crate::exit::Failure;
use crate::html;
use crate::results::comparison::{Comparison, Entry, Figure};
use crate::results::report::bare;
use crate::run::replaced::check_replaced;
use ferrotune_train::metrics::MetricName;
use ferrotune_train::store::replace_file;

/// Runs the command.
pub fn run(args: &CompareArgs) -> Result<(), Failure> {
    if let Some(path) = &args.html {
        check_replaced(path, args.overwrite)?;
    }
    let comparison = Comparison::read(&args.runs)?;
    comparison.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    print!("{}", text(&comparison));
    if let Some(path) = &args.html {
        replace_file(path, html::compare::compare(&comparison).as_bytes())?;
        println!("page       {}", path.display());
    }
    Ok(())
}

/// One line for each run: what it came to, its speed, and the settings that differ.
fn text(comparison: &Comparison) -> String {
    let mut columns: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |name: &str, of: &dyn Fn(usize, &Entry) -> String| {
        let values = comparison.entries.iter().enumerate().map(|(n, entry)| of(n, entry)).collect();
        columns.push((name.to_string(), values));
    };
    add("run", &|_, entry| crate::terminal::shown::short(&entry.name, 40));
    for (n, &name) in comparison.metrics.iter().filter(|metric| **metric != MetricName::Loss).take(2).enumerate() {
        add(name.name(), &|_, entry| entry.figure(name).map_or_else(dash, |figure| shown(name, figure)));
        if n == 0 && comparison.entries.iter().any(|entry| entry.interval(name).is_some()) {
            let ends = |entry: &Entry| {
                entry.interval(name).map(|ends| format!("{} to {}", bare(name, ends.low), bare(name, ends.high)))
            };
            add("95 % interval", &|_, entry| ends(entry).unwrap_or_else(dash));
        }
    }
    if comparison.entries.iter().any(|entry| entry.runs.len() > 1) {
        add("seeds", &|_, entry| entry.runs.len().to_string());
    }
    add("rows/s", &|_, entry| entry.speed().map_or_else(dash, |figure| format!("{:.1}", figure.value)));
    add("seconds", &|_, entry| entry.seconds().map_or_else(dash, |figure| format!("{:.1}", figure.value)));
    for (name, values) in &comparison.differences {
        add(name, &|n, _| crate::terminal::shown::short(&values[n], 30));
    }
    lines(&columns)
}

fn dash() -> String {
    "-".to_string()
}

fn shown(name: MetricName, figure: Figure) -> String {
    let spread = figure.deviation.map(|deviation| format!(" ± {}", bare(name, deviation))).unwrap_or_default();
    bare(name, figure.value) + &spread
}

/// Columns under their names, two blanks apart.
fn lines(columns: &[(String, Vec<String>)]) -> String {
    let width = |(name, values): &(String, Vec<String>)| {
        values.iter().chain([name]).map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = columns.iter().map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    let rows = columns.first().map_or(0, |(_, values)| values.len());
    let mut text = line(columns.iter().map(|(name, _)| &**name).collect());
    for row in 0..rows {
        text += &line(columns.iter().map(|(_, values)| &*values[row]).collect());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_show_their_spread() {
        assert_eq!(shown(MetricName::Accuracy, Figure { value: 0.9, deviation: Some(0.01) }), "90.00 % ± 1.00 %");
        assert_eq!(shown(MetricName::Mse, Figure { value: 2.0, deviation: None }), "2.0000");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let column = |name: &str, values: [&str; 2]| (name.to_string(), values.map(String::from).to_vec());
        let text = lines(&[column("run", ["a", "lönger"]), column("lr", ["2e-5", "-"])]);
        assert_eq!(text, "run     lr\na       2e-5\nlönger  -\n");
    }
}
