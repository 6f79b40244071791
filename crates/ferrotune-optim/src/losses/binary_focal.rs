//! Focal loss on one logit (Lin et al. 2017).

use ferrotune_tensor::{Backend, Backward, Forward, Op, Shape, Tensor};

/// `loss = scale · Σ_i −(1 − p_i)^gamma · log p_i`: `p` is `σ(z)` where the target is 1, and `1 − σ(z)` where it is 0.
pub struct BinaryFocal {
    /// 0 or 1 for each logit.
    pub targets: Vec<f32>,
    /// 0 is binary cross-entropy; larger values leave certain rows alone.
    pub gamma: f32,
    /// One over the number of targets gives the mean.
    pub scale: f32,
}

impl<B: Backend> Op<B> for BinaryFocal {
    fn name(&self) -> &'static str {
        "binary_focal"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let x = cx.x[0];
        assert!(
            x.shape.len() == self.targets.len(),
            "binary_focal: argument `targets`: expected {} values, got {}",
            x.shape.len(),
            self.targets.len()
        );
        let mut loss = cx.pool.take_statistic(Shape::scalar());
        cx.backend.binary_focal(loss.data_mut(), x.data, &self.targets, self.gamma, self.scale);
        loss
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let target = cx.dx[0].target();
        cx.backend.binary_focal_backward(target, cx.dy.data, cx.x[0].data, &self.targets, self.gamma, self.scale);
    }
}
