//! From what was typed to what will be run: flags over ferrotune.toml over defaults, every value checked.
//! It must not train, and opens no file but the settings file.

use crate::args::{
    BaselinesName, DeviceName, LongTextsName, OnDegenerate, OptimizerName, Precision, ScheduleName, Switch,
    TrainSettings,
};
use crate::exit::{Failure, usage};
use crate::settings::budget::Budget;
use crate::terminal::voice::say;
use ferrotune_bert::lora::LoraSpec;
use ferrotune_train::trainer::Settings;
use std::path::{Path, PathBuf};

pub mod auto;
pub mod budget;
mod check;
mod columns;
mod file;
mod methods;
mod pretrain;
pub mod recipes;
mod rows;
#[cfg(test)]
mod tests;
pub mod unset;
mod written;

pub use check::check_seeds;
use check::{check, within};
pub use columns::columns;
pub use file::{check_keys, from_table};
use file::{parse_table, parse_with_search, read_text};
pub use pretrain::{Pretraining, resolve_pretraining};
use rows::VALIDATION_SHARE;
pub use rows::{HeldOut, PartOfRows, held_out, part_of_rows};
use written::check_written;

/// The settings file that is read if it exists and no other is named.
pub const DEFAULT_FILE: &str = "ferrotune.toml";

/// A run with nothing left open. [`Resolved::settings`] is also written into the run folder.
#[derive(Clone)]
pub struct Resolved {
    /// All settings, none of them `None` that has a default.
    pub settings: TrainSettings,
    /// Model folder or id.
    pub model: String,
    /// Training rows.
    pub train: PathBuf,
    /// Training rows that are held out as validation rows, where none are named.
    pub held_out: Option<HeldOut>,
    /// The training rows that are learned from, where these are not all.
    pub part: Option<PartOfRows>,
    /// Run folder.
    pub output: PathBuf,
    /// Row length limit.
    pub max_length: usize,
    /// Whether somebody asked for it; a default follows the model.
    pub length_was_said: bool,
    /// Whether somebody, or a recipe, asked for the learning rate; a default follows the model.
    pub rate_was_said: bool,
    /// What is read of texts beyond it.
    pub long_texts: LongTextsName,
    /// What was asked for; the device says what it came to.
    pub precision: Precision,
    /// What the run computes on.
    pub device: DeviceName,
    /// Optimizer.
    pub optimizer: OptimizerName,
    /// Weight decay.
    pub weight_decay: f64,
    /// Momentum of sgd.
    pub momentum: f32,
    /// Each layer's rate over that of the layer above.
    pub layer_lr_decay: f64,
    /// The head's rate over the top layer's.
    pub head_rate: f64,
    /// Layers that begin to move in each epoch after the first; all from the start where nothing is said.
    pub gradual_unfreezing: Option<usize>,
    /// Top layers that start from random values.
    pub reinit_layers: usize,
    /// Factor of the pull back to pretrained weights.
    pub l2_sp: f32,
    /// Train biases and the head alone.
    pub bitfit: bool,
    /// Train adapters and the head alone.
    pub lora: Option<LoraSpec>,
    /// Compute what layers held again in backward.
    pub checkpointing: bool,
    /// The time that the run was given, if it was; what was chosen for it is among the settings.
    pub budget: Option<Budget>,
    /// The numbers of the loop.
    pub numbers: Settings,
}

impl Resolved {
    /// Takes this learning rate in place of a default.
    pub fn follow_rate(&mut self, rate: f64) {
        self.settings.lr = Some(rate);
        self.numbers.learning_rate = rate;
        self.head_rate = self.settings.head_lr.map_or(1.0, |own| own / rate);
    }

    /// The same, for rows beside whose results no baseline is shown.
    pub fn without_baselines(&self) -> Resolved {
        let mut same = self.clone();
        same.settings.baselines = Some(BaselinesName::Off);
        same
    }
}

/// What was said: flags, over the settings file.
///
/// # Errors
/// An unknown key (with the nearest known one), a malformed file, or a flag whose value no settings file can hold: exit code 2.
pub fn said(typed: TrainSettings, config: Option<&Path>) -> Result<TrainSettings, Failure> {
    Ok(said_and_searched(typed, config)?.0)
}

/// The table of a settings file that says what `search` may choose from; `train` passes over it, so that one file serves both.
pub const SEARCH: &str = "search";

/// What was said, and the table `[search]` of the settings file with the name of that file.
///
/// # Errors
/// As [`said`].
pub fn said_and_searched(
    typed: TrainSettings,
    config: Option<&Path>,
) -> Result<(TrainSettings, Option<(toml::Table, String)>), Failure> {
    check_written(&typed)?;
    unset::check(&typed)?;
    let path = match config {
        Some(path) => path,
        None if Path::new(DEFAULT_FILE).is_file() => {
            say!("settings   {DEFAULT_FILE}");
            Path::new(DEFAULT_FILE)
        }
        None if typed.unset.is_some() && typed.recipe.is_none() => {
            return Err(usage(
                "--unset: there is neither a settings file nor a recipe whose settings it could take away",
            ));
        }
        None => return Ok((typed, None)),
    };
    let name = path.display().to_string();
    let (file, search) = parse_with_search(&read_text(path)?, &name)?;
    let mut file = unset::without(file, &typed.unset)?;
    file.unset = unset::joined(&file.unset, &typed)?;
    // The two exclude each other, and a run writes the one that it went by: what is typed wins over both.
    if typed.validation.is_some() {
        (file.validation_share, file.validation_seed) = (None, None);
    }
    if typed.validation_share.is_some() {
        file.validation = None;
    }
    if typed.validation_share == Some(0.0) {
        // They speak of rows that a flag says are not held out; a flag cannot unsay a key of the file.
        (file.validation_seed, file.metric) = (None, None);
    }
    let unset = file.unset.clone();
    Ok((TrainSettings { unset, ..merge(typed, file) }, search.map(|table| (table, name))))
}

/// The settings of a run: what was said, over what a recipe sets, over defaults.
///
/// # Errors
/// A missing or impossible value: exit code 2.
pub fn resolve(said: TrainSettings, recipe: TrainSettings) -> Result<Resolved, Failure> {
    // Not all that comes here was said by flags of `train`.
    check_written(&said)?;
    check(merge(said, recipe))
}

/// The settings in the text of a file, whose table `[search]` belongs to another command; an unknown key is an error.
pub fn parse(text: &str, file: &str) -> Result<TrainSettings, Failure> {
    Ok(parse_with_search(text, file)?.0)
}

/// What is said in `first`, else what is said in `second`.
pub fn merge(first: TrainSettings, second: TrainSettings) -> TrainSettings {
    let mut merged = toml::Table::try_from(second).expect("settings are a table");
    merged.extend(toml::Table::try_from(first).expect("settings are a table"));
    toml::Value::Table(merged).try_into().expect("a table of settings is settings")
}

fn with_defaults(s: TrainSettings) -> TrainSettings {
    let defaults = TrainSettings {
        max_length: Some(128),
        lr: Some(2e-5),
        batch_size: Some(32),
        epochs: Some(3),
        optimizer: Some(OptimizerName::Adamw),
        momentum: (s.optimizer == Some(OptimizerName::Sgd)).then_some(0.9),
        schedule: Some(ScheduleName::Linear),
        warmup: Some(if s.schedule == Some(ScheduleName::OneCycle) { 0.3 } else { 0.1 }),
        layer_lr_decay: Some(1.0),
        bitfit: Some(Switch::Off),
        reinit_layers: Some(0),
        activation_checkpointing: Some(Switch::Off),
        minimum_lr: takes_minimum(s.schedule).then_some(0.0),
        cycles: (s.schedule == Some(ScheduleName::Cosine)).then_some(1),
        power: (s.schedule == Some(ScheduleName::Polynomial)).then_some(1.0),
        weight_decay: Some(0.01),
        l1: Some(0.0),
        l2: Some(0.0),
        l2_sp: Some(0.0),
        balanced_sampling: Some(Switch::Off),
        clip: Some(1.0),
        seed: Some(0),
        on_degenerate: Some(OnDegenerate::Warn),
        precision: Some(Precision::F32),
        log_every: Some(10),
        tensorboard: Some(Switch::Off),
        baselines: Some(BaselinesName::Words),
        report: Some(Switch::On),
        prefix_cache: Some(Switch::On),
        prefix_cache_memory: Some(2048),
        ..TrainSettings::default()
    };
    let mut s = merge(s, defaults);
    if s.validation.is_none() {
        let share = *s.validation_share.get_or_insert(VALIDATION_SHARE);
        s.validation_seed = s.validation_seed.or(s.seed.filter(|_| share > 0.0));
    }
    if s.train_share.is_some() || s.learning_curve.is_some() {
        s.train_share_seed = s.train_share_seed.or(s.seed);
    }
    s
}

fn takes_minimum(schedule: Option<ScheduleName>) -> bool {
    matches!(schedule, Some(ScheduleName::Cosine | ScheduleName::Polynomial))
}
