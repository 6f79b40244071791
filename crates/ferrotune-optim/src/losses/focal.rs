//! Focal loss over classes: cross-entropy that counts little where the model is right already.

use ferrotune_tensor::{Backend, Backward, Forward, Op, Shape, Tensor};

/// `loss = scale · Σ_i −w_y·(1 − p_y)^gamma · log p_y` with `p = softmax(logits_i)` and `y = labels_i`: logits `(n, classes)`.
pub struct Focal {
    /// One class for each row.
    pub labels: Vec<u32>,
    /// One weight for each class.
    pub weights: Vec<f32>,
    /// 0 is cross-entropy with class weights; larger values leave certain rows alone.
    pub gamma: f32,
    /// One over the sum of the rows' weights gives the weighted mean.
    pub scale: f32,
}

impl<B: Backend> Op<B> for Focal {
    fn name(&self) -> &'static str {
        "focal"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let x = cx.x[0];
        x.shape.expect("focal", "logits", &[self.labels.len(), self.weights.len()]);
        let mut loss = cx.pool.take_statistic(Shape::scalar());
        cx.backend.focal(loss.data_mut(), x.data, &self.labels, &self.weights, self.gamma, self.scale);
        loss
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let target = cx.dx[0].target();
        cx.backend.focal_backward(
            target,
            cx.dy.data,
            cx.x[0].data,
            &self.labels,
            &self.weights,
            self.gamma,
            self.scale,
        );
    }
}
