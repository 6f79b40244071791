//! What attention knows of how far apart two tokens are, in families where it does: the table that all layers share, and how a layer's queries and keys
//! read it. It must not know the rest of a layer.

use super::dropouts::Site;
use super::post_norm::SelfAttention;
use super::{Dropouts, LayerNorm, Place, Sequences};
use crate::config::{DistanceRows, EncoderConfig};
use crate::family::Relative;
use ferrotune_tensor::init::Init;
use ferrotune_tensor::{Backend, ParamId, Scope, Tape, Var, ops};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The table of distances.
pub struct Distances {
    /// `encoder.relative_attention_bias.weight (rows, heads)`, or `encoder.rel_embeddings.weight (rows, hidden)`
    pub table: ParamId,
    /// `encoder.LayerNorm`, of a table of embeddings
    pub layer_norm: Option<LayerNorm>,
    rows: DistanceRows,
    heads: usize,
    head_dim: usize,
}

/// What a pass reads of the table.
pub struct PassDistances {
    scores: ops::Distances,
    read: Read,
}

enum Read {
    /// Each token's scores, `(t, heads·rows)`: the same for all tokens, and for all layers.
    Bias(Var),
    /// The embeddings of distances that the pass has, `(n, hidden)`, from the last row of the table down, but for so many.
    Embeddings { embedded: Var, above: usize },
}

impl Distances {
    /// Declares the parameters in the scope of the base, in families that have them.
    pub fn new(config: &EncoderConfig, base: &mut Scope<'_>) -> Option<Distances> {
        let (relative, rows) = (config.family.relative?, config.distance_rows?);
        let (heads, head_dim) = (config.num_attention_heads, config.head_dim());
        let mut table = |path, width| {
            base.enter(path).param("weight", [rows.count(), width], Init::Normal(config.initializer_range))
        };
        let (table, layer_norm) = match relative {
            Relative::Bias { table: path } => (table(path, heads), None),
            Relative::Disentangled { table: path, norm } => {
                let table = table(path, config.hidden_size);
                (table, Some(LayerNorm::new(config, base.enter(norm), config.hidden_size)))
            }
        };
        Some(Distances { table, layer_norm, rows, heads, head_dim })
    }

    /// The row of each distance that these sequences have, from the farthest key before its query on.
    fn rows_of(&self, input: &Sequences) -> Vec<u32> {
        let longest = input.offsets.windows(2).map(|pair| i64::from(pair[1] - pair[0])).max().unwrap_or(0).max(1);
        (1 - longest..longest).map(|distance| self.rows.row(distance) as u32).collect()
    }

    /// The rows of the table that a pass over these sequences reads, if these are not all: from the first that a distance has to the last.
    pub fn reads(&self, input: &Sequences) -> Option<(ParamId, Vec<u32>)> {
        let is_whole = self.layer_norm.is_none();
        (!is_whole).then(|| (self.table, span(&self.rows_of(input)).collect()))
    }

    /// What a pass over these sequences reads.
    pub fn embed<B: Backend>(&self, tape: &mut Tape<'_, B>, input: &Sequences) -> PassDistances {
        let rows = self.rows_of(input);
        let table = tape.param(self.table);
        let Some(norm) = &self.layer_norm else {
            // Products with ones are the bias itself, and √d of them, because attention divides it as it does products.
            let tokens = input.ids.len();
            let ones =
                tape.constant_from([tokens, self.heads], &vec![(self.head_dim as f32).sqrt(); tokens * self.heads]);
            let bias = tape.apply(ops::HeadProducts { heads: self.heads }, &[ones, table]);
            let scores = ops::Distances { buckets: rows.into(), count: self.rows.count(), by_key: false };
            return PassDistances { scores, read: Read::Bias(bias) };
        };
        // From the last row up: so the farther a key lies behind its query, the higher its bucket, and neighbouring distances lie side by side.
        let found = span(&rows);
        let last = *found.end();
        let buckets = rows.iter().map(|row| last - row).collect();
        let scores = ops::Distances { buckets, count: found.clone().count(), by_key: true };
        let embedded = tape.apply(ops::Embeddings { ids: vec![found.rev().collect()] }, &[table]);
        let embedded = norm.forward(tape, embedded);
        PassDistances { scores, read: Read::Embeddings { embedded, above: self.rows.count() - 1 - last as usize } }
    }
}

/// From the smallest to the largest; logarithms may leave out some between.
fn span(rows: &[u32]) -> RangeInclusive<u32> {
    let (first, last) = rows.iter().fold((u32::MAX, 0), |(first, last), &row| (first.min(row), last.max(row)));
    first..=last
}

impl PassDistances {
    /// Whether scores are made from a layer's queries and keys, which then must be matrices of their own.
    pub(super) fn read_queries(&self) -> bool {
        matches!(self.read, Read::Embeddings { .. })
    }

    /// Attention of a layer with scores by distance. `first` are the rows of the tokens that are queried, if these are not all.
    pub(super) fn attend<B: Backend>(
        &self,
        tape: &mut Tape<'_, B>,
        attention: ops::Attention<B>,
        mut sources: Vec<Var>,
        first: Option<&Arc<[u32]>>,
        projections: &SelfAttention,
        (dropouts, layer): (&Dropouts, usize),
    ) -> Var {
        let (numbers, terms) = match self.read {
            Read::Bias(bias) => match first {
                Some(rows) => (vec![tape.apply(ops::GatherRows { rows: rows.to_vec() }, &[bias])], 1),
                None => (vec![bias], 1),
            },
            Read::Embeddings { embedded, above } => {
                let dropouts = dropouts.on_distances(above);
                let embedded = super::drop(tape, embedded, dropouts.mask(Site::Distances, layer), None);
                let place = Place { dropouts: &dropouts, layer, rows: None };
                let [queries, keys] =
                    [&projections.query, &projections.key].map(|linear| linear.forward_at(tape, embedded, place));
                let heads = ops::HeadProducts { heads: attention.heads() };
                let by_query = tape.apply(heads, &[sources[0], keys]);
                let by_key = tape.apply(heads, &[sources[1], queries]);
                // Product, query's and key's score of the distance.
                (vec![by_query, by_key], 3)
            }
        };
        sources.extend(numbers);
        tape.apply(attention.by_distance(self.scores.clone(), terms), &sources)
    }
}
