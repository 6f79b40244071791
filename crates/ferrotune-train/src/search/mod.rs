//! Searching for settings: spaces, samplers, successive halving, and the study file that all of it is a function of. It must not know what a
//! setting does, nor how a trial trains: a [`drive::Worker`] does that.

pub mod drive;
pub mod halving;
pub mod importance;
pub mod sampler;
pub mod space;
pub mod study;
