//! A model folder becomes a model with parameters, and back. It must not know training.

use crate::checkpoint::{LoadReport, MadeFile, SaveRequest, TensorSpec, TensorToSave, inspect, plan, save_model};
use crate::config::{CONFIG_FILE, EncoderConfig};
use crate::error::BertError;
use crate::family::TOKEN_HEAD;
use crate::lora::{self, LoraSpec};
use crate::model::{EncoderClassifier, HeadKind, vocabulary_paths};
use ferrotune_tensor::{Backend, ParamId, Params};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// Which head to load.
#[derive(Clone, Copy, Debug)]
pub enum Head<'a> {
    /// The one in the folder, with its labels; it must be there.
    Stored,
    /// One for these labels, in the order of their ids. The folder's head is kept if its labels are the same, its rows in the order of these; else
    /// its last layer is initialised from the seed, and those before it (`classifier.dense`, `pre_classifier`, `head`, the pooler) stay as they are stored.
    For {
        /// Names of the classes.
        labels: &'a [String],
        /// What it scores.
        kind: HeadKind,
        /// Seed of the initialisation.
        seed: u64,
    },
    /// The one over the vocabulary, whose last weight is the word embeddings: what the folder has of it, the rest initialised from the seed.
    Vocabulary {
        /// Seed of the initialisation.
        seed: u64,
    },
}

/// A loaded model.
pub struct Pretrained<B: Backend> {
    /// Its configuration.
    pub config: EncoderConfig,
    /// Names of the classes, by id.
    pub labels: Vec<String>,
    /// The network.
    pub model: EncoderClassifier,
    /// Its parameters.
    pub params: Params<B>,
    /// What was loaded and what was not.
    pub report: LoadReport,
    /// The adapters, if there are any.
    pub adapters: Option<LoraSpec>,
    /// Why the head was initialised newly although the folder has one that fits, if so.
    pub head_replaced: Option<String>,
    /// The labels in the order in which the folder has them, if its head is kept and that is another one.
    pub head_reordered: Option<Vec<String>>,
    /// The labels that are new beside those of the folder's head, if that is kept for all that it has.
    pub head_extended: Option<Vec<String>>,
}

/// Loads a classifier. Sizes are checked against caps and against the headers of the weights before memory is allocated.
///
/// # Errors
/// Any fault of the folder, in one line that names the file and the tensor.
pub fn load<B: Backend>(backend: &B, folder: &Path, head: Head<'_>) -> Result<Pretrained<B>, BertError> {
    load_with_adapters(backend, folder, head, None)
}

/// [`load`], with new adapters beside the weights.
///
/// # Errors
/// As [`load`].
pub fn load_with_adapters<B: Backend>(
    backend: &B,
    folder: &Path,
    head: Head<'_>,
    adapters: Option<&LoraSpec>,
) -> Result<Pretrained<B>, BertError> {
    let config = EncoderConfig::from_folder(folder)?;
    if config.distance_rows.is_some() && !backend.scores_distances() {
        let problem = format!(
            "model_type {} scores distances between tokens, for which this device has no kernels yet; the processor has them",
            config.family.model_type
        );
        return Err(BertError::Config { path: folder.join(CONFIG_FILE), problem });
    }
    let (labels, kind, seed) = match head {
        Head::Stored => (stored_labels(folder, &config)?, config.head_kind(), 0),
        Head::For { labels, kind, seed } => (labels.to_vec(), kind, seed),
        Head::Vocabulary { seed } => {
            check_vocabulary_head(folder, &config)?;
            (Vec::new(), HeadKind::Vocabulary, seed)
        }
    };
    let (mut model, mut layout) = EncoderClassifier::with_head(&config, kind, labels.len());
    if let Some(spec) = adapters {
        lora::attach(&mut model, &mut layout, spec);
    }
    // A folder holds no adapters of ours: they are merged before a model is saved.
    let stored = layout.entries().iter().filter(|entry| !lora::is_adapter(&entry.name));
    let wanted: Vec<TensorSpec> =
        stored.map(|entry| TensorSpec { name: entry.name.clone(), shape: entry.shape.dims().to_vec() }).collect();
    let out = kind.output_path(&config);
    // What the folder has of the other kind of head is left behind.
    let paths = &config.family.sequence_head;
    let own = [paths.dense, paths.out, TOKEN_HEAD].into_iter().chain(paths.norm);
    let mut head_paths: Vec<String> = own.map(|path| format!("{path}.")).collect();
    if kind == HeadKind::Vocabulary {
        let paths = vocabulary_paths(&config);
        head_paths.extend([paths.dense, paths.norm, paths.out].map(|path| format!("{path}.")));
    }
    let may_be_new = |name: &str| match head {
        Head::Stored => false,
        Head::For { .. } | Head::Vocabulary { .. } => head_paths.iter().any(|path| name.starts_with(path)),
    };
    let plan = plan(folder, &wanted, &may_be_new)?;

    let mut params = Params::zeros(backend, layout);
    let is_stored = |id: &_| !lora::is_adapter(&params.layout().entry(*id).name);
    let ids: Vec<_> = params.layout().ids().filter(is_stored).collect();
    let report = plan.read(&mut |index, values| params.set(backend, ids[index], &values))?;
    let named = |name: &str| params.layout().find(name).expect("the report names parameters of the model");
    let mut fresh: Vec<_> = report.newly_initialised.iter().map(|tensor| named(&tensor.name)).collect();
    fresh.extend(
        params.layout().entries().iter().filter(|entry| lora::is_adapter(&entry.name)).map(|entry| named(&entry.name)),
    );
    let output = ["weight", "bias"].map(|name| format!("{out}.{name}"));
    let head_is_loaded = report.loaded.contains(&output[0]);
    // For another number of labels.
    let head_is_unfit = report.newly_initialised.iter().any(|new| new.name == output[0] && new.in_folder);
    let (mut head_replaced, mut head_reordered, mut head_extended) = (None, None, None);
    let mut kept = None;
    if let (true, Head::For { .. }, Some(stored)) = (head_is_unfit, head, &config.id2label) {
        // One output is the logit of a yes or a number, and none of several classes.
        let are_wanted =
            stored.len() > 1 && stored.iter().all(|label| labels.contains(label)) && config.head_kind() == kind;
        kept = are_wanted.then(|| stored_head(folder, &wanted, &output, stored.len())).flatten();
        match kept {
            Some(_) => head_extended = Some(labels.iter().filter(|label| !stored.contains(label)).cloned().collect()),
            None => head_replaced = Some(other_labels(stored, &labels)),
        }
    }
    if head_is_loaded && matches!(head, Head::For { .. }) {
        let ids = output.each_ref().map(|name| named(name));
        let stored = config.id2label.clone().unwrap_or_else(|| unnamed_labels(labels.len()));
        let places = places(&stored, &labels).filter(|_| config.head_kind() == kind);
        match places {
            None if config.head_kind() != kind => head_replaced = Some(format!("it is for {}", config.head_kind())),
            None => head_replaced = Some(other_labels(&stored, &labels)),
            Some(places) if stored != labels => {
                ids.iter().for_each(|&id| reorder(backend, &mut params, id, &places));
                head_reordered = Some(stored);
            }
            Some(_) => {}
        }
        fresh.extend(ids.into_iter().filter(|_| head_replaced.is_some()));
    }
    fresh.into_iter().for_each(|id| params.reset(backend, id, seed));
    if let (Some(rows), Some(stored)) = (kept, &config.id2label) {
        let places = places_of(&labels, stored).expect("all stored labels are wanted");
        for (name, rows) in output.iter().zip(rows) {
            let id = params.layout().find(name).expect("the head has it");
            let mut values = backend.download(params.get(id).data);
            let width = rows.len() / places.len();
            for (row, place) in rows.chunks(width).zip(&places) {
                values[place * width..][..width].copy_from_slice(row);
            }
            params.set(backend, id, &values);
        }
    }
    let adapters = adapters.cloned();
    Ok(Pretrained { config, labels, model, params, report, adapters, head_replaced, head_reordered, head_extended })
}

/// The names of so many classes that have none.
fn unnamed_labels(count: usize) -> Vec<String> {
    (0..count).map(|id| format!("LABEL_{id}")).collect()
}

/// How the labels of a head differ from those that are wanted.
fn other_labels(stored: &[String], wanted: &[String]) -> String {
    let (kept, lost): (Vec<&str>, Vec<&str>) =
        stored.iter().map(String::as_str).partition(|label| wanted.iter().any(|own| own == label));
    match kept.is_empty() || lost.is_empty() || stored.len().min(wanted.len()) == 1 {
        true => format!("its labels are {}", stored.join(", ")),
        false => format!("its labels are {}, and no row to learn from has {}", stored.join(", "), lost.join(", ")),
    }
}

/// Weight and bias of the folder's last layer, for so many labels as it has; none where they are not as the model wants them but for that number.
fn stored_head(folder: &Path, wanted: &[TensorSpec], output: &[String; 2], labels: usize) -> Option<[Vec<f32>; 2]> {
    let spec = |name: &String| {
        let spec = wanted.iter().find(|spec| spec.name == *name)?;
        Some(TensorSpec { name: name.clone(), shape: [&[labels], &spec.shape[1..]].concat() })
    };
    let specs = [spec(&output[0])?, spec(&output[1])?];
    let mut rows = [Vec::new(), Vec::new()];
    // Nothing else of the folder is looked at.
    let read = plan(folder, &specs, &|name| !output.iter().any(|own| own == name))
        .and_then(|plan| plan.read(&mut |index, values| rows[index] = values));
    read.is_ok().then_some(rows)
}

/// Where each of the `wanted` labels is among the `stored`, if these are the same in any order.
pub(crate) fn places(stored: &[String], wanted: &[String]) -> Option<Vec<usize>> {
    places_of(stored, wanted).filter(|_| stored.len() == wanted.len())
}

/// Where each of the `wanted` labels is among the `stored`, if all are.
fn places_of(stored: &[String], wanted: &[String]) -> Option<Vec<usize>> {
    let by_name: HashMap<&String, usize> = stored.iter().zip(0..).collect();
    let places: Option<Vec<usize>> = wanted.iter().map(|label| by_name.get(label).copied()).collect();
    places.filter(|_| by_name.len() == stored.len())
}

/// Gives a parameter the rows of these places, in their order.
fn reorder<B: Backend>(backend: &B, params: &mut Params<B>, id: ParamId, places: &[usize]) {
    let values = backend.download(params.get(id).data);
    params.set(backend, id, &rows_at(&values, places));
}

/// The rows of these places, in their order, of a matrix with as many rows.
pub(crate) fn rows_at(values: &[f32], places: &[usize]) -> Vec<f32> {
    let width = values.len() / places.len();
    places.iter().flat_map(|place| &values[place * width..][..width]).copied().collect()
}

/// Refuses a model that has no head over the vocabulary, or one that is not tied to the word embeddings.
fn check_vocabulary_head(folder: &Path, config: &EncoderConfig) -> Result<(), BertError> {
    let family = config.family.model_type;
    let problem = if config.family.vocabulary_head.is_none() {
        format!(
            "is of the family {family}, whose encoder is not pre-trained by predicting masked words: it cannot be adapted so"
        )
    } else if config.raw.get("tie_word_embeddings") == Some(&Value::Bool(false)) {
        "says tie_word_embeddings false: a head over the vocabulary with a weight of its own is not supported"
            .to_string()
    } else if config.raw.get("decoder_bias") == Some(&Value::Bool(false)) {
        "says decoder_bias false: a head over the vocabulary without a bias is not supported".to_string()
    } else {
        return Ok(());
    };
    Err(BertError::Mismatch { folder: folder.to_path_buf(), problem })
}

/// The labels of a fine-tuned folder: those of config.json, else `LABEL_0`, `LABEL_1` and so on for the rows of its head.
fn stored_labels(folder: &Path, config: &EncoderConfig) -> Result<Vec<String>, BertError> {
    let inspection = inspect(folder)?;
    let wanted = format!("{}.weight", config.head_kind().output_path(config));
    let Some(head) = inspection.tensors.iter().find(|tensor| tensor.name == wanted) else {
        return Err(BertError::Mismatch {
            folder: folder.to_path_buf(),
            problem: format!(
                "holds no classification head (tensor {wanted}); it is a pretrained encoder: fine-tune it first with \
                 `ferrotune train`"
            ),
        });
    };
    let rows = head.shape.first().copied().unwrap_or(0);
    match &config.id2label {
        Some(labels) => Ok(labels.clone()),
        None if (1..=crate::config::LABEL_CAP).contains(&rows) => Ok(unnamed_labels(rows)),
        None => Err(BertError::Mismatch {
            folder: folder.to_path_buf(),
            problem: format!(
                "has a {wanted} of shape {:?}; a head has between 1 and {} rows",
                head.shape,
                crate::config::LABEL_CAP
            ),
        }),
    }
}

/// Saves a classifier as a folder that Hugging Face tools load, with the tokenizer files of `companions_from`, or `made` in place of them, and reads
/// it back for comparison. `replace` allows to replace a model folder of that name.
///
/// # Errors
/// I/O, values that are not finite, a difference on reading back. The folder is the old one or the new one, never half of it.
///
/// # Panics
/// If there are adapters that were not merged ([`lora::merge`]).
#[allow(clippy::too_many_arguments)] // What a folder consists of.
pub fn save<B: Backend>(
    backend: &B,
    folder: &Path,
    config: &EncoderConfig,
    kind: HeadKind,
    labels: &[String],
    params: &Params<B>,
    companions_from: Option<&Path>,
    made: &[MadeFile],
    replace: bool,
) -> Result<(), BertError> {
    let config_json = config.to_json(&config.architecture(kind), Some(labels));
    save_tensors(backend, folder, &config_json, params, &[], companions_from, made, kind == HeadKind::Tokens, replace)
}

/// Saves a masked language model as a folder that Hugging Face tools load, and that is a base model for training. The word embeddings are
/// written once; who loads the folder ties them to the head. `from` is the folder that it came from: its tokenizer comes along, with `made` in place
/// of some files, and its pooler, in families that have one, as it is there, since no masked word teaches it anything.
///
/// # Errors
/// As [`save`], and any fault of that folder.
///
/// # Panics
/// As [`save`].
pub fn save_vocabulary<B: Backend>(
    backend: &B,
    folder: &Path,
    config: &EncoderConfig,
    params: &Params<B>,
    from: &Path,
    made: &[MadeFile],
    replace: bool,
) -> Result<(), BertError> {
    let config_json = config.to_json(&config.architecture(HeadKind::Vocabulary), None);
    let pooler = stored_pooler(from, config)?;
    save_tensors(backend, folder, &config_json, params, &pooler, Some(from), made, false, replace)
}

/// Makes a folder of random weights: a masked language model, and a base model for training, with the tokenizer files of `companions_from`,
/// or `made` in place of them.
/// The weights are a function of configuration and seed.
///
/// # Errors
/// As [`save`]; a family without a head over the vocabulary.
pub fn create<B: Backend>(
    backend: &B,
    folder: &Path,
    config: &EncoderConfig,
    seed: u64,
    companions_from: Option<&Path>,
    made: &[MadeFile],
    replace: bool,
) -> Result<(), BertError> {
    check_vocabulary_head(folder, config)?;
    let (_, layout) = EncoderClassifier::with_head(config, HeadKind::Vocabulary, 0);
    let params = Params::init(backend, layout, seed);
    // The pooler stands between encoder and classifier; masked words do not reach it, but who trains a classifier starts from it.
    let pooler = match config.family.pooler_path() {
        None => Vec::new(),
        Some(path) => {
            let (_, layout) = EncoderClassifier::new(config, 1);
            let classifier = Params::init(backend, layout, seed);
            let layout = classifier.layout().clone();
            let ids = layout.ids().filter(|&id| layout.entry(id).name.starts_with(&path));
            ids.map(|id| {
                let entry = layout.entry(id);
                (entry.name.clone(), entry.shape.dims().to_vec(), backend.download(classifier.get(id).data))
            })
            .collect()
        }
    };
    let config_json = config.to_json(&config.architecture(HeadKind::Vocabulary), None);
    save_tensors(backend, folder, &config_json, &params, &pooler, companions_from, made, false, replace)
}

/// Name, shape and values of a tensor that is carried along.
type Carried = (String, Vec<usize>, Vec<f32>);

/// The pooler of a folder; nothing where there is none.
fn stored_pooler(folder: &Path, config: &EncoderConfig) -> Result<Vec<Carried>, BertError> {
    let (Some(_), h) = (config.family.pooler_path(), config.hidden_size) else { return Ok(Vec::new()) };
    let path = config.family.sequence_head.dense;
    let wanted = [("weight", vec![h, h]), ("bias", vec![h])]
        .map(|(name, shape)| TensorSpec { name: format!("{path}.{name}"), shape });
    let mut found = Vec::new();
    plan(folder, &wanted, &|_| true)?.read(&mut |index, values| {
        let TensorSpec { name, shape } = &wanted[index];
        found.push((name.clone(), shape.clone(), values));
    })?;
    Ok(found)
}

#[allow(clippy::too_many_arguments)] // As [`save`].
fn save_tensors<B: Backend>(
    backend: &B,
    folder: &Path,
    config_json: &str,
    params: &Params<B>,
    carried: &[Carried],
    companions_from: Option<&Path>,
    made: &[MadeFile],
    scores_words: bool,
    replace: bool,
) -> Result<(), BertError> {
    let layout = params.layout();
    let (adapters, kept): (Vec<_>, Vec<_>) = layout.ids().partition(|&id| lora::is_adapter(&layout.entry(id).name));
    let download = |id| backend.download(params.get(id).data);
    for id in adapters.into_iter().filter(|&id| layout.entry(id).name.ends_with(".lora_B.weight")) {
        assert!(download(id).iter().all(|&x| x == 0.0), "save: {} is not merged", layout.entry(id).name);
    }
    let values: Vec<Vec<f32>> = kept.iter().map(|&id| download(id)).collect();
    let mut tensors: Vec<TensorToSave<'_>> = kept
        .iter()
        .map(|&id| layout.entry(id))
        .zip(&values)
        .map(|(entry, values)| TensorToSave { name: &entry.name, shape: entry.shape.dims(), values })
        .collect();
    tensors.extend(carried.iter().map(|(name, shape, values)| TensorToSave { name, shape, values }));
    save_model(folder, &SaveRequest { config_json, tensors: &tensors, companions_from, made, scores_words, replace })
}
