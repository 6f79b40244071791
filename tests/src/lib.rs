//! Support for the integration tests: fixtures, comparison, a classifier for the trainer. Must not hold a test.
#![forbid(unsafe_code)]

use ferrotune_bert::Sequences;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

// The binary's own adapter, so that the tests train what users train.
#[path = "../../crates/ferrotune-cli/src/model/classifier.rs"]
mod model;
pub use model::{BertClassifier, head_kind};

/// A path below `tests/golden`. A binary that was carried to another machine finds the fixtures where `FERROTUNE_GOLDEN` says.
pub fn golden(name: &str) -> PathBuf {
    let here = || Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    std::env::var_os("FERROTUNE_GOLDEN").map_or_else(here, PathBuf::from).join(name)
}

/// The tensors of a fixture.
pub struct Fixture {
    bytes: Vec<u8>,
}

impl Fixture {
    /// Reads `tests/golden/NAME/golden.safetensors`.
    pub fn read(name: &str) -> Fixture {
        let path = golden(name).join("golden.safetensors");
        Fixture { bytes: std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())) }
    }

    fn words<T>(&self, name: &str, of: impl Fn([u8; 4]) -> T) -> Vec<T> {
        let tensors = SafeTensors::deserialize(&self.bytes).expect("a fixture is well-formed");
        let view = tensors.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        view.data().as_chunks::<4>().0.iter().map(|&word| of(word)).collect()
    }

    /// A tensor of numbers.
    pub fn floats(&self, name: &str) -> Vec<f32> {
        self.words(name, f32::from_le_bytes)
    }

    /// A tensor of ids.
    pub fn ids(&self, name: &str) -> Vec<u32> {
        self.words(name, |word| i32::from_le_bytes(word) as u32)
    }

    /// The ragged batch of the fixture.
    pub fn sequences(&self) -> Sequences {
        sequences(self.ids("ids"), self.ids("type_ids"), self.ids("offsets"))
    }
}

/// A ragged batch with positions counted from 0 in each sequence.
pub fn sequences(ids: Vec<u32>, type_ids: Vec<u32>, offsets: Vec<u32>) -> Sequences {
    let positions = offsets.windows(2).flat_map(|pair| 0..pair[1] - pair[0]).collect();
    Sequences { ids, type_ids, positions, offsets: offsets.into() }
}

/// `|a − b| <= tolerance · max(floor, max|b|)` for every element.
#[track_caller]
pub fn assert_close(what: &str, got: &[f32], wanted: &[f32], tolerance: f32, floor: f32) {
    assert_eq!(got.len(), wanted.len(), "{what}: length");
    let unit = wanted.iter().fold(floor, |unit, w| unit.max(w.abs()));
    for (i, (g, w)) in got.iter().zip(wanted).enumerate() {
        let error = (g - w).abs() / unit;
        assert!(error <= tolerance, "{what}[{i}]: {g}, expected {w}: {error:e} > {tolerance:e}");
    }
}

/// Runs `body` in a rayon pool of so many threads.
pub fn on_threads<R: Send>(threads: usize, body: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start").install(body)
}

/// The examples of `docs/library.md`: the test of this documentation compiles them as they stand there, and runs what needs no model.
#[cfg(doctest)]
#[doc = include_str!("../../docs/library.md")]
struct Library;
