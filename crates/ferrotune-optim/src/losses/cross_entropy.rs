//! Softmax cross-entropy over classes.

use ferrotune_tensor::{Backend, Backward, Forward, Op, Pool, Shape, Tensor};

/// `loss = scale · Σ_i −log softmax(logits_i)[label_i]`: logits `(n, classes)`, one label for each row.
pub struct CrossEntropy<B: Backend> {
    labels: Vec<u32>,
    scale: f32,
    probabilities: Option<Tensor<B>>,
}

impl<B: Backend> CrossEntropy<B> {
    /// A scale of `1/n` gives the mean.
    pub fn new(labels: Vec<u32>, scale: f32) -> Self {
        CrossEntropy { labels, scale, probabilities: None }
    }
}

impl<B: Backend> Op<B> for CrossEntropy<B> {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let logits = cx.x[0];
        let classes = logits.shape.width();
        logits.shape.expect("cross_entropy", "logits", &[self.labels.len(), classes]);
        if let Some(label) = self.labels.iter().find(|&&label| label as usize >= classes) {
            panic!("cross_entropy: label {label} of {classes} classes");
        }
        let mut probabilities = cx.pool.take_statistic(logits.shape);
        let mut loss = cx.pool.take_statistic(Shape::scalar());
        let (out, p) = (loss.data_mut(), probabilities.data_mut());
        cx.backend.cross_entropy(out, p, logits.data, &self.labels, classes, self.scale);
        self.probabilities = Some(probabilities);
        loss
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        let p = self.probabilities.as_ref().expect("forward ran before backward");
        let classes = p.shape.width();
        let target = cx.dx[0].target();
        cx.backend.cross_entropy_backward(target, cx.dy.data, p.data(), &self.labels, classes, self.scale);
    }

    fn release(&mut self, pool: &mut Pool<B>) {
        self.probabilities.take().into_iter().for_each(|tensor| pool.give(tensor));
    }
}
