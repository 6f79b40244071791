//! What a search may choose from: parameters with their domains, and conditions between them. It must not know how choices are made.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// Anything else, as it is written.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Integer(value) => write!(f, "{value}"),
            Value::Number(value) if *value != 0.0 && value.abs() < 1e-3 => write!(f, "{value:e}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::Text(value) => f.write_str(value),
        }
    }
}

/// Values by the names of their settings.
pub type Settings = BTreeMap<String, Value>;

/// Settings on one line.
pub fn shown(settings: &Settings) -> String {
    settings.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

/// What a parameter may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Domain {
    /// One of these.
    Choice(Vec<Value>),
    /// A whole number between these, both included.
    Integer {
        /// The lowest.
        low: i64,
        /// The highest.
        high: i64,
        /// Whether factors count rather than differences.
        log: bool,
    },
    /// A number between these, both included.
    Number {
        /// The lowest.
        low: f64,
        /// The highest.
        high: f64,
        /// Whether factors count rather than differences.
        log: bool,
    },
}

/// Significant digits of a number that was drawn: more say nothing and are hard to read.
const DIGITS: i32 = 4;

impl Domain {
    /// The interval, closed below and open above, in which samplers see the values: the places of choices, whole numbers with half a unit on both
    /// sides, logarithms.
    pub fn interval(&self) -> (f64, f64) {
        match *self {
            Domain::Choice(ref values) => (0.0, values.len() as f64),
            Domain::Integer { low, high, log: false } => (low as f64 - 0.5, high as f64 + 0.5),
            Domain::Integer { low, high, log: true } => ((low as f64 - 0.5).ln(), (high as f64 + 0.5).ln()),
            Domain::Number { low, high, log: false } => (low, high),
            Domain::Number { low, high, log: true } => (low.ln(), high.ln()),
        }
    }

    /// The value at a place of the interval; what lies outside is drawn to its ends.
    pub fn value_at(&self, place: f64) -> Value {
        match *self {
            Domain::Choice(ref values) => values[(place.max(0.0) as usize).min(values.len() - 1)].clone(),
            Domain::Integer { low, high, log } => {
                let number = if log { place.exp() } else { place };
                Value::Integer((number.round() as i64).clamp(low, high))
            }
            Domain::Number { low, high, log } => {
                let number = if log { place.exp() } else { place };
                Value::Number(rounded(number).clamp(low, high))
            }
        }
    }

    /// The place of a value in the interval, none if it does not lie there.
    pub fn place_of(&self, value: &Value) -> Option<f64> {
        let (start, end) = self.interval();
        let place = match (self, value) {
            (Domain::Choice(values), _) => values.iter().position(|known| same(known, value))? as f64,
            (Domain::Integer { log, .. }, Value::Integer(number)) => scaled(*number as f64, *log),
            (Domain::Number { log, .. }, Value::Number(number)) => scaled(*number, *log),
            (Domain::Number { log, .. }, Value::Integer(number)) => scaled(*number as f64, *log),
            _ => return None,
        };
        // The highest number is a value too.
        let place = if place == end { end.next_down() } else { place };
        (start..end).contains(&place).then_some(place)
    }

    /// So many values, evenly from the lowest to the highest; all choices, and all whole numbers if there are no more.
    pub fn grid(&self, points: usize) -> Vec<Value> {
        let spread = |low: f64, high: f64| {
            let (low, high) = if self.is_log() { (low.ln(), high.ln()) } else { (low, high) };
            let last = (points.max(2) - 1) as f64;
            (0..points)
                .map(move |n| if points == 1 { (low + high) / 2.0 } else { low + (high - low) * n as f64 / last })
        };
        match *self {
            Domain::Choice(ref values) => values.clone(),
            Domain::Integer { low, high, .. } if ((high - low) as usize) < points => {
                (low..=high).map(Value::Integer).collect()
            }
            Domain::Integer { low, high, .. } => {
                let mut values: Vec<Value> =
                    spread(low as f64, high as f64).map(|place| self.value_at(place)).collect();
                values.dedup();
                values
            }
            Domain::Number { low, high, .. } => spread(low, high).map(|place| self.value_at(place)).collect(),
        }
    }

    /// Whether factors count rather than differences.
    pub fn is_log(&self) -> bool {
        matches!(self, Domain::Integer { log: true, .. } | Domain::Number { log: true, .. })
    }
}

fn scaled(number: f64, log: bool) -> f64 {
    if log { number.ln() } else { number }
}

fn rounded(number: f64) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return number;
    }
    // Through text: a product with a power of ten would leave digits behind.
    format!("{number:.*e}", DIGITS as usize - 1).parse().unwrap_or(number)
}

/// Equal, where 1 and 1.0 are the same.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Integer(integer), Value::Number(number)) | (Value::Number(number), Value::Integer(integer)) => {
            *integer as f64 == *number
        }
        _ => one == other,
    }
}

/// A setting that is searched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it may be.
    pub domain: Domain,
    /// It is there only where each of these other parameters has one of these values.
    pub when: Vec<(String, Vec<Value>)>,
    /// How many values a grid takes of a range.
    pub points: usize,
}

/// All that is searched, parameters after those that they depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Space {
    parameters: Vec<Parameter>,
}

/// Settings of a grid at most: more would fill the memory and never be tried.
const LARGEST_GRID: usize = 100_000;

impl Space {
    /// A space of these parameters, in any order.
    ///
    /// # Errors
    /// A condition on a parameter that is not there or has no such choice, or conditions in a circle: one line that begins with the name.
    pub fn new(parameters: Vec<Parameter>) -> Result<Space, String> {
        for parameter in &parameters {
            for (parent, values) in &parameter.when {
                let name = &parameter.name;
                let found = parameters.iter().find(|other| other.name == *parent).ok_or_else(|| {
                    format!(
                        "{name}: when names {parent}, which is not searched; search it too, or leave the condition out"
                    )
                })?;
                let Domain::Choice(choices) = &found.domain else {
                    return Err(format!(
                        "{name}: when names {parent}, which is a range; conditions need a list of values"
                    ));
                };
                if let Some(value) = values.iter().find(|value| !choices.iter().any(|choice| same(choice, value))) {
                    let choices: Vec<String> = choices.iter().map(Value::to_string).collect();
                    return Err(format!("{name}: when {parent} is {value}, which is none of {}", choices.join(", ")));
                }
            }
        }
        let (mut sorted, mut rest): (Vec<Parameter>, Vec<Parameter>) = (Vec::new(), parameters);
        while !rest.is_empty() {
            let is_known = |sorted: &[Parameter], name: &String| sorted.iter().any(|known| known.name == *name);
            let next = rest.iter().position(|it| it.when.iter().all(|(parent, _)| is_known(&sorted, parent)));
            let next = next.ok_or_else(|| format!("{}: its conditions depend on itself", rest[0].name))?;
            sorted.push(rest.remove(next));
        }
        Ok(Space { parameters: sorted })
    }

    /// The parameters, each after those that it depends on.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Whether a parameter is there, after these choices for those that it depends on.
    pub fn is_active(&self, parameter: &Parameter, chosen: &Settings) -> bool {
        parameter.when.iter().all(|(parent, values)| {
            chosen.get(parent).is_some_and(|value| values.iter().any(|wanted| same(wanted, value)))
        })
    }

    /// Settings made of what `choose` says for each parameter that is there.
    pub fn fill(&self, mut choose: impl FnMut(usize, &Parameter) -> Value) -> Settings {
        let mut chosen = Settings::new();
        for (n, parameter) in self.parameters.iter().enumerate() {
            if self.is_active(parameter, &chosen) {
                let value = choose(n, parameter);
                chosen.insert(parameter.name.clone(), value);
            }
        }
        chosen
    }

    /// All settings of the grid, the last parameter changing fastest; those that differ in nothing once.
    ///
    /// # Errors
    /// More than 100000.
    pub fn grid(&self) -> Result<Vec<Settings>, String> {
        let mut all = vec![Settings::new()];
        for parameter in &self.parameters {
            let values = parameter.domain.grid(parameter.points);
            let mut next = Vec::new();
            for chosen in all {
                if !self.is_active(parameter, &chosen) {
                    next.push(chosen);
                    continue;
                }
                for value in &values {
                    let mut with = chosen.clone();
                    with.insert(parameter.name.clone(), value.clone());
                    next.push(with);
                }
                if next.len() > LARGEST_GRID {
                    return Err(format!("the grid has more than {LARGEST_GRID} settings; take fewer values or points"));
                }
            }
            all = next;
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Value {
        Value::Text(value.to_string())
    }

    fn parameter(name: &str, domain: Domain, when: &[(&str, &str)]) -> Parameter {
        let when = when.iter().map(|(parent, value)| (parent.to_string(), vec![text(value)])).collect();
        Parameter { name: name.to_string(), domain, when, points: 3 }
    }

    fn choice(values: &[&str]) -> Domain {
        Domain::Choice(values.iter().map(|value| text(value)).collect())
    }

    #[test]
    fn places_and_values_belong_together() {
        let rate = Domain::Number { low: 1e-5, high: 1e-3, log: true };
        let epochs = Domain::Integer { low: 2, high: 5, log: false };
        let width = Domain::Integer { low: 1, high: 64, log: true };
        for (domain, place, value) in [
            (&rate, 1e-4_f64.ln(), Value::Number(1e-4)),
            (&rate, f64::MIN, Value::Number(1e-5)),
            (&rate, f64::MAX, Value::Number(1e-3)),
            (&Domain::Number { low: 0.0, high: 1.0, log: false }, 0.123_456, Value::Number(0.1235)),
            (&epochs, 1.5, Value::Integer(2)),
            (&epochs, 5.49, Value::Integer(5)),
            (&width, 64.4_f64.ln(), Value::Integer(64)),
            (&choice(&["a", "b"]), 1.99, text("b")),
        ] {
            assert_eq!(domain.value_at(place), value);
            let (start, end) = domain.interval();
            let back = domain.place_of(&value).unwrap();
            assert!((start..end).contains(&back) && domain.value_at(back) == value, "{value:?}");
        }
        assert_eq!(rate.place_of(&Value::Number(2e-3)), None);
        assert_eq!(epochs.place_of(&Value::Integer(6)), None);
        assert_eq!(choice(&["a"]).place_of(&text("c")), None);
        assert_eq!(Domain::Choice(vec![Value::Number(1.0)]).place_of(&Value::Integer(1)), Some(0.0));
    }

    #[test]
    fn a_grid_is_even_and_knows_conditions() {
        let numbers = |values: &[f64]| values.iter().map(|&value| Value::Number(value)).collect::<Vec<_>>();
        let rate = Domain::Number { low: 1e-5, high: 1e-3, log: true };
        assert_eq!(rate.grid(3), numbers(&[1e-5, 1e-4, 1e-3]));
        assert_eq!(Domain::Number { low: 0.0, high: 1.0, log: false }.grid(2), numbers(&[0.0, 1.0]));
        assert_eq!(Domain::Integer { low: 1, high: 3, log: false }.grid(9).len(), 3);
        assert_eq!(Domain::Integer { low: 1, high: 100, log: true }.grid(3), [1, 10, 100].map(Value::Integer));
        let momentum = Domain::Number { low: 0.5, high: 0.9, log: false };
        let space = Space::new(vec![
            parameter("momentum", momentum, &[("optimizer", "sgd")]),
            parameter("optimizer", choice(&["adamw", "sgd"]), &[]),
        ])
        .unwrap();
        let grid: Vec<String> = space.grid().unwrap().iter().map(shown).collect();
        assert_eq!(
            grid,
            [
                "optimizer adamw",
                "momentum 0.5, optimizer sgd",
                "momentum 0.7, optimizer sgd",
                "momentum 0.9, optimizer sgd"
            ]
        );
        let many = Domain::Integer { low: 1, high: 400, log: false };
        let wide = |name| Parameter { points: 400, ..parameter(name, many.clone(), &[]) };
        assert!(Space::new(vec![wide("a"), wide("b")]).unwrap().grid().unwrap_err().contains("more than 100000"));
    }

    #[test]
    fn conditions_that_cannot_hold_are_named() {
        let range = Domain::Integer { low: 1, high: 2, log: false };
        let one = |when| parameter("a", choice(&["x", "y"]), when);
        for (parameters, says) in [
            (vec![one(&[("b", "x")])], "a: when names b, which is not searched"),
            (vec![one(&[("b", "x")]), parameter("b", range, &[])], "a: when names b, which is a range"),
            (vec![one(&[("b", "z")]), parameter("b", choice(&["x"]), &[])], "a: when b is z, which is none of x"),
            (
                vec![one(&[("b", "x")]), parameter("b", choice(&["x"]), &[("a", "x")])],
                "a: its conditions depend on itself",
            ),
        ] {
            let message = Space::new(parameters).unwrap_err();
            assert!(message.starts_with(says), "{message}");
        }
    }
}
