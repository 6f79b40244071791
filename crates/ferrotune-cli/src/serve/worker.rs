//! The one thread that computes: it takes what waits, has it go through the model together, and sends the answers back. It must not know HTTP or what a
//! model is. Whatever fails in a computation becomes the answer of those requests alone that it belongs to. After a failure the model is asked what it
//! has answered before: requests that nothing could answer are told from a model, or a device, that is broken.

use super::health::Health;
use super::metrics::{Metrics, add};
use super::queue::{Failed, Job, Queue, Said};
use ferrotune_data::{DataError, Encoded, Row};
use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Rows that go through the model together at most: more are no faster, and the first would wait for the last.
const ROWS: usize = 64;
/// How often a model that failed is tried before it counts as broken, and how long after one another: memory of a device may be short for a moment.
const TRIALS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// What rows are asked of.
pub trait Model {
    /// The tokens of each row.
    fn encode(&self, rows: &[Row]) -> Vec<Result<Encoded, DataError>>;

    /// What is said of each row, whose tokens these are, one after the other; `None` where the scores are no numbers.
    ///
    /// # Errors
    /// The computation failed.
    fn answer(&mut self, rows: &[&Row], encoded: &Encoded) -> Result<Vec<Option<Said>>, String>;

    /// Asks it what it has answered before.
    ///
    /// # Errors
    /// It gives no answer.
    fn try_out(&mut self) -> Result<(), String>;
}

/// A request of which some rows are not answered yet.
struct Open {
    job: Job,
    /// The tokens of its first rows: those that are answered, and some more.
    encoded: Vec<Encoded>,
    said: Vec<Said>,
    failed: Option<Failed>,
}

/// Rows of an open request, by its place, that go through the model now.
type Part = (usize, Range<usize>);

impl Open {
    fn is_done(&self) -> bool {
        self.failed.is_some() || self.said.len() == self.job.rows.len()
    }

    /// Rows that have tokens and no answer.
    fn rest(&self) -> &[Encoded] {
        &self.encoded[self.said.len()..]
    }

    /// Makes tokens of the next rows, if none are left. Of a long request not of all at once: meanwhile others would wait.
    fn prepare(&mut self, model: &impl Model, most: usize) {
        let first = self.encoded.len();
        if self.failed.is_some() || !self.rest().is_empty() || first == self.job.rows.len() {
            return;
        }
        let rows = &self.job.rows[first..self.job.rows.len().min(first + ROWS)];
        // Words cost time even if they have no tokens.
        let mut words = 0;
        let fits = |row: &&Row| {
            words += row.words.as_ref().map_or(0, Vec::len);
            words <= most
        };
        let rows = &rows[..rows.iter().take_while(fits).count().max(1)];
        let encoded = catch_unwind(AssertUnwindSafe(|| model.encode(rows)));
        let encoded = encoded.map_err(|_| Failed::Broken);
        let encoded = encoded.and_then(|rows| rows.into_iter().collect::<Result<Vec<_>, _>>().map_err(refused));
        match encoded {
            Err(failed) => self.failed = Some(failed),
            Ok(encoded) => match encoded.iter().position(|row| row.tokens() > most) {
                Some(row) => {
                    self.failed = Some(Failed::TooLong { row: first + row, tokens: encoded[row].tokens() });
                }
                None => self.encoded.extend(encoded),
            },
        }
    }

    fn end(self) {
        let answer = self.failed.map_or(Ok(self.said), Err);
        // Whoever asked may have gone.
        let _ = self.job.reply.send(answer);
    }
}

/// Works until the queue is closed and empty. At most so many tokens go through the model together.
///
/// # Errors
/// The model does not even answer what it has answered before; says why. Requests are left without an answer.
pub fn work(
    model: &mut impl Model,
    queue: &Queue,
    metrics: &Metrics,
    health: &Health,
    most: usize,
) -> Result<(), String> {
    let mut open: VecDeque<Open> = VecDeque::new();
    loop {
        let before = open.len();
        open.retain(|open| !open.job.reply.is_closed());
        add(&metrics.dropped, before - open.len());
        open.iter_mut().for_each(|open| open.prepare(model, most));
        open = answer_done(open);
        while !is_enough(&open, most) {
            // Nobody waits for others to come: what is there goes.
            let Some(job) = (if open.is_empty() { queue.wait() } else { queue.take() }) else {
                if open.is_empty() {
                    return Ok(());
                }
                break;
            };
            if job.reply.is_closed() {
                add(&metrics.dropped, 1);
                continue;
            }
            let mut new = Open { job, encoded: Vec::new(), said: Vec::new(), failed: None };
            new.prepare(model, most);
            // Whoever is refused need not wait for what others asked.
            if new.is_done() {
                new.end();
            } else {
                open.push_back(new);
            }
        }
        let parts = round(&open, most);
        let failed = !parts.is_empty() && !run(model, &mut open, &parts, metrics, health);
        if failed {
            let alone = parts.len() == 1;
            for part in parts {
                if alone || !run(model, &mut open, std::slice::from_ref(&part), metrics, health) {
                    open[part.0].failed = Some(Failed::Broken);
                }
            }
        }
        open = answer_done(open);
        if failed {
            recover(model, health)?;
        }
    }
}

/// Sends the answers that are complete, and gives back the other requests.
fn answer_done(open: VecDeque<Open>) -> VecDeque<Open> {
    let (done, rest): (VecDeque<_>, _) = open.into_iter().partition(Open::is_done);
    done.into_iter().for_each(Open::end);
    rest
}

/// Whether the model that failed still answers.
fn recover(model: &mut impl Model, health: &Health) -> Result<(), String> {
    let mut trial = 1;
    loop {
        health.begin();
        let tried = catch_unwind(AssertUnwindSafe(|| model.try_out()));
        health.end();
        let tried = tried.unwrap_or_else(|_| Err("a panic".to_string()));
        health.tell(tried.is_ok());
        if tried.is_ok() || trial == TRIALS {
            return tried;
        }
        trial += 1;
        std::thread::sleep(PAUSE);
    }
}

/// Whether these fill a computation.
fn is_enough(open: &VecDeque<Open>, most: usize) -> bool {
    let mut left = most;
    let filled = |(n, row): (usize, &Encoded)| {
        left = left.saturating_sub(row.tokens());
        n + 1 >= ROWS || left == 0
    };
    open.iter().flat_map(Open::rest).enumerate().any(filled)
}

/// Who asks knows rows by their number, and no lines. A panic in the tokenizer names its file, which is nobody's affair.
fn refused(error: DataError) -> Failed {
    match error {
        DataError::TokenizerPanicked { .. } => Failed::Broken,
        DataError::EmptySequence { line } => Failed::Refused(format!(
            "row {line} has no tokens: the text is empty and the tokenizer adds none of its own: send a text"
        )),
        DataError::TokenizerFailed { line, detail } => {
            Failed::Refused(format!("the tokenizer failed on row {line}: {detail}: send another text"))
        }
        other => Failed::Refused(other.to_string()),
    }
}

/// What goes through the model next: rows in their order, as many as fit, and one at least.
fn round(open: &VecDeque<Open>, most: usize) -> Vec<Part> {
    let (mut parts, mut rows, mut left): (Vec<Part>, _, _) = (Vec::new(), 0, most);
    for (place, open) in open.iter().enumerate() {
        let first = open.said.len();
        let fits = |row: &&Encoded| {
            let fits = rows < ROWS && row.tokens() <= left;
            if fits {
                (rows, left) = (rows + 1, left - row.tokens());
            }
            fits
        };
        let end = first + open.rest().iter().take_while(fits).count();
        if end > first {
            parts.push((place, first..end));
        }
        if end < open.encoded.len() {
            break;
        }
    }
    parts
}

/// Has these rows go through the model, and keeps what is said of them. False if that failed.
fn run(model: &mut impl Model, open: &mut VecDeque<Open>, parts: &[Part], metrics: &Metrics, health: &Health) -> bool {
    let rows = || parts.iter().flat_map(|(place, rows)| rows.clone().map(|row| (*place, row)));
    let texts: Vec<&Row> = rows().map(|(place, row)| &open[place].job.rows[row]).collect();
    health.begin();
    // What a panic leaves behind of the model are buffers that are not given back, and the next computation makes its own.
    let said = catch_unwind(AssertUnwindSafe(|| {
        let encoded = Encoded::joined(rows().map(|(place, row)| &open[place].encoded[row]));
        let said = model.answer(&texts, &encoded)?;
        assert_eq!(said.len(), texts.len(), "Model::answer: one for each row");
        Ok((said, encoded.tokens()))
    }));
    health.end();
    let said = said.unwrap_or_else(|_| Err("a panic".to_string()));
    let Ok((said, tokens)) = said.inspect_err(|error| eprintln!("error: a computation failed: {error}")) else {
        add(&metrics.failures, 1);
        return false;
    };
    add(&metrics.batches, 1);
    add(&metrics.tokens, tokens);
    add(&metrics.rows, said.len());
    for ((place, row), said) in rows().collect::<Vec<_>>().into_iter().zip(said) {
        match said {
            Some(said) => open[place].said.push(said),
            None => {
                open[place].failed.get_or_insert(Failed::NotANumber { row });
            }
        }
    }
    true
}

#[cfg(test)]
#[path = "worker/tests.rs"]
mod tests;
