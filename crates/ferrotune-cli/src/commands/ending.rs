//! The end of a run: the trained model is measured, and saved with all that is written beside it. It must not know how the model was trained.

use super::results::{Reports, advice, finish, results};
use super::start::Start;
use crate::args::Switch;
use crate::device::Machine;
use crate::device::threads::on_pool;
use crate::exit::Failure;
use crate::hub;
use crate::model::calibrated::AtEnd;
use crate::model::classifier::BertClassifier;
use crate::model::notes::{NamedColumns, Notes};
use crate::results::card::Card;
use crate::results::evaluation::{Environment, Evaluation, Measured, Model};
use crate::rows::data::Data;
use crate::rows::task;
use crate::run::folder::{ADAPTER, BEST, RunFolder};
use crate::run::sums::Sums;
use crate::run::{fingerprint, manifest};
use crate::settings::Resolved;
use crate::terminal::shown::listed;
use ferrotune_bert::checkpoint::Companions;
use ferrotune_bert::pretrained::{self, FoldersHead, Pretrained};
use ferrotune_bert::{EncoderConfig, lora, peft};
use ferrotune_data::tokenizer_to_save;
use ferrotune_tensor::{Backend, Pool};
use ferrotune_train::evaluate::logits_within;
use ferrotune_train::metrics::{Classified, Summary};
use ferrotune_train::model::Split;
use ferrotune_train::store::fingerprint::Fingerprint;
use ferrotune_train::trainer::Outcome;
use serde_json::json;
use std::path::{Path, PathBuf};

/// A run whose training is over.
pub(super) struct Trained<'a, B: Backend> {
    /// Where it was trained.
    pub backend: &'a B,
    /// What was asked for, with the seed of the attempt that counts.
    pub resolved: Resolved,
    /// What it began from.
    pub start: Start,
    /// Its rows.
    pub data: Data<B>,
    /// The model, with the weights that count.
    pub loaded: Pretrained<B>,
    /// What training came to.
    pub outcome: Outcome,
    /// Where it is written.
    pub folder: RunFolder,
    /// What was read.
    pub sums: Sums,
    /// What a resume compares.
    pub fingerprint: Fingerprint,
    /// Whether it went on from a checkpoint.
    pub resumed: bool,
}

/// What a run came to.
pub(super) struct Finished {
    folder: PathBuf,
    seed: u64,
    /// The rows that were measured, if any were: test, else validation.
    pub split: Option<&'static str>,
    /// Their metrics.
    pub summary: Option<Summary>,
    /// What was said of each of them, where they have one class each.
    pub said: Option<Classified>,
    /// Training rows that were learned from.
    pub train_rows: usize,
}

impl Finished {
    /// For `results.json` of a series.
    pub fn to_json(&self) -> serde_json::Value {
        json!({ "folder": self.folder, "seed": self.seed, "split": self.split, "metrics": self.summary })
    }
}

impl<B: Machine> Trained<'_, B> {
    /// Measures, saves, writes and says.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn end(mut self) -> Result<Finished, Failure> {
        if self.resumed {
            self.folder.write_settings(&self.resolved.settings)?;
        }
        self.take_adapters_in()?;
        let mut pool = Pool::new(self.backend.clone());
        // What the model says of the rows that are looked at: test rows, else validation rows.
        let mut looked_at = None;
        let (mut fitted, mut calibration) = (None, AtEnd::nothing());
        if let Some(split) = &self.data.validation {
            let (scores, targets) = (self.scores(split, &mut pool)?, split.row_targets());
            self.data.task.fit(&scores, &targets);
            calibration = AtEnd::fit(self.data.task.as_mut(), &scores, &targets);
            fitted = self.data.task.fits().then(|| self.data.task.report(&scores, &targets));
            looked_at = Some(("validation", split, scores));
        }
        let notes = self.save(&calibration)?;
        let Trained { backend, resolved, start, data, loaded, outcome, folder, .. } = &self;
        let task = data.task.as_ref();
        let mut test = None;
        if let Some(split) = &data.test {
            let (scores, targets) = (self.scores(split, &mut pool)?, split.row_targets());
            test = Some(task.report(&scores, &targets));
            calibration.test = calibration.on(task, &scores, &targets);
            looked_at = Some(("test", split, scores));
        }
        let said = looked_at.as_ref().and_then(|(_, split, scores)| task.classified(scores, &split.row_targets()));
        let beside = data.baselines.as_ref().zip(said.as_ref()).map(|(baselines, said)| baselines.beside(said));
        let reports = Reports {
            validation: outcome.validation.as_ref(),
            fitted,
            test,
            calibration,
            baselines: beside.unwrap_or_default(),
            advice: advice(resolved, data, outcome),
        };
        let measured =
            looked_at.map(|(name, split, scores)| Measured::of(name, task, &scores, &split.row_targets(), &data.shown));
        folder.write_evaluation(&Evaluation {
            task: task.name().to_string(),
            model: Model {
                model_type: loaded.config.family.model_type.to_string(),
                layers: loaded.config.num_hidden_layers,
                hidden_size: loaded.config.hidden_size,
                parameters: loaded.params.layout().parameter_count(),
            },
            rows: data.rows(),
            data: fingerprint::data(&self.fingerprint),
            environment: Environment::here(
                resolved.device.to_string(),
                backend.processor(),
                task::shown(backend.precision()),
            ),
            audit: data.audit.clone(),
            measured,
        })?;
        folder.write_results(&results(resolved, folder.restarts(), data, outcome, &reports))?;
        let from_hub = start.model.source != hub::Source::Folder;
        let card = Card {
            run: resolved,
            base: from_hub.then_some(resolved.model.as_str()),
            model_type: start.config.family.model_type,
            task: task.name(),
            labels: task.labels(),
            rows: data.train_rows,
            held_out: data.held_out,
            validation: reports.validation,
            test: reports.test.as_ref(),
            calibrated: notes.calibration.is_some(),
        };
        card.write(&self.best())?;
        manifest::write(resolved, &self.sums, &backend.processor(), folder, self.resumed)?;
        finish(outcome, &reports, folder.path());
        if let Some(budget) = &resolved.budget {
            println!("{}", budget.line());
        }
        if resolved.settings.report == Some(Switch::On) {
            println!("report     {}", super::report::write(folder.path())?.display());
        }
        let measured = [("test", reports.test.as_ref()), ("validation", reports.validation)];
        let measured = measured.into_iter().find_map(|(split, report)| Some((split, report?.summary())));
        let (split, summary) = measured.unzip();
        Ok(Finished {
            folder: resolved.output.clone(),
            seed: resolved.numbers.seed,
            split,
            summary,
            said,
            train_rows: data.train_rows,
        })
    }

    /// Where the model lies in the end.
    fn best(&self) -> PathBuf {
        self.folder.path().join(BEST)
    }

    /// Saves the adapters, if there are any, and adds them to the weights that they stand beside.
    fn take_adapters_in(&mut self) -> Result<(), Failure> {
        let Some(spec) = &self.resolved.lora else { return Ok(()) };
        self.folder.clear_adapter()?;
        let (loaded, base) = (&mut self.loaded, &self.resolved.model);
        peft::save(self.backend, &self.folder.path().join(ADAPTER), loaded, base)?;
        let other =
            loaded.config.id2label.as_ref().filter(|own| **own != loaded.labels && own.len() == loaded.labels.len());
        if let Some(other) = other.filter(|_| !matches!(loaded.folders_head, FoldersHead::Reordered(_))) {
            eprintln!(
                "adapter    the base model names its outputs {}: who loads the adapter over it must say id2label and label2id for {}",
                listed(other),
                listed(&loaded.labels)
            );
        }
        lora::merge(self.backend, &mut loaded.params, spec);
        Ok(())
    }

    /// The logits of some rows.
    fn scores(&self, split: &Split, pool: &mut Pool<B>) -> Result<Vec<f32>, Failure> {
        let Pretrained { config, model, params, .. } = &self.loaded;
        let classifier = BertClassifier { model, config, frozen_layers: None };
        let limit = self.resolved.numbers.evaluation_limit();
        Ok(on_pool(|| logits_within(self.backend, &classifier, params, pool, &split.encoded, None, limit))?)
    }

    /// Writes the model folder. What `ferrotune calibrate` wrote there belongs to the weights that lay there: where a resumed run comes to the
    /// same, it stays.
    fn save(&self, calibration: &AtEnd) -> Result<Notes, Failure> {
        let Pretrained { config, model, params, .. } = &self.loaded;
        let (task, best) = (self.data.task.as_ref(), self.best());
        let calibrated = Notes::read(&best).ok().and_then(|notes| notes.calibration).filter(|_| self.resumed);
        let earlier = calibrated.and_then(|earlier| Some((manifest::weights(self.folder.path()).ok()?, earlier)));
        let saved_config = EncoderConfig { problem_type: task.problem_type().map(str::to_string), ..config.clone() };
        let model_folder: &Path = &self.start.model.folder;
        let labels = task.labels();
        let made = tokenizer_to_save(model_folder)?;
        let companions = Some(Companions { from: model_folder, made: &made });
        pretrained::save(self.backend, &best, &saved_config, model.kind(), labels, params, companions, true)?;
        let mut notes = Notes::of(self.resolved.max_length, self.resolved.long_texts, self.data.pair, task);
        notes.columns = NamedColumns::of(&self.resolved.settings);
        notes.calibration = calibration.note();
        if let Some((weights, earlier)) = earlier {
            let same = manifest::weights(self.folder.path())? == weights;
            if same && notes.calibration != Some(earlier) {
                eprintln!("kept       the calibration that these weights had: {}", earlier.text());
                notes.calibration = Some(earlier);
            }
        }
        notes.write(&best)?;
        Ok(notes)
    }
}

#[cfg(test)]
mod tests {
    use crate::args::TrainSettings;
    use crate::commands::tiny;
    use ferrotune_bert::checkpoint::Companions;
    use ferrotune_bert::{EncoderConfig, pretrained};
    use ferrotune_data::{Row, Tokenizer};
    use ferrotune_tensor::Cpu;
    use serde_json::Value;
    use std::fs;
    use std::path::Path;

    /// A base model whose tokenizer is only a SentencePiece model: its sum is noted, and what is saved needs it no more.
    #[test]
    fn a_tokenizer_that_was_made_is_saved() {
        let place = tempfile::tempdir().unwrap();
        let (base, golden) =
            (place.path().join("base"), Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden"));
        let config = fs::read_to_string(golden.join("tiny-xlm-roberta/model/config.json")).unwrap();
        let mut config: Value = serde_json::from_str(&config).unwrap();
        config["vocab_size"] = 170.into();
        let config: EncoderConfig = config.to_string().parse().unwrap();
        let pieces = golden.join("sentence-piece/xlm-roberta");
        pretrained::create(&Cpu, &base, &config, 1, Some(Companions::of(&pieces)), false).unwrap();
        assert!(!base.join("tokenizer.json").exists());

        fs::write(place.path().join("train.csv"), tiny::rows(60, 0)).unwrap();
        let model = Some(base.display().to_string());
        let run = tiny::train(TrainSettings { model, epochs: Some(1), ..tiny::settings(place.path()) }).unwrap();
        let manifest = fs::read_to_string(run.join("manifest.json")).unwrap();
        assert!(manifest.contains("sentencepiece.bpe.model"), "{manifest}");
        let best = run.join("best");
        fs::remove_file(best.join("sentencepiece.bpe.model")).unwrap();
        let row = |text: &str| Row { text: text.to_owned(), text_b: None, words: None, label: None, line: 1 };
        let rows = ["bane  tiro", "<s> \u{fb01} <mask>", ""].map(row);
        let ids = |folder: &Path| Tokenizer::from_folder(folder, 32).unwrap().encode(&rows).unwrap().ids;
        assert_eq!(ids(&best), ids(&base));
    }
}
