//! Where requests wait for the model: so many, first come, first served, and none that would come too late. It must not know HTTP or what becomes of
//! them.

use ferrotune_data::Row;
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// What is said about one row.
pub type Said = Map<String, Value>;

/// A request that waits.
pub struct Job {
    /// When it came.
    pub since: Instant,
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
    /// The tokenizer refuses a row, which the sentence names.
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
    /// The first has waited for so long that whoever comes now would be answered too late.
    Slow,
    /// Nothing is computed any more.
    Closed,
}

/// The waiting requests.
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    most: usize,
    patience: Duration,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    /// A queue for so many, which takes no more while the first has waited for longer than `patience`.
    pub fn new(most: usize, patience: Duration) -> Queue {
        Queue { state: Mutex::default(), changed: Condvar::new(), most, patience }
    }

    /// Whatever panicked meanwhile, the queue itself is whole: nothing of it is changed in two steps.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a request wait. Those that nobody waits for any more make room.
    ///
    /// A bound on their number alone would not do: where more come than are computed, the queue would be as long as their patience, and what is
    /// computed would always be what is given up next.
    ///
    /// # Errors
    /// The queue is full, too slow, or closed.
    pub fn push(&self, job: Job) -> Result<(), NoPlace> {
        let mut state = self.state();
        if state.closed {
            return Err(NoPlace::Closed);
        }
        while state.waiting.front().is_some_and(|job| job.reply.is_closed()) {
            state.waiting.pop_front();
        }
        if state.waiting.front().is_some_and(|job| job.since.elapsed() > self.patience) {
            return Err(NoPlace::Slow);
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

    const LONG: Duration = Duration::from_secs(3600);

    fn job() -> (Job, oneshot::Receiver<Result<Vec<Said>, Failed>>) {
        let (reply, answer) = oneshot::channel();
        (Job { since: Instant::now(), rows: Vec::new(), reply, _room: None }, answer)
    }

    #[test]
    fn so_many_wait_and_those_that_nobody_waits_for_make_room() {
        let queue = Queue::new(2, LONG);
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
    fn nobody_waits_behind_who_has_waited_for_long() {
        let queue = Queue::new(9, Duration::from_secs(10));
        let of_age = |seconds| {
            let (job, answer) = job();
            (Job { since: Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap(), ..job }, answer)
        };
        let (old, waits) = of_age(15);
        let (younger, _waits) = of_age(5);
        queue.push(old).unwrap();
        assert_eq!(queue.push(job().0), Err(NoPlace::Slow));
        // Once nobody waits for the old one, the others count.
        drop(waits);
        queue.push(younger).unwrap();
        assert_eq!(queue.len(), 1);
        let (young, _waits_too) = of_age(0);
        queue.push(young).unwrap();
        let (late, _waits_as_well) = of_age(15);
        queue.push(late).unwrap();
        queue.take().unwrap();
        queue.take().unwrap();
        assert_eq!(queue.push(job().0), Err(NoPlace::Slow));
        queue.take().unwrap();
        queue.push(job().0).unwrap();
    }

    /// More come than are computed: two while one is, and each waits for ten. A clock that is counted, not waited for.
    #[test]
    fn what_is_computed_is_in_time() {
        let mut answered = 0;
        let (queue, tick) = (Queue::new(1000, Duration::from_millis(4500)), Duration::from_secs(1));
        let mut waiting: VecDeque<(u32, oneshot::Receiver<_>)> = VecDeque::new();
        for now in 0..100 {
            // A tick later all are older.
            queue.state().waiting.iter_mut().for_each(|job| job.since = job.since.checked_sub(tick).unwrap());
            waiting.retain(|(came, _)| now - came < 10);
            for _ in 0..2 {
                let (job, answer) = job();
                if queue.push(job).is_ok() {
                    waiting.push_back((now, answer));
                }
            }
            // What takes a tick and is waited for until then.
            if let Some(job) = queue.take()
                && let Some((came, _)) = waiting.front()
                && !job.reply.is_closed()
            {
                answered += u32::from(now + 1 - came < 10);
                waiting.pop_front();
            }
        }
        assert!(answered > 90, "{answered} of 100");
    }

    #[test]
    fn who_waits_is_woken() {
        let queue = Queue::new(1, LONG);
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
