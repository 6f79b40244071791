//! A linear probe: logistic regression on what a frozen encoder says of each row, and what it says of rows that it has not learned from. It must
//! not know the encoder, files or names of labels.

mod features;
#[cfg(test)]
mod tests;

pub use features::mean_features;

use ferrotune_data::shuffled;
use ferrotune_optim::losses::CrossEntropy;
use ferrotune_optim::{AdamW, Groups, Optimizer, adamw, clip};
use ferrotune_tensor::init::Init;
use ferrotune_tensor::{Backend, Grads, Layout, ParamId, Params, Pool, Tape, Var, ops};

/// Rows of a step.
const BATCH: usize = 256;
/// Passes over the rows where labels are to be judged: the few passes are what keeps a probe from fitting each wrong label.
const EPOCHS: u64 = 15;
/// Steps at least where the probe itself is to be good: of few rows the passes above are too few steps to get anywhere.
const STEPS: u64 = 1500;
/// Peak learning rate; it falls to 0 in a straight line.
const RATE: f64 = 0.003;

/// Numbers for rows, row-major `(rows, width)`.
#[derive(Clone, Copy)]
pub struct Features<'a> {
    /// The numbers.
    pub values: &'a [f32],
    /// Numbers for a row.
    pub width: usize,
}

impl Features<'_> {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    fn select(&self, rows: &[usize]) -> Vec<f32> {
        rows.iter().flat_map(|&row| &self.values[row * self.width..][..self.width]).copied().collect()
    }
}

/// A fitted probe.
pub struct Probe<B: Backend> {
    params: Params<B>,
    weight: ParamId,
    bias: ParamId,
    classes: usize,
}

impl<B: Backend> Probe<B> {
    /// Multinomial logistic regression of `labels` on the features of `rows`, by AdamW without weight decay from weights of zero, in so many passes over
    /// the rows. The same arguments give the same bits on one instruction set.
    ///
    /// # Panics
    /// If a label is no class.
    pub fn fit(
        backend: &B,
        pool: &mut Pool<B>,
        features: Features<'_>,
        labels: &[u32],
        rows: &[usize],
        classes: usize,
        epochs: u64,
        seed: u64,
    ) -> Probe<B> {
        let mut layout = Layout::new();
        let weight = layout.root().param("weight", [classes, features.width], Init::Zeros);
        let bias = layout.root().param("bias", [classes], Init::Zeros);
        let mut probe = Probe { params: Params::zeros(backend, layout), weight, bias, classes };
        let mut grads = Grads::new(backend, &probe.params);
        let groups = Groups::standard(&probe.params, 0.0);
        let mut optimizer = AdamW::new(backend, &probe.params, groups, adamw::BETAS, adamw::EPS);
        let steps = epochs as f64 * rows.len().div_ceil(BATCH) as f64;
        for epoch in 1..=epochs {
            let order = shuffled(rows.len(), seed, epoch);
            for batch in order.chunks(BATCH) {
                let batch: Vec<usize> = batch.iter().map(|&place| rows[place]).collect();
                let targets = batch.iter().map(|&row| labels[row]).collect();
                grads.clear();
                let mut tape = Tape::new(backend, &probe.params, pool);
                let logits = probe.logits(&mut tape, features, &batch);
                let loss = tape.apply(CrossEntropy::new(targets, 1.0 / batch.len() as f32), &[logits]);
                tape.backward(loss, 1.0, &mut grads);
                let rate = RATE * (1.0 - optimizer.steps() as f64 / steps);
                let unclipped = clip::clip_factor(backend, &clip::global_norm(backend, &grads), 0.0);
                optimizer.step(backend, &mut probe.params, &grads, rate, &unclipped);
            }
        }
        probe
    }

    fn logits(&self, tape: &mut Tape<'_, B>, features: Features<'_>, rows: &[usize]) -> Var {
        let x = tape.constant_from([rows.len(), features.width], &features.select(rows));
        let (weight, bias) = (tape.param(self.weight), tape.param(self.bias));
        tape.apply(ops::Linear::new(), &[x, weight, bias])
    }

    /// Hands the probabilities of the classes of each of these rows to `take`.
    pub fn probabilities(
        &self,
        backend: &B,
        pool: &mut Pool<B>,
        features: Features<'_>,
        rows: &[usize],
        mut take: impl FnMut(usize, &[f32]),
    ) {
        for rows in rows.chunks(BATCH) {
            let mut tape = Tape::inference(backend, &self.params, pool);
            let logits = self.logits(&mut tape, features, rows);
            let probabilities = tape.apply(ops::Softmax, &[logits]);
            let probabilities = tape.download(probabilities);
            rows.iter().zip(probabilities.chunks(self.classes)).for_each(|(&row, p)| take(row, p));
        }
    }
}

/// Passes over so many rows in which a probe gets near its best.
pub fn enough_epochs(rows: usize) -> u64 {
    STEPS.div_ceil(rows.div_ceil(BATCH).max(1) as u64).max(EPOCHS)
}

/// For each row the probabilities that a probe gives which has learned from the rows of the other folds alone: row-major `(rows, classes)`.
/// `folds` has the fold of each row, from 0. Features are taken as they are; see [`Standard`].
pub fn out_of_fold<B: Backend>(
    backend: &B,
    pool: &mut Pool<B>,
    features: Features<'_>,
    labels: &[u32],
    classes: usize,
    folds: &[usize],
    seed: u64,
) -> Vec<f32> {
    let mut all = vec![0.0; features.rows() * classes];
    let _awake = backend.awake();
    for fold in 0..folds.iter().max().map_or(0, |last| last + 1) {
        let (held_out, learned): (Vec<usize>, Vec<usize>) = (0..folds.len()).partition(|&row| folds[row] == fold);
        let probe = Probe::fit(backend, pool, features, labels, &learned, classes, EPOCHS, seed);
        probe.probabilities(backend, pool, features, &held_out, |row, p| {
            all[row * classes..][..classes].copy_from_slice(p);
        });
    }
    all
}

/// What turns features into numbers that one learning rate fits, of whatever encoder: each row gets length 1, then the mean of each number is taken
/// away and all are divided by one standard deviation, so that directions keep their shares.
pub struct Standard {
    means: Vec<f64>,
    deviation: f32,
}

impl Standard {
    /// Learns means and deviation from rows of this width.
    pub fn of(values: &[f32], width: usize) -> Standard {
        let rows = values.len() / width;
        let mut means = vec![0.0f64; width];
        for row in values.chunks(width) {
            let norm = length(row);
            means.iter_mut().zip(row).for_each(|(mean, &x)| *mean += f64::from(x / norm) / rows as f64);
        }
        let mut squares = 0.0;
        for row in values.chunks(width) {
            let norm = length(row);
            for (&x, &mean) in row.iter().zip(&means) {
                let x = x / norm - mean as f32;
                squares += f64::from(x) * f64::from(x);
            }
        }
        let deviation = (squares / values.len().max(1) as f64).sqrt().max(1e-12) as f32;
        Standard { means, deviation }
    }

    /// Does it to rows, those that it was learned from or others.
    pub fn apply(&self, values: &mut [f32]) {
        for row in values.chunks_mut(self.means.len()) {
            let norm = length(row);
            row.iter_mut().zip(&self.means).for_each(|(x, &mean)| *x = (*x / norm - mean as f32) / self.deviation);
        }
    }
}

fn length(row: &[f32]) -> f32 {
    row.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE)
}
