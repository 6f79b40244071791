//! BERT encoder and heads, loaded from and saved to Hugging Face folders.
//!
//! [`config`] reads config.json, [`checkpoint`] speaks safetensors, [`model`] is the network as plain structs whose field paths are
//! the checkpoint's names, [`pretrained`] joins the three, [`freeze`] and [`parts`] name
//! parts of the model, [`lora`] adds adapters. It opens model folders and
//! nothing else, and knows neither tokens nor training.
#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod config;
pub mod error;
pub mod freeze;
mod json;
pub mod lora;
pub mod memory;
pub mod model;
pub mod parts;
pub mod pretrained;

pub use config::BertConfig;
pub use error::BertError;
pub use model::{BertForSequenceClassification, Dropouts, Sequences};
