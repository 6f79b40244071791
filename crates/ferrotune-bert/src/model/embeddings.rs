//! Words, positions and token types, summed, normalised and dropped.

use super::dropouts::Site;
use super::{Dropouts, LayerNorm, Sequences};
use crate::config::BertConfig;
use ferrotune_tensor::init::Init;
use ferrotune_tensor::{Backend, ParamId, Scope, Tape, Var, ops};

/// `bert.embeddings`
pub struct Embeddings {
    /// `word_embeddings.weight (vocab, hidden)`
    pub word_embeddings: ParamId,
    /// `position_embeddings.weight (positions, hidden)`
    pub position_embeddings: ParamId,
    /// `token_type_embeddings.weight (types, hidden)`
    pub token_type_embeddings: ParamId,
    /// `LayerNorm`
    pub layer_norm: LayerNorm,
}

impl Embeddings {
    /// Declares the parameters in `scope`.
    pub fn new(config: &BertConfig, mut scope: Scope<'_>) -> Embeddings {
        let (h, init) = (config.hidden_size, Init::Normal(config.initializer_range));
        Embeddings {
            word_embeddings: scope.enter("word_embeddings").param("weight", [config.vocab_size, h], init),
            position_embeddings: scope.enter("position_embeddings").param(
                "weight",
                [config.max_position_embeddings, h],
                init,
            ),
            token_type_embeddings: scope.enter("token_type_embeddings").param(
                "weight",
                [config.type_vocab_size, h],
                init,
            ),
            layer_norm: LayerNorm::new(scope.enter("LayerNorm"), h, config.layer_norm_eps),
        }
    }

    /// `(t, hidden)`.
    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, input: &Sequences, dropouts: &Dropouts) -> Var {
        let tables = [
            tape.param(self.word_embeddings),
            tape.param(self.position_embeddings),
            tape.param(self.token_type_embeddings),
        ];
        let ids = vec![input.ids.clone(), input.positions.clone(), input.type_ids.clone()];
        let summed = tape.apply(ops::Embeddings { ids }, &tables);
        let normed = self.layer_norm.forward(tape, summed);
        let mask = dropouts.mask(Site::Embeddings, 0);
        if mask.is_none() { normed } else { tape.apply(ops::Dropout { mask }, &[normed]) }
    }
}
