//! Labels that are numbers: their order, and whether they are rather something to measure than names. It knows nothing of audits.

use crate::Table;
use std::collections::BTreeSet;

/// Sorted names in the order of their values, if all are whole numbers as programs write them.
pub(crate) fn in_order(names: BTreeSet<String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().collect();
    let value = |name: &String| name.parse::<i64>().ok().filter(|value| value.to_string() == *name);
    if names.iter().all(|name| value(name).is_some()) {
        names.sort_by_key(value);
    }
    names
}

/// One of the labels, if all of them are numbers and this one has a fraction: such a column is likely to be learned as numbers.
pub fn real_numbers(table: &Table) -> Option<&str> {
    let labels = || table.rows.iter().filter_map(|row| row.label.as_deref());
    let real = |label: &&str| number(label).is_some_and(|number| !number.ends_with('.'));
    labels().find(real).filter(|_| labels().all(|label| number(label).is_some()))
}

/// The number that a name writes, in one way: `1.` of `01`, `+1` and `1.0`. As text, since numbers of customers have more digits than a float.
pub(crate) fn number(name: &str) -> Option<String> {
    let (sign, digits) = match name.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", name.strip_prefix('+').unwrap_or(name)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let sign = if whole.is_empty() && fraction.is_empty() { "" } else { sign };
    Some(format!("{sign}{whole}.{fraction}"))
}
