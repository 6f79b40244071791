//! The tensor core's [`Backend`](ferrotune_tensor::Backend) on NVIDIA GPUs: the same ops, the same masks, the same results within rounding.
//!
//! - `kernels/`: the CUDA sources, one file a family.
//! - [`device`]: what a machine must offer. The CUDA driver is one such machine (feature `driver`), and a shim that plays blocks and threads on the
//!   CPU another (feature `shim`), so that every kernel's numbers are tested where there is no GPU.
//! - `launch`: for each kernel the struct of its parameters and its launch.
//! - [`gpu`]: the Backend over any device.
//!
//! It must not know models, data or training.

pub mod device;
#[cfg(feature = "driver")]
pub mod driver;
pub mod gpu;
mod launch;
pub mod memory;
mod scalar;
#[cfg(feature = "shim")]
pub mod shim;
mod words;

pub use gpu::{Gpu, Precision};
pub use scalar::Scalar;
