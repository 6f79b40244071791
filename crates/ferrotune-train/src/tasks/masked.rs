//! Masked language modelling: the tokens that were hidden, told from those around them. Softmax over the vocabulary at the hidden places alone.

use super::{Objective, Targets, argmax, entropy};
use crate::metrics::{MaskedReport, MetricName, Report};
use crate::model::Split;
use ferrotune_data::{Encoded, Masking};
use ferrotune_optim::losses::CrossEntropy;
use ferrotune_tensor::{Backend, Tape, Var};

/// The draw of rows that are held out; no epoch has this number.
const HELD_OUT: u64 = u64::MAX;

/// Tokens hidden anew in each epoch.
pub struct MaskedTokens {
    masking: Masking,
}

impl MaskedTokens {
    /// With this masking.
    pub fn new(masking: Masking) -> MaskedTokens {
        MaskedTokens { masking }
    }

    /// Rows to learn from. Those in which nothing can be hidden are left out. Their targets are all tokens that may be hidden.
    pub fn train(&self, encoded: &Encoded) -> Split {
        let encoded = encoded.retain(|ids| self.masking.finds_any(ids));
        let targets = Targets::Hidden(self.masking.candidates(&encoded));
        Split { encoded, targets }
    }

    /// Rows to measure: hidden once, so that evaluations compare. Those in which nothing can be hidden are left out.
    pub fn held_out(&self, encoded: &Encoded, seed: u64) -> Split {
        let encoded = encoded.retain(|ids| self.masking.finds_any(ids));
        let (encoded, hidden) = self.masking.hide(&encoded, seed, HELD_OUT);
        Split { encoded, targets: Targets::Hidden(hidden) }
    }
}

fn hidden_ids(targets: &Targets, rows: &[usize]) -> Vec<u32> {
    rows.iter().flat_map(|&row| targets.hidden().of(row)).copied().collect()
}

impl<B: Backend> Objective<B> for MaskedTokens {
    fn metrics(&self) -> &'static [MetricName] {
        &[MetricName::Loss, MetricName::Perplexity, MetricName::Accuracy]
    }

    fn draw(&self, train: &Split, seed: u64, epoch: u64) -> Option<Split> {
        let (encoded, hidden) = self.masking.hide(&train.encoded, seed, epoch);
        Some(Split { encoded, targets: Targets::Hidden(hidden) })
    }

    /// The hidden tokens.
    fn weight(&self, targets: &Targets, rows: &[usize]) -> f64 {
        rows.iter().map(|&row| targets.hidden().of(row).len()).sum::<usize>() as f64
    }

    fn loss(&self, tape: &mut Tape<'_, B>, logits: Var, targets: &Targets, rows: &[usize], scale: f32) -> Var {
        tape.apply(CrossEntropy::new(hidden_ids(targets, rows), scale), &[logits])
    }

    /// The entropy of tokens by their frequency.
    fn constant_loss(&self, targets: &Targets) -> Option<f64> {
        let ids = &targets.hidden().ids;
        let mut counts = vec![0; ids.iter().max().map_or(0, |&most| most as usize + 1)];
        ids.iter().for_each(|&id| counts[id as usize] += 1);
        Some(entropy(&counts))
    }

    /// The summed loss, and how many tokens were told right: scores of all words for all places of a split would not fit in memory.
    fn measure(&self, tape: &mut Tape<'_, B>, logits: Var, targets: &Targets, rows: &[usize]) -> Vec<f32> {
        let ids = hidden_ids(targets, rows);
        let words = tape.shape(logits).width();
        let scores = tape.download(logits);
        let right = scores.chunks(words).zip(&ids).filter(|(scores, id)| argmax(scores) == **id as usize).count();
        let loss = tape.apply(CrossEntropy::new(ids, 1.0), &[logits]);
        vec![tape.download(loss)[0], right as f32]
    }

    fn report(&self, measured: &[f32], targets: &Targets) -> Report {
        let sum = |part: usize| measured.chunks(2).map(|pair| f64::from(pair[part])).sum::<f64>();
        let tokens = targets.hidden().ids.len();
        Report::Masked(MaskedReport::of(sum(0), sum(1), tokens as u64, targets.rows() as u64))
    }
}
