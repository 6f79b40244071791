//! Optimizer steps whose numbers are still under way on the device. Nothing is read back within a step: the numbers of a step are looked at
//! when the next ones are on their way, as far as the device runs ahead. Must not know what is done with them.

use crate::error::TrainError;
use ferrotune_tensor::Backend;
use std::collections::VecDeque;

/// A step as it was given to the device.
pub(crate) struct Issued<S> {
    /// Its epoch, counted from 1.
    pub epoch: u64,
    /// Steps before it.
    pub before: u64,
    /// Loss of each of its passes.
    pub losses: Vec<S>,
    /// Penalties.
    pub penalties: Vec<S>,
    /// Gradient norm before clipping.
    pub norm: S,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Rows that it learned from.
    pub rows: usize,
    /// Their tokens.
    pub tokens: usize,
}

/// A step whose numbers have arrived.
pub(crate) struct Landed {
    pub epoch: u64,
    /// Its number, from 1.
    pub step: u64,
    /// Mean loss.
    pub plain_loss: f64,
    /// Loss with penalties.
    pub loss: f64,
    pub norm: f64,
    pub learning_rate: f64,
    pub rows: usize,
    pub tokens: usize,
}

/// The steps that are under way, the oldest first.
pub(crate) struct Flight<S> {
    issued: VecDeque<Issued<S>>,
}

impl<S> Flight<S> {
    pub fn new() -> Flight<S> {
        Flight { issued: VecDeque::new() }
    }

    /// Adds a step, before the optimizer moves anything. Where the device does not run ahead, its numbers are known now and are checked.
    ///
    /// # Errors
    /// A loss or a norm that is not finite.
    pub fn add<B: Backend<Scalar = S>>(&mut self, backend: &B, step: Issued<S>) -> Result<(), TrainError> {
        if backend.lag() == 0 {
            landed(backend, &step)?;
        }
        self.issued.push_back(step);
        Ok(())
    }

    /// The oldest step, if more than `stay` are under way.
    ///
    /// # Errors
    /// As [`Flight::add`]; the optimizer has left such a step out ([`Backend::lag`]).
    pub fn land<B: Backend<Scalar = S>>(&mut self, backend: &B, stay: usize) -> Result<Option<Landed>, TrainError> {
        if self.issued.len() <= stay {
            return Ok(None);
        }
        self.issued.pop_front().map(|step| landed(backend, &step)).transpose()
    }
}

/// Waits for the numbers of a step.
fn landed<B: Backend>(backend: &B, step: &Issued<B::Scalar>) -> Result<Landed, TrainError> {
    let plain_loss = step.losses.iter().map(|loss| backend.read(loss)).sum::<f64>();
    let loss = step.penalties.iter().fold(plain_loss, |loss, penalty| loss + backend.read(penalty));
    let norm = backend.read(&step.norm);
    let &Issued { epoch, before, learning_rate, rows, tokens, .. } = step;
    for (what, value) in [("loss", loss), ("gradient norm", norm)] {
        if !value.is_finite() {
            return Err(TrainError::NotFinite { what: what.to_string(), value, step: before + 1, learning_rate });
        }
    }
    Ok(Landed { epoch, step: before + 1, plain_loss, loss, norm, learning_rate, rows, tokens })
}
