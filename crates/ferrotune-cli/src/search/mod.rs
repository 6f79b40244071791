//! What `search` says and is told: spaces as TOML, settings of trials, tables and pictures. It must not train.

pub mod base;
pub mod parse;
pub mod picture;
pub mod rungs;
pub mod table;
