//! Training: the loop, evaluation, metrics, events, checkpoints and resume. Must not know any model architecture, and never
//! prints or exits: it reports through [`events`] and [`error::TrainError`].
#![forbid(unsafe_code)]

pub mod advice;
pub mod baselines;
pub mod calibration;
pub mod error;
pub mod evaluate;
pub mod events;
pub mod fingerprint;
mod flight;
pub mod kept;
pub mod label_errors;
pub mod lock;
pub mod metrics;
pub mod metrics_log;
pub mod model;
pub mod passes;
pub mod prefix;
pub mod probe;
pub mod resume;
pub mod search;
pub mod sentinels;
pub mod store;
pub mod tasks;
pub mod tensorboard;
pub mod thaw;
pub mod trainer;
