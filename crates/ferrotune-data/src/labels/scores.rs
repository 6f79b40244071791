//! Rows with a number instead of a class. It knows nothing of names.

use crate::{DataError, Table};

/// The number of each row.
///
/// # Errors
/// The first row whose label is missing, is no number, or is not finite as f32; the message counts all such rows.
pub fn encode_scores(table: &Table) -> Result<Vec<f64>, DataError> {
    let mut scores = Vec::with_capacity(table.rows.len());
    let mut bad = None;
    let mut rows = 0;
    for row in &table.rows {
        let label = row.label.as_deref().unwrap_or_default();
        match parse_score(label) {
            Some(score) => scores.push(score),
            None => {
                rows += 1;
                bad = bad.or(Some((row.line, label)));
            }
        }
    }
    let Some((line, label)) = bad else { return Ok(scores) };
    Err(DataError::NotANumber { file: table.path.display().to_string(), line, value: label.to_owned(), rows })
}

/// A finite number that also f32 can hold.
pub fn parse_score(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|score| (*score as f32).is_finite())
}
