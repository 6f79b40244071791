//! Where the outputs of frozen layers are kept during a run: in memory, in the run folder, or in a folder that later runs share.
//! It must not know how they are computed.

use crate::args::{Switch, TrainSettings};
use crate::device::Machine;
use crate::exit::{Failure, io, usage};
use crate::model::BertClassifier;
use crate::task::shown;
use ferrotune_data::Encoded;
use ferrotune_tensor::Params;
use ferrotune_train::model::{FrozenPrefix, Split};
use ferrotune_train::prefix::{PrefixCache, PrefixCaches, bytes, key, lengths};
use std::path::{Path, PathBuf};

/// Folder inside the run folder, for what does not fit in memory.
const SPILL: &str = "prefix-cache";

/// The caches of a run, and what to clear away after it.
pub struct Prefix<B: Machine> {
    /// None if nothing is frozen from the bottom, or the cache is off.
    pub caches: Option<PrefixCaches<B>>,
    /// Bytes that the caches will take in memory.
    pub memory: u64,
    spill: Option<PathBuf>,
}

/// Chooses the place and says it.
pub fn open<B: Machine>(
    settings: &TrainSettings,
    backend: &B,
    run: &Path,
    model: &BertClassifier<'_>,
    params: &Params<B>,
    train: &Split,
    validation: Option<&Split>,
) -> Result<Prefix<B>, Failure> {
    let none = Prefix::none();
    let Some(layers) = model.frozen_layers else {
        if settings.prefix_cache_dir.is_some() {
            let why = "keeps outputs of frozen layers, and the embeddings are trained; freeze from the bottom, such as --freeze \
                       embeddings,layers.0-3, or leave it out";
            return Err(usage(format!("--prefix-cache-dir {why}")));
        }
        return Ok(none);
    };
    let parts = match layers {
        0 => "the embeddings alone are".to_string(),
        1 => "embeddings and layer 0 are".to_string(),
        _ => format!("embeddings and layers 0-{} are", layers - 1),
    };
    eprint!("frozen     {parts} at the bottom and frozen: no dropout there; ");
    if layers == 0 {
        // A sum of three rows costs less than reading it back.
        eprintln!("no layer is, so nothing is kept");
        return Ok(none);
    }
    if settings.prefix_cache == Some(Switch::Off) {
        eprintln!("computed again in each epoch");
        return Ok(none);
    }
    let frozen: &dyn FrozenPrefix<B> = model;
    let lengths = |split: &Split| lengths(frozen, &split.encoded);
    let total = bytes(&lengths(train)) + validation.map_or(0, |split| bytes(&lengths(split)));
    let limit = settings.prefix_cache_memory.unwrap_or_default() << 20;
    // Where the device has memory of its own, half of what is free; the other half is for the steps.
    let own = backend.free_memory().map_or(0, |free| free / 2);
    let kept_there = settings.prefix_cache_dir.is_none() && total <= own;
    let spill = run.join(SPILL);
    let folder = settings.prefix_cache_dir.as_deref().or((total > limit).then_some(spill.as_path()));
    let folder = folder.filter(|_| !kept_there);
    let memory = if kept_there { "the device's memory" } else { "memory" };
    let place = folder.map_or(memory.to_string(), |folder| folder.display().to_string());
    eprintln!("computed once, {:.0} MiB in {place}", total as f64 / f64::from(1 << 20));
    let rows = if frozen.first_token_only() { "first tokens" } else { "all tokens" };
    let (config, version) = (model.config, env!("CARGO_PKG_VERSION"));
    let processor = format!("{} in {}", backend.processor(), shown(backend.precision()));
    let identity = format!("{config:?}\n{layers} layers, {rows}\n{processor}\n{version}");
    let cache = |split: &Split| -> Result<PrefixCache<B>, Failure> {
        let encoded: &Encoded = &split.encoded;
        Ok(match folder {
            None if kept_there => PrefixCache::on_device(backend, lengths(split), frozen.width()),
            None => PrefixCache::in_memory(lengths(split)),
            Some(folder) => PrefixCache::in_file(folder, &key(backend, params, &identity, encoded), lengths(split))?,
        })
    };
    let caches = PrefixCaches { train: cache(train)?, validation: validation.map(cache).transpose()? };
    let memory = if folder.is_none() && !kept_there { total } else { 0 };
    Ok(Prefix { caches: Some(caches), memory, spill: (folder == Some(&spill)).then_some(spill) })
}

impl<B: Machine> Prefix<B> {
    /// Nothing is kept.
    pub fn none() -> Prefix<B> {
        Prefix { caches: None, memory: 0, spill: None }
    }

    /// Frees memory and removes files that were for this run only.
    pub fn close(self) -> Result<(), Failure> {
        let Prefix { caches, spill, .. } = self;
        drop(caches);
        let Some(folder) = spill else { return Ok(()) };
        std::fs::remove_dir_all(&folder).map_err(io(format!("cannot remove {}", folder.display())))
    }
}
