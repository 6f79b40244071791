//! What a run needs of memory, before it starts and after it ended. It must not know how a step works.

use crate::settings::Resolved;
use ferrotune_bert::memory::{PassSize, activation_numbers};
use ferrotune_bert::{EncoderConfig, HeadKind, lora};
use ferrotune_data::Encoded;
use ferrotune_tensor::{Backend, Params};
use ferrotune_train::model::Split;
use ferrotune_train::trainer::passes::{Pass, PassLimit, passes};

/// Epochs whose batches are looked at for the largest one.
const EPOCHS: u64 = 3;

/// MiB that the process holds now.
fn resident_mib() -> Option<f64> {
    status_mib("VmRSS:")
}

/// The largest resident memory of this process so far, where the system tells (Linux); else none.
pub fn peak_mib() -> Option<f64> {
    status_mib("VmHWM:")
}

fn status_mib(field: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some((kib / 1024.0 * 10.0).round() / 10.0)
}

/// About how many MiB the run will hold at its peak: what is there now (rows, weights, moments), and what training adds to it:
/// gradients, the largest tensor on its way into a checkpoint, activations of the largest batch, best weights and activations of an
/// evaluation, and the rows that a cache keeps in memory.
/// None where the system does not say what is there now.
#[allow(clippy::too_many_arguments)] // What a run's memory depends on.
pub fn predicted_mib<B: Backend>(
    resolved: &Resolved,
    config: &EncoderConfig,
    kind: HeadKind,
    params: &Params<B>,
    frozen_layers: Option<usize>,
    train: &Split,
    validation: Option<&Split>,
    cached_bytes: u64,
) -> Option<f64> {
    let sizes = || params.trainable_ids().map(|id| params.layout().entry(id).shape.len());
    let (trained, largest): (usize, usize) = (sizes().sum(), sizes().max().unwrap_or(0));
    let numbers = &resolved.numbers;
    let length = |row: usize| train.encoded.row(row).0.len();
    let checkpointing = resolved.checkpointing;
    let trained_layers = config.num_hidden_layers - frozen_layers.unwrap_or(0);
    let adapted_layers = if checkpointing { trained_layers.min(1) } else { trained_layers };
    let needed = |pass: PassSize| {
        // The pool's buffers are up to an eighth larger than what they hold.
        let step = activation_numbers(config, kind, frozen_layers, pass, checkpointing) / 8 * 9;
        step + resolved.lora.as_ref().map_or(0, |spec| lora::activation_numbers(spec, config, adapted_layers, pass))
    };
    let most_of_epoch = |epoch| {
        let order = numbers.order(&train.targets, epoch);
        let passes = order.chunks(numbers.batch_size).flat_map(|step| passes(step, numbers.pass_limit, length));
        passes.map(|pass| needed(size_of(&pass, length))).max().unwrap_or_default()
    };
    let step = (0..numbers.epochs.min(EPOCHS)).map(most_of_epoch).max().unwrap_or_default();
    let evaluation = validation.map_or(0, |split| {
        let needed = |pass| activation_numbers(config, kind, Some(config.num_hidden_layers), pass, false);
        let passes = evaluation_passes(&split.encoded, numbers.evaluation_limit());
        numbers.average_best * trained + passes.into_iter().map(needed).max().unwrap_or_default()
    });
    // An average of each trained parameter, and the next one of the largest.
    let averages = if numbers.ema.is_some() { trained + largest } else { 0 };
    let added = trained + averages + largest + step + evaluation;
    Some(resident_mib()? + (4 * added as u64 + cached_bytes) as f64 / f64::from(1 << 20))
}

/// The forward passes of an evaluation.
fn evaluation_passes(encoded: &Encoded, limit: PassLimit) -> Vec<PassSize> {
    let rows: Vec<usize> = (0..encoded.len()).collect();
    let length = |row: usize| encoded.row(row).0.len();
    passes(&rows, limit, length).iter().map(|pass| size_of(pass, length)).collect()
}

fn size_of(pass: &Pass, length: impl Fn(usize) -> usize) -> PassSize {
    let longest = pass.rows.iter().map(|&row| length(row)).max().unwrap_or(0);
    PassSize { tokens: pass.tokens, rows: pass.rows.len(), longest }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest rows may be the last, in a pass that is not full.
    #[test]
    fn every_pass_of_an_evaluation_is_looked_at() {
        let lengths: Vec<u32> = [[2; 64].as_slice(), &[100, 90]].concat();
        let offsets = std::iter::once(0).chain(lengths.iter().scan(0, |at, length| {
            *at += length;
            Some(*at)
        }));
        let tokens: u32 = lengths.iter().sum();
        let encoded = Encoded {
            ids: vec![1; tokens as usize],
            type_ids: vec![0; tokens as usize],
            offsets: offsets.collect(),
            truncated: Vec::new(),
            longest_untruncated: 100,
            windows: Vec::new(),
            words: None,
        };
        for (rows, tokens, expected) in [(64, None, (190, 2)), (8, Some(120), (100, 1)), (5, None, (108, 5))] {
            let passes = evaluation_passes(&encoded, PassLimit { rows, tokens });
            let largest = passes.iter().max_by_key(|pass| pass.tokens).unwrap();
            assert_eq!(
                (largest.tokens, largest.rows, largest.longest),
                (expected.0, expected.1, 100),
                "{rows} {tokens:?}"
            );
        }
    }
}
