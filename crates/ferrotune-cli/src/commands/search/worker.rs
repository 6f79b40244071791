//! How a trial of a search trains: rows, tokens and the outputs of frozen layers are there once for all trials, a trial goes on from its own
//! checkpoint and stops at its rung. It must not choose settings, nor which trial goes on.

use crate::commands::attempt::{self, Course, Ready, Rows};
use crate::commands::start::Start;
use crate::device::Machine;
use crate::exit::{Failure, NOT_A_NUMBER, USAGE};
use crate::rows::data::{Data, Labelled};
use crate::rows::task;
use crate::run::fingerprint;
use crate::run::folder::study::TRIALS;
use crate::run::folder::{RunFolder, clear_checkpoints, has_checkpoints};
use crate::run::prefix::Shelf;
use crate::search::base::Base;
use crate::search::rungs::Rungs;
use crate::search::table;
use crate::settings::Resolved;
use crate::terminal::voice::quietly;
use ferrotune_train::metrics::MetricName;
use ferrotune_train::search::drive::{Came, Worker};
use ferrotune_train::search::halving::Goal;
use ferrotune_train::search::space::{Settings, Space, shown};
use ferrotune_train::search::study::{Entry, Study};
use ferrotune_train::store::fingerprint::Fingerprint;
use ferrotune_train::tasks::Task;
use ferrotune_train::trainer::{End, Outcome};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Settings that change what is learned, and not the rows.
const OF_TASK: [&str; 5] = ["loss", "focal-gamma", "huber-delta", "label-smoothing", "class-weights"];
/// Rows that are held at most, each cut in another way.
const MOST_DATA: usize = 4;

/// Trains the trials of one study.
pub struct Trials<'a, B: Machine> {
    /// Where products are computed.
    pub backend: &'a B,
    /// Device and model.
    pub start: &'a Start,
    /// What all trials have.
    pub base: &'a Base,
    /// What is searched.
    pub space: &'a Space,
    /// Where trials stop.
    pub rungs: Rungs,
    /// The metric on validation rows.
    pub metric: MetricName,
    /// What the rows and the model are, by hash.
    pub contents: &'a Fingerprint,
    /// Set from outside to end.
    pub stop: &'a AtomicBool,
    /// The folder of the search.
    pub folder: &'a Path,
    /// Rows by how texts are cut; the one that was used last is the last.
    pub data: Vec<(Cut, Data<B>)>,
    /// What frozen bottoms gave.
    pub shelf: Shelf<B>,
}

/// What tokens are a function of, for one model and the same files.
pub type Cut = (usize, String);

/// How these settings cut texts.
pub fn cut(resolved: &Resolved) -> Cut {
    (resolved.max_length, task::shown(resolved.long_texts))
}

impl<B: Machine> Trials<'_, B> {
    /// The rows of these settings, read and cut into tokens if they are not there.
    fn data(&mut self, resolved: &Resolved) -> Result<usize, Failure> {
        let cut = cut(resolved);
        match self.data.iter().position(|(known, _)| *known == cut) {
            Some(place) => {
                let used = self.data.remove(place);
                self.data.push(used);
            }
            None => {
                let data = Data::read(&resolved.without_baselines(), &self.start.model.folder, &self.start.config)?;
                if self.data.len() == MOST_DATA {
                    self.data.remove(0);
                }
                self.data.push((cut, data));
            }
        }
        Ok(self.data.len() - 1)
    }

    fn trial_folder(&self, trial: usize) -> PathBuf {
        self.folder.join(TRIALS).join(format!("{trial:04}"))
    }

    fn train(&mut self, trial: usize, chosen: &Settings, goal: Goal) -> Result<Came, Failure> {
        let mut resolved = self.base.with(self.space, chosen)?;
        let start = self.start.clone().fitted(&mut resolved)?;
        let place = self.data(&resolved)?;
        let data = &self.data[place].1;
        // The labels are the same, the loss may be another.
        let varies = self.space.parameters().iter().any(|parameter| OF_TASK.contains(&parameter.name.as_str()));
        let own: Option<Box<dyn Task<B>>> = match varies {
            true => {
                let mut own = Labelled::read(&resolved.settings, &resolved.train)?.task;
                task::balance(&resolved.settings, own.as_mut(), &data.train.row_targets());
                Some(own)
            }
            false => None,
        };
        let objective = own.as_deref().unwrap_or(data.task.as_ref());
        resolved.numbers.metric = self.metric;
        resolved.output = self.trial_folder(trial);
        resolved.settings.output = Some(resolved.output.clone());
        let fingerprint = fingerprint::with_settings(self.contents, &resolved, &[]);
        let loaded = attempt::load(self.backend, &resolved, &start, objective)?;
        let ready = Ready::of(self.backend, &resolved, &start, loaded, data.train.rows())?;
        let resume = has_checkpoints(&resolved.output);
        // What was killed before its first checkpoint has nothing to go on from.
        let mut folder = RunFolder::open(&resolved.output, resume, !resume)?;
        folder.write_settings(&resolved.settings)?;
        let (rows, numbers) = (data.train.rows(), &resolved.numbers);
        let pause = match goal {
            Goal::Rung(rung) => Some(self.rungs.step(rung, numbers, rows)),
            Goal::End => None,
        };
        let total = numbers.steps(rows).1;
        let course = Course { fingerprint: &fingerprint, stop: self.stop, resume, pause, listener: None };
        let rows =
            Rows { train: &data.train, validation: data.validation.as_ref(), objective, stay: true, warnings: &[] };
        let (_, outcome) = ready.train(&resolved, self.backend, &rows, &mut folder, &course, Some(&mut self.shelf))?;
        Ok(self.came(&outcome, total))
    }

    /// What an outcome says of the way of a trial.
    fn came(&self, outcome: &Outcome, steps: u64) -> Came {
        let step = outcome.steps;
        if let End::Paused { now } = outcome.end {
            let evaluations = outcome.epochs.iter().filter_map(|epoch| epoch.validation).chain(now);
            let better = |best: f64, value: f64| if self.metric.better(value, best) { value } else { best };
            let value = evaluations.map(|measured| measured.value).fold(f64::NAN, better);
            let loss = now.map_or(f64::NAN, |now| now.loss);
            return Came::ToRung { step, steps, value, loss };
        }
        let value = outcome.validation.as_ref().map_or(f64::NAN, |report| report.summary().value(self.metric));
        let loss = outcome.validation.as_ref().map_or(f64::NAN, |report| report.loss());
        Came::ToEnd { step, steps, value, loss, epoch: outcome.best_epoch }
    }
}

impl<B: Machine> Worker for Trials<'_, B> {
    type Error = Failure;

    fn go(&mut self, study: &Study, trial: usize, goal: Goal) -> Result<(Came, f64), Failure> {
        let clock = Instant::now();
        let chosen = &study.trials()[trial].settings;
        let came = match quietly(|| self.train(trial, chosen, goal)) {
            Ok(came) => came,
            // What no trial could mend was refused before the first one, or is refused at it.
            Err(failure) if failure.code == NOT_A_NUMBER || failure.code == USAGE && trial > 0 => {
                Came::Nowhere(failure.message)
            }
            Err(failure) => return Err(failure),
        };
        Ok((came, clock.elapsed().as_secs_f64()))
    }

    fn clear(&mut self, trial: usize) -> Result<(), Failure> {
        clear_checkpoints(&self.trial_folder(trial))
    }

    fn wrote(&mut self, study: &Study, entry: &Entry) -> Result<(), Failure> {
        let (Entry::Rung { trial, seconds, .. }
        | Entry::Finished { trial, seconds, .. }
        | Entry::Failed { trial, seconds, .. }) = entry
        else {
            return Ok(());
        };
        let known = &study.trials()[*trial];
        eprintln!("{}", table::line(*trial, known, self.metric, *seconds, &shown(&known.settings)));
        Ok(())
    }
}
