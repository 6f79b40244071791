//! What a person sees while a command runs. It must not know what the command does.

// First, because its macros are known only to what comes after it.
#[macro_use]
pub mod output;

pub mod progress;
pub mod shown;
pub mod sparkline;
pub mod voice;
