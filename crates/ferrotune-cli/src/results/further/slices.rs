//! Parts of the rows by the values of a column, or by length: which rows belong to each, and how the figures of each are shown. It computes none.

use super::{Evaluated, p_value, percent};
use crate::exit::Failure;
use crate::terminal::shown::short;
use ferrotune_data::{Table, Tokenizer};
use ferrotune_train::metrics::{Against, Interval, LEVEL, Slice, quantiles};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Numbers with more different values than this are cut into ranges.
const MOST_NUMBERS: usize = 20;
/// Into so many.
const RANGES: usize = 5;
/// Slices of a column that are shown; JSON has all.
const SHOWN: usize = 20;
/// Characters of a value that are shown.
const WIDTH: usize = 32;

/// The slices of a column, or of lengths.
#[derive(Debug, Serialize)]
pub struct Slicing {
    by: String,
    slices: Vec<Named>,
}

/// A slice and what its rows have in common.
#[derive(Debug, Serialize)]
struct Named {
    /// The value of the column; of numbers in a range nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// The least and the greatest number of the rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<[f64; 2]>,
    #[serde(flatten)]
    slice: Slice,
}

/// Rows that have something in common.
struct Members {
    value: Option<String>,
    range: Option<[f64; 2]>,
    rows: Vec<usize>,
}

/// The slices that were asked for; `None` if none were. The p-values of all are adjusted together.
///
/// # Errors
/// Rows that cannot be cut into tokens.
pub fn of(evaluated: &Evaluated<'_>) -> Result<Option<Vec<Slicing>>, Failure> {
    let further = &evaluated.args.further;
    let mut slicings: Vec<(String, Vec<Members>)> =
        further.slice_by.iter().zip(evaluated.fields).map(|(name, fields)| (name.clone(), by_value(fields))).collect();
    if let Some(ranges) = further.slice_by_length {
        slicings.push(("length in tokens".to_string(), by_length(evaluated.table, evaluated.tokenizer, ranges)?));
    }
    if slicings.is_empty() {
        return Ok(None);
    }
    let rows: Vec<Vec<usize>> =
        slicings.iter().flat_map(|(_, slices)| slices.iter().map(|slice| slice.rows.clone())).collect();
    let mut measured = evaluated.classified.slices(&rows, further.seed).into_iter();
    let named = |(by, slices): (String, Vec<Members>)| {
        let mut slices: Vec<Named> = slices
            .into_iter()
            .zip(measured.by_ref())
            .map(|(Members { value, range, .. }, slice)| Named { value, range, slice })
            .collect();
        // A slice of one wrong row has accuracy 0 and says nothing: those come first that are bad at best.
        slices.sort_by(|a, b| {
            let key = |named: &Named| (named.slice.accuracy_interval.high, named.slice.accuracy);
            let ((a_high, a_accuracy), (b_high, b_accuracy)) = (key(a), key(b));
            a_high.total_cmp(&b_high).then(a_accuracy.total_cmp(&b_accuracy))
        });
        Slicing { by, slices }
    };
    Ok(Some(slicings.into_iter().map(named).collect()))
}

/// The rows of each value; numbers with many values in ranges, and rows without a value by themselves.
fn by_value(fields: &[String]) -> Vec<Members> {
    let mut values: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    fields.iter().enumerate().for_each(|(row, field)| values.entry(field.trim()).or_default().push(row));
    let number = |field: &str| field.parse::<f64>().ok().filter(|number| number.is_finite());
    let numbers: Option<Vec<f64>> =
        values.keys().filter(|value| !value.is_empty()).map(|value| number(value)).collect();
    let different = numbers.map_or(0, |numbers| numbers.into_iter().map(f64::to_bits).collect::<BTreeSet<_>>().len());
    if different <= MOST_NUMBERS {
        let members = |(value, rows): (&str, Vec<usize>)| Members { value: Some(value.to_string()), range: None, rows };
        return values.into_iter().map(members).collect();
    }
    let empty = values.remove("");
    let rows: Vec<usize> = values.into_values().flatten().collect();
    let numbers: Vec<f64> = rows.iter().map(|&row| number(fields[row].trim()).expect("all are numbers")).collect();
    let empty = empty.map(|rows| Members { value: Some(String::new()), range: None, rows });
    in_ranges(&numbers, RANGES, |place| rows[place]).into_iter().chain(empty).collect()
}

/// Rows by their number of tokens before anything is cut off, special ones included.
fn by_length(table: &Table, tokenizer: &Tokenizer, ranges: usize) -> Result<Vec<Members>, Failure> {
    let length = |row| tokenizer.length(row).map(|length| length as f64);
    let lengths = table.rows.iter().map(length).collect::<Result<Vec<_>, _>>()?;
    Ok(in_ranges(&lengths, ranges, |row| row))
}

fn in_ranges(numbers: &[f64], ranges: usize, row: impl Fn(usize) -> usize) -> Vec<Members> {
    let members = |(least, most, places): (f64, f64, Vec<usize>)| Members {
        value: None,
        range: Some([least, most]),
        rows: places.into_iter().map(&row).collect(),
    };
    quantiles(numbers, ranges).into_iter().map(members).collect()
}

impl Slicing {
    /// As a table.
    pub fn text(&self) -> String {
        let shown = &self.slices[..self.slices.len().min(SHOWN)];
        let names: Vec<String> = shown.iter().map(Named::name).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
        let mut text = format!(
            "slices by {}, the worst first (by the upper end of the interval of the accuracy)\n",
            short(&self.by, WIDTH)
        );
        let _ = writeln!(
            text,
            "{:<width$}  rows    accuracy  95 % interval     macro F1  95 % interval     other rows  p",
            "value"
        );
        for (name, Named { slice, .. }) in names.iter().zip(shown) {
            let of_rest = |value: Option<String>| value.unwrap_or_else(|| "-".to_string());
            let difference = match slice.against_rest {
                Against::Worse => "  worse",
                Against::Better => "  better",
                Against::Alike => "",
            };
            let _ = writeln!(
                text,
                "{name:<width$}  {:<6}  {:<8}  {:<16}  {:<8.4}  {:<16}  {:<10}  {}{difference}",
                slice.rows,
                percent(slice.accuracy),
                percents(slice.accuracy_interval),
                slice.f1_macro,
                slice.f1_macro_interval.map_or("-".to_string(), |i| format!("{:.4} to {:.4}", i.low, i.high)),
                of_rest(slice.rest.map(percent)),
                of_rest(slice.p_adjusted.map(p_value)),
            );
        }
        if self.slices.len() > SHOWN {
            let _ = writeln!(text, "and {} more (--json has all)", self.slices.len() - SHOWN);
        }
        let _ = writeln!(
            text,
            "p: Fisher's exact test of a slice against all other rows, adjusted for all slices (Holm); below {LEVEL} they differ"
        );
        text
    }
}

impl Named {
    fn name(&self) -> String {
        match (&self.value, self.range) {
            (_, Some([least, most])) if least == most => format!("{least}"),
            (_, Some([least, most])) => format!("{least} to {most}"),
            (Some(value), _) if !value.is_empty() => short(value, WIDTH),
            _ => "(empty)".to_string(),
        }
    }
}

fn percents(interval: Interval) -> String {
    format!("{:.2} to {:.2}", 100.0 * interval.low, 100.0 * interval.high)
}
