//! BERT-family encoders and heads, loaded from and saved to Hugging Face folders.
//!
//! [`config`] reads config.json, [`checkpoint`] reads weights and writes safetensors, [`model`] is the network as plain structs whose field paths are
//! the checkpoint's names, [`family`] is where BERT, RoBERTa, DistilBERT, ELECTRA, ModernBERT,
//! MPNet and DeBERTa differ, [`pretrained`] joins them, [`freeze`] and [`parts`] name
//! parts of the model, [`lora`] adds adapters, [`peft`] saves them. It opens model folders and
//! nothing else, and knows neither training nor how a text becomes tokens (but for one switch: `checkpoint/companions.rs`).
#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod config;
pub mod error;
pub mod family;
pub mod freeze;
mod json;
pub mod lora;
pub mod memory;
pub mod model;
pub mod parts;
pub mod peft;
pub mod presets;
pub mod pretrained;

pub use config::EncoderConfig;
pub use error::BertError;
pub use model::{Dropouts, EncoderClassifier, HeadKind, Sequences};
