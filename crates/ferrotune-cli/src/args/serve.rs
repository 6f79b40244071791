//! What `ferrotune serve` takes.

use super::DeviceArgs;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use std::path::PathBuf;

/// `ferrotune serve`.
#[derive(Args)]
pub struct ServeArgs {
    /// Fine-tuned model: a folder, or a hub id.
    #[arg(long, value_name = "DIR|ID")]
    pub model: String,
    /// Address to listen on; 0.0.0.0 is every address of the machine.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: String,
    /// Port to listen on; 0 lets the system choose one.
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub port: u16,
    /// Tokens of a row at most [default: what the model was trained with, else 128].
    #[arg(long, value_name = "N")]
    pub max_length: Option<usize>,
    /// Threads [default: all cores].
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// What it is computed on.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Rows of a request at most.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = some(), help_heading = "Limits")]
    pub max_rows: usize,
    /// Bytes of a request's body at most.
    #[arg(long, value_name = "BYTES", default_value_t = 2 << 20, value_parser = bytes(), help_heading = "Limits")]
    pub max_body: usize,
    /// Tokens that go through the model together at most; a single row that has more tokens or words is refused.
    #[arg(long, value_name = "N", default_value_t = 8192, value_parser = some(), help_heading = "Limits")]
    pub max_batch_tokens: usize,
    /// Requests that wait for the model at most; further ones are answered with 429, as all are while the first has waited for half of --timeout.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = some(), help_heading = "Limits")]
    pub max_waiting: usize,
    /// Seconds after which a request that has no answer yet is answered with 504.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = seconds(), help_heading = "Limits")]
    pub timeout: u64,
    /// Seconds that a client may take to send a body; a header may take as long, and at most 10.
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = seconds(), help_heading = "Limits")]
    pub read_timeout: u64,
    /// Seconds that requests in flight may take when the program is told to stop.
    #[arg(long, value_name = "SECONDS", default_value_t = 25, value_parser = seconds(), help_heading = "Limits")]
    pub drain_timeout: u64,
    /// File that holds a key; requests must then have the header `Authorization: Bearer KEY`.
    #[arg(long, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
}

fn some() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// At most what is held of all bodies together: see `serve/body.rs`.
fn bytes() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=1 << 30)
}

fn seconds() -> RangedU64ValueParser<u64> {
    RangedU64ValueParser::new().range(1..=86_400)
}
