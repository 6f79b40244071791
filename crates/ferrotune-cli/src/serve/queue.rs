//! Where requests wait for the model: so many, first come, first served. It must not know HTTP or what becomes of them.

use ferrotune_data::Row;
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// What is said about one row.
pub type Said = Map<String, Value>;

/// A request that waits.
pub struct Job {
    /// Its rows; at least one.
    pub rows: Vec<Row>,
    /// Where the answer goes. It is closed when nobody waits for it any more.
    pub reply: oneshot::Sender<Result<Vec<Said>, Failed>>,
    /// The memory that its rows take, given back when it is gone.
    pub _room: Option<OwnedSemaphorePermit>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The tokenizer refuses a row.
    Refused(String),
    /// A row has more tokens than go through the model together.
    TooLong {
        /// Which, from 0.
        row: usize,
        /// Tokens that it has.
        tokens: usize,
    },
    /// The scores of a row are no numbers.
    NotANumber {
        /// Which, from 0.
        row: usize,
    },
    /// The computation failed.
    Broken,
}

/// Why a request does not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// So many wait already.
    Full,
    /// Nothing is computed any more.
    Closed,
}

/// The waiting requests.
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    most: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    /// A queue for so many.
    pub fn new(most: usize) -> Queue {
        Queue { state: Mutex::default(), changed: Condvar::new(), most }
    }

    /// Whatever panicked meanwhile, the queue itself is whole: nothing of it is changed in two steps.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a request wait. Those that nobody waits for any more make room.
    ///
    /// # Errors
    /// The queue is full, or closed.
    pub fn push(&self, job: Job) -> Result<(), NoPlace> {
        let mut state = self.state();
        if state.closed {
            return Err(NoPlace::Closed);
        }
        if state.waiting.len() >= self.most {
            state.waiting.retain(|job| !job.reply.is_closed());
        }
        if state.waiting.len() >= self.most {
            return Err(NoPlace::Full);
        }
        state.waiting.push_back(job);
        self.changed.notify_one();
        Ok(())
    }

    /// The first request, once there is one; none when the queue is closed and empty.
    pub fn wait(&self) -> Option<Job> {
        let nothing = |state: &mut State| state.waiting.is_empty() && !state.closed;
        let mut state = self.changed.wait_while(self.state(), nothing).unwrap_or_else(PoisonError::into_inner);
        state.waiting.pop_front()
    }

    /// The first request, if there is one.
    pub fn take(&self) -> Option<Job> {
        self.state().waiting.pop_front()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.state().waiting.len()
    }

    /// Takes no more, and lets [`Queue::wait`] end.
    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> (Job, oneshot::Receiver<Result<Vec<Said>, Failed>>) {
        let (reply, answer) = oneshot::channel();
        (Job { rows: Vec::new(), reply, _room: None }, answer)
    }

    #[test]
    fn so_many_wait_and_those_that_nobody_waits_for_make_room() {
        let queue = Queue::new(2);
        let (first, answer) = job();
        let (second, _waits) = job();
        queue.push(first).unwrap();
        queue.push(second).unwrap();
        let (third, _waits_too) = job();
        assert_eq!(queue.push(third), Err(NoPlace::Full));
        drop(answer);
        let (fourth, _waits_as_well) = job();
        queue.push(fourth).unwrap();
        assert_eq!(queue.len(), 2);
        queue.close();
        let (late, _) = job();
        assert_eq!(queue.push(late), Err(NoPlace::Closed));
        assert!(queue.wait().is_some() && queue.take().is_some() && queue.take().is_none() && queue.wait().is_none());
    }

    #[test]
    fn who_waits_is_woken() {
        let queue = Queue::new(1);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| (queue.wait().is_some(), queue.wait().is_some()));
            queue.push(job().0).unwrap();
            while queue.len() > 0 {
                std::thread::yield_now();
            }
            queue.close();
            assert_eq!(waits.join().unwrap(), (true, false));
        });
    }
}
