//! Brings the tensors that a model wants and the tensors that a folder has together: first the plan, which compares
//! names, shapes and types of everything and reads no data, then the reading. It must not know the model's modules.

use super::TensorSpec;
use super::folder::weights_files;
use super::names::{candidates, is_ignorable, is_task_head, module_of};
use super::read::WeightsFile;
use super::report::{LoadReport, NewlyInitialised, first_few};
use super::stored::StoredTensor;
use crate::error::BertError;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Loads a folder's weights: [`plan`], then [`LoadPlan::read`].
///
/// `wanted` is every tensor of the model. `optional` says by name which of them may be newly initialised (and which
/// tensors of the folder may be left behind); for everything else a missing, mis-shaped or unexpected tensor is an
/// error that lists the first five. `sink` receives each loaded tensor as (index in `wanted`, values row-major) in
/// file order; newly initialised ones are not sent.
///
/// # Errors
/// Any fault of the folder, see [`BertError`]. After an error the sink may have received some tensors.
///
/// # Panics
/// If `wanted` names a tensor twice.
pub fn load(
    folder: &Path,
    wanted: &[TensorSpec],
    optional: &dyn Fn(&str) -> bool,
    sink: &mut dyn FnMut(usize, Vec<f32>),
) -> Result<LoadReport, BertError> {
    plan(folder, wanted, optional)?.read(sink)
}

/// A load that has been checked in full against the headers and has read no data. Allocate the model after this.
#[derive(Debug)]
pub struct LoadPlan {
    folder: PathBuf,
    files: Vec<WeightsFile>,
    /// (file, tensor in its header, index in `wanted`), in the order of reading.
    reads: Vec<(usize, usize, usize)>,
    report: LoadReport,
}

impl LoadPlan {
    /// What [`read`](Self::read) is going to do.
    pub fn report(&self) -> &LoadReport {
        &self.report
    }

    /// The folder that is loaded.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads every tensor and hands it to `sink` as (index in `wanted`, values). See [`load`].
    ///
    /// # Errors
    /// I/O, values that are not finite, a file that changed since the plan was made.
    pub fn read(self, sink: &mut dyn FnMut(usize, Vec<f32>)) -> Result<LoadReport, BertError> {
        for reads in self.reads.chunk_by(|a, b| a.0 == b.0) {
            let file = &self.files[reads[0].0];
            let mut reader = file.reader()?;
            for &(_, tensor, index) in reads {
                sink(index, reader.values(&file.header.tensors[tensor])?);
            }
            reader.finish()?;
        }
        Ok(self.report)
    }
}

/// Why a wanted tensor cannot be read.
enum Fault {
    Missing,
    Unfit(String),
}

/// Compares what the model wants with the headers of the folder's weights. Arguments and errors as for [`load`].
///
/// # Panics
/// If `wanted` names a tensor twice.
pub fn plan(folder: &Path, wanted: &[TensorSpec], optional: &dyn Fn(&str) -> bool) -> Result<LoadPlan, BertError> {
    check_unique(wanted);
    let files = weights_files(folder)?;
    let mut stored: HashMap<&str, (usize, usize)> = HashMap::new();
    for (file, weights) in files.iter().enumerate() {
        for (tensor, entry) in weights.header.tensors.iter().enumerate() {
            stored.insert(&entry.name, (file, tensor));
        }
    }
    let tensor_at = |(file, tensor): (usize, usize)| &files[file].header.tensors[tensor];
    let mismatch = |problem: String| BertError::Mismatch { folder: folder.to_path_buf(), problem };

    let mut used: HashSet<&str> = HashSet::new();
    let mut found: Vec<Result<(usize, usize), Fault>> = Vec::with_capacity(wanted.len());
    for spec in wanted {
        let mut hits = candidates(&spec.name).into_iter().filter_map(|name| stored.get(name.as_str()).copied());
        let (hit, second) = (hits.next(), hits.next());
        if let (Some(one), Some(other)) = (hit, second) {
            return Err(mismatch(format!(
                "holds {} twice, as {} and as {}; remove one",
                spec.name,
                tensor_at(one).name,
                tensor_at(other).name
            )));
        }
        found.push(match hit {
            None => Err(Fault::Missing),
            Some(at) => {
                used.insert(&tensor_at(at).name);
                check_fit(spec, tensor_at(at)).map(|()| at).map_err(Fault::Unfit)
            }
        });
    }

    // A module is initialised as a whole: an old bias does not go with a new weight.
    let faulty = wanted.iter().zip(&found).filter(|(spec, at)| at.is_err() && optional(&spec.name));
    let new_modules: BTreeSet<&str> = faulty.map(|(spec, _)| module_of(&spec.name)).collect();
    let mut report = LoadReport { files: files.len(), ..LoadReport::default() };
    let (mut reads, mut missing, mut unfit) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (spec, found)) in wanted.iter().zip(&found).enumerate() {
        let is_new = optional(&spec.name) && new_modules.contains(module_of(&spec.name));
        match found {
            Err(fault) if is_new => {
                let (reason, in_folder) = match fault {
                    Fault::Missing => ("not in the folder".to_string(), false),
                    Fault::Unfit(problem) => (problem.clone(), true),
                };
                report.newly_initialised.push(NewlyInitialised { name: spec.name.clone(), reason, in_folder });
            }
            Ok(_) if is_new => {
                let reason = format!("goes with the rest of {}", module_of(&spec.name));
                report.newly_initialised.push(NewlyInitialised { name: spec.name.clone(), reason, in_folder: true });
            }
            Err(Fault::Missing) => missing.push(spec.name.clone()),
            Err(Fault::Unfit(problem)) => unfit.push(format!("{} ({problem})", spec.name)),
            Ok(at) => {
                let tensor = tensor_at(*at);
                report.loaded.push(spec.name.clone());
                report.parameters += tensor.elements();
                *report.dtypes.entry(tensor.dtype).or_default() += 1;
                if tensor.name != spec.name {
                    report.renamed.push((tensor.name.clone(), spec.name.clone()));
                }
                reads.push((at.0, at.1, index));
            }
        }
    }
    let new_head = !new_modules.is_empty();
    let mut unexpected = Vec::new();
    for entry in files.iter().flat_map(|file| &file.header.tensors) {
        if used.contains(entry.name.as_str()) {
            continue;
        }
        if is_ignorable(&entry.name) || optional(&entry.name) || (new_head && is_task_head(&entry.name)) {
            report.ignored.push(entry.name.clone());
        } else {
            unexpected.push(entry.name.clone());
        }
    }
    report.ignored.sort();
    unexpected.sort();
    if let Some(problem) = describe(&missing, &unfit, &unexpected, wanted.len()) {
        return Err(mismatch(problem));
    }
    reads.sort_unstable();
    Ok(LoadPlan { folder: folder.to_path_buf(), files, reads, report })
}

/// Whether a stored tensor can become the wanted one; else the difference.
fn check_fit(spec: &TensorSpec, stored: &StoredTensor) -> Result<(), String> {
    if stored.shape != spec.shape {
        return Err(format!("stored as {:?}, the model needs {:?}", stored.shape, spec.shape));
    }
    if !stored.dtype.is_weight() {
        return Err(format!("stored as {}, only F32, F16 and BF16 are read", stored.dtype.name()));
    }
    Ok(())
}

/// All mismatches in one line, or nothing.
fn describe(missing: &[String], unfit: &[String], unexpected: &[String], wanted: usize) -> Option<String> {
    let say = |list: &[String], one: &str, more: &str| match list.len() {
        0 => None,
        1 => Some(format!("1 tensor {one}: {}", list[0])),
        count => Some(format!("{count} tensors {more}: {}", first_few(list))),
    };
    let parts = [
        say(missing, "is missing", "are missing"),
        say(unfit, "does not fit", "do not fit"),
        say(unexpected, "is not part of the model", "are not part of the model"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        return None;
    }
    let classifier = |name: &String| is_task_head(name);
    let advice = if missing.len() == wanted {
        "this does not look like the model that config.json describes"
    } else if unexpected.is_empty() && missing.iter().chain(unfit).all(classifier) {
        "the classifier is for other labels or not there: train a new one"
    } else {
        "config.json and the weights must be of the same model"
    };
    Some(format!("{}; {advice}", parts.join("; ")))
}

/// Panics on a name that is wanted twice: a mistake in the model, not in the folder.
fn check_unique(wanted: &[TensorSpec]) {
    let mut seen = HashSet::new();
    for spec in wanted {
        assert!(seen.insert(&spec.name), "checkpoint::plan: the tensor {} is wanted twice", spec.name);
    }
}
