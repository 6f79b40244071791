//! The rows of a command: which files, which task they are for, what is held out of them. It must not know a model's weights, or what becomes of a run.

pub mod data;
pub mod held_out;
pub mod inputs;
pub mod task;
