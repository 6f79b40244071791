//! Squared error of predicted numbers.

use ferrotune_tensor::{Backend, Backward, Forward, Op, Shape, Tensor};

/// `loss = scale · Σ_i (x_i − t_i)²`.
pub struct SquaredError {
    /// One target for each number.
    pub targets: Vec<f32>,
    /// One over the number of targets gives the mean.
    pub scale: f32,
}

impl<B: Backend> Op<B> for SquaredError {
    fn name(&self) -> &'static str {
        "squared_error"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let x = cx.x[0];
        assert!(
            x.shape.len() == self.targets.len(),
            "squared_error: argument `targets`: expected {} values, got {}",
            x.shape.len(),
            self.targets.len()
        );
        let mut loss = cx.pool.take_statistic(Shape::scalar());
        cx.backend.squared_error(loss.data_mut(), x.data, &self.targets, self.scale);
        loss
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let target = cx.dx[0].target();
        cx.backend.squared_error_backward(target, cx.dy.data, cx.x[0].data, &self.targets, self.scale);
    }
}
