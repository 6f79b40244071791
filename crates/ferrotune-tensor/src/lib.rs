//! The autodiff core of ferrotune: an op trait, an arena tape for one step, pooled buffers.
//!
//! It knows no model, no tokenizer, no optimizer and does no input or output. Read it in this order:
//! [`backend`] (what a device must offer), [`tensor`] and [`pool`] (memory), [`layout`], [`params`] and [`grads`] (names and
//! flat storage), [`op`] and [`tape`] (recording and the reverse sweep), then any file of [`ops`].
//!
//! # A custom op
//!
//! One struct, two methods, one import; [`gradcheck`](gradcheck::gradcheck) compares it with a reference in f64.
//!
//! ```
//! use ferrotune_tensor::prelude::*;
//!
//! /// swish: y = x · σ(βx), and dy/dx = σ + βy(1 − σ).
//! struct Swish { beta: f32 }
//! impl Op<Cpu> for Swish {
//!     fn name(&self) -> &'static str { "swish" }
//!     fn forward(&mut self, cx: Forward<Cpu>) -> Tensor<Cpu> {
//!         let mut y = cx.pool.take(cx.x[0].shape);
//!         for (y, x) in y.data_mut().iter_mut().zip(cx.x[0].data) { *y = x / (1.0 + (-self.beta * x).exp()) }
//!         y
//!     }
//!     fn backward(&mut self, cx: Backward<Cpu>) {
//!         let Some((dx, beta)) = cx.dx[0].target() else { return };
//!         for i in 0..dx.len() {
//!             let s = 1.0 / (1.0 + (-self.beta * cx.x[0].data[i]).exp());
//!             let g = cx.dy.data[i] * (s + self.beta * cx.y.data[i] * (1.0 - s));
//!             dx[i] = if beta == 0.0 { g } else { dx[i] + g };
//!         }
//!     }
//! }
//!
//! let x = ndarray::arr2(&[[0.3f32, -0.7, 1.1], [2.0, -3.0, 0.0]]).into_dyn();
//! gradcheck(|| Swish { beta: 1.3 }, &[x], |x| x[0].mapv(|v| v / (1.0 + (-1.3 * v).exp()))).unwrap();
//! ```
//!
//! # Promises
//! - An op that was asked for a gradient and wrote none stops the program and is named, in release builds too.
//! - Every sum has an order that does not depend on the number of threads.
//! - After the first steps of each size no tensor memory is allocated ([`pool::Pool::misses`] counts).
//! - A mistake in a shape panics with the op, the argument, what was expected and what arrived.
#![forbid(unsafe_code)]

pub mod backend;
pub mod contract;
pub mod cpu;
pub mod gradcheck;
pub mod grads;
pub mod init;
pub mod layout;
pub mod op;
pub mod ops;
pub mod params;
pub mod pool;
pub mod shape;
pub mod tape;
pub mod tensor;

pub use backend::{Backend, Role, Target};
pub use cpu::{Cpu, Precision};
pub use ferrotune_kernels::mask::Mask;
pub use grads::Grads;
pub use layout::{Layout, ParamId, Scope};
pub use op::{Backward, Forward, Op, Slot};
pub use params::Params;
pub use pool::Pool;
pub use shape::Shape;
pub use tape::{Tape, Var};
pub use tensor::{Tensor, View};

/// The one import of somebody who writes an op.
pub mod prelude {
    pub use crate::gradcheck::gradcheck;
    pub use crate::{
        Backend, Backward, Cpu, Forward, Grads, Layout, Mask, Op, ParamId, Params, Pool, Scope, Shape, Slot, Tape,
        Target, Tensor, Var, View,
    };
}
