//! Training rows whose label is likely wrong: a linear probe on the frozen encoder says of each row what the other rows teach, and confident
//! learning counts where it contradicts the label. It must not print findings or know files.

use crate::device::threads::on_pool;
use crate::exit::Failure;
use crate::model::hidden_means::hidden_means;
use ferrotune_data::{Labels, Place, Row, Table, Tokenizer, encode_labels, joined, normalised, part_sizes, split};
use ferrotune_tensor::{Cpu, Pool};
use ferrotune_train::label_errors::{confident_joint, ranked};
use ferrotune_train::probe::{Features, Standard, out_of_fold};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Parts of the rows: each is judged by what the others teach.
const FOLDS: usize = 5;
/// The folds and the order of steps are the same in every run.
const SEED: u64 = 0;

/// A row and how well its label fits.
#[derive(Debug, Clone, Serialize)]
pub struct Suspect {
    /// The row.
    #[serde(flatten)]
    pub place: Place,
    /// Its label.
    pub label: String,
    /// The most probable other label.
    pub other: String,
    /// The probability of its label.
    pub self_confidence: f64,
    /// That minus the probability of the other.
    pub margin: f64,
    /// Whether confident learning counts it among the wrong ones.
    pub suspect: bool,
}

/// How well the labels of the training rows fit.
#[derive(Debug, Clone, Serialize)]
pub struct LabelErrors {
    /// The share of rows for which the probe says the label.
    pub agreement: f64,
    /// All rows with a text and a label, those that are most likely wrong first.
    pub ranked: Vec<Suspect>,
}

impl LabelErrors {
    /// The share of the most frequent label, if the probe says hardly more labels than who says always this one: by less than three standard
    /// deviations of such a share.
    pub fn no_judge(&self) -> Option<f64> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        self.ranked.iter().for_each(|row| *counts.entry(&row.label).or_default() += 1);
        let rows = self.ranked.len() as f64;
        let most = counts.into_values().max()? as f64 / rows;
        (self.agreement < most + 3.0 * (most * (1.0 - most) / rows).sqrt()).then_some(most)
    }

    /// The rows that confident learning counts among the wrong ones, the surest first.
    pub fn suspects(&self) -> impl Iterator<Item = &Suspect> {
        self.ranked.iter().take_while(|judged| judged.suspect)
    }
}

/// Judges the labels of a table's rows. Rows without text or label are left out. `None` where the others have one label alone.
///
/// # Errors
/// A model that cannot be read; rows that cannot be cut into tokens.
pub fn judge(table: &Table, folder: &Path, tokenizer: &Tokenizer) -> Result<Option<LabelErrors>, Failure> {
    let usable = |row: &Row| row.label.is_some() && normalised(row).is_some();
    let kept: Vec<usize> = (0..table.rows.len()).filter(|&row| usable(&table.rows[row])).collect();
    let rows = kept.iter().map(|&row| table.rows[row].clone()).collect();
    let rows = Table { path: table.path.clone(), pair: table.pair, rows };
    if rows.rows.iter().all(|row| row.label == rows.rows[0].label) {
        return Ok(None);
    }
    let labels = Labels::from_table(&rows)?;
    let ids = encode_labels(&rows, &labels)?;
    let encoded = tokenizer.encode(&rows.rows)?;

    let mut said = hidden_means(&Cpu, folder, tokenizer, &[&encoded])?;
    let mut features = said.parts.remove(0);
    Standard::of(&features, said.width).apply(&mut features);
    let features = Features { values: &features, width: said.width };
    let folds = folds(&rows.rows, &ids);
    let mut pool = Pool::new(Cpu);
    let p = on_pool(|| out_of_fold(&Cpu, &mut pool, features, &ids, labels.len(), &folds, SEED));
    let judged = ranked(&p, &ids, &confident_joint(&p, &ids, labels.len()));

    let agree = judged.iter().filter(|row| row.margin >= 0.0).count();
    let of_row = |judged: ferrotune_train::label_errors::Judged| {
        let row = &rows.rows[judged.row];
        Suspect {
            place: Place { split: "train", row: kept[judged.row], line: row.line },
            label: labels.name(ids[judged.row]).to_string(),
            other: labels.name(judged.other).to_string(),
            self_confidence: judged.self_confidence,
            margin: judged.margin,
            suspect: judged.suspect,
        }
    };
    let agreement = agree as f64 / judged.len() as f64;
    Ok(Some(LabelErrors { agreement, ranked: judged.into_iter().map(of_row).collect() }))
}

/// The fold of each row: its share of every class in each, and rows of the same text in one, so that no row is judged by a copy of itself.
fn folds(rows: &[Row], labels: &[u32]) -> Vec<usize> {
    let texts: Vec<Option<String>> = rows.iter().map(normalised).collect();
    let groups = joined(rows.len(), &[&texts]);
    let classes: Vec<usize> = labels.iter().map(|&label| label as usize).collect();
    let sizes = part_sizes(rows.len(), &[1.0 / FOLDS as f64; FOLDS]);
    // Few rows, or one text that most have: folds in turn then.
    split(&sizes, &classes, &groups, None, SEED).unwrap_or_else(|_| (0..rows.len()).map(|row| row % FOLDS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows in turn of two labels, or three of the first and one of the second.
    fn errors(rows: usize, of_four: usize, agreement: f64) -> LabelErrors {
        let row = |n: usize| Suspect {
            place: Place { split: "train", row: n, line: n as u64 + 2 },
            label: ["a", "b"][usize::from(n % 4 >= of_four)].to_string(),
            other: "b".to_string(),
            self_confidence: 0.4,
            margin: -0.2,
            suspect: true,
        };
        LabelErrors { agreement, ranked: (0..rows).map(row).collect() }
    }

    #[test]
    fn a_probe_that_learned_nothing_is_no_judge() {
        // Three deviations are 0.168 of 80 rows, 0.015 of 10 000.
        for (rows, of_four, agreement, expected) in [
            (80, 2, 0.60, Some(0.5)),
            (80, 2, 0.70, None),
            (10_000, 2, 0.51, Some(0.5)),
            (10_000, 2, 0.52, None),
            (10_000, 3, 0.76, Some(0.75)),
            (10_000, 3, 0.60, Some(0.75)),
            (10_000, 3, 0.80, None),
        ] {
            assert_eq!(errors(rows, of_four, agreement).no_judge(), expected, "{rows} {of_four} {agreement}");
        }
        assert_eq!(errors(0, 2, f64::NAN).no_judge(), None);
    }
}
