//! Training: the loop, evaluation, metrics, events, checkpoints and resume. Must not know any model architecture, and never
//! prints or exits: it reports through [`events`] and [`error::TrainError`].
#![forbid(unsafe_code)]

pub mod advice;
pub mod baselines;
pub mod calibration;
pub mod error;
pub mod evaluate;
pub mod events;
pub mod label_errors;
pub mod metrics;
pub mod model;
pub mod prefix;
pub mod probe;
pub mod search;
pub mod store;
pub mod tasks;
pub mod trainer;
