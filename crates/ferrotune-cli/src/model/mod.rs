//! A model as commands use it: found, joined to training, moved by parts, and what its folder remembers. It must not know the rows of a command.

pub mod calibrated;
pub mod classifier;
pub mod find;
pub mod fine_tuned;
pub mod hidden_means;
pub mod notes;
pub mod tuning;
