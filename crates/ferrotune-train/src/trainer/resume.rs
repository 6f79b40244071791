//! What a checkpoint of training holds, and how it goes out and comes back: progress, trained weights, moments of the optimizer,
//! best weights so far, the moving average. It must not know how files are committed; [`crate::store`] does that.

use super::kept::Best;
use super::sentinels::Sentinels;
use crate::advice::Epoch;
use crate::error::TrainError;
use crate::events::{Event, Observer};
use crate::store::fingerprint::{Difference, Fingerprint, compare, sha256_bytes};
use crate::store::{Checkpoint, Contents, Store};
use ferrotune_optim::{Ema, Optimizer};
use ferrotune_tensor::{Backend, Params};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::time::Instant;

/// The checkpoints of a run and the fingerprint of what it trains on.
pub struct Checkpoints<'a> {
    /// Where they are.
    pub store: &'a mut Store,
    /// What must be the same for a run to be continued.
    pub fingerprint: &'a Fingerprint,
}

/// How far a run is.
///
/// It cannot be cloned: the weights of the best evaluations are in it, several times the model.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Optimizer steps done.
    pub step: u64,
    /// True if early stopping ended the run.
    pub finished: bool,
    /// Evaluations since the best one.
    pub evaluations_without_improvement: u64,
    /// The best evaluations so far, best first.
    pub best: Vec<Best>,
    /// The epochs so far, without the one that goes on.
    pub epochs: Vec<Epoch>,
    /// Sum of the losses of the steps of the epoch that goes on, and their number.
    pub epoch_loss: (f64, u64),
    /// What the watch over the run saw.
    pub sentinels: Sentinels,
}

#[derive(Serialize)]
struct StateToSave<'a> {
    progress: &'a Progress,
    optimizer: &'a str,
    optimizer_steps: u64,
    optimizer_starts: Vec<Option<u64>>,
    trained_parameters: String,
}

/// A [`StateToSave`], read back.
#[derive(Deserialize)]
struct StateFile {
    progress: Progress,
    optimizer: String,
    optimizer_steps: u64,
    /// For each trained parameter, the steps before its first gradient; none if it has had none.
    optimizer_starts: Vec<Option<u64>>,
    /// What [`trained_parameters`] gave: the files hold numbers without names.
    trained_parameters: String,
}

const STATE: &str = "state.json";
const WEIGHTS: &str = "weights.f32";
const AVERAGE: &str = "average.f32";

/// The file of the weights of an evaluation that is kept.
fn best_file(best: &Best) -> String {
    format!("best-{:08}.f32", best.step)
}

/// SHA-256 of names and shapes of the trained parameters in their order.
fn trained_parameters<B: Backend>(params: &Params<B>) -> String {
    let entries = params.trainable_ids().map(|id| params.layout().entry(id));
    let lines: String = entries.map(|entry| format!("{} {:?}\n", entry.name, entry.shape.dims())).collect();
    sha256_bytes(lines.as_bytes())
}

/// The trained parameters, in order.
pub fn download<B: Backend>(backend: &B, params: &Params<B>) -> Vec<f32> {
    let elements = params.trainable_ids().map(|id| params.layout().entry(id).shape.len()).sum();
    let mut weights = Vec::with_capacity(elements);
    params.trainable_ids().for_each(|id| weights.extend(backend.download(params.get(id).data)));
    weights
}

/// Puts back what [`download`] gave.
pub fn upload<B: Backend>(backend: &B, params: &mut Params<B>, weights: &[f32]) {
    let ids: Vec<_> = params.trainable_ids().collect();
    let mut at = 0;
    for id in ids {
        let len = params.layout().entry(id).shape.len();
        params.set(backend, id, &weights[at..at + len]);
        at += len;
    }
}

/// Commits a checkpoint of the run as it is now.
///
/// # Errors
/// What the disk refuses; earlier checkpoints stay.
pub fn save<B: Backend>(
    checkpoints: &mut Checkpoints<'_>,
    backend: &B,
    params: &Params<B>,
    optimizer: &dyn Optimizer<B>,
    average: Option<&Ema<B>>,
    progress: &Progress,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    let clock = Instant::now();
    let starts = optimizer.starts();
    let file = StateToSave {
        progress,
        optimizer: optimizer.name(),
        optimizer_steps: optimizer.steps(),
        optimizer_starts: params.trainable_ids().map(|id| starts.get(&id).copied()).collect(),
        trained_parameters: trained_parameters(params),
    };
    let json = serde_json::to_vec_pretty(&file).expect("progress has no map with keys that are not strings");
    // Written tensor by tensor: a checkpoint is several times the model and must not be in memory a second time.
    let weights = |out: &mut dyn Write| {
        params.trainable_ids().try_for_each(|id| put(out, &backend.download(params.get(id).data)))
    };
    let moments: Vec<_> = optimizer
        .moments()
        .into_iter()
        .map(|(name, buf)| {
            let range = |id| params.layout().entry(id).range.clone();
            let write = move |out: &mut dyn Write| {
                params.trainable_ids().try_for_each(|id| put(out, &backend.download(B::slice(buf, range(id)))))
            };
            (format!("{name}.f32"), write)
        })
        .collect();
    // Of the evaluation of this step they are the current ones, or their averages.
    let earlier = progress.best.iter().filter(|best| best.step != progress.step);
    let best_weights: Vec<_> =
        earlier.map(|best| (best_file(best), move |out: &mut dyn Write| put(out, &best.weights))).collect();
    let averages = |out: &mut dyn Write| {
        average.iter().flat_map(|average| average.values(backend)).try_for_each(|values| put(out, &values))
    };
    let mut files = vec![(STATE, Contents::Bytes(&json)), (WEIGHTS, Contents::Writer(&weights))];
    files.extend(moments.iter().map(|(name, write)| (name.as_str(), Contents::Writer(write))));
    if average.is_some() {
        files.push((AVERAGE, Contents::Writer(&averages)));
    }
    files.extend(best_weights.iter().map(|(name, write)| (name.as_str(), Contents::Writer(write))));
    let committed = checkpoints.store.commit(progress.step, checkpoints.fingerprint, &files)?;
    let (step, seconds) = (progress.step, clock.elapsed().as_secs_f64());
    if let Some(warning) = committed.warning {
        observer.on(&Event::warning(warning));
    }
    observer.on(&Event::CheckpointSaved { step, directory: committed.directory, bytes: committed.bytes, seconds });
    Ok(())
}

/// Puts the newest checkpoint back and says how far it is.
///
/// # Errors
/// There is none, it is damaged, or it belongs to a run of other settings or data.
pub fn load<B: Backend>(
    checkpoints: &mut Checkpoints<'_>,
    backend: &B,
    epoch_steps: u64,
    params: &mut Params<B>,
    optimizer: &mut dyn Optimizer<B>,
    average: Option<&mut Ema<B>>,
    observer: &mut dyn Observer,
) -> Result<Progress, TrainError> {
    let checkpoint = checkpoints
        .store
        .latest()?
        .ok_or_else(|| TrainError::NoCheckpoint { directory: checkpoints.store.directory().to_path_buf() })?;
    for change in compare(checkpoint.fingerprint(), checkpoints.fingerprint)? {
        observer.on(&Event::warning(format!(
            "resuming with a difference: {change}; results may differ in their last bits"
        )));
    }
    let damaged =
        |name: &str, what: String| TrainError::CheckpointDamaged { path: checkpoint.directory().join(name), what };

    let file: StateFile =
        serde_json::from_slice(&checkpoint.read(STATE)?).map_err(|error| damaged(STATE, error.to_string()))?;
    let parameters = trained_parameters(params);
    if file.trained_parameters != parameters {
        let key = "names, shapes and order of the trained parameters".to_string();
        let difference = Difference { key, saved: Some(file.trained_parameters), now: Some(parameters) };
        return Err(TrainError::ResumeMismatch { differences: vec![difference] });
    }
    if file.optimizer != optimizer.name() {
        let (saved, now) = (Some(file.optimizer), Some(optimizer.name().to_string()));
        let difference = Difference { key: "optimizer".to_string(), saved, now };
        return Err(TrainError::ResumeMismatch { differences: vec![difference] });
    }
    let trained: usize = params.trainable_ids().map(|id| params.layout().entry(id).shape.len()).sum();
    let weights = floats(&checkpoint, WEIGHTS, trained)?;
    upload(backend, params, &weights);

    let mut state = optimizer.state(backend, params);
    state.steps = file.optimizer_steps;
    if file.optimizer_starts.len() != params.trainable_ids().count() {
        return Err(damaged(STATE, "it has not one start for each trained parameter".to_string()));
    }
    let starts = params.trainable_ids().zip(&file.optimizer_starts);
    state.starts = starts.filter_map(|(id, start)| Some((id, (*start)?))).collect();
    for (name, values) in &mut state.moments {
        *values = floats(&checkpoint, &format!("{name}.f32"), trained)?;
    }
    optimizer.restore(backend, params, &state).map_err(|what| damaged(STATE, what))?;

    let evaluated = match average {
        Some(average) => {
            let values = floats(&checkpoint, AVERAGE, trained)?;
            average.restore(backend, &values);
            values
        }
        None => weights,
    };
    let mut progress = file.progress;
    for best in &mut progress.best {
        let now = best.step == progress.step;
        best.weights = if now { evaluated.clone() } else { floats(&checkpoint, &best_file(best), trained)? };
    }
    let directory = checkpoint.directory().to_path_buf();
    let epoch = progress.step / epoch_steps + 1;
    observer.on(&Event::Resumed { step: progress.step, epoch, checkpoint: directory });
    Ok(progress)
}

/// Writes values as little-endian bytes.
fn put(out: &mut dyn Write, values: &[f32]) -> io::Result<()> {
    let mut bytes = [0; 4 << 12];
    for block in values.chunks(1 << 12) {
        let bytes = &mut bytes[..4 * block.len()];
        bytes.chunks_exact_mut(4).zip(block).for_each(|(bytes, value)| bytes.copy_from_slice(&value.to_le_bytes()));
        out.write_all(bytes)?;
    }
    Ok(())
}

fn floats(checkpoint: &Checkpoint, name: &str, len: usize) -> Result<Vec<f32>, TrainError> {
    let bytes = checkpoint.read(name)?;
    if bytes.len() != len * 4 {
        let what = format!("it holds {} bytes, the model trains {len} numbers of 4 bytes", bytes.len());
        return Err(TrainError::CheckpointDamaged { path: checkpoint.directory().join(name), what });
    }
    let value = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    Ok(bytes.chunks_exact(4).map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::Measured;
    use crate::metrics::{RegressionReport, Report};
    use crate::store::lock::RunLock;
    use ferrotune_optim::{Groups, Sgd};
    use ferrotune_tensor::init::Init;
    use ferrotune_tensor::{Cpu, Layout};

    struct Silent;

    impl Observer for Silent {
        fn on(&mut self, _: &Event) {}
    }

    fn params(names: [(&str, usize); 2]) -> Params<Cpu> {
        let mut layout = Layout::new();
        for (name, len) in names {
            layout.root().param(name, [len], Init::Normal(1.0));
        }
        Params::init(&Cpu, layout, 1)
    }

    /// The metric of an evaluation may be no number: a correlation with one answer for all.
    #[test]
    fn a_best_value_that_is_no_number_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let lock = RunLock::acquire(folder.path()).unwrap();
        let (mut store, fingerprint) = (Store::open(&lock, 1).unwrap(), Fingerprint::default());
        let mut checkpoints = Checkpoints { store: &mut store, fingerprint: &fingerprint };
        let mut saved = params([("query", 2), ("key", 3)]);
        let mut optimizer = Sgd::new(&Cpu, &saved, Groups::standard(&saved, 0.0), 0.9);
        let report = Report::Regression(RegressionReport::of(&[1.0, 1.0], &[1.0, 2.0]));
        let measured = Some(Measured { loss: 0.5, value: f64::NAN });
        let progress = Progress {
            best: vec![Best { epoch: 1, step: 2, value: f64::NAN, report, weights: vec![1.0; 5] }],
            epochs: vec![Epoch { train_loss: 0.25, validation: measured }],
            step: 3,
            ..Progress::default()
        };
        save(&mut checkpoints, &Cpu, &saved, &optimizer, None, &progress, &mut Silent).unwrap();
        let back = load(&mut checkpoints, &Cpu, 1, &mut saved, &mut optimizer, None, &mut Silent).unwrap();
        assert!(back.best[0].value.is_nan() && back.best[0].weights == [1.0; 5]);
        assert!(back.epochs[0].validation.unwrap().value.is_nan() && back.epochs[0].train_loss == 0.25);
    }

    /// Numbers without names would go to other parameters, in silence.
    #[test]
    fn a_checkpoint_of_the_same_size_with_another_order_or_other_names_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let lock = RunLock::acquire(folder.path()).unwrap();
        let (mut store, fingerprint) = (Store::open(&lock, 1).unwrap(), Fingerprint::default());
        let mut checkpoints = Checkpoints { store: &mut store, fingerprint: &fingerprint };
        let saved = params([("query", 2), ("key", 3)]);
        let optimizer = Sgd::new(&Cpu, &saved, Groups::standard(&saved, 0.0), 0.9);
        save(&mut checkpoints, &Cpu, &saved, &optimizer, None, &Progress::default(), &mut Silent).unwrap();
        for (names, fits) in [
            ([("query", 2), ("key", 3)], true),
            ([("key", 3), ("query", 2)], false),
            ([("query", 3), ("key", 2)], false),
            ([("query", 2), ("value", 3)], false),
        ] {
            let mut now = params(names);
            let before = download(&Cpu, &now);
            let mut optimizer = Sgd::new(&Cpu, &now, Groups::standard(&now, 0.0), 0.9);
            let loaded = load(&mut checkpoints, &Cpu, 1, &mut now, &mut optimizer, None, &mut Silent);
            match loaded {
                Ok(_) => assert!(fits && download(&Cpu, &now) == download(&Cpu, &saved)),
                Err(TrainError::ResumeMismatch { .. }) => assert!(!fits && download(&Cpu, &now) == before),
                Err(other) => panic!("{names:?}: {other}"),
            }
        }
    }
}
