//! The gradient of one optimizer step, summed over forward passes that fit in memory. It must not know what is done with it.

use super::Run;
use super::passes::{Pass, passes};
use crate::error::TrainError;
use crate::model::{Mode, Split};
use crate::prefix::Start;
use ferrotune_data::Batch;
use ferrotune_tensor::{Backend, Grads, Tape};

/// What the passes of a step gave, besides their gradient.
pub(super) struct Passes<S> {
    /// The loss of each, as its share of the step's.
    pub losses: Vec<S>,
    /// Tokens of all.
    pub tokens: usize,
}

/// Puts the gradient of the mean loss of `rows` of `train` into `grads`, whatever the number of passes.
///
/// # Errors
/// A prefix cache that cannot be read.
pub(super) fn accumulate<B: Backend>(
    run: &mut Run<'_, B>,
    grads: &mut Grads<B>,
    train: &Split,
    rows: &[usize],
    step: u64,
) -> Result<Passes<B::Scalar>, TrainError> {
    let Run { backend, model, task, settings, .. } = *run;
    grads.clear();
    let (mut losses, mut tokens) = (Vec::new(), 0);
    let scale = (1.0 / task.weight(&train.targets, rows)) as f32;
    for pass in passes(rows, settings.pass_limit, |row| train.encoded.row(row).0.len()) {
        let batch = Batch::gather(&train.encoded, pass.rows);
        if grads.is_by_rows() {
            run.optimizer.prepare(backend, run.params, &model.reads(&batch));
        }
        let Pass { first_token, first_row, .. } = pass;
        let mode = Mode::Training { seed: settings.seed, step, first_token, first_row };
        let cache = run.prefix.as_deref_mut().map(|caches| &mut caches.train);
        let start = Start::of(cache, backend, model, run.params, run.pool, &train.encoded, pass.rows)?;
        let mut tape = Tape::new(backend, run.params, run.pool);
        let logits = start.logits(&mut tape, model, &batch, mode);
        let mean = task.loss(&mut tape, logits, &train.targets, pass.rows, scale);
        losses.push(tape.scalar(mean));
        tape.backward(mean, 1.0, grads);
        tokens += pass.tokens;
    }
    Ok(Passes { losses, tokens })
}
