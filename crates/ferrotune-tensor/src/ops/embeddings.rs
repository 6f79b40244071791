//! Sum of rows looked up in several tables (words, positions, token types).

use crate::{Backend, Backward, Forward, Op, Tensor};

/// `y[t] = Σ_k table_k[ids_k[t]]`: inputs are the tables `(rows_k, h)`, y is `(t, h)`.
pub struct Embeddings {
    /// For each table the row of each token.
    pub ids: Vec<Vec<u32>>,
}

impl<B: Backend> Op<B> for Embeddings {
    fn name(&self) -> &'static str {
        "embeddings"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        assert!(cx.x.len() == self.ids.len(), "embeddings: {} tables but {} lists of ids", cx.x.len(), self.ids.len());
        let (tokens, width) = (self.ids[0].len(), cx.x[0].shape.width());
        for (k, (table, ids)) in cx.x.iter().zip(&self.ids).enumerate() {
            let rows = table.shape.expect_matrix("embeddings", "table", width);
            assert!(ids.len() == tokens, "embeddings: table {k} has {} ids, table 0 has {tokens}", ids.len());
            if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
                panic!("embeddings: id {id} in table {k} of {rows} rows");
            }
        }
        let tables: Vec<_> = cx.x.iter().zip(&self.ids).map(|(table, ids)| (table.data, ids.as_slice())).collect();
        let mut y = cx.pool.take([tokens, width]);
        cx.backend.embedding(y.data_mut(), &tables, width);
        y
    }

    fn rows(&self, i: usize) -> Option<&[u32]> {
        Some(&self.ids[i])
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let width = cx.y.shape.width();
        for (slot, ids) in cx.dx.iter_mut().zip(&self.ids) {
            cx.backend.embedding_backward(slot.target(), cx.dy.data, ids, width);
        }
    }
}
