//! A model folder becomes a model with parameters, and back. It must not know training.

mod folders_head;

pub use folders_head::FoldersHead;
pub(crate) use folders_head::{places, rows_at};

use crate::checkpoint::{Companions, LoadReport, SaveRequest, TensorSpec, TensorToSave, inspect, plan, save_model};
use crate::config::{CONFIG_FILE, EncoderConfig};
use crate::error::BertError;
use crate::family::TOKEN_HEAD;
use crate::lora::{self, LoraSpec};
use crate::model::{EncoderClassifier, HeadKind, vocabulary_paths};
use ferrotune_tensor::{Backend, Params};
use serde_json::Value;
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
    /// What became of the head that the folder has.
    pub folders_head: FoldersHead,
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
    let (folders_head, kept) = match head {
        Head::For { .. } => folders_head::of(folder, &config, (kind, &labels), &report, &wanted, &output),
        Head::Stored | Head::Vocabulary { .. } => (FoldersHead::AsItIs, None),
    };
    if let FoldersHead::Replaced(_) = folders_head {
        fresh.extend(output.iter().filter_map(|name| params.layout().find(name)));
    }
    fresh.into_iter().for_each(|id| params.reset(backend, id, seed));
    folders_head::keep(backend, &mut params, &labels, &folders_head, kept, &output);
    let adapters = adapters.cloned();
    Ok(Pretrained { config, labels, model, params, report, adapters, folders_head })
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
        None if (1..=crate::config::LABEL_CAP).contains(&rows) => Ok(folders_head::unnamed_labels(rows)),
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

/// Saves a classifier as a folder that Hugging Face tools load, with its tokenizer's files, and reads it back for
/// comparison. `replace` allows to replace a model folder of that name.
///
/// # Errors
/// I/O, values that are not finite, a difference on reading back. The folder is the old one or the new one, never half of it.
///
/// # Panics
/// If there are adapters that were not merged ([`lora::merge`]).
pub fn save<B: Backend>(
    backend: &B,
    folder: &Path,
    config: &EncoderConfig,
    kind: HeadKind,
    labels: &[String],
    params: &Params<B>,
    companions: Option<Companions<'_>>,
    replace: bool,
) -> Result<(), BertError> {
    let config_json = config.to_json(&config.architecture(kind), Some(labels));
    save_tensors(backend, folder, &config_json, params, &[], companions, kind == HeadKind::Tokens, replace)
}

/// Saves a masked language model as a folder that Hugging Face tools load, and that is a base model for training. The word embeddings are
/// written once; who loads the folder ties them to the head. `companions` are those of the folder that it came
/// from: its pooler comes along too, in families that have one, as it is there, since no masked word teaches it anything.
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
    companions: Companions<'_>,
    replace: bool,
) -> Result<(), BertError> {
    let config_json = config.to_json(&config.architecture(HeadKind::Vocabulary), None);
    let pooler = stored_pooler(companions.from, config)?;
    save_tensors(backend, folder, &config_json, params, &pooler, Some(companions), false, replace)
}

/// Makes a folder of random weights: a masked language model, and a base model for training, with the tokenizer's files that `companions` says.
/// The weights are a function of configuration and seed.
///
/// # Errors
/// As [`save`]; a family without a head over the vocabulary.
pub fn create<B: Backend>(
    backend: &B,
    folder: &Path,
    config: &EncoderConfig,
    seed: u64,
    companions: Option<Companions<'_>>,
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
    save_tensors(backend, folder, &config_json, &params, &pooler, companions, false, replace)
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

fn save_tensors<B: Backend>(
    backend: &B,
    folder: &Path,
    config_json: &str,
    params: &Params<B>,
    carried: &[Carried],
    companions: Option<Companions<'_>>,
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
    save_model(folder, &SaveRequest { config_json, tensors: &tensors, companions, scores_words, replace })
}
