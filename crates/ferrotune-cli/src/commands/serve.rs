//! `ferrotune serve`: answers requests over HTTP with a fine-tuned model.

use crate::args::{Precision, ServeArgs};
use crate::device::threads::use_threads;
use crate::device::{Machine, Work, device};
use crate::exit::{Failure, io, usage};
use crate::model::find::find_model;
use crate::model::fine_tuned::FineTuned;
use crate::rows::task::shown;
use crate::serve::auth::Key;
use crate::serve::model::Served;
use crate::serve::{Limits, serve};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

/// Runs the command.
pub fn run(args: &ServeArgs) -> Result<(), Failure> {
    use_threads(args.threads)?;
    device(args.device.device(), args.device.precision)?.run(args)
}

impl Work for &ServeArgs {
    type Output = Result<(), Failure>;

    fn on<B: Machine>(self, backend: B) -> Result<(), Failure> {
        let key = self.api_key_file.as_deref().map(Key::from_file).transpose()?;
        if self.device.precision != Precision::F32 {
            eprintln!("precision  {} in matrix products", shown(backend.precision()));
        }
        let model = FineTuned::read(&backend, find_model(&self.model)?.folder)?;
        let mut model = Served::of(&backend, model, self.max_length)?;
        // Else it would start, and refuse all long texts.
        let (most, length) = (self.max_batch_tokens, model.max_length());
        if most < length {
            return Err(usage(format!(
                "--max-batch-tokens is {most}, and a row of this model may have {length} tokens: say at least that, or a smaller --max-length"
            )));
        }
        model.warm_up()?;
        let listener = listen(&self.host, self.port)?;
        model.lines().iter().for_each(|line| eprintln!("{line}"));
        serve(model, listener, self.limits(), key)
    }
}

impl ServeArgs {
    fn limits(&self) -> Limits {
        Limits {
            max_rows: self.max_rows,
            max_body: self.max_body,
            max_batch_tokens: self.max_batch_tokens,
            max_waiting: self.max_waiting,
            timeout: Duration::from_secs(self.timeout),
            read_timeout: Duration::from_secs(self.read_timeout),
            drain_timeout: Duration::from_secs(self.drain_timeout),
        }
    }
}

fn listen(host: &str, port: u16) -> Result<TcpListener, Failure> {
    TcpListener::bind((host, port)).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::AddrInUse => "; another program listens there: say another --port, or 0 to have one chosen",
            ErrorKind::AddrNotAvailable => "; --host is no address of this machine",
            ErrorKind::PermissionDenied => "; ports below 1024 are the system's: say another --port",
            _ => "",
        };
        let mut failure = io(format!("cannot listen on {host}, port {port}"))(error);
        failure.message.push_str(hint);
        failure
    })
}
