//! `ferrotune pretrain`: from texts without labels to an adapted encoder, by masked language modelling. The loop is that of `train`.

use super::attempt::{Course, Ready, Rows};
use super::results::{say_speed, speed};
use super::start::Start;
use super::train::{resumed_or_begun_again, stop_on_signal};
use crate::args::{EarlierRun, PretrainArgs};
use crate::device::threads::use_threads;
use crate::device::{Machine, Work};
use crate::exit::Failure;
use crate::results::report;
use crate::rows::data::check_vocabulary;
use crate::rows::{held_out, task};
use crate::run::folder::{BEST, RunFolder};
use crate::run::sums::Sums;
use crate::run::{fingerprint, memory};
use crate::settings::{Pretraining, resolve_pretraining};
use ferrotune_bert::EncoderConfig;
use ferrotune_bert::checkpoint::Companions;
use ferrotune_bert::pretrained::{self, Head, Pretrained};
use ferrotune_data::{DataError, Need, Row, Table, Tokenizer, read_texts, tokenizer_to_save};
use ferrotune_train::model::Split;
use ferrotune_train::tasks::{MaskedTokens, Objective};
use ferrotune_train::trainer::Outcome;
use serde_json::json;
use std::path::Path;

/// Runs the command.
pub fn run(args: PretrainArgs) -> Result<(), Failure> {
    let mut asked = resolve_pretraining(args.own, args.settings, args.config.as_deref())?;
    let resolved = &mut asked.run;
    use_threads(resolved.settings.threads)?;
    let start = Start::of(resolved)?;
    // It may have followed the model.
    asked.table.insert("max-length".to_string(), toml::Value::Integer(resolved.max_length as i64));
    let device = start.device.clone();
    device.run(One { asked, start, earlier: args.earlier })
}

/// A run whose device and model are known.
struct One {
    asked: Pretraining,
    start: Start,
    earlier: EarlierRun,
}

impl Work for One {
    type Output = Result<(), Failure>;

    fn on<B: Machine>(self, backend: B) -> Result<(), Failure> {
        run_on(&backend, self)
    }
}

fn run_on<B: Machine>(backend: &B, one: One) -> Result<(), Failure> {
    let One { mut asked, start, earlier } = one;
    let resolved = &mut asked.run;
    let model_folder = &start.model.folder;
    let head = Head::Vocabulary { seed: resolved.numbers.seed };
    let loaded = pretrained::load(backend, model_folder, head)?;
    let texts = Texts::read(&asked, model_folder, &start.config)?;
    let resolved = &mut asked.run;
    let known = Objective::<B>::metrics(&texts.objective);
    resolved.numbers.metric = task::metric("masked language modelling", known, resolved.settings.metric)?;
    resolved.settings.metric = Some(resolved.numbers.metric);
    let ready = Ready::of(backend, resolved, &start, loaded, texts.train.rows())?;
    let mut fingerprint = fingerprint::of(resolved, &Sums::of(resolved, model_folder)?, &backend.processor());
    for key in ["held-out", "whole-word-masking"] {
        if let Some(value) = asked.table.get(key) {
            fingerprint.fix(key, value.clone());
        }
    }

    let (resume, overwrite) = resumed_or_begun_again(&resolved.output, earlier.resume, earlier.overwrite);
    let mut folder = RunFolder::open(&resolved.output, resume, overwrite)?;
    // A resume that is refused leaves the settings as they were.
    if !resume {
        folder.write_settings(&asked.table)?;
    }
    let rows = Rows {
        train: &texts.train,
        validation: texts.held_out.as_ref(),
        objective: &texts.objective,
        // What a frozen bottom gives changes with what is masked.
        stay: false,
        warnings: &[],
    };
    let stop = stop_on_signal();
    let course = Course { fingerprint: &fingerprint, stop: &stop, resume, pause: None, listener: None };
    let (loaded, outcome) = ready.train(resolved, backend, &rows, &mut folder, &course, None)?;
    let Pretrained { config, params, .. } = &loaded;
    let (best, made) = (folder.path().join(BEST), tokenizer_to_save(model_folder)?);
    let companions = Companions { from: model_folder, made: &made };
    pretrained::save_vocabulary(backend, &best, config, params, companions, true)?;
    folder.write_settings(&asked.table)?;
    folder.write_results(&results(&asked, &outcome))?;
    finish(&outcome, folder.path());
    Ok(())
}

/// The texts of a run, encoded.
struct Texts {
    objective: MaskedTokens,
    train: Split,
    held_out: Option<Split>,
}

impl Texts {
    /// Reads the files of a run. Of a file that is not split by another, the rows that are held out are a function of the seed.
    fn read(asked: &Pretraining, model: &Path, config: &EncoderConfig) -> Result<Texts, Failure> {
        let Pretraining { run, whole_words, .. } = asked;
        let (s, seed) = (&run.settings, run.numbers.seed);
        let read = |path: &Path| read_texts(path, s.text_column.as_deref());
        let tokenizer = Tokenizer::from_folder(model, run.max_length)?;
        check_vocabulary(&tokenizer, config, model)?;
        tokenizer.contradictions(model, false).iter().for_each(|line| eprintln!("warning: {line}"));
        let objective = MaskedTokens::new(tokenizer.masking(*whole_words)?);
        let units = if *whole_words { "words" } else { "tokens" };
        eprintln!("task       masked language modelling, 15 % of {units} hidden anew in each epoch");

        let mut texts = read(&run.train)?;
        let apart = match (run.held_out, &s.validation) {
            (Some(asked), _) => Some(held_out::take(&mut texts, Need::TextOnly, asked)?),
            (None, Some(path)) => Some(read(path)?),
            (None, None) => None,
        };
        let encode = |name: &str, path: &Path, rows: &[Row], split: &dyn Fn(&_) -> Split| -> Result<Split, Failure> {
            let encoded = tokenizer.encode_in_pieces(rows)?;
            let split = split(&encoded);
            if split.rows() == 0 {
                return Err(DataError::NoText { file: path.display().to_string() }.into());
            }
            let (sequences, tokens) = (split.rows(), split.encoded.tokens());
            let mean = tokens as f64 / sequences as f64;
            let cut = match encoded.truncated.len() {
                0 => String::new(),
                n => format!(
                    ", {n} texts read in pieces of {} (longest {})",
                    run.max_length, encoded.longest_untruncated
                ),
            };
            let silent = match encoded.len() - sequences {
                0 => String::new(),
                n => format!(", {n} left out because the tokenizer knows nothing of them"),
            };
            eprintln!("{name:<10} {} texts, {sequences} rows, {mean:.1} tokens on average{cut}{silent}", rows.len());
            Ok(split)
        };
        let train = encode("train", &run.train, &texts.rows, &|encoded| objective.train(encoded))?;
        let held_out = match apart {
            Some(Table { path, rows, .. }) => {
                Some(encode("validation", &path, &rows, &|encoded| objective.held_out(encoded, seed))?)
            }
            None => None,
        };
        Ok(Texts { objective, train, held_out })
    }
}

fn results(asked: &Pretraining, outcome: &Outcome) -> serde_json::Value {
    json!({
        "validation": outcome.validation,
        "best_epoch": outcome.best_epoch,
        "seed": asked.run.numbers.seed,
        "train": speed(outcome),
        "peak_memory_mib": memory::peak_mib(),
    })
}

fn finish(outcome: &Outcome, folder: &Path) {
    say_speed(outcome);
    if let Some(held_out) = &outcome.validation {
        println!("{}   best epoch {}", report::line("held out", held_out), outcome.best_epoch);
    }
    println!("model      {}   (a base model: ferrotune train --model)", folder.join(BEST).display());
    println!("results    {}", folder.join("results.json").display());
    println!("log        {}", folder.join("metrics.jsonl").display());
}
