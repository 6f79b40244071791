//! What an optimizer owes the rows of a table that had no gradient: the constants of the steps they missed. AdamW moves a row without a
//! gradient too, by its decaying moments and by weight decay; these updates are put off until somebody reads the row, and then done
//! in order, with the bits of doing them at once. Must not know gradients.

use ferrotune_tensor::backend::AdamW as Constants;

/// Steps that may be put off before all rows are brought up to date: bounds the memory of their constants.
const MOST: usize = 1024;

/// The book of one table.
#[derive(Debug)]
pub(crate) struct Idle {
    /// The steps since all rows were up to date.
    steps: Vec<Constants>,
    /// For each row, how many of these it has had.
    done: Vec<u32>,
}

impl Idle {
    /// A table of so many rows, all up to date.
    pub(crate) fn new(rows: usize) -> Idle {
        Idle { steps: Vec::new(), done: vec![0; rows] }
    }

    /// The steps that rows may lack.
    pub(crate) fn steps(&self) -> &[Constants] {
        &self.steps
    }

    /// Whether every row is up to date.
    pub(crate) fn is_settled(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether it is time to bring all rows up to date.
    pub(crate) fn is_full(&self) -> bool {
        self.steps.len() >= MOST
    }

    /// Those of `rows` that lack steps, each once, and from which step on; they count as up to date from here.
    pub(crate) fn take_owed(&mut self, rows: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
        let now = self.steps.len() as u32;
        let owed = |row: u32| {
            let from = std::mem::replace(&mut self.done[row as usize], now);
            (from < now).then_some((row, from))
        };
        rows.filter_map(owed).collect()
    }

    /// All rows that lack steps; the book is empty from here.
    pub(crate) fn take_all(&mut self) -> (Vec<(u32, u32)>, Vec<Constants>) {
        let owed = self.take_owed(0..self.done.len() as u32);
        self.done.fill(0);
        (owed, std::mem::take(&mut self.steps))
    }

    /// Enters a step that these rows, and no others, have had.
    ///
    /// # Panics
    /// If one of them lacks an earlier step: a forward pass has read it as it was then.
    #[track_caller]
    pub(crate) fn enter(&mut self, constants: Constants, rows: &[u32], table: &str) {
        let now = self.steps.len() as u32;
        self.steps.push(constants);
        for &row in rows {
            let done = std::mem::replace(&mut self.done[row as usize], now + 1);
            assert!(
                done == now,
                "adamw: row {row} of `{table}` was read before it was brought up to date (Optimizer::prepare)"
            );
        }
    }
}
