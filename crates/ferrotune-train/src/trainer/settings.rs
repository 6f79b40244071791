//! The numbers of a run, and what follows from them alone. It must not know how the loop uses them.

use super::passes::PassLimit;
use crate::evaluate::LIMIT;
use crate::metrics::MetricName;
use crate::tasks::Targets;
use ferrotune_data::{balanced, shuffled};
use ferrotune_optim::Penalty;
use ferrotune_optim::schedule::{Kind, Schedule, warmup_steps};

/// The numbers of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Rows of an optimizer step.
    pub batch_size: usize,
    /// How large a forward pass may be; gradients of several passes add up to a step.
    pub pass_limit: PassLimit,
    /// Passes over the training rows.
    pub epochs: u64,
    /// Ends the run earlier, after this many optimizer steps in all.
    pub max_steps: Option<u64>,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Shape of the learning rate after warm-up.
    pub schedule: Kind,
    /// Warm-up, as a share of all steps.
    pub warmup: f64,
    /// Largest global norm of the gradient; 0 means no clipping.
    pub clip: f64,
    /// L1 and L2 terms of the loss.
    pub penalty: Penalty,
    /// Decay of the moving average of the weights. If there is one, evaluations, the best weights and those of the end are averages; the
    /// steps go on from the weights themselves.
    pub ema: Option<f64>,
    /// Each epoch draws every class equally often.
    pub balanced: bool,
    /// Determines order and dropout.
    pub seed: u64,
    /// The metric on validation that chooses the best epoch.
    pub metric: MetricName,
    /// The weights of so many best evaluations are kept. Of more than one the mean is taken at the end, and kept if it is no worse than the best.
    pub average_best: usize,
    /// A run that turns out to give, or to have learned, one answer for all rows is left: [`super::End::Degenerate`].
    pub leave_degenerate: bool,
    /// Stop after this many evaluations without improvement.
    pub patience: Option<u64>,
    /// Report every so many steps.
    pub log_every: u64,
    /// Save a checkpoint every so many steps, besides the one after each epoch.
    pub checkpoint_every: Option<u64>,
}

impl Settings {
    /// # Panics
    /// If a number is out of its range: rows of a step and of a pass, epochs between reports and checkpoints and best evaluations that are kept at least 1,
    /// warm-up between 0 and 1, the decay of an average between 0 and 1, clipping at least 0.
    pub fn check(&self) {
        let least = [
            ("batch_size", self.batch_size as u64),
            ("pass_limit.rows", self.pass_limit.rows as u64),
            ("average_best", self.average_best as u64),
            ("log_every", self.log_every),
            ("checkpoint_every", self.checkpoint_every.unwrap_or(1)),
        ];
        least.iter().for_each(|(name, value)| assert!(*value > 0, "train: {name} is 0, expected at least 1"));
        assert!((0.0..=1.0).contains(&self.warmup), "train: warmup is {}, expected a share", self.warmup);
        assert!(self.clip >= 0.0, "train: clip is {}, expected 0 or more", self.clip);
        let decay = self.ema.unwrap_or_default();
        assert!((0.0..1.0).contains(&decay), "train: ema is {decay}, expected at least 0 and below 1");
    }

    /// Optimizer steps of one epoch, and of the run.
    pub fn steps(&self, rows: usize) -> (u64, u64) {
        let epoch = rows.div_ceil(self.batch_size) as u64;
        (epoch, (epoch * self.epochs).min(self.max_steps.unwrap_or(u64::MAX)))
    }

    /// How large a forward pass of evaluation is: as usual, and where steps are cut into passes no larger than one of these.
    pub fn evaluation_limit(&self) -> PassLimit {
        let rows = if self.pass_limit.rows < self.batch_size { self.pass_limit.rows } else { usize::MAX };
        PassLimit {
            rows: rows.min(LIMIT.rows),
            tokens: [self.pass_limit.tokens, LIMIT.tokens].into_iter().flatten().min(),
        }
    }

    /// The rows of an epoch in their order.
    ///
    /// # Panics
    /// If classes are to be balanced and the rows have none.
    pub fn order(&self, targets: &Targets, epoch: u64) -> Vec<usize> {
        if self.balanced {
            let classes = targets.class_ids().expect("balanced sampling needs one class a row");
            return balanced(classes, self.seed, epoch);
        }
        shuffled(targets.rows(), self.seed, epoch)
    }

    /// The learning-rate schedule of a run over this many rows.
    pub fn schedule(&self, rows: usize) -> Schedule {
        let total_steps = self.steps(rows).1;
        Schedule { kind: self.schedule, warmup_steps: warmup_steps(self.warmup, total_steps), total_steps }
    }
}
