//! Binary cross-entropy on logits.

use ferrotune_tensor::{Backend, Backward, Forward, Op, Shape, Tensor};

/// `loss = scale · Σ_i −(t·log σ(z) + (1 − t)·log(1 − σ(z)))`: a logit `z` and a target `t` in `[0, 1]` for each element, computed
/// without overflow as `max(z, 0) − z·t + log(1 + e^−|z|)`.
pub struct BinaryCrossEntropy {
    /// One target for each logit.
    pub targets: Vec<f32>,
    /// One over the number of targets gives the mean.
    pub scale: f32,
}

impl<B: Backend> Op<B> for BinaryCrossEntropy {
    fn name(&self) -> &'static str {
        "binary_cross_entropy"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let logits = cx.x[0];
        assert!(
            logits.shape.len() == self.targets.len(),
            "binary_cross_entropy: argument `targets`: expected {} values, got {}",
            logits.shape.len(),
            self.targets.len()
        );
        let mut loss = cx.pool.take_statistic(Shape::scalar());
        cx.backend.binary_cross_entropy(loss.data_mut(), logits.data, &self.targets, self.scale);
        loss
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let target = cx.dx[0].target();
        cx.backend.binary_cross_entropy_backward(target, cx.dy.data, cx.x[0].data, &self.targets, self.scale);
    }
}
