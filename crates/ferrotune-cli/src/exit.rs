//! One place that turns errors of all crates into one line and an exit code. It must not know commands, and ends nothing itself.

use crate::hub::HubError;
use ferrotune_bert::error::BertError;
use ferrotune_bert::freeze::FreezeError;
use ferrotune_data::{DataError, ErrorKind};
use ferrotune_train::baselines::LogisticError;
use ferrotune_train::error::TrainError;

/// Wrong flags or settings.
pub const USAGE: u8 = 2;
/// Wrong data.
pub const DATA: u8 = 3;
/// A wrong model or other artefact.
pub const MODEL: u8 = 4;
/// What is there belongs to another run.
pub const OTHER_RUN: u8 = 8;
/// The system refused to read or write.
pub const IO: u8 = 5;
/// A replayed run came to other weights.
pub const UNEQUAL: u8 = 9;
/// A loss or gradient was not a number.
pub const NOT_A_NUMBER: u8 = 6;
/// Stopped on request, with a checkpoint saved.
pub const STOPPED: u8 = 75;

/// What ends the program early: one line, and the code it exits with.
#[derive(Debug)]
pub struct Failure {
    /// What was wrong, where, and what to do.
    pub message: String,
    /// See `ferrotune --help`.
    pub code: u8,
}

/// A failure of usage or configuration.
pub fn usage(message: impl Into<String>) -> Failure {
    Failure { message: message.into(), code: USAGE }
}

/// A failure to read or write `what`.
pub fn io(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure { message: format!("{what}: {error}"), code: IO }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Failure {
        let code = match error.kind() {
            ErrorKind::Io => IO,
            ErrorKind::Data => DATA,
            ErrorKind::Tokenizer => MODEL,
        };
        Failure { message: error.to_string(), code }
    }
}

impl From<BertError> for Failure {
    fn from(error: BertError) -> Failure {
        Failure { code: if error.is_io() { IO } else { MODEL }, message: error.to_string() }
    }
}

impl From<FreezeError> for Failure {
    fn from(error: FreezeError) -> Failure {
        usage(error.to_string())
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Failure {
        Failure { code: error.exit_code(), message: error.to_string() }
    }
}

impl From<LogisticError> for Failure {
    fn from(error: LogisticError) -> Failure {
        Failure { message: format!("{error}; train without it with --baselines off"), code: DATA }
    }
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Failure {
        Failure { code: error.exit_code() as u8, message: error.to_string() }
    }
}
