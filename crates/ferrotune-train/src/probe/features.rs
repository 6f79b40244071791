//! What a frozen encoder says of each row: the mean of its last hidden states over the row's tokens. It must not know what is learned from them.

use crate::model::FrozenPrefix;
use ferrotune_data::{Batch, Encoded};
use ferrotune_tensor::{Backend, Params, Pool, Tape};

/// Tokens of one forward pass.
const TOKENS: usize = 2048;

/// The mean of what `prefix` gives for the tokens of each sequence, row-major `(sequences, width)`, without dropout. Sequences are read by length, so
/// that a pass has about the same number of tokens. `done` hears the number of sequences after each pass.
///
/// # Panics
/// If the prefix gives one state a row.
pub fn mean_features<B: Backend>(
    backend: &B,
    prefix: &dyn FrozenPrefix<B>,
    params: &Params<B>,
    pool: &mut Pool<B>,
    encoded: &Encoded,
    mut done: impl FnMut(usize),
) -> Vec<f32> {
    assert!(!prefix.one_state_a_row(), "mean_features: the prefix gives one state a row");
    let width = prefix.width();
    let mut means = vec![0.0; encoded.len() * width];
    let length = |row: usize| encoded.row(row).0.len();
    let mut order: Vec<usize> = (0..encoded.len()).collect();
    order.sort_by_key(|&row| length(row));
    let mut rest = &order[..];
    let _awake = backend.awake();
    while let Some(&first) = rest.first() {
        // The longest of the pass comes last; at least one sequence is read.
        let mut tokens = length(first);
        let more = rest[1..].iter().take_while(|&&row| {
            tokens += length(row);
            tokens <= TOKENS
        });
        let (rows, others) = rest.split_at(1 + more.count());
        rest = others;
        let mut tape = Tape::inference(backend, params, pool);
        let hidden = prefix.hidden(&mut tape, &Batch::gather(encoded, rows));
        let hidden = tape.download(hidden);
        let mut at = 0;
        for &row in rows {
            let mean = &mut means[row * width..][..width];
            let states = &hidden[at..at + length(row) * width];
            at += states.len();
            for state in states.chunks(width) {
                mean.iter_mut().zip(state).for_each(|(mean, x)| *mean += x);
            }
            mean.iter_mut().for_each(|mean| *mean /= length(row) as f32);
        }
        done(encoded.len() - rest.len());
    }
    means
}
