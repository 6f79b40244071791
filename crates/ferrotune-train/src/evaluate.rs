//! Logits of rows without dropout, and what they are worth. It changes nothing and must not know training.

use crate::error::TrainError;
use crate::metrics::Report;
use crate::model::{Classifier, Mode, Split};
use crate::prefix::{PrefixCache, Start};
use crate::tasks::{Answer, Objective};
use ferrotune_data::{Batch, Encoded};
use ferrotune_tensor::{Backend, Params, Pool, Tape, Var};

/// Rows of one forward pass of evaluation.
pub const EVALUATION_BATCH: usize = 64;

/// Runs the model over all rows, in order. Returns logits, row-major `(rows of the table, outputs)` or `(scored words, outputs)`, which a cache
/// does not change. A text in windows has the mean of its windows' logits.
///
/// # Errors
/// The file of the cache cannot be read or written.
pub fn logits<B: Backend>(
    backend: &B,
    model: &dyn Classifier<B>,
    params: &Params<B>,
    pool: &mut Pool<B>,
    encoded: &Encoded,
    cache: Option<&mut PrefixCache<B>>,
) -> Result<Vec<f32>, TrainError> {
    let all = over_rows(backend, model, params, pool, encoded, cache, |tape, logits, _| tape.download(logits))?;
    Ok(means_of_windows(all, encoded))
}

/// What `read` makes of the logits of some rows, for all rows in order.
fn over_rows<B: Backend>(
    backend: &B,
    model: &dyn Classifier<B>,
    params: &Params<B>,
    pool: &mut Pool<B>,
    encoded: &Encoded,
    mut cache: Option<&mut PrefixCache<B>>,
    read: impl Fn(&mut Tape<'_, B>, Var, &[usize]) -> Vec<f32>,
) -> Result<Vec<f32>, TrainError> {
    let rows: Vec<usize> = (0..encoded.len()).collect();
    let mut all = Vec::new();
    let _awake = backend.awake();
    for rows in rows.chunks(EVALUATION_BATCH) {
        let batch = Batch::gather(encoded, &[], rows);
        let start = Start::of(cache.as_deref_mut(), backend, model, params, pool, encoded, rows)?;
        let mut tape = Tape::inference(backend, params, pool);
        let logits = start.logits(&mut tape, model, &batch, Mode::Evaluation);
        all.extend(read(&mut tape, logits, rows));
    }
    Ok(all)
}

/// The mean logits of each text's windows; the logits as they are where no text was cut into windows. Logits and not probabilities: that is
/// the same rule for every task, numbers of regression included, and tasks go on to see nothing but logits.
fn means_of_windows(logits: Vec<f32>, encoded: &Encoded) -> Vec<f32> {
    if encoded.windows.is_empty() {
        return logits;
    }
    let outputs = logits.len() / encoded.len();
    let mut means = Vec::new();
    for windows in encoded.window_groups() {
        let mean = |output: usize| {
            let of_windows = windows.clone().map(|window| f64::from(logits[window * outputs + output]));
            (of_windows.sum::<f64>() / windows.len() as f64) as f32
        };
        means.extend((0..outputs).map(mean));
    }
    means
}

/// The logits of each row of a table, from what [`logits`] gave. `outputs` is the number of logits of a row, or of a word.
///
/// # Panics
/// If there are not so many logits.
pub fn answers<'a>(logits: &'a [f32], encoded: &'a Encoded, outputs: usize) -> Vec<Answer<'a>> {
    let Some(words) = &encoded.words else {
        return logits.chunks(outputs).map(|logits| Answer { logits, words: &[] }).collect();
    };
    assert_eq!(logits.len(), words.words.len() * outputs, "answers: logits of other rows");
    let mut next = 0;
    let of_row = |row: usize| {
        let first = words.offsets[next] as usize;
        while words.rows.get(next) == Some(&row) {
            next += 1;
        }
        let end = words.offsets[next] as usize;
        Answer { logits: &logits[first * outputs..end * outputs], words: &words.words[first..end] }
    };
    (0..words.table_rows).map(of_row).collect()
}

/// What the model is worth on a split, as the objective measures it.
///
/// # Errors
/// As [`logits`].
pub fn evaluate<B: Backend>(
    backend: &B,
    model: &dyn Classifier<B>,
    params: &Params<B>,
    pool: &mut Pool<B>,
    split: &Split,
    task: &dyn Objective<B>,
    cache: Option<&mut PrefixCache<B>>,
) -> Result<Report, TrainError> {
    let measured = over_rows(backend, model, params, pool, &split.encoded, cache, |tape, logits, rows| {
        task.measure(tape, logits, &split.targets, rows)
    })?;
    // Only texts are cut into windows, and their tasks measure by logits.
    Ok(task.report(&means_of_windows(measured, &split.encoded), &split.row_targets()))
}
