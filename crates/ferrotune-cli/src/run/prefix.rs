//! Where the outputs of frozen layers are kept during a run: in memory, in the run folder, or in a folder that later runs share.
//! It must not know how they are computed.

use crate::args::{Switch, TrainSettings};
use crate::device::Machine;
use crate::exit::{Failure, usage};
use crate::model::classifier::BertClassifier;
use crate::rows::task::shown;
use crate::run::folder::{PREFIX_CACHE, remove_folder};
use crate::terminal::voice::say;
use ferrotune_bert::EncoderConfig;
use ferrotune_tensor::Params;
use ferrotune_train::model::{FrozenPrefix, Split};
use ferrotune_train::prefix::{PrefixCache, PrefixCaches, bytes, key, lengths};
use std::path::{Path, PathBuf};

/// Caches that runs of one process hand on to each other, each under a name for all that its numbers are a function of.
pub struct Shelf<B: Machine> {
    /// The one that was used last is the last.
    kept: Vec<(String, PrefixCaches<B>, u64)>,
    /// Where those lie that are too large for memory.
    folder: PathBuf,
}

impl<B: Machine> Shelf<B> {
    /// An empty one; files for what is too large will lie in `folder`.
    pub fn new(folder: PathBuf) -> Shelf<B> {
        Shelf { kept: Vec::new(), folder }
    }

    fn take(&mut self, name: &str) -> Option<PrefixCaches<B>> {
        let place = self.kept.iter().position(|(known, ..)| known == name)?;
        Some(self.kept.remove(place).1)
    }

    /// Drops those that were not used for the longest time, until there is room for so many bytes more.
    fn make_room(&mut self, bytes: u64, limit: u64) {
        while !self.kept.is_empty() && self.kept.iter().map(|(.., bytes)| bytes).sum::<u64>() + bytes > limit {
            self.kept.remove(0);
        }
    }
}

/// The caches of a run, and what to clear away after it.
pub struct Prefix<B: Machine> {
    /// None if nothing is frozen from the bottom, or the cache is off.
    pub caches: Option<PrefixCaches<B>>,
    /// Bytes that the caches will take in memory.
    pub memory: u64,
    spill: Option<PathBuf>,
    /// The name on the shelf, for what lies in memory.
    name: Option<String>,
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
    mut shelf: Option<&mut Shelf<B>>,
) -> Result<Prefix<B>, Failure> {
    let none = Prefix::none();
    let Some(layers) = model.frozen_layers else {
        // Among many trials some have such a bottom and some have not.
        if settings.prefix_cache_dir.is_some() && shelf.is_none() {
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
    let frozen = format!("frozen     {parts} at the bottom and frozen: no dropout there;");
    if layers == 0 {
        // A sum of three rows costs less than reading it back.
        say!("{frozen} no layer is, so nothing is kept");
        return Ok(none);
    }
    if settings.prefix_cache == Some(Switch::Off) {
        say!("{frozen} computed again in each epoch");
        return Ok(none);
    }
    let bottom: &dyn FrozenPrefix<B> = model;
    let lengths = |split: &Split| lengths(bottom, &split.encoded);
    let total = bytes(&lengths(train)) + validation.map_or(0, |split| bytes(&lengths(split)));
    let limit = settings.prefix_cache_memory.unwrap_or_default() << 20;
    // Where the device has memory of its own, half of what is free; the other half is for the steps.
    let own = backend.free_memory().map_or(0, |free| free / 2);
    let kept_there = settings.prefix_cache_dir.is_none() && total <= own;
    let own_spill = run.join(PREFIX_CACHE);
    // Files for a run alone go with it; those of a shelf stay for the next.
    let (spill, is_own) = match &shelf {
        Some(shelf) => (shelf.folder.clone(), false),
        None => (own_spill, true),
    };
    let folder = settings.prefix_cache_dir.as_deref().or((total > limit).then_some(spill.as_path()));
    let folder = folder.filter(|_| !kept_there);
    let memory = if kept_there { "the device's memory" } else { "memory" };
    let place = folder.map_or(memory.to_string(), |folder| folder.display().to_string());
    say!("{frozen} computed once, {:.0} MiB in {place}", total as f64 / f64::from(1 << 20));
    let rows = if bottom.one_state_a_row() { "one state a row" } else { "all tokens" };
    // A frozen bottom has no dropout.
    let config = EncoderConfig {
        hidden_dropout_prob: 0.0,
        embedding_dropout_prob: None,
        attention_probs_dropout_prob: 0.0,
        classifier_dropout: None,
        ..model.config.clone()
    };
    let version = env!("CARGO_PKG_VERSION");
    let processor = format!("{} in {}", backend.processor(), shown(backend.precision()));
    let identity = format!("{config:?}\n{layers} layers, {rows}\n{processor}\n{version}");
    let key = |split: &Split| key(backend, params, &identity, &split.encoded);
    let memory = if folder.is_none() && !kept_there { total } else { 0 };
    let mut name = None;
    if let (Some(shelf), None) = (&mut shelf, folder) {
        let own = format!("{} {}", key(train), validation.map_or_else(String::new, key));
        if let Some(caches) = shelf.take(&own) {
            return Ok(Prefix { caches: Some(caches), memory, spill: None, name: Some(own) });
        }
        shelf.make_room(total, limit);
        name = Some(own);
    }
    let cache = |split: &Split| -> Result<PrefixCache<B>, Failure> {
        Ok(match folder {
            None if kept_there => PrefixCache::on_device(backend, lengths(split), bottom.width()),
            None => PrefixCache::in_memory(lengths(split)),
            Some(folder) => {
                let cache = PrefixCache::in_file(folder, &key(split), lengths(split))?;
                // Beside the checkpoints: of a full disk these need the room.
                if folder == spill { cache.giving_room_back() } else { cache }
            }
        })
    };
    let caches = PrefixCaches { train: cache(train)?, validation: validation.map(cache).transpose()? };
    let spilled = is_own && folder == Some(&spill);
    Ok(Prefix { caches: Some(caches), memory, spill: spilled.then_some(spill), name })
}

impl<B: Machine> Prefix<B> {
    /// Nothing is kept.
    pub fn none() -> Prefix<B> {
        Prefix { caches: None, memory: 0, spill: None, name: None }
    }

    /// Puts caches on the shelf or frees their memory, and removes files that were for this run only.
    pub fn close(self, shelf: Option<&mut Shelf<B>>) -> Result<(), Failure> {
        let Prefix { caches, memory, spill, name } = self;
        match (shelf, caches, name) {
            (Some(shelf), Some(caches), Some(name)) => shelf.kept.push((name, caches, memory)),
            (_, caches, _) => drop(caches),
        }
        spill.map_or(Ok(()), |folder| remove_folder(&folder))
    }
}
