//! Whether computations work. It must not know what is computed.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// So many failures in a row are no accident of one request.
const MANY: u32 = 3;
/// How long that is believed: who asks for health alone sends nothing that could work again.
const BELIEVED: Duration = Duration::from_secs(60);

/// The failures in a row, and when the last was.
#[derive(Default)]
pub struct Health(Mutex<(u32, Option<Instant>)>);

impl Health {
    /// A computation worked, or failed.
    pub fn tell(&self, works: bool) {
        if let Ok(mut state) = self.0.lock() {
            *state = if works { (0, None) } else { (state.0.saturating_add(1), Some(Instant::now())) };
        }
    }

    /// Whether one computation after the other fails.
    pub fn is_broken(&self) -> bool {
        self.is_broken_at(Instant::now())
    }

    fn is_broken_at(&self, now: Instant) -> bool {
        // Nothing panics while it holds the lock.
        let Ok(state) = self.0.lock() else { return true };
        state.0 >= MANY && state.1.is_some_and(|last| now.duration_since(last) < BELIEVED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_are_believed_for_a_while() {
        let health = Health::default();
        for (works, broken) in
            [(false, false), (false, false), (true, false), (false, false), (false, false), (false, true)]
        {
            health.tell(works);
            assert_eq!(health.is_broken(), broken);
        }
        assert!(!health.is_broken_at(Instant::now() + BELIEVED));
        health.tell(true);
        assert!(!health.is_broken());
    }
}
