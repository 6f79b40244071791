//! Whether computations work. It must not know what is computed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is known of the computations.
#[derive(Default)]
pub struct Health(Mutex<State>);

#[derive(Default)]
struct State {
    fails: bool,
    /// When the one that is under way began.
    begun: Option<Instant>,
}

impl Health {
    /// Nothing panics while it holds the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A computation begins.
    pub fn begin(&self) {
        self.state().begun = Some(Instant::now());
    }

    /// It is over, whatever came of it.
    pub fn end(&self) {
        self.state().begun = None;
    }

    /// The model works, or does not even answer what it has answered before.
    pub fn tell(&self, works: bool) {
        self.state().fails = !works;
    }

    /// What is wrong, if a computation may take so long.
    pub fn trouble(&self, limit: Duration) -> Option<&'static str> {
        self.trouble_at(Instant::now(), limit)
    }

    fn trouble_at(&self, now: Instant, limit: Duration) -> Option<&'static str> {
        let state = self.state();
        if state.fails {
            return Some("the model does not answer any more");
        }
        let late = state.begun.is_some_and(|begun| now.duration_since(begun) > limit);
        late.then_some("a computation takes longer than a request may wait")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_or_hangs_is_trouble() {
        let (health, limit) = (Health::default(), Duration::from_secs(30));
        let says = |after: u64, says: &str| {
            let trouble = health.trouble_at(Instant::now() + Duration::from_secs(after), limit);
            assert!(trouble.unwrap_or("nothing").contains(says), "{trouble:?}");
        };
        says(100, "nothing");
        health.begin();
        says(20, "nothing");
        says(100, "longer than a request may wait");
        health.end();
        says(100, "nothing");
        health.tell(false);
        says(0, "does not answer");
        health.tell(true);
        says(0, "nothing");
    }
}
