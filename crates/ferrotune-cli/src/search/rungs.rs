//! Where the rungs of successive halving lie in a trial. It must not know which trial goes on.

use crate::args::Amount;
use crate::exit::{Failure, usage};
use crate::settings::Resolved;
use ferrotune_train::search::space::{Domain, Space, Value};
use ferrotune_train::trainer::Settings;

/// The first rung, and by what factor each next one is farther.
#[derive(Clone, Copy, Debug)]
pub struct Rungs {
    first: Amount,
    reduction: u64,
    /// How many there are before the end of the longest trial.
    pub count: usize,
}

impl Rungs {
    /// None: every trial goes to its end.
    pub fn none(reduction: u64) -> Rungs {
        Rungs { first: Amount::Share(1.0), reduction, count: 0 }
    }

    /// From the first one on, as many as fit into the longest trial of a space over so many rows.
    ///
    /// # Errors
    /// None fits.
    pub fn new(
        first: Option<Amount>,
        reduction: u64,
        space: &Space,
        alone: &Resolved,
        rows: usize,
    ) -> Result<Rungs, Failure> {
        let first = first.unwrap_or(Amount::Share(1.0 / (reduction * reduction) as f64));
        let numbers = &alone.numbers;
        let epochs = most(space, "epochs").unwrap_or(numbers.epochs as f64);
        let batch = least(space, "batch-size").unwrap_or(numbers.batch_size as f64);
        let steps = epochs * (rows as f64 / batch).ceil();
        let limit = most(space, "max-steps").or(numbers.max_steps.map(|steps| steps as f64));
        let steps = limit.map_or(steps, |limit| limit.min(steps));
        let (start, end) = match first {
            Amount::Share(share) => (share, 1.0),
            Amount::Epochs(count) => (count, epochs),
            Amount::Steps(count) => (count, steps),
        };
        // A share of one third times three is not quite one.
        let count = (0..64).take_while(|&rung| start * (reduction as f64).powi(rung) < end * (1.0 - 1e-9)).count();
        if count == 0 {
            return Err(usage(format!(
                "--first-rung lies behind the end of every trial ({epochs} epochs, {steps} steps at most); take an earlier one, or --pruning off"
            )));
        }
        Ok(Rungs { first, reduction, count })
    }

    /// The optimizer step of a rung in a trial. It may lie at its end or beyond it.
    pub fn step(&self, rung: usize, numbers: &Settings, rows: usize) -> u64 {
        let (epoch, total) = numbers.steps(rows);
        let factor = (self.reduction as f64).powi(rung as i32);
        let steps = match self.first {
            Amount::Share(share) => share * factor * total as f64,
            Amount::Epochs(count) => count * factor * epoch as f64,
            Amount::Steps(count) => count * factor,
        };
        (steps.round() as u64).max(1)
    }

    /// What the header of a study says of them.
    pub fn identity(&self) -> String {
        format!("{:?}, {} rungs", self.first, self.count)
    }

    /// A rung as a person reads it.
    pub fn shown(&self, rung: usize) -> String {
        let factor = (self.reduction as f64).powi(rung as i32);
        let rounded = |number: f64| (number * 10.0).round() / 10.0;
        match self.first {
            Amount::Share(share) => format!("{} %", rounded(100.0 * share * factor)),
            Amount::Epochs(count) => format!("{} epochs", rounded(count * factor)),
            Amount::Steps(count) => format!("{} steps", count * factor),
        }
    }
}

fn numbers(space: &Space, name: &str) -> Vec<f64> {
    let parameter = space.parameters().iter().find(|parameter| parameter.name == name);
    let number = |value: &Value| match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        Value::Text(_) => None,
    };
    match parameter.map(|parameter| &parameter.domain) {
        Some(Domain::Choice(values)) => values.iter().filter_map(number).collect(),
        Some(Domain::Integer { low, high, .. }) => vec![*low as f64, *high as f64],
        Some(Domain::Number { low, high, .. }) => vec![*low, *high],
        None => Vec::new(),
    }
}

fn most(space: &Space, name: &str) -> Option<f64> {
    numbers(space, name).into_iter().reduce(f64::max)
}

fn least(space: &Space, name: &str) -> Option<f64> {
    numbers(space, name).into_iter().reduce(f64::min)
}

#[cfg(test)]
mod tests {
    use super::super::base::Base;
    use super::super::parse;
    use super::*;
    use crate::args::TrainSettings;
    use crate::settings::from_table;

    #[track_caller]
    fn check(first: Option<&str>, reduction: u64, said: &str, expected: Result<&[u64], &str>) {
        let text = format!("model = 'm'\ntrain = 't.csv'\noutput = 'o'\n{said}");
        let said: TrainSettings = from_table(text.parse().unwrap(), "f").map_err(|f| f.message).unwrap();
        let alone = Base::new(said, TrainSettings::default()).alone().map_err(|f| f.message).unwrap();
        let table = "epochs = { low = 2, high = 6 }".parse().unwrap();
        let space = parse::space(&table, "f").map_err(|f| f.message).unwrap();
        let first = first.map(|text| text.parse().unwrap());
        // 100 rows in batches of 10: 10 steps an epoch, 30 in the trial that was said, 60 in the longest.
        let rungs = Rungs::new(first, reduction, &space, &alone, 100);
        let steps = rungs.as_ref().map(|rungs| (0..rungs.count).map(|n| rungs.step(n, &alone.numbers, 100)).collect());
        match expected {
            Ok(expected) => assert_eq!(steps.map_err(|f| f.message.clone()), Ok(expected.to_vec())),
            Err(says) => assert!(steps.unwrap_err().message.contains(says)),
        }
    }

    #[test]
    fn rungs_lie_before_the_end_of_the_longest_trial() {
        let said = "batch-size = 10\nepochs = 3";
        check(None, 3, said, Ok(&[3, 10]));
        check(None, 2, said, Ok(&[8, 15]));
        check(Some("50%"), 3, said, Ok(&[15]));
        check(Some("33.3%"), 3, said, Ok(&[10, 30]));
        check(Some("1epoch"), 3, said, Ok(&[10, 30]));
        check(Some("2epochs"), 3, said, Ok(&[20]));
        check(Some("0.5epochs"), 3, said, Ok(&[5, 15, 45]));
        check(Some("7steps"), 3, said, Ok(&[7, 21]));
        check(Some("7steps"), 3, "batch-size = 10\nepochs = 3\nmax-steps = 20", Ok(&[7]));
        check(Some("6epochs"), 3, said, Err("--first-rung lies behind the end of every trial (6 epochs, 60 steps"));
        check(Some("20steps"), 3, "batch-size = 10\nmax-steps = 20", Err("(6 epochs, 20 steps at most)"));
    }
}
