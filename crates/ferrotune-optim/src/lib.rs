//! What turns gradients into better parameters: losses, optimizers, parameter groups, clipping, penalties, schedules.
//! It knows the tensor core and nothing of models, data or files.
#![forbid(unsafe_code)]

pub mod adamw;
pub mod anchor;
pub mod clip;
pub mod ema;
pub mod groups;
mod idle;
pub mod losses;
pub mod optimizer;
pub mod penalty;
pub mod schedule;
pub mod sgd;
#[cfg(test)]
mod tests;

pub use adamw::AdamW;
pub use anchor::Anchor;
pub use ema::Ema;
pub use groups::Groups;
pub use optimizer::Optimizer;
pub use penalty::Penalty;
pub use schedule::Schedule;
pub use sgd::Sgd;
