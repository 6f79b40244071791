//! From what was typed to what will be run: flags over ferrotune.toml over defaults, every value checked.
//! It must not train, and opens no file but the settings file.

use crate::args::{
    BaselinesName, DeviceName, LongTextsName, OnDegenerate, OptimizerName, Precision, ScheduleName, Switch,
    TrainSettings,
};
use crate::budget::Budget;
use crate::exit::{Failure, usage};
use crate::run_folder::RESTARTS;
use crate::voice::say;
use ferrotune_bert::lora::LoraSpec;
use ferrotune_optim::Penalty;
use ferrotune_train::metrics::MetricName;
use ferrotune_train::passes::PassLimit;
use ferrotune_train::trainer::Settings;
use std::path::{Path, PathBuf};

mod columns;
mod file;
mod methods;
mod pretrain;
mod rows;
mod written;

pub use columns::columns;
pub use file::{check_keys, from_table};
use file::{parse_table, parse_with_search, read_text};
use methods::{average_best, chosen_optimizer, ema, l2_sp, lora, schedule};
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
    let path = match config {
        Some(path) => path,
        None if Path::new(DEFAULT_FILE).is_file() => {
            say!("settings   {DEFAULT_FILE}");
            Path::new(DEFAULT_FILE)
        }
        None => return Ok((typed, None)),
    };
    let name = path.display().to_string();
    let (mut file, search) = parse_with_search(&read_text(path)?, &name)?;
    if typed.validation_share == Some(0.0) {
        // They speak of rows that a flag says are not held out; a flag cannot unsay a key of the file.
        (file.validation_seed, file.metric) = (None, None);
    }
    Ok((merge(typed, file), search.map(|table| (table, name))))
}

/// The settings of a run: what was said, over what a recipe sets, over defaults.
///
/// # Errors
/// A missing or impossible value: exit code 2.
pub fn resolve(said: TrainSettings, recipe: TrainSettings) -> Result<Resolved, Failure> {
    // Not all that comes here was said by flags of `train`.
    check_written(&said)?;
    check(with_defaults(merge(said, recipe)))
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

/// `value` if `allowed` holds, else an error that names the flag.
fn within<T: Copy + std::fmt::Display>(flag: &str, value: T, allowed: bool, rule: &str) -> Result<T, Failure> {
    if allowed { Ok(value) } else { Err(usage(format!("--{flag} is {value}; it must be {rule}"))) }
}

/// Whether so many seeds can be counted up from the first: a run's own seed is written with its settings.
///
/// # Errors
/// A first seed that is too large: exit code 2, before the first of them is trained.
pub fn check_seeds(first: u64, count: u64) -> Result<(), Failure> {
    let highest = i64::MAX as u64 - count.saturating_sub(1);
    within("seed", first, first <= highest, &format!("at most {highest}, so that later seeds can follow it")).map(drop)
}

fn check(s: TrainSettings) -> Result<Resolved, Failure> {
    let needed =
        |flag: &str, what: &str| usage(format!("--{flag} is missing: name {what} (or set `{flag}` in {DEFAULT_FILE})"));
    let model = s.model.clone().ok_or_else(|| needed("model", "a model folder or hub id"))?;
    let train = s.train.clone().ok_or_else(|| needed("train", "a file of labelled rows"))?;
    let output = s.output.clone().ok_or_else(|| needed("output", "a folder for the run"))?;

    let float = |flag, value: Option<f64>, low: f64, high: f64, rule| {
        let value = value.unwrap_or(0.0);
        within(flag, value, value.is_finite() && (low..=high).contains(&value), rule)
    };
    let count = |flag, value: Option<u64>| {
        let value = value.unwrap_or(1);
        within(flag, value, (1..=1 << 40).contains(&value), "a whole number of at least 1")
    };
    let lr = float("lr", s.lr, 0.0, 10.0, "above 0 and at most 10")?;
    within("lr", lr, lr > 0.0, "above 0 and at most 10")?;
    let layer_lr_decay = float("layer-lr-decay", s.layer_lr_decay, 0.0, 1.0, "above 0 and at most 1")?;
    within("layer-lr-decay", layer_lr_decay, layer_lr_decay > 0.0, "above 0 and at most 1")?;
    let head_lr = float("head-lr", s.head_lr.or(Some(lr)), 0.0, 10.0, "above 0 and at most 10")?;
    within("head-lr", head_lr, head_lr > 0.0, "above 0 and at most 10")?;
    let share = "a share between 0 and 1";
    let factor = "between 0 and 1000";
    let warmup = float("warmup", s.warmup, 0.0, 1.0, share)?;
    let weight_decay = float("weight-decay", s.weight_decay, 0.0, 1000.0, factor)?;
    for (flag, value) in [
        ("momentum", s.momentum),
        ("dropout", s.dropout),
        ("attention-dropout", s.attention_dropout),
        ("classifier-dropout", s.classifier_dropout),
    ] {
        let value = float(flag, value, 0.0, 1.0, "at least 0 and below 1")?;
        within(flag, value, value < 1.0, "at least 0 and below 1")?;
    }
    let penalty = Penalty {
        l1: float("l1", s.l1, 0.0, 1000.0, factor)? as f32,
        l2: float("l2", s.l2, 0.0, 1000.0, factor)? as f32,
    };
    let clip = float("clip", s.clip, 0.0, 1e9, "0 (off) or a norm")?;
    let batch_size = count("batch-size", s.batch_size.map(|n| n as u64))? as usize;
    let micro_batch = count("micro-batch", s.micro_batch.map(|n| n as u64).or(Some(batch_size as u64)))? as usize;
    within("micro-batch", micro_batch, micro_batch <= batch_size, "at most --batch-size")?;
    let max_length = s.max_length.unwrap_or_default();
    within("max-length", max_length, max_length >= 3, "at least 3")?;
    if let Some(seeds) = s.seeds {
        within("seeds", seeds, (2..=1000).contains(&seeds), "between 2 and 1000")?;
        if s.on_degenerate == Some(OnDegenerate::Restart) {
            return Err(usage(
                "--on-degenerate restart goes on with the next seed, which --seeds trains anyway; leave one of them out",
            ));
        }
    }
    let restarts = if s.on_degenerate == Some(OnDegenerate::Restart) { RESTARTS } else { 0 };
    check_seeds(s.seed.unwrap_or_default(), s.seeds.unwrap_or(1 + restarts))?;
    let part = part_of_rows(&s)?;
    let held_out = held_out(&s)?;
    let validated = s.validation.is_some() || held_out.is_some();
    if s.patience.is_some() && !validated {
        return Err(usage("--patience needs validation rows: without them nothing says whether training still helps"));
    }
    if s.metric.is_some() && !validated {
        return Err(usage("--metric chooses the best epoch by validation rows, and there are none; leave it out"));
    }
    if s.text_b_column.is_some() && s.text_column.is_none() {
        return Err(usage("--text-b-column names the second text of a pair; name the first with --text-column too"));
    }
    if s.prefix_cache == Some(Switch::Off) && s.prefix_cache_dir.is_some() {
        return Err(usage(
            "--prefix-cache-dir names a folder for what --prefix-cache off does not keep; leave one of them out",
        ));
    }
    if let Some(threads) = s.threads {
        within("threads", threads, (1..=4096).contains(&threads), "between 1 and 4096")?;
    }

    Ok(Resolved {
        model,
        train,
        held_out,
        part,
        output,
        max_length,
        long_texts: s.long_texts.unwrap_or(LongTextsName::Head),
        precision: s.precision.unwrap_or(Precision::F32),
        #[cfg(feature = "cuda")]
        device: s.device.unwrap_or_default(),
        #[cfg(not(feature = "cuda"))]
        device: DeviceName::Cpu,
        optimizer: chosen_optimizer(&s)?,
        weight_decay,
        momentum: s.momentum.unwrap_or_default() as f32,
        layer_lr_decay,
        head_rate: head_lr / lr,
        gradual_unfreezing: s
            .gradual_unfreezing
            .map(|n| count("gradual-unfreezing", Some(n as u64)))
            .transpose()?
            .map(|n| n as usize),
        reinit_layers: s.reinit_layers.unwrap_or_default(),
        l2_sp: l2_sp(&s)?,
        bitfit: s.bitfit == Some(Switch::On),
        lora: lora(&s)?,
        checkpointing: s.activation_checkpointing == Some(Switch::On),
        budget: None,
        numbers: Settings {
            batch_size,
            pass_limit: PassLimit {
                rows: micro_batch,
                tokens: s.max_tokens.map(|n| count("max-tokens", Some(n as u64))).transpose()?.map(|n| n as usize),
            },
            epochs: count("epochs", s.epochs)?,
            max_steps: s.max_steps.map(|n| count("max-steps", Some(n))).transpose()?,
            learning_rate: lr,
            schedule: schedule(&s)?,
            warmup,
            clip,
            penalty,
            ema: ema(&s)?,
            average_best: average_best(&s, validated)?,
            leave_degenerate: s.on_degenerate == Some(OnDegenerate::Restart),
            balanced: s.balanced_sampling == Some(Switch::On),
            seed: s.seed.unwrap_or_default(),
            // The task's own where none is said; `commands/train.rs` puts it in once the task is known.
            metric: s.metric.unwrap_or(MetricName::Loss),
            patience: s.patience.map(|n| count("patience", Some(n))).transpose()?,
            log_every: count("log-every", s.log_every)?,
            checkpoint_every: s.checkpoint_every.map(|n| count("checkpoint-every", Some(n))).transpose()?,
        },
        settings: s,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::RecipeName;
    use crate::recipes;
    use ferrotune_optim::schedule::Kind;

    fn parse(text: &str, file: &str) -> Result<TrainSettings, Failure> {
        parse_with_search(text, file).map(|(settings, _)| settings)
    }

    fn base() -> TrainSettings {
        parse("model = 'm'\ntrain = 't.csv'\noutput = 'o'", "f").map_err(|f| f.message).unwrap()
    }

    fn error(text: &str) -> String {
        let parsed = parse(text, "f.toml").and_then(|file| resolve(merge(file, base()), TrainSettings::default()));
        parsed.map(|_| ()).unwrap_err().message
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file = parse("lr = 1e-4\nepochs = 5\nschedule = 'cosine'", "f").map_err(|f| f.message).unwrap();
        let typed = TrainSettings { epochs: Some(7), ..base() };
        let run = check(with_defaults(merge(typed, file))).map_err(|f| f.message).unwrap();
        let numbers = run.numbers;
        assert_eq!((numbers.learning_rate, numbers.epochs, numbers.batch_size), (1e-4, 7, 32));
        assert_eq!(numbers.schedule, Kind::Cosine { minimum: 0.0, cycles: 1 });
    }

    #[test]
    fn a_recipe_lies_between_what_is_said_and_the_defaults() {
        let file = parse("recipe = 'stable'\nepochs = 4", "f").map_err(|f| f.message).unwrap();
        let stable = || recipes::settings(RecipeName::Stable);
        let run = resolve(merge(file, base()), stable()).map_err(|f| f.message).unwrap();
        assert_eq!((run.numbers.epochs, run.numbers.batch_size, run.max_length), (4, 16, 128));
        // The file of a finished run names the recipe and every value; reading it again gives the same run.
        let written = toml::to_string(&run.settings).unwrap();
        let again = parse(&written, "f").map_err(|f| f.message).unwrap();
        assert_eq!(with_defaults(merge(again, stable())), run.settings);
    }

    #[test]
    fn a_share_is_held_out_where_no_validation_is_named() {
        let of = |text: &str| {
            let file = parse(text, "f").map_err(|f| f.message).unwrap();
            let run = resolve(merge(file, base()), TrainSettings::default()).map_err(|f| f.message).unwrap();
            (run.held_out.map(|held_out| (held_out.share, held_out.seed)), run.settings)
        };
        for (text, expected) in [
            ("", Some((0.1, 0))),
            ("seed = 7", Some((0.1, 7))),
            ("seed = 7\nvalidation-seed = 3\nvalidation-share = 0.25\npatience = 1", Some((0.25, 3))),
            ("validation-share = 0", None),
            ("validation = 'v'\npatience = 1", None),
        ] {
            let (held_out, settings) = of(text);
            assert_eq!(held_out, expected, "{text}");
            // The file of a finished run gives the same run again.
            assert_eq!(of(&toml::to_string(&settings).unwrap()), (expected, settings), "{text}");
        }
    }

    #[test]
    fn learning_from_all_rows_passes_over_what_a_file_says_of_those_held_out() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "lr = 1e-4\nmetric = 'mcc'\nvalidation-share = 0.1\nvalidation-seed = 3").unwrap();
        let typed = TrainSettings { validation_share: Some(0.0), ..base() };
        let said = said(typed, Some(file.path())).map_err(|f| f.message).unwrap();
        let run = resolve(said, TrainSettings::default()).map_err(|f| f.message).unwrap();
        assert_eq!((run.held_out, run.numbers.learning_rate), (None, 1e-4));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("lerning-rate = 1", "f.toml: unknown key `lerning-rate`; did you mean"),
            ("batch_size = 3", "f.toml: unknown key `batch_size`; did you mean `batch-size`?"),
            ("lr = 0", "--lr is 0; it must be above 0"),
            ("lr = nan", "--lr is NaN"),
            ("layer-lr-decay = 1.1", "--layer-lr-decay is 1.1; it must be above 0 and at most 1"),
            ("head-lr = 0", "--head-lr is 0; it must be above 0"),
            ("minimum-lr = 0.1\nschedule = 'one-cycle'", "--minimum-lr belongs to --schedule cosine or polynomial"),
            ("lora-alpha = 2", "--lora-alpha, --lora-dropout and --lora-targets belong to --lora-rank"),
            ("lora-dropout = 0.1", "--lora-alpha, --lora-dropout and --lora-targets belong to --lora-rank"),
            ("lora-rank = 4\nlora-dropout = 1.0", "--lora-dropout is 1; it must be at least 0 and below 1"),
            ("lora-rank = 4\nlora-dropout = nan", "--lora-dropout is NaN; it must be at least 0 and below 1"),
            ("lora-rank = 0", "--lora-rank is 0; it must be between 1 and 1024"),
            ("lora-rank = 4\nlora-targets = 'query,keys'", "--lora-targets: `keys` is none of query, key,"),
            ("lora-rank = 4\nbitfit = 'on'", "--lora-rank trains adapters and --bitfit biases"),
            ("ema = 1", "--ema is 1; it must be above 0 and below 1"),
            ("ema = 0", "--ema is 0; it must be above 0 and below 1"),
            ("ema = nan", "--ema is NaN; it must be above 0 and below 1"),
            ("average-best = 1\nvalidation = 'v'", "--average-best is 1; it must be at least 2"),
            (
                "average-best = 4\nvalidation = 'v'",
                "--average-best is 4, and --epochs 3: no more epochs than there are",
            ),
            ("average-best = 2\nvalidation-share = 0", "--average-best needs validation rows"),
            ("on-degenerate = 'stop'", "f.toml: unknown variant"),
            ("seeds = 1", "--seeds is 1; it must be between 2 and 1000"),
            ("seeds = 3\non-degenerate = 'restart'", "--on-degenerate restart goes on with the next seed"),
            ("train-share = 0", "--train-share is 0; it must be above 0 and at most 1"),
            ("train-share = nan", "--train-share is NaN"),
            ("train-share-seed = 1", "--train-share-seed belongs to --train-share"),
            ("learning-curve = '50,100'\ntrain-share = 0.5", "--learning-curve trains with several shares of the rows"),
            ("learning-curve = '50,100'\nseeds = 2", "--learning-curve trains with several shares of the rows"),
            ("l2-sp = -1", "--l2-sp is -1; it must be between 0 and 1000"),
            ("l2-sp = 0.1\nlora-rank = 4", "--l2-sp pulls pretrained weights back, and with --lora-rank"),
            ("l2-sp = 0.1\nbitfit = 'on'", "--l2-sp pulls pretrained weights back, and with --bitfit"),
            ("dropout = 1.0", "--dropout is 1; it must be at least 0 and below 1"),
            ("warmup = 1.5", "--warmup is 1.5; it must be a share"),
            ("epochs = 0", "--epochs is 0; it must be a whole number of at least 1"),
            ("max-tokens = 0", "--max-tokens is 0; it must be a whole number of at least 1"),
            ("micro-batch = 64", "--micro-batch is 64; it must be at most --batch-size"),
            ("cycles = 2", "--cycles belongs to --schedule cosine"),
            ("momentum = 0.5", "--momentum belongs to --optimizer sgd"),
            ("metric = 'mcc'\nvalidation-share = 0", "--metric chooses the best epoch by validation rows"),
            ("text-b-column = 'b'", "--text-b-column names the second text of a pair"),
            ("momentum = 1\noptimizer = 'sgd'", "--momentum is 1; it must be at least 0 and below 1"),
            ("validation-share = 0\nvalidation-seed = 4", "--validation-seed belongs to --validation-share"),
            ("patience = 2\nvalidation-share = 0", "--patience needs validation rows"),
            ("validation-share = 0.6", "--validation-share is 0.6; it must be between 0 (none) and 0.5"),
            ("validation-share = nan", "--validation-share is NaN"),
            ("validation = 'v'\nvalidation-share = 0.1", "--validation-share and --validation both"),
            ("validation = 'v'\nvalidation-seed = 1", "--validation-seed belongs to --validation-share"),
            ("prefix-cache = 'off'\nprefix-cache-dir = 'd'", "--prefix-cache-dir names a folder"),
            ("lr = 'fast'", "f.toml: invalid type"),
            (
                "balanced-sampling = true",
                "f.toml: `balanced-sampling` is true; write \"on\" or \"off\", with quotation marks",
            ),
            ("report = false", "f.toml: `report` is false; write \"on\" or \"off\""),
            ("lr = true", "f.toml: invalid type"),
            ("lr = ", "f.toml is not valid TOML"),
        ] {
            let message = error(text);
            assert!(message.starts_with(expected), "{text}: {message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
