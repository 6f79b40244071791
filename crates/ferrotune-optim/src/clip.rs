//! The global norm of the gradients, and clipping by it (Pascanu et al. 2013, <https://arxiv.org/abs/1211.5063>). Both stay on the device.
//! It must not know the optimizer.

use ferrotune_tensor::{Backend, Grads};

/// `√Σ g²` over all written gradients, summed in f64 in the order of the parameters; of those written by rows, row by row.
pub fn global_norm<B: Backend>(backend: &B, grads: &Grads<B>) -> B::Scalar {
    let parts: Vec<_> = grads.written_ranges().map(|(_, range)| grads.part(range)).collect();
    backend.norm(&parts)
}

/// The factor that brings a gradient of this norm to at most `max_norm`: `min(1, max_norm / (norm + 1e-6))`, as
/// `torch.nn.utils.clip_grad_norm_` has it. A `max_norm` of 0 means no clipping.
pub fn clip_factor<B: Backend>(backend: &B, norm: &B::Scalar, max_norm: f64) -> B::Scalar {
    backend.clip_factor(norm, (max_norm != 0.0).then_some(max_norm))
}
