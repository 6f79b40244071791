//! Settings of `pretrain`: its own, and those of `train` that apply to it, checked by the same rules. It must not read texts.

use super::written::{check_path, check_written};
use super::{HeldOut, Resolved, check, from_table, parse_table, read_text, within};
use crate::args::{PretrainSettings, SHARED, Switch, TrainSettings};
use crate::exit::{Failure, usage};
use std::path::Path;

/// The share of the texts that is held out unless another is said.
const HELD_OUT: f64 = 0.05;
/// Of Gururangan et al. 2020, <https://arxiv.org/abs/2004.10964>, for the texts of a task (their table 14).
const RATE: f64 = 1e-4;

/// A run of `pretrain` with nothing left open.
pub struct Pretraining {
    /// What it shares with `train`; the training rows are the texts.
    pub run: Resolved,
    /// Whether all tokens of a word are masked, or none.
    pub whole_words: bool,
    /// All settings, as a settings file would have them.
    pub table: toml::Table,
}

/// Resolves the settings of a run. No file is read that is not named: the usual one is that of `train`.
///
/// # Errors
/// As [`resolve`](super::resolve), and a setting that only `train` has.
pub fn resolve_pretraining(
    own: PretrainSettings,
    shared: TrainSettings,
    config: Option<&Path>,
) -> Result<Pretraining, Failure> {
    let file = match config {
        Some(path) => parse_table(&read_text(path)?, &path.display().to_string(), &known())?,
        None => toml::Table::new(),
    };
    check_pretraining(own, shared, file)
}

fn known() -> Vec<String> {
    PretrainSettings::keys().into_iter().chain(SHARED.iter().map(|key| key.to_string())).collect()
}

fn check_pretraining(own: PretrainSettings, shared: TrainSettings, file: toml::Table) -> Result<Pretraining, Failure> {
    check_path("text", &own.text)?;
    check_written(&shared)?;
    let mut said = file;
    said.extend(toml::Table::try_from(own).expect("settings are a table"));
    said.extend(toml::Table::try_from(shared).expect("settings are a table"));
    if let Some(stray) = said.keys().find(|key| !known().contains(key)) {
        return Err(usage(format!(
            "--{stray} belongs to train; pretrain learns from texts alone and has no such setting"
        )));
    }
    let own_keys = PretrainSettings::keys();
    let (own, shared): (toml::Table, toml::Table) = said.into_iter().partition(|(key, _)| own_keys.contains(key));
    let own: PretrainSettings = from_table(own, "settings")?;
    let mut shared: TrainSettings = from_table(shared, "settings")?;

    let text =
        own.text.clone().ok_or_else(|| usage("--text is missing: name a file of texts, .txt with one a line"))?;
    let held_out = match (own.held_out, &shared.validation) {
        (Some(_), Some(_)) => {
            return Err(usage("--held-out and --validation both say what loss is measured on; leave one of them out"));
        }
        (None, Some(_)) => None,
        (share, None) => {
            let share = share.unwrap_or(HELD_OUT);
            Some(within("held-out", share, (0.0..=0.5).contains(&share), "between 0 (none) and 0.5")?)
        }
    };
    let names_pooler = |spec: &String| spec.split(',').any(|part| part.trim() == "pooler");
    if shared.freeze.as_ref().is_some_and(names_pooler) {
        return Err(usage(
            "--freeze: masked words do not reach the pooler, it stays as it is anyway; leave that part out",
        ));
    }
    // What `train` calls --validation-share.
    shared.validation_share = held_out;
    shared.train = Some(text);
    shared.lr = shared.lr.or(Some(RATE));
    let mut run = check(shared)?;
    run.held_out = run.held_out.map(|asked| HeldOut { flag: "held-out", ..asked });
    (run.settings.validation_share, run.settings.validation_seed) = (None, None);

    let whole_words = own.whole_word_masking.unwrap_or(Switch::Off);
    let own = PretrainSettings { held_out, whole_word_masking: Some(whole_words), ..own };
    let mut table = toml::Table::try_from(&run.settings).expect("settings are a table");
    table.retain(|key, _| SHARED.contains(&key));
    table.extend(toml::Table::try_from(own).expect("settings are a table"));
    Ok(Pretraining { run, whole_words: whole_words == Switch::On, table })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Pretraining, String> {
        let text = format!("model = 'm'\noutput = 'o'\n{text}");
        let table = parse_table(&text, "f", &known()).map_err(|failure| failure.message)?;
        check_pretraining(PretrainSettings::default(), TrainSettings::default(), table)
            .map_err(|failure| failure.message)
    }

    #[test]
    fn every_shared_setting_is_one_of_train() {
        let keys = TrainSettings::keys();
        assert!(SHARED.iter().all(|key| keys.iter().any(|known| known == key)));
        assert!(PretrainSettings::keys().iter().all(|own| !keys.contains(own)), "a key would have two meanings");
    }

    #[test]
    fn what_is_not_said_has_a_value_and_the_written_file_gives_the_same_run() {
        let run = of("text = 't.txt'\npatience = 2\nfreeze = 'embeddings'").unwrap();
        let held_out = HeldOut { share: 0.05, seed: 0, flag: "held-out" };
        assert_eq!((run.run.held_out, run.whole_words, run.run.numbers.learning_rate), (Some(held_out), false, 1e-4));
        assert_eq!(of("text = 't'\nheld-out = 0").unwrap().run.held_out, None);
        assert_eq!(of("text = 't'\nvalidation = 'v'").unwrap().run.held_out, None);
        assert_eq!(run.run.numbers.patience, Some(2));
        let again = parse_table(&toml::to_string(&run.table).unwrap(), "f", &known()).map_err(|f| f.message).unwrap();
        let again = check_pretraining(PretrainSettings::default(), TrainSettings::default(), again);
        assert_eq!(again.map_err(|f| f.message).unwrap().table, run.table);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("", "--text is missing"),
            ("text = 't'\nwhole-words = 'on'", "f: unknown key `whole-words`; did you mean `whole-word-masking`?"),
            ("text = 't'\nlabel-column = 'x'", "f: unknown key `label-column`"),
            ("text = 't'\nheld-out = 0.1\nvalidation = 'v'", "--held-out and --validation both"),
            ("text = 't'\nheld-out = 0.6", "--held-out is 0.6; it must be between 0"),
            ("text = 't'\nheld-out = 0\npatience = 1", "--patience needs validation rows"),
            ("text = 't'\npatience = 0", "--patience is 0; it must be"),
            ("text = 't'\nfreeze = 'embeddings, pooler'", "--freeze: masked words do not reach the pooler"),
            ("text = 't'\nlr = 0", "--lr is 0; it must be above 0"),
            ("text = 't'\nwhole-word-masking = true", "f: `whole-word-masking` is true; write \"on\" or \"off\""),
            ("text = 't'\ncycles = 2", "--cycles belongs to --schedule cosine"),
        ] {
            let message = of(text).map(|_| ()).unwrap_err();
            assert!(message.starts_with(expected) && !message.contains('\n'), "{text}: {message}");
        }
        let typed = TrainSettings { lora_rank: Some(4), ..TrainSettings::default() };
        let error = check_pretraining(PretrainSettings::default(), typed, toml::Table::new()).map(|_| ()).unwrap_err();
        assert!(error.message.starts_with("--lora-rank belongs to train"));
    }
}
