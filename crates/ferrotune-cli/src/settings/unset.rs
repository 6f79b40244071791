//! `--unset`: settings of a file or a recipe that count as not said, which no other value of theirs could say. It must not know what they mean.

use crate::args::TrainSettings;
use crate::exit::{Failure, usage};
use crate::settings::from_table;

/// The settings without those of this list.
///
/// # Errors
/// A name that is no setting: exit code 2.
pub fn without(settings: TrainSettings, list: &Option<String>) -> Result<TrainSettings, Failure> {
    let names = names(list)?;
    if names.is_empty() {
        return Ok(settings);
    }
    let mut table = toml::Table::try_from(settings).expect("settings are a table");
    table.retain(|key, _| !names.contains(&key));
    from_table(table, "settings")
}

/// What a file unset, and what was typed: all of both, but for what was typed as a flag of its own.
///
/// # Errors
/// A name that is no setting: exit code 2.
pub fn joined(in_file: &Option<String>, typed: &TrainSettings) -> Result<Option<String>, Failure> {
    let said = toml::Table::try_from(typed).expect("settings are a table");
    let mut all: Vec<&str> = names(in_file)?.into_iter().filter(|name| !said.contains_key(*name)).collect();
    all.extend(names(&typed.unset)?);
    all.sort_unstable();
    all.dedup();
    Ok((!all.is_empty()).then(|| all.join(",")))
}

/// Refuses to unset what is said beside it.
///
/// # Errors
/// That, or a name that is no setting: exit code 2.
pub fn check(typed: &TrainSettings) -> Result<(), Failure> {
    let said = toml::Table::try_from(typed).expect("settings are a table");
    match names(&typed.unset)?.into_iter().find(|name| said.contains_key(*name)) {
        Some(name) => Err(usage(format!("--unset {name} and --{name} contradict each other: a flag wins without it"))),
        None => Ok(()),
    }
}

fn names(list: &Option<String>) -> Result<Vec<&str>, Failure> {
    let known = TrainSettings::keys();
    let name = |name| match known.iter().any(|key| key == name) {
        true => Ok(name),
        false => Err(usage(format!("--unset: `{name}` is no setting; write names of flags, such as freeze,lora-rank"))),
    };
    list.iter().flat_map(|list| list.split(',')).map(|part| name(part.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::RecipeName;
    use crate::settings::recipes::Recipe;

    fn list(names: &str) -> Option<String> {
        Some(names.to_string())
    }

    #[test]
    fn what_is_unset_is_as_if_it_were_not_said() {
        let said =
            || TrainSettings { lr: Some(1e-3), freeze: list("encoder"), epochs: Some(4), ..TrainSettings::default() };
        let left = without(said(), &list("freeze, epochs")).map_err(|failure| failure.message).unwrap();
        assert_eq!(left, TrainSettings { freeze: None, epochs: None, ..said() });
        assert!(without(said(), &None).is_ok_and(|same| same == said()));
        let of = TrainSettings { recipe: Some(RecipeName::Article), unset: list("freeze"), ..TrainSettings::default() };
        let recipe = Recipe::of(&of).map_err(|failure| failure.message).unwrap().unwrap();
        assert!(recipe.settings.freeze.is_none() && recipe.settings.lr.is_some());
    }

    #[test]
    fn what_the_file_unset_stays_so() {
        let typed =
            |unset: Option<String>, freeze: Option<String>| TrainSettings { unset, freeze, ..TrainSettings::default() };
        for (in_file, typed, expected) in [
            (list("freeze"), typed(list("lr"), None), list("freeze,lr")),
            (list("freeze"), typed(None, None), list("freeze")),
            (list("freeze,lr"), typed(None, list("encoder")), list("lr")),
            (list("freeze"), typed(None, list("encoder")), None),
            (None, typed(None, None), None),
        ] {
            assert_eq!(joined(&in_file, &typed).map_err(|failure| failure.message), Ok(expected));
        }
        assert!(joined(&list("freez"), &TrainSettings::default()).is_err());
    }

    #[test]
    fn mistakes_are_named() {
        for (unset, says) in [
            ("freez", "--unset: `freez` is no setting"),
            ("", "--unset: `` is no setting"),
            ("lr,freeze", "--unset freeze and --freeze contradict each other"),
        ] {
            let typed = TrainSettings { freeze: list("encoder"), unset: list(unset), ..TrainSettings::default() };
            let message = check(&typed).unwrap_err().message;
            assert!(message.starts_with(says), "{message}");
        }
    }
}
