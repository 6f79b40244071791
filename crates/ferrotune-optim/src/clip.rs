//! The global norm of the gradients, and clipping by it (Pascanu et al. 2013, <https://arxiv.org/abs/1211.5063>).

use ferrotune_tensor::{Backend, Grads};

/// `√Σ g²` over all written gradients, summed in f64 in the order of the parameters; of those written by rows, row by row.
pub fn global_norm<B: Backend>(backend: &B, grads: &Grads<B>) -> f64 {
    let squares = |id| match grads.rows(id) {
        None => backend.sum_squares(grads.get(id).data),
        Some(rows) => rows.iter().map(|&row| backend.sum_squares(grads.row(id, row))).sum(),
    };
    grads.written_ids().map(squares).sum::<f64>().sqrt()
}

/// The factor that brings a gradient of this norm to at most `max_norm`: `min(1, max_norm / (norm + 1e-6))`, as
/// `torch.nn.utils.clip_grad_norm_` has it. A `max_norm` of 0 means no clipping.
pub fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    if max_norm == 0.0 { 1.0 } else { (max_norm / (norm + 1e-6)).min(1.0) }
}
