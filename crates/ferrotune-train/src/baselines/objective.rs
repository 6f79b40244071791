//! The objective of logistic regression and its gradient, computed together and on all cores. It must not know how the least value is sought.

use argmin::core::{CostFunction, Error, Gradient};
use ferrotune_data::SparseRows;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Mutex;

/// Gradients by logits that are kept at a time: 64 MiB. Rows are cut into blocks by it and by the number of outputs alone, so that sums have one
/// order on any number of threads.
const KEPT: usize = 8 << 20;
/// Rows or columns that are one piece of work at least.
const PIECE: usize = 16;

/// The mean loss of the rows with the penalty, as a function of the weights.
pub(super) struct Objective<'a> {
    rows: &'a SparseRows,
    labels: &'a [u32],
    c: f64,
    outputs: usize,
    columns: Columns,
    /// A line search asks for the value at some weights, then for the gradient there.
    last: Mutex<Option<Point>>,
}

/// What the objective is at some weights.
struct Point {
    weights: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

/// The same entries by column; the last column is that of the intercepts, with a 1 in each row.
struct Columns {
    /// Column `i` has the entries `offsets[i]..offsets[i + 1]`.
    offsets: Vec<usize>,
    /// The row of each entry, ascending within a column.
    rows: Vec<u32>,
    /// Its value; apart from its row, with which it would take 16 bytes.
    values: Vec<f64>,
}

impl Columns {
    fn of(rows: &SparseRows) -> Columns {
        let mut offsets = vec![0; rows.width + 2];
        rows.columns.iter().for_each(|&column| offsets[column as usize + 1] += 1);
        offsets[rows.width + 1] = rows.rows();
        for column in 0..=rows.width {
            offsets[column + 1] += offsets[column];
        }
        let mut next = offsets.clone();
        let entries = offsets[rows.width + 1];
        let (mut of_rows, mut values) = (vec![0; entries], vec![0.0; entries]);
        for row in 0..rows.rows() {
            for (column, value) in rows.row(row).chain([(rows.width, 1.0)]) {
                (of_rows[next[column]], values[next[column]]) = (row as u32, value);
                next[column] += 1;
            }
        }
        Columns { offsets, rows: of_rows, values }
    }

    /// The entries of a column that are in these rows.
    fn within(&self, column: usize, rows: &Range<usize>) -> impl Iterator<Item = (u32, f64)> {
        let (start, end) = (self.offsets[column], self.offsets[column + 1]);
        let place = |row: usize| start + self.rows[start..end].partition_point(|&of| (of as usize) < row);
        let within = place(rows.start)..place(rows.end);
        self.rows[within.clone()].iter().copied().zip(self.values[within].iter().copied())
    }
}

impl<'a> Objective<'a> {
    /// That of rows with these classes, `outputs` logits a row (1 for two classes) and the inverse strength `c` of the penalty.
    pub(super) fn new(rows: &'a SparseRows, labels: &'a [u32], c: f64, outputs: usize) -> Objective<'a> {
        Objective { rows, labels, c, outputs, columns: Columns::of(rows), last: Mutex::new(None) }
    }

    /// Says what `part` takes from the point with these weights.
    fn at<T>(&self, weights: &[f64], part: impl FnOnce(&Point) -> T) -> T {
        let mut last = self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let point = last.take().filter(|point| point.weights == weights);
        part(last.insert(point.unwrap_or_else(|| self.computed(weights, KEPT / self.outputs))))
    }

    /// The point with these weights, from `block` rows at a time.
    fn computed(&self, weights: &[f64], block: usize) -> Point {
        let (outputs, count, block) = (self.outputs, self.labels.len(), block.max(1));
        let penalised = self.rows.width * outputs;
        let strength = 1.0 / (self.c * count as f64);
        let mut gradient: Vec<f64> = weights.iter().map(|weight| weight * strength).collect();
        gradient[penalised..].fill(0.0);
        let squares: f64 = weights[..penalised].iter().map(|weight| weight * weight).sum();

        let mut sum = 0.0;
        let mut by_logits = vec![0.0; count.min(block) * outputs];
        for start in (0..count).step_by(block) {
            let rows = start..count.min(start + block);
            let by_logits = &mut by_logits[..rows.len() * outputs];
            let of_row = |(row, logits): (usize, &mut [f64])| {
                add_logits(self.rows, start + row, weights, logits);
                let loss = loss(logits, self.labels[start + row]);
                logits.iter_mut().for_each(|by_logit| *by_logit /= count as f64);
                loss
            };
            let losses: Vec<f64> =
                by_logits.par_chunks_mut(outputs).enumerate().with_min_len(PIECE).map(of_row).collect();
            sum += losses.iter().sum::<f64>();

            let of_column = |(column, gradient): (usize, &mut [f64])| {
                for (row, value) in self.columns.within(column, &rows) {
                    let by_logits = &by_logits[(row as usize - start) * outputs..][..outputs];
                    gradient.iter_mut().zip(by_logits).for_each(|(sum, by_logit)| *sum += value * by_logit);
                }
            };
            gradient.par_chunks_mut(outputs).enumerate().with_min_len(PIECE).for_each(of_column);
        }
        Point { weights: weights.to_vec(), value: sum / count as f64 + 0.5 * strength * squares, gradient }
    }
}

impl CostFunction for Objective<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, weights: &Vec<f64>) -> Result<f64, Error> {
        Ok(self.at(weights, |point| point.value))
    }
}

impl Gradient for Objective<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, weights: &Vec<f64>) -> Result<Vec<f64>, Error> {
        Ok(self.at(weights, |point| point.gradient.clone()))
    }
}

/// `logits = x W + intercepts` of one row.
pub(super) fn add_logits(rows: &SparseRows, row: usize, weights: &[f64], logits: &mut [f64]) {
    let outputs = logits.len();
    logits.copy_from_slice(&weights[rows.width * outputs..]);
    for (column, value) in rows.row(row) {
        let weights = &weights[column * outputs..][..outputs];
        logits.iter_mut().zip(weights).for_each(|(logit, weight)| *logit += value * weight);
    }
}

pub(super) fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// The loss of one row; turns its logits into the gradient by them.
fn loss(logits: &mut [f64], label: u32) -> f64 {
    if let [logit] = logits {
        let target = f64::from(label);
        let signed = if label == 1 { *logit } else { -*logit };
        *logit = sigmoid(*logit) - target;
        // ln(1 + e^-x), for large x of either sign.
        return (-signed.abs()).exp().ln_1p() + (-signed).max(0.0);
    }
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let of_label = logits[label as usize] - most;
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - most).exp();
        sum += *logit;
    }
    logits.iter_mut().for_each(|p| *p /= sum);
    logits[label as usize] -= 1.0;
    sum.ln() - of_label
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 40 rows of up to four of seven columns, some with none.
    fn rows() -> SparseRows {
        let mut rows = SparseRows { offsets: vec![0], columns: Vec::new(), values: Vec::new(), width: 7 };
        for row in 0..40u32 {
            for column in (0..7).filter(|column| (row * 5 + column * 3) % 11 < row % 5) {
                rows.columns.push(column);
                rows.values.push(f64::from(row % 7 + column + 1) / 9.0);
            }
            rows.offsets.push(rows.columns.len());
        }
        rows
    }

    fn weights(outputs: usize) -> Vec<f64> {
        (0..8 * outputs).map(|i| ((i * 37 % 17) as f64 - 8.0) / 5.0).collect()
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_value() {
        let rows = rows();
        for outputs in [1, 3] {
            let labels: Vec<u32> = (0..40).map(|row| row * 7 % outputs.max(2) as u32).collect();
            let objective = Objective::new(&rows, &labels, 2.0, outputs);
            let weights = weights(outputs);
            let gradient = objective.gradient(&weights).unwrap();
            for (i, &slope) in gradient.iter().enumerate() {
                let value = |by: f64| {
                    let mut moved = weights.clone();
                    moved[i] += by;
                    objective.cost(&moved).unwrap()
                };
                // Central differences are off by h²/6 of a third derivative, which is below 1, and by the rounding of two values near 2 over 2 h.
                let measured = (value(1e-5) - value(-1e-5)) / 2e-5;
                assert!(
                    (measured - slope).abs() < 2e-10,
                    "{outputs} outputs, weight {i}: {slope}, measured {measured}"
                );
            }
        }
    }

    #[test]
    fn blocks_of_rows_and_threads_change_nothing() {
        let rows = rows();
        let labels: Vec<u32> = (0..40).map(|row| row * 7 % 3).collect();
        let objective = Objective::new(&rows, &labels, 2.0, 3);
        let all = objective.computed(&weights(3), 40);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for block in [0, 7, 16, 1000] {
                let point = pool.install(|| objective.computed(&weights(3), block));
                // Within a block values are summed first, so that their last bits may differ; gradients have one order in all.
                assert!(
                    (point.value - all.value).abs() < 1e-15 * all.value.abs() * 40.0,
                    "{threads} threads, {block} rows"
                );
                assert_eq!(point.gradient, all.gradient, "{threads} threads, {block} rows");
            }
        }
    }
}
