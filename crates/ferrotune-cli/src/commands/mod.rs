//! The commands, one file each. What several of them need lies in the folders beside this one, which must not know any command.

mod attempt;
pub mod audit;
pub mod baseline;
mod budget;
pub mod calibrate;
pub mod compare;
pub mod devices;
mod ending;
pub mod evaluate;
pub mod fetch;
pub mod info;
pub mod init;
mod learning_curve;
pub mod predict;
pub mod pretrain;
pub mod replay;
pub mod report;
mod results;
pub mod search;
mod seeds;
pub mod serve;
pub mod split;
mod start;
#[cfg(test)]
pub(crate) mod tiny;
pub mod train;
