//! The encoder without its head: embeddings, the projection of families that have one, the stack of layers.

use super::{Dropouts, Embeddings, Encoder, Linear, Sequences};
use crate::config::EncoderConfig;
use ferrotune_tensor::{Backend, ParamId, Scope, Tape, Var};

/// `bert`, `roberta`, `distilbert`, `electra`, `model`: what transformers calls the base model.
pub struct Base {
    /// `embeddings`
    pub embeddings: Embeddings,
    /// `embeddings_project (hidden, embedding)`, if embeddings are narrower than the hidden states.
    pub embeddings_project: Option<Linear>,
    /// `encoder`, or what the family calls it.
    pub encoder: Encoder,
}

impl Base {
    /// Declares the parameters in `scope`.
    pub fn new(config: &EncoderConfig, mut scope: Scope<'_>) -> Base {
        let embeddings = Embeddings::new(config, scope.enter("embeddings"));
        let (inputs, outputs) = (config.embedding_size, config.hidden_size);
        let embeddings_project = (config.family.projection)
            .filter(|_| inputs != outputs)
            .map(|path| Linear::new(scope.enter(path), inputs, outputs, config.initializer_range));
        let encoder = Encoder::new(config, scope);
        Base { embeddings, embeddings_project, encoder }
    }

    /// The tables of which a pass over these sequences reads some rows, and these.
    pub fn reads(&self, input: &Sequences) -> Vec<(ParamId, Vec<u32>)> {
        let mut reads = self.embeddings.reads(input);
        reads.extend(self.encoder.distances.as_ref().and_then(|distances| distances.reads(input)));
        reads
    }

    /// What the first layer reads, `(t, hidden)`.
    pub fn embed<B: Backend>(&self, tape: &mut Tape<'_, B>, input: &Sequences, dropouts: &Dropouts) -> Var {
        tape.scope(|tape| {
            let embedded = self.embeddings.forward(tape, input, dropouts);
            match &self.embeddings_project {
                Some(project) => project.forward(tape, embedded),
                None => embedded,
            }
        })
    }

    /// The hidden states `(t, hidden)`: what the first layer reads, then each layer's output.
    pub fn forward<B: Backend>(&self, tape: &mut Tape<'_, B>, input: &Sequences, dropouts: &Dropouts) -> Vec<Var> {
        let embedded = self.embed(tape, input, dropouts);
        self.encoder.forward(tape, embedded, input, dropouts)
    }
}
