//! Softmax cross-entropy over classes with class weights and label smoothing.

use ferrotune_tensor::{Backend, Backward, Forward, Op, Shape, Tensor};

/// `loss = scale · Σ_i [(1 − e)·w_y·(−log p_y) + e/classes · Σ_j w_j·(−log p_j)]` with `p = softmax(logits_i)`, `y = labels_i` and `e` the
/// smoothing: logits `(n, classes)`. `torch.nn.CrossEntropyLoss` with `weight` and `label_smoothing`.
pub struct WeightedCrossEntropy {
    /// One class for each row.
    pub labels: Vec<u32>,
    /// One weight for each class.
    pub weights: Vec<f32>,
    /// The share of a label that is spread over all classes.
    pub smoothing: f32,
    /// One over the sum of the rows' weights gives the weighted mean.
    pub scale: f32,
}

impl<B: Backend> Op<B> for WeightedCrossEntropy {
    fn name(&self) -> &'static str {
        "weighted_cross_entropy"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let x = cx.x[0];
        x.shape.expect("weighted_cross_entropy", "logits", &[self.labels.len(), self.weights.len()]);
        let mut loss = cx.pool.take_statistic(Shape::scalar());
        cx.backend.weighted_cross_entropy(
            loss.data_mut(),
            x.data,
            &self.labels,
            &self.weights,
            self.smoothing,
            self.scale,
        );
        loss
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let target = cx.dx[0].target();
        cx.backend.weighted_cross_entropy_backward(
            target,
            cx.dy.data,
            cx.x[0].data,
            &self.labels,
            &self.weights,
            self.smoothing,
            self.scale,
        );
    }
}
