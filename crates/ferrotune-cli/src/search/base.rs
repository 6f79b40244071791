//! The settings that all trials have, and a trial's own over them. It must not know how these are chosen.

use crate::args::TrainSettings;
use crate::exit::Failure;
use crate::settings::{Resolved, from_table, merge, resolve};
use ferrotune_train::search::space::{Domain, Settings, Space, Value};

/// In a list of values: the setting is left as if it was not said.
pub const NONE: &str = "none";

/// What was said besides the space.
#[derive(Clone)]
pub struct Base {
    /// Flags over file over recipe.
    pub said: TrainSettings,
}

impl Base {
    /// Of what was said, and what a recipe sets where nothing was.
    pub fn new(said: TrainSettings, recipe: TrainSettings) -> Base {
        // The recipe is in it now; named beside it, it would bring back what a trial leaves out.
        Base { said: TrainSettings { recipe: None, unset: None, ..merge(said, recipe) } }
    }

    /// The settings of a run without a search.
    ///
    /// # Errors
    /// A missing or impossible value: exit code 2.
    pub fn alone(&self) -> Result<Resolved, Failure> {
        resolve(self.said.clone(), TrainSettings::default())
    }

    /// The settings of a trial: those of the space are what `chosen` says, and not said where it says nothing.
    ///
    /// # Errors
    /// Values that are impossible, or impossible together: exit code 2.
    pub fn with(&self, space: &Space, chosen: &Settings) -> Result<Resolved, Failure> {
        let mut table = toml::Table::try_from(&self.said).expect("settings are a table");
        for parameter in space.parameters() {
            table.remove(&parameter.name);
        }
        for (name, value) in chosen {
            match value {
                Value::Text(text) if text == NONE => None,
                Value::Text(text) => table.insert(name.clone(), text.clone().into()),
                Value::Integer(number) => table.insert(name.clone(), (*number).into()),
                Value::Number(number) => table.insert(name.clone(), (*number).into()),
            };
        }
        resolve(from_table(table, "[search]")?, TrainSettings::default())
    }

    /// What is searched, as it is without a search: said, or the default. A setting that is neither is not there, or the choice [`NONE`].
    ///
    /// # Errors
    /// As [`Base::alone`].
    pub fn baseline(&self, space: &Space) -> Result<Settings, Failure> {
        let table = toml::Table::try_from(&self.alone()?.settings).expect("settings are a table");
        let mut baseline = Settings::new();
        for parameter in space.parameters() {
            let none = Value::Text(NONE.to_string());
            let value = match table.get(&parameter.name) {
                Some(value) => from_toml(value),
                None => Some(none.clone()).filter(|_| parameter.domain.place_of(&none).is_some()),
            };
            if let Some(value) = value {
                baseline.insert(parameter.name.clone(), as_in(&parameter.domain, value));
            }
        }
        Ok(baseline)
    }
}

/// A plain value; none of arrays, tables, dates.
pub fn from_toml(value: &toml::Value) -> Option<Value> {
    match value {
        toml::Value::String(text) => Some(Value::Text(text.clone())),
        toml::Value::Integer(number) => Some(Value::Integer(*number)),
        toml::Value::Float(number) => Some(Value::Number(*number)),
        _ => None,
    }
}

/// The value as the domain writes it, if it has it.
fn as_in(domain: &Domain, value: Value) -> Value {
    match (domain, domain.place_of(&value)) {
        (Domain::Choice(values), Some(place)) => values[place as usize].clone(),
        _ => value,
    }
}
