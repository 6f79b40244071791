//! Logits of rows without dropout, and what they are worth. It changes nothing and must not know training.

use crate::error::TrainError;
use crate::metrics::Report;
use crate::model::{Classifier, Mode, Split};
use crate::prefix::{PrefixCache, Start};
use crate::tasks::{Answer, Objective};
use crate::trainer::passes::{Pass, PassLimit, passes};
use ferrotune_data::{Batch, Encoded};
use ferrotune_tensor::{Backend, Params, Pool, Tape, Var};

/// How large a forward pass of evaluation is where nobody says: no faster when larger, and a head over a vocabulary gives a row of logits for many
/// of its tokens.
pub const LIMIT: PassLimit = PassLimit { rows: 64, tokens: Some(8192) };

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
    logits_within(backend, model, params, pool, encoded, cache, LIMIT)
}

/// [`logits`], in forward passes of at most this size; each row has the same bits in any.
///
/// # Errors
/// As [`logits`].
pub fn logits_within<B: Backend>(
    backend: &B,
    model: &dyn Classifier<B>,
    params: &Params<B>,
    pool: &mut Pool<B>,
    encoded: &Encoded,
    cache: Option<&mut PrefixCache<B>>,
    limit: PassLimit,
) -> Result<Vec<f32>, TrainError> {
    let all = over_rows(backend, model, params, pool, encoded, cache, limit, |tape, logits, _| tape.download(logits))?;
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
    limit: PassLimit,
    read: impl Fn(&mut Tape<'_, B>, Var, &[usize]) -> Vec<f32>,
) -> Result<Vec<f32>, TrainError> {
    let rows: Vec<usize> = (0..encoded.len()).collect();
    let mut all = Vec::new();
    let _awake = backend.awake();
    for Pass { rows, .. } in passes(&rows, limit, |row| encoded.row(row).0.len()) {
        let batch = Batch::gather(encoded, rows);
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

/// What the model is worth on a split, as the objective measures it, in forward passes of at most this size.
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
    limit: PassLimit,
) -> Result<Report, TrainError> {
    let measured = over_rows(backend, model, params, pool, &split.encoded, cache, limit, |tape, logits, rows| {
        task.measure(tape, logits, &split.targets, rows)
    })?;
    // Only texts are cut into windows, and their tasks measure by logits.
    Ok(task.report(&means_of_windows(measured, &split.encoded), &split.row_targets()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::{SingleLabel, Targets};
    use ferrotune_data::Labels;
    use ferrotune_tensor::{Cpu, Layout, ParamId};
    use std::cell::RefCell;

    /// Two scores by the first token of each row, and what each forward pass held: rows and tokens.
    #[derive(Default)]
    struct FirstToken(RefCell<Vec<(usize, usize)>>);

    impl Classifier<Cpu> for FirstToken {
        fn logits(&self, tape: &mut Tape<'_>, batch: &Batch, _: Mode) -> Var {
            self.0.borrow_mut().push((batch.len(), batch.tokens()));
            let first = batch.offsets[..batch.len()].iter().map(|&at| batch.ids[at as usize] as f32);
            let scores: Vec<f32> = first.flat_map(|id| [id.sin(), id.cos()]).collect();
            tape.constant_from([batch.len(), 2], &scores)
        }

        fn reads(&self, _: &Batch) -> Vec<(ParamId, Vec<u32>)> {
            Vec::new()
        }
    }

    /// Logits over a vocabulary are gigabytes where 64 rows go through the model together.
    #[test]
    fn a_pass_is_no_larger_than_its_limit_and_the_report_is_the_same() {
        let offsets: Vec<u32> = (0..=130u32).map(|row| 3 * row + row / 2).collect();
        let tokens = offsets[130] as usize;
        let encoded = Encoded {
            ids: (0..tokens as u32).collect(),
            type_ids: vec![0; tokens],
            offsets,
            truncated: Vec::new(),
            longest_untruncated: 4,
            windows: Vec::new(),
            words: None,
        };
        let split = Split { encoded, targets: Targets::Classes((0..130).map(|row| row % 2).collect()) };
        let task = SingleLabel::new(Labels::from_names(["calm", "storm"].map(str::to_string).to_vec()).unwrap());
        let params = Params::zeros(&Cpu, Layout::new());
        let of = |rows, tokens| {
            let (model, mut pool, limit) = (FirstToken::default(), Pool::new(Cpu), PassLimit { rows, tokens });
            let report = evaluate(&Cpu, &model, &params, &mut pool, &split, &task, None, limit).unwrap();
            (report, model.0.into_inner())
        };
        let (whole, passes) = of(LIMIT.rows, LIMIT.tokens);
        assert_eq!(passes, [(64, 224), (64, 224), (2, 7)]);
        for (rows, tokens) in [(1, None), (7, None), (1000, Some(10)), (7, Some(3))] {
            let (report, passes) = of(rows, tokens);
            // A row of four tokens has a pass of its own.
            let fits =
                |&(held, sum): &(usize, usize)| held <= rows && (held == 1 || tokens.is_none_or(|most| sum <= most));
            assert!(passes.iter().all(fits), "{rows} {tokens:?}: {passes:?}");
            assert_eq!(report, whole, "{rows} {tokens:?}");
        }
    }
}
