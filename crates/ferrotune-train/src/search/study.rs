//! The study file: one JSON line an event, each on the disk before the next thing is done. What a search knows is what the file says, so a search
//! that was killed goes on as if it had not been. It must not know how settings are chosen or trained.

use super::halving::Standing;
use super::sampler::Method;
use super::space::{Settings, Space};
use crate::error::TrainError;
use crate::metrics::{MetricName, nan_if_null};
use crate::store::fingerprint::{Fingerprint, compare};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The study file inside the folder of a search.
pub const STUDY: &str = "study.jsonl";

/// The layout of the file.
const FORMAT: u64 = 1;

/// What a study is about. A study goes on only under the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The layout of the file.
    pub format: u64,
    /// What is searched.
    pub space: Space,
    /// The metric on validation rows.
    pub metric: MetricName,
    /// Everything that values depend on: settings that are not searched, data, model, sampler, rungs.
    pub fingerprint: Fingerprint,
}

impl Header {
    /// A header of this layout.
    pub fn new(space: Space, metric: MetricName, fingerprint: Fingerprint) -> Header {
        Header { format: FORMAT, space, metric, fingerprint }
    }
}

/// How the settings of a trial came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// They are those that were said, before anything is searched.
    Baseline,
    /// From the grid.
    Grid,
    /// At random.
    Random,
    /// By the estimator.
    Tpe,
}

impl From<Method> for Origin {
    fn from(method: Method) -> Origin {
        match method {
            Method::Grid => Origin::Grid,
            Method::Random => Origin::Random,
            Method::Tpe => Origin::Tpe,
        }
    }
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Entry {
    /// The first line.
    Study(Header),
    /// A trial was chosen.
    Trial {
        /// Its number, from 0.
        trial: usize,
        /// Where its settings come from.
        origin: Origin,
        /// What was searched; what is not here is as in the header.
        settings: Settings,
    },
    /// A trial reached a rung, and waits there with a checkpoint.
    Rung {
        /// Its number.
        trial: usize,
        /// The rung, from 0.
        rung: usize,
        /// Optimizer steps done.
        step: u64,
        /// Those of the whole trial.
        steps: u64,
        /// The best value of the metric so far.
        #[serde(deserialize_with = "nan_if_null")]
        value: f64,
        /// The loss there.
        #[serde(deserialize_with = "nan_if_null")]
        loss: f64,
        /// Seconds since the rung before.
        seconds: f64,
    },
    /// A trial came to its end.
    Finished {
        /// Its number.
        trial: usize,
        /// Optimizer steps done.
        step: u64,
        /// Those of the whole trial.
        steps: u64,
        /// The metric of its best epoch.
        #[serde(deserialize_with = "nan_if_null")]
        value: f64,
        /// The loss of that epoch.
        #[serde(deserialize_with = "nan_if_null")]
        loss: f64,
        /// That epoch, from 1.
        epoch: u64,
        /// Seconds since the rung before.
        seconds: f64,
    },
    /// A trial cannot be trained.
    Failed {
        /// Its number.
        trial: usize,
        /// Why, one line.
        why: String,
        /// Seconds since the rung before.
        seconds: f64,
    },
    /// A trial that waited at a rung does not go on.
    Pruned {
        /// Its number.
        trial: usize,
    },
}

/// Where a trial is.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Chosen, or waiting at its last rung.
    Waiting,
    /// Given up at its last rung.
    Pruned,
    /// At its end; the epoch that was best.
    Finished(u64),
    /// It cannot be trained: why.
    Failed(String),
}

/// A trial, as far as the file knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Where its settings come from.
    pub origin: Origin,
    /// What was searched.
    pub settings: Settings,
    /// How far it is.
    pub standing: Standing,
    /// Where it is.
    pub state: State,
    /// Optimizer steps done, and those of the whole trial; 0 before its first rung.
    pub steps: (u64, u64),
    /// Seconds that it took so far.
    pub seconds: f64,
}

impl Trial {
    /// The metric where it is.
    pub fn value(&self) -> Option<f64> {
        self.standing.finished.or(self.standing.reached.last().copied())
    }
}

/// An open study.
#[derive(Debug)]
pub struct Study {
    path: PathBuf,
    file: File,
    trials: Vec<Trial>,
}

impl Study {
    /// Begins the file in `folder`; one that is there is replaced.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(folder: &Path, header: Header) -> Result<Study, TrainError> {
        let path = folder.join(STUDY);
        crate::store::replace_file(&path, b"")?;
        let file = append_to(&path)?;
        let mut study = Study { path, file, trials: Vec::new() };
        study.write(&Entry::Study(header))?;
        Ok(study)
    }

    /// Goes on with the file in `folder`. A last line that was torn by a crash goes: what it was about is done again, to the same end.
    ///
    /// # Errors
    /// No such file, one of another study ([`TrainError::ResumeMismatch`]), or a damaged one.
    pub fn resume(folder: &Path, header: &Header) -> Result<Study, TrainError> {
        let path = folder.join(STUDY);
        let bytes = std::fs::read(&path).map_err(TrainError::io("read", &path))?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let file = append_to(&path)?;
        if whole < bytes.len() {
            file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(TrainError::io("shorten", &path))?;
        }
        let mut study = Study { path, file, trials: Vec::new() };
        if whole == 0 {
            // Killed before its first line was whole.
            study.write(&Entry::Study(header.clone()))?;
            return Ok(study);
        }
        for (n, line) in bytes[..whole].split_inclusive(|&byte| byte == b'\n').enumerate() {
            let damaged = |what: String| TrainError::StudyDamaged { path: study.path.clone(), line: n + 1, what };
            let entry: Entry = serde_json::from_slice(line).map_err(|error| damaged(error.to_string()))?;
            match entry {
                Entry::Study(saved) if n == 0 => check(&saved, header)?,
                entry if n > 0 => apply(&mut study.trials, entry).map_err(damaged)?,
                _ => return Err(damaged("the first line is not that of a study".to_string())),
            }
        }
        Ok(study)
    }

    /// Its trials.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// How far they are.
    pub fn standings(&self) -> Vec<Standing> {
        self.trials.iter().map(|trial| trial.standing.clone()).collect()
    }

    /// Seconds that all trials took.
    pub fn seconds(&self) -> f64 {
        self.trials.iter().map(|trial| trial.seconds).sum()
    }

    /// Adds an event, on the disk when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    ///
    /// # Panics
    /// If the event does not follow from those before.
    pub fn add(&mut self, entry: Entry) -> Result<(), TrainError> {
        let mut after = self.trials.clone();
        apply(&mut after, entry.clone()).unwrap_or_else(|what| panic!("Study::add: {what}: {entry:?}"));
        self.write(&entry)?;
        self.trials = after;
        Ok(())
    }

    fn write(&mut self, entry: &Entry) -> Result<(), TrainError> {
        let mut line = serde_json::to_vec(entry).expect("an entry has no map with keys that are not strings");
        line.push(b'\n');
        self.file.write_all(&line).and_then(|()| self.file.sync_all()).map_err(TrainError::io("write", &self.path))
    }
}

fn append_to(path: &Path) -> Result<File, TrainError> {
    if path.is_symlink() {
        return Err(TrainError::Symlink { path: path.to_path_buf() });
    }
    OpenOptions::new().append(true).open(path).map_err(TrainError::io("open", path))
}

/// Whether this is the study that was saved.
fn check(saved: &Header, now: &Header) -> Result<(), TrainError> {
    let all = |header: &Header| {
        let mut all = header.fingerprint.clone();
        let text = |value: serde_json::Result<String>| value.expect("a header is plain values");
        all.fix("format of the study", header.format);
        all.fix("space", text(serde_json::to_string(&header.space)));
        all.fix("metric of the study", header.metric);
        all
    };
    compare(&all(saved), &all(now)).map(drop)
}

fn apply(trials: &mut Vec<Trial>, entry: Entry) -> Result<(), String> {
    let trial_of = |trials: &mut Vec<Trial>, n: usize| -> Result<usize, String> {
        match trials.get(n) {
            Some(trial) if trial.state == State::Waiting => Ok(n),
            Some(_) => Err(format!("trial {n} is over already")),
            None => Err(format!("there is no trial {n} so far")),
        }
    };
    match entry {
        Entry::Study(_) => return Err("a second header".to_string()),
        Entry::Trial { trial, origin, settings } => {
            if trial != trials.len() {
                return Err(format!("trial {trial} follows on {} trials", trials.len()));
            }
            let (standing, state) = (Standing::default(), State::Waiting);
            trials.push(Trial { origin, settings, standing, state, steps: (0, 0), seconds: 0.0 });
        }
        Entry::Rung { trial, rung, step, steps, value, loss, seconds } => {
            let n = trial_of(trials, trial)?;
            let trial = &mut trials[n];
            if trial.standing.reached.len() != rung {
                return Err(format!("trial {n} reaches rung {rung} after {} rungs", trial.standing.reached.len()));
            }
            trial.standing.reached.push(value);
            trial.standing.losses.push(loss);
            (trial.steps, trial.seconds) = ((step, steps), trial.seconds + seconds);
        }
        Entry::Finished { trial, step, steps, value, loss, epoch, seconds } => {
            let n = trial_of(trials, trial)?;
            let trial = &mut trials[n];
            trial.standing.finished = Some(value);
            trial.standing.losses.push(loss);
            (trial.state, trial.steps) = (State::Finished(epoch), (step, steps));
            trial.seconds += seconds;
        }
        Entry::Failed { trial, why, seconds } => {
            let n = trial_of(trials, trial)?;
            trials[n].standing.out = true;
            trials[n].state = State::Failed(why);
            trials[n].seconds += seconds;
        }
        Entry::Pruned { trial } => {
            let n = trial_of(trials, trial)?;
            trials[n].standing.out = true;
            trials[n].state = State::Pruned;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::space::Value;
    use super::*;

    fn header(seed: u64) -> Header {
        let mut fingerprint = Fingerprint::default();
        fingerprint.fix("seed", seed);
        Header::new(Space::new(Vec::new()).unwrap(), MetricName::Accuracy, fingerprint)
    }

    fn entries() -> Vec<Entry> {
        let settings = Settings::from([
            ("lr".to_string(), Value::Number(1e-4)),
            ("epochs".to_string(), Value::Integer(3)),
            ("l2".to_string(), Value::Number(1.0)),
            ("freeze".to_string(), Value::Text("none".to_string())),
        ]);
        let trial = |trial| Entry::Trial { trial, origin: Origin::Tpe, settings: settings.clone() };
        vec![
            trial(0),
            Entry::Rung { trial: 0, rung: 0, step: 3, steps: 9, value: f64::NAN, loss: 0.5, seconds: 0.5 },
            trial(1),
            Entry::Failed { trial: 1, why: "no".to_string(), seconds: 0.25 },
            Entry::Finished { trial: 0, step: 9, steps: 9, value: 0.1 + 0.2, loss: f64::NAN, epoch: 2, seconds: 1.0 },
            trial(2),
            Entry::Rung { trial: 2, rung: 0, step: 3, steps: 9, value: 0.5, loss: 0.25, seconds: 0.5 },
            Entry::Pruned { trial: 2 },
        ]
    }

    /// As text, because NaN is not equal to itself.
    fn shown(study: &Study) -> String {
        format!("{:?}", study.trials())
    }

    #[test]
    fn what_was_added_comes_back_torn_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STUDY);
        let mut study = Study::create(folder.path(), header(1)).unwrap();
        let mut states = vec![shown(&study)];
        for entry in entries() {
            study.add(entry).unwrap();
            states.push(shown(&study));
        }
        assert_eq!(study.seconds(), 2.25);
        let trial = &study.trials()[0];
        assert_eq!((trial.state.clone(), trial.value(), trial.steps), (State::Finished(2), Some(0.1 + 0.2), (9, 9)));
        let whole = std::fs::read(&path).unwrap();
        let mut lines = 0;
        for length in 0..=whole.len() {
            lines += usize::from(length > 0 && whole[length - 1] == b'\n');
            std::fs::write(&path, &whole[..length]).unwrap();
            let back = Study::resume(folder.path(), &header(1)).unwrap();
            assert_eq!(shown(&back), states[lines.max(1) - 1], "{length} bytes");
            let kept = std::fs::read(&path).unwrap();
            assert!(whole.starts_with(&kept) && kept.ends_with(b"\n"), "{length} bytes");
        }
    }

    #[test]
    fn damage_and_other_studies_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(STUDY);
        let mut study = Study::create(folder.path(), header(1)).unwrap();
        entries().into_iter().for_each(|entry| study.add(entry).unwrap());
        let whole = std::fs::read_to_string(&path).unwrap();
        let other = Study::resume(folder.path(), &header(2)).unwrap_err();
        assert!(other.exit_code() == 8 && other.to_string().contains("seed was \"1\", now \"2\""), "{other}");
        let lines: Vec<&str> = whole.lines().collect();
        let without = |n: usize| [&lines[..n], &lines[n + 1..]].concat().join("\n") + "\n";
        for (text, says) in [
            (without(0), "line 1: the first line is not that of a study"),
            (without(1), "line 2: there is no trial 0 so far"),
            (without(3), "line 4: there is no trial 1 so far"),
            (whole.replace("\"rung\":0", "\"rung\":1"), "line 3: trial 0 reaches rung 1 after 0 rungs"),
            (whole.clone() + lines[1] + "\n", "line 10: trial 0 follows on 3 trials"),
            (whole.clone() + lines[5] + "\n", "line 10: trial 0 is over already"),
            (whole.clone() + lines[0] + "\n", "line 10: a second header"),
            (whole.replace("\"pruned\"", "\"lost\""), "line 9: unknown variant `lost`"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Study::resume(folder.path(), &header(1)).unwrap_err();
            assert_eq!(error.exit_code(), 8);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
