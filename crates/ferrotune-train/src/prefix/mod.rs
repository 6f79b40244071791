//! What the frozen bottom of a model gave for each row, kept for later epochs and runs: it never changes, so computing it once is
//! enough. Must not know which layers those are, and never changes a result: what is missing or damaged is computed again.

mod device;
mod file;
#[cfg(test)]
mod tests;

use crate::error::TrainError;
use crate::model::{Classifier, FrozenPrefix, Mode};
use crate::store::fingerprint::hex;
use device::OnDevice;
use ferrotune_data::{Batch, Encoded};
use ferrotune_tensor::{Backend, Cpu, Params, Pool, Tape, Tensor, Var};
use file::RowFile;
use sha2::{Digest, Sha256};
use std::path::Path;

/// The caches of a run, one for each split that is read more than once.
pub struct PrefixCaches<B: Backend = Cpu> {
    /// Of the training rows.
    pub train: PrefixCache<B>,
    /// Of the validation rows.
    pub validation: Option<PrefixCache<B>>,
}

impl<B: Backend> PrefixCaches<B> {
    /// Why a cache keeps no more rows, said once.
    pub fn complaint(&mut self) -> Option<String> {
        self.train.complaint.take().or_else(|| self.validation.as_mut()?.complaint.take())
    }
}

/// Hidden states of the rows of one split, as far as they have been computed.
pub struct PrefixCache<B: Backend = Cpu> {
    lengths: Vec<usize>,
    rows: Rows<B>,
    /// Why no more rows are kept.
    complaint: Option<String>,
    is_full: bool,
    /// Whether a file that takes no more is emptied.
    gives_room_back: bool,
}

enum Rows<B: Backend> {
    Memory(Vec<Option<Box<[f32]>>>),
    File(RowFile),
    Device(OnDevice<B>),
}

/// Numbers that the prefix gives for each row.
pub fn lengths<B: Backend>(prefix: &dyn FrozenPrefix<B>, encoded: &Encoded) -> Vec<usize> {
    let positions = |tokens: usize| if prefix.one_state_a_row() { 1 } else { tokens };
    (0..encoded.len()).map(|row| prefix.width() * positions(encoded.row(row).0.len())).collect()
}

/// Bytes that a full cache needs.
pub fn bytes(lengths: &[usize]) -> u64 {
    lengths.iter().map(|&length| 4 * length as u64).sum()
}

/// A name for what the cached numbers are a function of: the tokens, the frozen parameters by name and bits, and what `model` says
/// (architecture, depth, instruction set). SHA-256 in hexadecimal.
pub fn key<B: Backend>(backend: &B, params: &Params<B>, model: &str, encoded: &Encoded) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("prefix 2\n{model}\n{} rows\n", encoded.len()));
    for words in [&encoded.ids, &encoded.type_ids, &encoded.offsets] {
        words.chunks(1 << 14).for_each(|block| {
            hash.update(block.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>());
        });
    }
    for id in params.layout().ids().filter(|&id| !params.is_trainable(id)) {
        let entry = params.layout().entry(id);
        hash.update(format!("\n{} {:?}\n", entry.name, entry.shape.dims()));
        for block in backend.download(params.get(id).data).chunks(1 << 14) {
            hash.update(block.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
        }
    }
    hex(&hash.finalize())
}

impl<B: Backend> PrefixCache<B> {
    /// An empty cache that grows in memory up to [`bytes`].
    pub fn in_memory(lengths: Vec<usize>) -> PrefixCache<B> {
        let rows = Rows::Memory(vec![None; lengths.len()]);
        PrefixCache::new(lengths, rows)
    }

    fn new(lengths: Vec<usize>, rows: Rows<B>) -> PrefixCache<B> {
        PrefixCache { lengths, rows, complaint: None, is_full: false, gives_room_back: false }
    }

    /// A cache in the file `KEY.prefix` of `folder`, with what an earlier run left there under the same key. Its memory does not grow.
    ///
    /// # Errors
    /// The folder or the file cannot be made or read.
    pub fn in_file(folder: &Path, key: &str, lengths: Vec<usize>) -> Result<PrefixCache<B>, TrainError> {
        let rows = Rows::File(RowFile::open(folder, key, &lengths)?);
        Ok(PrefixCache::new(lengths, rows))
    }

    /// Empties the file where it takes no more: for one on the disk that checkpoints go to, of which a run needs the room more.
    pub fn giving_room_back(self) -> PrefixCache<B> {
        PrefixCache { gives_room_back: true, ..self }
    }

    /// An empty cache in the device's own memory, whole from the start, stored as activations are: for devices that would have to copy from the host.
    /// `width` is that of hidden states.
    pub fn on_device(backend: &B, lengths: Vec<usize>, width: usize) -> PrefixCache<B> {
        let rows = Rows::Device(OnDevice::new(backend, &lengths, width));
        PrefixCache::new(lengths, rows)
    }

    /// Copies a row to `out` and says whether it is there.
    fn read(&mut self, row: usize, out: &mut [f32]) -> Result<bool, TrainError> {
        match &mut self.rows {
            Rows::Memory(rows) => Ok(rows[row].as_ref().is_some_and(|values| {
                out.copy_from_slice(values);
                true
            })),
            Rows::File(file) => file.read(row, out),
            Rows::Device(_) => unreachable!("its rows do not come to the host"),
        }
    }

    /// Keeps a row. Where the file takes no more (a full disk), this one and later ones are computed again whenever they are read: a cache ends no run.
    fn write(&mut self, row: usize, values: &[f32]) {
        match &mut self.rows {
            Rows::Memory(rows) => rows[row] = Some(values.into()),
            Rows::File(_) if self.is_full => {}
            Rows::File(file) => {
                if let Err(error) = file.write(row, values) {
                    self.is_full = true;
                    if self.gives_room_back {
                        file.empty();
                    }
                    self.complaint =
                        Some(format!("outputs of frozen layers are no longer kept, but computed again: {error}"));
                }
            }
            Rows::Device(_) => unreachable!("its rows do not come from the host"),
        }
    }

    /// The hidden states of `rows`, one below the other: what is there, and the rest computed and kept.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn hidden(
        &mut self,
        backend: &B,
        prefix: &dyn FrozenPrefix<B>,
        params: &Params<B>,
        pool: &mut Pool<B>,
        encoded: &Encoded,
        rows: &[usize],
    ) -> Result<Hidden<B>, TrainError> {
        if let Rows::Device(device) = &mut self.rows {
            return Ok(Hidden::There(device.hidden(backend, prefix, params, pool, encoded, rows)));
        }
        let mut hidden = vec![0.0; rows.iter().map(|&row| self.lengths[row]).sum()];
        let mut missing = Vec::new();
        let mut at = 0;
        for &row in rows {
            let place = at..at + self.lengths[row];
            at = place.end;
            if !self.read(row, &mut hidden[place.clone()])? {
                missing.push((row, place));
            }
        }
        if missing.is_empty() {
            return Ok(Hidden::Here(hidden));
        }
        let anew = distinct(missing.iter().map(|(row, _)| *row));
        let mut tape = Tape::inference(backend, params, pool);
        let computed = prefix.hidden(&mut tape, &Batch::gather(encoded, &anew));
        let mut computed = &tape.download(computed)[..];
        for row in anew {
            let (values, rest) = computed.split_at(self.lengths[row]);
            self.write(row, values);
            for (_, place) in missing.iter().filter(|(of, _)| *of == row) {
                hidden[place.clone()].copy_from_slice(values);
            }
            computed = rest;
        }
        Ok(Hidden::Here(hidden))
    }
}

/// Each of the rows once: a pass of balanced classes may hold one several times.
fn distinct(rows: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut rows: Vec<usize> = rows.collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// What the frozen prefix gave for some rows.
pub enum Hidden<B: Backend> {
    /// In host memory.
    Here(Vec<f32>),
    /// On the device, `(positions, width)`.
    There(Tensor<B>),
}

/// What a forward pass starts from.
pub enum Start<B: Backend> {
    /// The tokens.
    Tokens,
    /// What the frozen prefix gave for the batch's rows.
    Hidden(Hidden<B>),
}

impl<B: Backend> Start<B> {
    /// From the cache, if there is one and the model has a frozen prefix.
    ///
    /// # Errors
    /// As [`PrefixCache::hidden`].
    pub fn of(
        cache: Option<&mut PrefixCache<B>>,
        backend: &B,
        model: &dyn Classifier<B>,
        params: &Params<B>,
        pool: &mut Pool<B>,
        encoded: &Encoded,
        rows: &[usize],
    ) -> Result<Start<B>, TrainError> {
        match (cache, model.frozen_prefix()) {
            (Some(cache), Some(prefix)) => {
                cache.hidden(backend, prefix, params, pool, encoded, rows).map(Start::Hidden)
            }
            _ => Ok(Start::Tokens),
        }
    }

    /// The logits of the batch; the same bits from either start.
    pub fn logits(self, tape: &mut Tape<'_, B>, model: &dyn Classifier<B>, batch: &Batch, mode: Mode) -> Var {
        match (self, model.frozen_prefix()) {
            (Start::Hidden(hidden), Some(prefix)) => {
                let hidden = match hidden {
                    Hidden::Here(hidden) => {
                        tape.constant_from([hidden.len() / prefix.width(), prefix.width()], &hidden)
                    }
                    Hidden::There(hidden) => tape.constant(hidden),
                };
                prefix.logits_from(tape, hidden, batch, mode)
            }
            _ => model.logits(tape, batch, mode),
        }
    }
}
