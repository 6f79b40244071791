//! What a run says of itself on standard error: `say!` is `eprintln!` (of `output.rs`), unless a search is training one trial of many, or a budget times a few steps. It must not know what is said.

use std::sync::atomic::{AtomicBool, Ordering};

static QUIET: AtomicBool = AtomicBool::new(false);

/// Whether runs are silent now.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Does something during which runs are silent. What they warn of is silent too: a trial is one of many, and its numbers are in the study.
pub fn quietly<R>(body: impl FnOnce() -> R) -> R {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            QUIET.store(self.0, Ordering::Relaxed);
        }
    }
    let _before = Before(QUIET.swap(true, Ordering::Relaxed));
    body()
}

/// A line on standard error, unless runs are silent.
macro_rules! say {
    ($($part:tt)*) => {
        if !crate::terminal::voice::is_quiet() {
            eprintln!($($part)*)
        }
    };
}
pub(crate) use say;
