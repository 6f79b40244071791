//! What is said on standard output and standard error. The macros of std panic where the reader has gone or the disk is full, and a run would end with
//! them and lose its files; those of the same names here drop what cannot be written. `main.rs` includes this folder first, so that the whole crate
//! uses them. It must not know what is said.

use crate::exit::{Failure, IO};
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write, stderr, stdout};
use std::sync::OnceLock;

/// Why standard output takes nothing more.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// Says something on standard output, or drops it.
pub fn out(text: Arguments<'_>) {
    if cfg!(test) {
        // The harness keeps what std prints, and shows it with a test that failed.
        std::print!("{text}");
    } else {
        attempt(|| stdout().write_fmt(text));
    }
}

/// Says something on standard error, or drops it.
pub fn err(text: Arguments<'_>) {
    if cfg!(test) {
        std::eprint!("{text}");
    } else {
        // There is no other place where this could be said.
        let _ = stderr().write_fmt(text);
    }
}

/// Whether all that was said on standard output was written, or nobody wanted the rest.
///
/// # Errors
/// It was not: the disk is full, for example.
pub fn written() -> Result<(), Failure> {
    // What has no line end is not written yet.
    attempt(|| stdout().flush());
    match FAILED.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure {
            message: format!("cannot write all to standard output: {error}; the files of the command are complete"),
            code: IO,
        }),
        _ => Ok(()),
    }
}

/// Writes, unless that failed before: a text with holes would be worse than one that ends.
fn attempt(write: impl FnOnce() -> io::Result<()>) {
    if FAILED.get().is_none()
        && let Err(error) = write()
    {
        // Another thread may have failed first.
        let _ = FAILED.set(error);
    }
}

/// `print!` of std that does not panic.
macro_rules! print {
    ($($part:tt)*) => {
        $crate::terminal::output::out(format_args!($($part)*))
    };
}

/// `println!` of std that does not panic.
macro_rules! println {
    () => {
        $crate::terminal::output::out(format_args!("\n"))
    };
    ($($part:tt)*) => {
        $crate::terminal::output::out(format_args!("{}\n", format_args!($($part)*)))
    };
}

/// `eprintln!` of std that does not panic.
macro_rules! eprintln {
    ($($part:tt)*) => {
        $crate::terminal::output::err(format_args!("{}\n", format_args!($($part)*)))
    };
}
