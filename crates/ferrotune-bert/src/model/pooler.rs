//! The pooler: tanh of a linear layer on the first token.

use super::Linear;
use crate::config::BertConfig;
use ferrotune_tensor::{Backend, Scope, Tape, Var, ops};

/// `bert.pooler`
pub struct Pooler {
    /// `dense (hidden, hidden)`
    pub dense: Linear,
}

impl Pooler {
    /// Declares the parameters in `scope`.
    pub fn new(config: &BertConfig, mut scope: Scope<'_>) -> Pooler {
        let h = config.hidden_size;
        Pooler { dense: Linear::new(scope.enter("dense"), h, h, config.initializer_range) }
    }

    /// `first (b, hidden)`, the hidden state of each sequence's first token, through dense and tanh.
    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, first: Var) -> Var {
        let dense = self.dense.forward(tape, first);
        tape.apply(ops::Tanh, &[dense])
    }
}
