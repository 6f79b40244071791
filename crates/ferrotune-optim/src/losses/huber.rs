//! Huber's error of predicted numbers: squared near the target, linear far from it.

use ferrotune_tensor::{Backend, Backward, Forward, Op, Shape, Tensor};

/// `loss = scale · Σ_i h(x_i − t_i)` with `h(r) = ½r²` for `|r| ≤ delta` and `delta·(|r| − ½delta)` beyond.
pub struct Huber {
    /// One target for each number.
    pub targets: Vec<f32>,
    /// Where the error turns linear; above 0.
    pub delta: f32,
    /// One over the number of targets gives the mean.
    pub scale: f32,
}

impl<B: Backend> Op<B> for Huber {
    fn name(&self) -> &'static str {
        "huber"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let x = cx.x[0];
        assert!(
            x.shape.len() == self.targets.len(),
            "huber: argument `targets`: expected {} values, got {}",
            x.shape.len(),
            self.targets.len()
        );
        let mut loss = cx.pool.take_statistic(Shape::scalar());
        cx.backend.huber(loss.data_mut(), x.data, &self.targets, self.delta, self.scale);
        loss
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let target = cx.dx[0].target();
        cx.backend.huber_backward(target, cx.dy.data, cx.x[0].data, &self.targets, self.delta, self.scale);
    }
}
