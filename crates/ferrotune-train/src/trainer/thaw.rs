//! Gradual unfreezing: parameters that begin to move in a later epoch than others (Howard and Ruder 2018, section 3.3,
//! <https://arxiv.org/abs/1801.06146>). It must not know which part of a model a parameter is.
//!
//! What a run trains at all stays trainable for everybody else: moments, checkpoints and best weights hold it from the start. Only while
//! steps run are those held back whose epoch has not come; they keep their dropout, and cost no backward pass below the lowest that moves.

use ferrotune_tensor::{Backend, ParamId, Params};

/// The epochs in which parameters begin to move.
#[derive(Clone, Debug, Default)]
pub struct Thaw {
    /// Parameters and their epochs, from 0; those that are not listed move from the start.
    later: Vec<(ParamId, u64)>,
}

impl Thaw {
    /// Every trained parameter begins in the epoch, counted from 0, that `epoch_of` gives for its name.
    pub fn new<B: Backend>(params: &Params<B>, epoch_of: impl Fn(&str) -> u64) -> Thaw {
        let of = |id: ParamId| (id, epoch_of(&params.layout().entry(id).name));
        Thaw { later: params.trainable_ids().map(of).filter(|(_, epoch)| *epoch > 0).collect() }
    }

    /// Holds back what does not move yet in this epoch, and lets go of the rest.
    pub fn hold<B: Backend>(&self, params: &mut Params<B>, epoch: u64) {
        self.later.iter().for_each(|&(id, from)| params.set_trainable(id, epoch >= from));
    }

    /// Lets go of everything that the run trains.
    pub fn release<B: Backend>(&self, params: &mut Params<B>) {
        self.later.iter().for_each(|&(id, _)| params.set_trainable(id, true));
    }
}
