//! What changes from step to step of a run, besides its parameters. It must not know what a step does.

use super::resume::Progress;
use super::sentinels::Finding;
use ferrotune_optim::Ema;
use ferrotune_tensor::{Backend, Params};

/// How far a run is, its moving average, and why it should be left.
pub(super) struct State<B: Backend> {
    pub progress: Progress,
    pub average: Option<Ema<B>>,
    pub degenerate: Option<Finding>,
}

impl<B: Backend> State<B> {
    /// Puts the average in the place of the weights, or these back.
    pub fn exchange(&mut self, backend: &B, params: &mut Params<B>) {
        self.average.iter_mut().for_each(|average| average.exchange(backend, params));
    }
}
