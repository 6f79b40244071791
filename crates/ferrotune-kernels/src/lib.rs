//! Numeric kernels of ferrotune over plain slices: every forward has its backward and its textbook version beside it.
//!
//! All tensors are `f32`, row-major and contiguous; sizes come in small `Dims` structs. Kernels know no tensor type, no tape
//! and no model, and they do not allocate (but for the portable matmul, whose crate does): scratch memory is an argument whose size a function tells.
//!
//! Three promises hold for the whole crate:
//! * **One order.** Every sum has an order that does not depend on the number of threads, so 1 and 64 threads give the same bits.
//! * **Target.** A gradient is written through [`target::Target`]: unwanted, overwritten without being read, or added to.
//! * **One body per kernel.** A kernel is written once; [`isa`] picks at run time for which instruction set that body was compiled.

pub mod adamw;
pub mod add_norm;
pub mod attention;
pub mod binary_cross_entropy;
pub mod binary_focal;
pub mod column_sums;
pub mod cross_entropy;
pub mod dropout;
pub mod elementwise;
pub mod embedding;
pub mod focal;
pub mod geglu;
pub mod gelu;
pub mod huber;
pub mod isa;
pub mod mask;
pub mod matmul;
pub mod norm;
pub mod par;
pub mod peak;
pub mod real;
pub mod relu;
pub mod rotary;
pub mod rows;
pub mod sequence_means;
pub mod sgd;
pub mod softmax;
pub mod squared_error;
pub mod tanh;
pub mod target;
mod vector;
mod vmath;
pub mod weighted_cross_entropy;
