//! Words, positions and token types, those that the family has, summed, normalised and dropped.

use super::dropouts::Site;
use super::{Dropouts, LayerNorm, Sequences};
use crate::config::EncoderConfig;
use crate::family::{Positions, TokenTypes};
use ferrotune_tensor::init::Init;
use ferrotune_tensor::{Backend, ParamId, Scope, Tape, Var, ops};

/// `bert.embeddings`; their width is `embedding`, which is the hidden size in most families.
pub struct Embeddings {
    /// `word_embeddings.weight (vocab, embedding)`
    pub word_embeddings: ParamId,
    /// `position_embeddings.weight (positions, embedding)`, in families that have it
    pub position_embeddings: Option<ParamId>,
    /// `token_type_embeddings.weight (types, embedding)`, in families that have it
    pub token_type_embeddings: Option<ParamId>,
    /// `LayerNorm`
    pub layer_norm: LayerNorm,
    /// Whether the second text of a pair has a row of its own.
    tells_segments: bool,
    /// The padding token, in families whose positions begin after its own.
    padding: Option<u32>,
}

impl Embeddings {
    /// Declares the parameters in `scope`.
    pub fn new(config: &EncoderConfig, mut scope: Scope<'_>) -> Embeddings {
        let (e, token_types) = (config.embedding_size, config.family.token_types);
        let mut table = |name: &str, rows: usize| {
            scope.enter(name).param("weight", [rows, e], Init::Normal(config.initializer_range))
        };
        Embeddings {
            word_embeddings: table(config.family.embeddings.words, config.vocab_size),
            position_embeddings: matches!(config.family.positions, Positions::FromZero | Positions::AfterPadding)
                .then(|| table("position_embeddings", config.max_position_embeddings)),
            token_type_embeddings: (token_types != TokenTypes::Absent)
                .then(|| table("token_type_embeddings", config.type_vocab_size)),
            layer_norm: LayerNorm::new(config, scope.enter(config.family.embeddings.norm), e),
            tells_segments: token_types == TokenTypes::Segments && config.type_vocab_size > 1,
            padding: (config.family.positions == Positions::AfterPadding).then_some(config.pad_token_id as u32),
        }
    }

    /// The tables, and the row that each token reads of each, `(t)`.
    pub fn reads(&self, input: &Sequences) -> Vec<(ParamId, Vec<u32>)> {
        let mut reads = vec![(self.word_embeddings, input.ids.clone())];
        reads.extend(self.position_embeddings.map(|table| (table, self.positions(input))));
        if let Some(table) = self.token_type_embeddings {
            reads.push((table, if self.tells_segments { input.type_ids.clone() } else { vec![0; input.ids.len()] }));
        }
        reads
    }

    /// The row of the position table that each token reads. Where these begin after that of the padding token, a padding token that is written out in a text
    /// reads its own and does not count, as in transformers (`create_position_ids_from_input_ids`).
    fn positions(&self, input: &Sequences) -> Vec<u32> {
        let Some(padding) = self.padding else { return input.positions.to_vec() };
        let mut left_out = 0;
        let row = |(&id, &position): (&u32, &u32)| {
            left_out = if position == 0 { 0 } else { left_out };
            if id == padding {
                left_out += 1;
                return padding;
            }
            padding + 1 + position - left_out
        };
        input.ids.iter().zip(&*input.positions).map(row).collect()
    }

    /// `(t, embedding)`.
    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, input: &Sequences, dropouts: &Dropouts) -> Var {
        let (tables, ids): (Vec<_>, Vec<_>) = self.reads(input).into_iter().unzip();
        let tables: Vec<Var> = tables.into_iter().map(|table| tape.param(table)).collect();
        let summed = tape.apply(ops::Embeddings { ids }, &tables);
        let normed = self.layer_norm.forward(tape, summed);
        let mask = dropouts.mask(Site::Embeddings, 0);
        if mask.is_none() { normed } else { tape.apply(ops::Dropout { mask }, &[normed]) }
    }
}
