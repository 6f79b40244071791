//! Inverted dropout (Srivastava et al. 2014) with a mask that is computed, never stored.

use super::inputs;
use crate::{Backend, Backward, Forward, Mask, Op, Tensor};

/// `y[i] = x[i]·keep[i]/(1 − p)`; the same mask is computed again in backward.
pub struct Dropout {
    /// Which elements are kept: a pure function of seed, step, layer, site and element.
    pub mask: Mask,
}

impl<B: Backend> Op<B> for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B> {
        let [x] = inputs("dropout", cx.x);
        let mut y = cx.pool.take(x.shape);
        cx.backend.dropout(y.data_mut(), x.data, self.mask);
        y
    }

    fn backward(&mut self, cx: Backward<'_, '_, B>) {
        cx.backend.dropout_backward(cx.dx[0].target(), cx.dy.data, self.mask);
    }
}
