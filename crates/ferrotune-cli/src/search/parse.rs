//! The table `[search]` of a settings file: from TOML to a space, every key and value looked at before anything is trained. It must not choose.

use super::base::{Base, NONE, from_toml};
use crate::args::TrainSettings;
use crate::exit::{Failure, usage};
use crate::settings::{check_keys, from_table};
use ferrotune_train::search::space::{Domain, Parameter, Settings, Space, Value};
use std::collections::BTreeMap;

/// Settings that are the same in all trials of a study: what is learned and measured, by what means, and what is written.
const FIXED: &[&str] = &[
    "model",
    "train",
    "validation",
    "validation-share",
    "validation-seed",
    "test",
    "output",
    "train-share",
    "train-share-seed",
    "text-column",
    "text-b-column",
    "label-column",
    "task",
    "label-separator",
    "positive-label",
    "recipe",
    "unset",
    "metric",
    "seed",
    "seeds",
    "budget",
    "learning-curve",
    "on-degenerate",
    "threads",
    "device",
    "precision",
    "prefix-cache",
    "prefix-cache-memory",
    "prefix-cache-dir",
    "log-every",
    "tensorboard",
    "baselines",
    "report",
    "checkpoint-every",
    "activation-checkpointing",
];

/// What stands in the table of a range or of a list with a condition.
const KEYS: [&str; 6] = ["low", "high", "log", "values", "when", "points"];

/// Values that a grid takes of a range unless it is said.
const POINTS: usize = 3;

/// The space of a table, whose place is named in errors.
///
/// # Errors
/// Exit code 2: an unknown setting or one that does not vary in a study, a value of another type, bounds the wrong way round, a condition that
/// cannot hold.
pub fn space(table: &toml::Table, file: &str) -> Result<Space, Failure> {
    let place = format!("{file}: [search]");
    check_keys(table, &place, &TrainSettings::keys())?;
    if table.is_empty() {
        return Err(usage(format!(
            "{place} is empty: name a setting, such as lr = {{ low = 1e-5, high = 5e-4, log = true }}"
        )));
    }
    let mut parameters = Vec::new();
    for (name, value) in table {
        let wrong = |what: String| usage(format!("{place} {name}: {what}"));
        if FIXED.contains(&name.as_str()) {
            return Err(wrong("it is the same in all trials of a study; say it outside of [search]".to_string()));
        }
        parameters.push(parameter(name, value).map_err(wrong)?);
    }
    Space::new(parameters).map_err(|what| usage(format!("{place} {what}")))
}

/// The space that is searched where none was said: the settings of every fine-tuning that matter most, but for those that were said. `few` is true
/// if few weights are trained, which want a higher rate.
///
/// # Errors
/// All of them were said.
pub fn usual_space(said: &TrainSettings, few: bool) -> Result<Space, Failure> {
    let rate = if few { "{ low = 1e-4, high = 5e-3, log = true }" } else { "{ low = 1e-5, high = 5e-4, log = true }" };
    let text = format!(
        "lr = {rate}
         epochs = {{ low = 2, high = 5 }}
         batch-size = [16, 32]
         warmup = {{ low = 0.0, high = 0.2 }}
         weight-decay = [0.0, 0.01, 0.1]"
    );
    let mut table: toml::Table = text.parse().expect("the usual space is TOML");
    let said = toml::Table::try_from(said).expect("settings are a table");
    table.retain(|name, _| !said.contains_key(name));
    if table.is_empty() {
        return Err(usage(
            "all settings that are searched where no [search] is written were said; write a table [search] into the settings file, or say fewer",
        ));
    }
    space(&table, "the usual space")
}

/// Refuses a value that no trial could have. `fits` says whether a trial with these settings could be trained.
///
/// # Errors
/// What `fits` says of a bound or a value of a list, whatever the other settings of the space are.
pub fn check(
    space: &Space,
    baseline: &Settings,
    fits: impl Fn(&Settings) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for parameter in space.parameters() {
        // Of choices these are all.
        for value in parameter.domain.grid(2) {
            let mut wanted = BTreeMap::from([(parameter.name.as_str(), value.clone())]);
            want_parents(space, parameter, &mut wanted);
            let end = |of: &Parameter, last: bool| {
                let grid = of.domain.grid(2);
                if last { grid[grid.len() - 1].clone() } else { grid[0].clone() }
            };
            let choices: [&dyn Fn(&Parameter) -> Value; 3] = [
                &|of| baseline.get(&of.name).cloned().unwrap_or_else(|| end(of, false)),
                &|of| end(of, false),
                &|of| end(of, true),
            ];
            let tried = choices.map(|other| {
                fits(&space.fill(|_, of| wanted.get(of.name.as_str()).cloned().unwrap_or_else(|| other(of))))
            });
            if tried.iter().all(Result::is_err)
                && let Some(Err(failure)) = tried.into_iter().next()
            {
                return Err(usage(format!("[search] {} = {value}: {}", parameter.name, failure.message)));
            }
        }
    }
    Ok(())
}

/// Adds what must be chosen for the parameter to be there.
fn want_parents<'a>(space: &'a Space, parameter: &'a Parameter, wanted: &mut BTreeMap<&'a str, Value>) {
    for (parent, values) in &parameter.when {
        wanted.insert(parent, values[0].clone());
        if let Some(parent) = space.parameters().iter().find(|other| other.name == *parent) {
            want_parents(space, parent, wanted);
        }
    }
}

/// A parameter as a person reads it.
pub fn shown(parameter: &Parameter) -> String {
    let log = if parameter.domain.is_log() { ", log" } else { "" };
    let list = |values: &[Value], word: &str| values.iter().map(Value::to_string).collect::<Vec<_>>().join(word);
    let what = match &parameter.domain {
        Domain::Choice(values) => list(values, " | "),
        Domain::Integer { low, high, .. } => format!("{low} to {high}{log}"),
        Domain::Number { low, high, .. } => format!("{} to {}{log}", Value::Number(*low), Value::Number(*high)),
    };
    let when = parameter.when.iter().map(|(parent, values)| format!("{parent} is {}", list(values, " or ")));
    let when = when.collect::<Vec<_>>().join(" and ");
    if when.is_empty() { what } else { format!("{what}, when {when}") }
}

/// What the values of a setting are.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Number,
    Integer,
    Text,
}

fn kind(name: &str) -> Kind {
    let takes = |value: toml::Value| takes(name, &value).is_ok();
    match (takes(toml::Value::Float(0.5)), takes(toml::Value::Integer(1))) {
        (true, _) => Kind::Number,
        (_, true) => Kind::Integer,
        _ => Kind::Text,
    }
}

/// Whether a setting has values of this type.
fn takes(name: &str, value: &toml::Value) -> Result<(), String> {
    let table = toml::Table::from_iter([(name.to_string(), value.clone())]);
    let read = from_table::<TrainSettings>(table, "a value");
    read.map(drop).map_err(|failure| failure.message.trim_start_matches("a value: ").to_string())
}

fn parameter(name: &str, value: &toml::Value) -> Result<Parameter, String> {
    let domain_of_list = |values: &[toml::Value]| choice(name, values);
    let (domain, when, points) = match value {
        toml::Value::Array(values) => (domain_of_list(values)?, Vec::new(), POINTS),
        toml::Value::Table(table) => {
            check_keys(table, "its table", &KEYS.map(str::to_string)).map_err(|failure| failure.message)?;
            let domain = match table.get("values") {
                Some(toml::Value::Array(values)) => {
                    if let Some(stray) = ["low", "high", "log", "points"].iter().find(|key| table.contains_key(**key)) {
                        return Err(format!("`values` lists what it may be; leave `{stray}` out"));
                    }
                    domain_of_list(values)?
                }
                Some(_) => return Err("`values` is no list".to_string()),
                None => range(name, table)?,
            };
            let points = match table.get("points") {
                None => POINTS,
                Some(toml::Value::Integer(points)) if (1..=1000).contains(points) => *points as usize,
                Some(other) => return Err(format!("points is {other}; it must be a whole number from 1 to 1000")),
            };
            (domain, conditions(table.get("when"))?, points)
        }
        other => {
            return Err(format!("{other} is one value; write a list of values, or {{ low = .., high = .. }}"));
        }
    };
    Ok(Parameter { name: name.to_string(), domain, when, points })
}

fn choice(name: &str, values: &[toml::Value]) -> Result<Domain, String> {
    let mut choices: Vec<Value> = Vec::new();
    for value in values {
        if value.as_str() != Some(NONE) {
            takes(name, value).map_err(|what| format!("{value}: {what}"))?;
        }
        let value = match from_toml(value).ok_or_else(|| format!("{value} is no plain value"))? {
            Value::Integer(number) if kind(name) == Kind::Number => Value::Number(number as f64),
            value => value,
        };
        if choices.contains(&value) {
            return Err(format!("{value} is there twice"));
        }
        choices.push(value);
    }
    if choices.is_empty() { Err("the list is empty".to_string()) } else { Ok(Domain::Choice(choices)) }
}

fn range(name: &str, table: &toml::Table) -> Result<Domain, String> {
    let kind = kind(name);
    if kind == Kind::Text {
        return Err("its values are names; write a list of them".to_string());
    }
    let bound = |key: &str| {
        let value = table.get(key).ok_or_else(|| format!("`{key}` is missing"))?;
        let number = match value {
            toml::Value::Integer(number) => *number as f64,
            toml::Value::Float(number) if kind == Kind::Number && number.is_finite() => *number,
            toml::Value::Float(_) if kind == Kind::Integer => {
                return Err(format!("{key} is {value}; it takes whole numbers"));
            }
            _ => return Err(format!("{key} is {value}, no number")),
        };
        takes(name, value).map_err(|what| format!("{key}: {what}"))?;
        Ok(number)
    };
    let (low, high) = (bound("low")?, bound("high")?);
    if low >= high {
        let shown = |number| Value::Number(number).to_string();
        return Err(format!("low is {} and high {}; low must be below high", shown(low), shown(high)));
    }
    let log = match table.get("log") {
        None => false,
        Some(toml::Value::Boolean(log)) => *log,
        Some(other) => return Err(format!("log is {other}; write true or false")),
    };
    if log && low <= 0.0 {
        return Err(format!("low is {}; with log = true it must be above 0", Value::Number(low)));
    }
    Ok(match kind {
        Kind::Integer => Domain::Integer { low: low as i64, high: high as i64, log },
        _ => Domain::Number { low, high, log },
    })
}

fn conditions(when: Option<&toml::Value>) -> Result<Vec<(String, Vec<Value>)>, String> {
    let table = match when {
        None => return Ok(Vec::new()),
        Some(toml::Value::Table(table)) => table,
        Some(other) => return Err(format!("when is {other}; write when = {{ optimizer = \"sgd\" }}")),
    };
    let mut conditions = Vec::new();
    for (parent, value) in table {
        let values = match value {
            toml::Value::Array(values) => values.iter().map(from_toml).collect(),
            value => from_toml(value).map(|value| vec![value]),
        };
        let values: Vec<Value> = values.unwrap_or_default();
        if values.is_empty() {
            return Err(format!("when {parent}: {value} is neither a value nor a list of values"));
        }
        conditions.push((parent.clone(), values));
    }
    Ok(conditions)
}

/// Whether the settings train few weights: adapters, biases or the head.
pub fn trains_few(base: &Base) -> bool {
    let said = &base.said;
    let head_alone = said.freeze.as_deref().is_some_and(|spec| ["encoder", "all-but.0"].contains(&spec.trim()));
    said.lora_rank.is_some() || said.bitfit == Some(crate::args::Switch::On) || head_alone
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
