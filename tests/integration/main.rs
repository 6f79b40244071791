//! The one integration binary: golden numbers of the reference implementation, and the promises of training.
#![forbid(unsafe_code)]

mod audit;
mod families;
mod golden;
#[cfg(any(feature = "shim", feature = "driver"))]
mod gpu;
mod harness;
mod kept;
mod long_texts;
mod masked;
mod memory;
mod minilm;
mod tasks;
mod tokens;
mod training;
mod unfreezing;
