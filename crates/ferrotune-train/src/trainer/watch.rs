//! The numbers of a step once they are known: they are said, summed, and watched over. It must not know how a step is made.

use super::flight::Landed;
use super::resume::Progress;
use super::sentinels::{Finding, Step};
use crate::events::{Event, Observer};

/// What does not change from step to step.
pub(super) struct Watch {
    /// Every so many steps are said.
    pub log_every: u64,
    /// Steps of the run.
    pub total_steps: u64,
    /// Those of them that are warm-up.
    pub warmup_steps: u64,
}

impl Watch {
    /// Whether the numbers of this step, counted from 1, are said.
    pub fn says(&self, step: u64) -> bool {
        step.is_multiple_of(self.log_every) || step == self.total_steps
    }

    /// Takes the numbers of a step; returns the first sign that the run is degenerate. `seconds` have passed since the running step began.
    pub fn landed(
        &self,
        landed: Landed,
        seconds: f64,
        progress: &mut Progress,
        observer: &mut dyn Observer,
    ) -> Option<Finding> {
        let &Watch { total_steps, warmup_steps, .. } = self;
        let Landed { epoch, step, plain_loss, loss, norm, learning_rate, rows, tokens } = landed;
        progress.epoch_loss = (progress.epoch_loss.0 + plain_loss, progress.epoch_loss.1 + 1);
        if self.says(step) {
            let (rows, tokens, gradient_norm) = (rows as u64, tokens as u64, norm);
            observer.on(&Event::Step {
                epoch,
                step,
                total_steps,
                loss,
                learning_rate,
                gradient_norm,
                rows,
                tokens,
                seconds,
            });
        }
        let findings =
            progress.sentinels.step(Step { step, total_steps, warmup_steps, loss: plain_loss, norm, learning_rate });
        findings.iter().for_each(|finding| observer.on(&Event::warning(finding.message.as_str())));
        findings.into_iter().find(|finding| finding.degenerate)
    }
}
