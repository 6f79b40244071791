//! What a differentiable function is: forward, backward, and what each may see. Knows no tape.

use crate::{Backend, Cpu, Pool, Target, Tensor, View};

/// What [`Op::forward`] may use.
///
/// `'d` is the life of the tensors, `'a` that of this call.
pub struct Forward<'a, 'd, B: Backend = Cpu> {
    /// The device.
    pub backend: &'a B,
    /// The inputs, in the order given to [`Tape::apply`](crate::Tape::apply).
    pub x: &'a [View<'d, B>],
    /// Where the output and saved tensors come from.
    pub pool: &'a mut Pool<B>,
}

/// What [`Op::backward`] may use.
///
/// `'d` is the life of the tensors, `'a` that of this call.
pub struct Backward<'a, 'd, B: Backend = Cpu> {
    /// The device.
    pub backend: &'a B,
    /// The inputs, as in forward.
    pub x: &'a [View<'d, B>],
    /// The output of forward.
    pub y: View<'d, B>,
    /// The gradient of the loss by the output.
    pub dy: View<'d, B>,
    /// Where the gradients by the inputs go, one slot for each input.
    pub dx: &'a mut [Slot<'d, B>],
    /// Where temporary memory comes from.
    pub pool: &'a mut Pool<B>,
}

/// The place of one gradient. [`Slot::target`] hands it out once.
pub struct Slot<'d, B: Backend = Cpu> {
    pub(crate) data: Option<B::Mut<'d>>,
    pub(crate) beta: f32,
    pub(crate) wanted: bool,
}

impl<'d, B: Backend> Slot<'d, B> {
    pub(crate) fn unwanted() -> Self {
        Slot { data: None, beta: 0.0, wanted: false }
    }

    pub(crate) fn new(data: B::Mut<'d>, beta: f32) -> Self {
        Slot { data: Some(data), beta, wanted: true }
    }

    /// True if somebody wants this gradient.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// The memory to write and its beta: `None` if nobody wants it, beta 0 to overwrite (the memory holds nothing), beta 1 to
    /// accumulate. Taking a target is a promise to write it.
    pub fn target(&mut self) -> Target<'d, B> {
        self.data.take().map(|data| (data, self.beta))
    }
}

/// One differentiable function. Its fields are its hyper-parameters and whatever forward saved for backward.
pub trait Op<B: Backend = Cpu>: Send {
    /// The name used in messages.
    fn name(&self) -> &'static str;

    /// Computes the output. May be called again after [`Op::release`], with the same inputs, and then gives the same bits
    /// ([`Tape::checkpoint`](crate::Tape::checkpoint)). A panic about its inputs is one at the line that applied it.
    #[track_caller]
    fn forward(&mut self, cx: Forward<'_, '_, B>) -> Tensor<B>;

    /// Writes the gradient of every wanted input.
    fn backward(&mut self, cx: Backward<'_, '_, B>);

    /// The rows of input `i` that backward touches, if it touches no others; a row may come several times. Handle both targets: with
    /// [`Grads::by_rows`](crate::Grads::by_rows) beta is 1 and only these rows hold numbers (new ones are zero), so the rest is left alone; with plain
    /// gradients it is the usual target, and at beta 0 all other rows must become 0.
    fn rows(&self, i: usize) -> Option<&[u32]> {
        let _ = i;
        None
    }

    /// Gives saved tensors back to the pool: after backward, when no backward will come, or until forward runs again. May be called when
    /// nothing is saved.
    fn release(&mut self, pool: &mut Pool<B>) {
        let _ = pool;
    }
}
