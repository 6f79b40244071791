//! The training rows that are nearest to some rows for a fine-tuned encoder. It must not know why they are asked for.

use super::Evaluated;
use crate::device::Machine;
use crate::exit::Failure;
use crate::model::hidden_means::{HiddenMeans, hidden_means};
use crate::terminal::shown::short;
use ferrotune_data::{Encoded, Need, Part, Row, Source};
use serde::Serialize;
use std::path::Path;

/// Training rows that are shown for each row.
const NEAREST: usize = 3;
/// Characters that are shown of a text.
const SHOWN: usize = 100;

/// A training row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Neighbour {
    /// Its line.
    pub line: u64,
    /// Its label.
    pub label: String,
    /// Cosine of the mean last hidden states of both, of all tokens that the model reads of a row: 1 for the same text.
    pub similarity: f64,
    /// Its text.
    pub text: String,
    /// Its second text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_b: Option<String>,
}

/// For each of these rows the nearest rows of a training file, the nearest first; of equally near ones those that stand first.
///
/// # Errors
/// A file that cannot be read or has no labels; a model that cannot be read.
pub fn nearest<B: Machine>(
    backend: &B,
    evaluated: &Evaluated<'_>,
    train: &Path,
    rows: &[usize],
) -> Result<Vec<Vec<Neighbour>>, Failure> {
    let train = Source::find(train, Part::Train)?.read(evaluated.columns, Need::Labels)?;
    let wanted: Vec<Row> = rows.iter().map(|&row| evaluated.table.rows[row].clone()).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let tokens = [evaluated.tokenizer.encode(&wanted)?, evaluated.tokenizer.encode(&train.rows)?];
    let HiddenMeans { parts, width } =
        hidden_means(backend, evaluated.folder, evaluated.tokenizer, &[&tokens[0], &tokens[1]])?;
    let [of_wanted, of_train] = [0, 1].map(|part| of_rows(&parts[part], &tokens[part], width));
    let neighbour = |&(row, similarity): &(usize, f64)| {
        let Row { text, text_b, label, line, .. } = &train.rows[row];
        Neighbour {
            line: *line,
            label: label.clone().expect("rows were read with labels"),
            similarity,
            text: short(text, SHOWN),
            text_b: text_b.as_deref().map(|text| short(text, SHOWN)),
        }
    };
    let of_row = |direction: &Vec<f32>| nearest_to(direction, &of_train).iter().map(neighbour).collect();
    Ok(of_wanted.iter().map(of_row).collect())
}

/// The nearest of `all`, with their cosines.
fn nearest_to(direction: &[f32], all: &[Vec<f32>]) -> Vec<(usize, f64)> {
    let cosine =
        |other: &Vec<f32>| -> f64 { direction.iter().zip(other).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    let mut near: Vec<(usize, f64)> = all.iter().map(cosine).enumerate().collect();
    // Stable; a model that diverged has no cosines, which come last.
    let rank = |cosine: f64| if cosine.is_nan() { f64::NEG_INFINITY } else { cosine };
    near.sort_by(|a, b| rank(b.1).total_cmp(&rank(a.1)));
    near.truncate(NEAREST);
    near
}

/// The features of each row of a table, of length 1: where a text was cut into windows the mean of these.
fn of_rows(features: &[f32], encoded: &Encoded, width: usize) -> Vec<Vec<f32>> {
    let sequences: Vec<&[f32]> = features.chunks(width).collect();
    let groups: Vec<_> = match encoded.windows.is_empty() {
        true => (0..sequences.len()).map(|row| row..row + 1).collect(),
        false => encoded.window_groups().collect(),
    };
    let direction = |windows: std::ops::Range<usize>| {
        let sum = |place: usize| sequences[windows.clone()].iter().map(|window| f64::from(window[place])).sum::<f64>();
        let sums: Vec<f64> = (0..width).map(sum).collect();
        let length = sums.iter().map(|x| x * x).sum::<f64>().sqrt();
        sums.into_iter().map(|x| (x / length) as f32).collect()
    };
    groups.into_iter().map(direction).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_are_ordered_and_no_number_comes_last() {
        let all = [vec![0.0, 1.0], vec![f32::NAN, 0.0], vec![1.0, 0.0], vec![0.6, 0.8], vec![1.0, 0.0]];
        let rows = |direction: &[f32]| nearest_to(direction, &all).iter().map(|near| near.0).collect::<Vec<_>>();
        assert_eq!(rows(&[1.0, 0.0]), [2, 4, 3]);
        assert_eq!(rows(&[0.0, 1.0]), [0, 3, 2]);
        assert_eq!(nearest_to(&[1.0, 0.0], &all[..2])[1].0, 1);
    }

    #[test]
    fn windows_of_a_text_are_one_direction() {
        let mut encoded = Encoded {
            ids: vec![0; 3],
            type_ids: vec![0; 3],
            offsets: vec![0, 1, 2, 3],
            truncated: vec![],
            longest_untruncated: 1,
            windows: vec![],
            words: None,
        };
        let features = [3.0, 4.0, 1.0, 0.0, 0.0, 1.0];
        assert_eq!(of_rows(&features, &encoded, 2), [[0.6, 0.8], [1.0, 0.0], [0.0, 1.0]]);
        encoded.windows = vec![0, 1, 1];
        let half = 0.5_f64.sqrt() as f32;
        assert_eq!(of_rows(&features, &encoded, 2), [[0.6, 0.8], [half, half]]);
    }
}
