//! Files that PyTorch itself wrote (`tests/golden/pickled.py`), in both layouts and in shards, hold what the safetensors files
//! beside them hold; damage anywhere gives an error or tensors, never a panic.

use super::*;
use crate::checkpoint::read::{Format, WeightsFile};
use crate::checkpoint::{Dtype, inspect};
use crate::pretrained::{self, Head};
use ferrotune_tensor::Cpu;
use proptest::prelude::*;
use std::path::PathBuf;

const LAYOUTS: [&str; 2] = ["zip", "legacy"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/pickled").join(name)
}

fn bytes_of(name: &str) -> Vec<u8> {
    fs::read(fixture(name)).unwrap()
}

fn folder_of(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, from) in files {
        fs::copy(fixture(from), folder.path().join(name)).unwrap();
    }
    folder
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn both_layouts_hold_what_safetensors_hold() {
    let expected = folder_of(&[("model.safetensors", "mixed.safetensors")]);
    let listed = inspect(expected.path()).unwrap();
    let weights: Vec<TensorSpec> = listed
        .tensors
        .iter()
        .filter(|tensor| tensor.dtype.is_weight())
        .map(|tensor| TensorSpec { name: tensor.name.clone(), shape: tensor.shape.clone() })
        .collect();
    let is_buffer = |name: &str| name.starts_with("buffer.");
    let (report, values) = load_all(expected.path(), &weights, &is_buffer).unwrap();
    assert_eq!((weights.len(), report.ignored.len()), (14, 7));
    assert_eq!(report.dtypes, [(Dtype::F16, 2), (Dtype::BF16, 1), (Dtype::F32, 11)].into());
    for layout in LAYOUTS {
        let folder = folder_of(&[("pytorch_model.bin", &format!("mixed.{layout}.bin"))]);
        let inspection = inspect(folder.path()).unwrap();
        assert_eq!(inspection.tensors, listed.tensors, "{layout}");
        assert_eq!(inspection.files[0].name, "pytorch_model.bin");
        let (same, read) = load_all(folder.path(), &weights, &is_buffer).unwrap();
        assert_eq!(same, report, "{layout}");
        for ((spec, values), read) in weights.iter().zip(&values).zip(&read) {
            assert_eq!(bits(read.as_ref().unwrap()), bits(values.as_ref().unwrap()), "{layout}: {}", spec.name);
        }
    }
}

#[test]
fn a_model_loads_to_the_same_parameters() {
    let head = Head::Vocabulary { seed: 0 };
    let expected = pretrained::load(&Cpu, &fixture("model"), head).unwrap();
    assert_eq!(expected.report.newly_initialised, []);
    let index = "pytorch_model.bin.index.json";
    let shards = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"];
    let inside = [index, shards[0], shards[1]].map(|name| format!("sharded/{name}"));
    for (what, files, count) in [
        ("zip", vec![("pytorch_model.bin", "model.zip.bin")], 1),
        ("legacy", vec![("pytorch_model.bin", "model.legacy.bin")], 1),
        ("shards", vec![(index, &*inside[0]), (shards[0], &*inside[1]), (shards[1], &*inside[2])], 2),
    ] {
        let folder = folder_of(&[&[("config.json", "model/config.json")], files.as_slice()].concat());
        let loaded = pretrained::load(&Cpu, folder.path(), head).unwrap();
        assert_eq!(bits(loaded.params.flat()), bits(expected.params.flat()), "{what}");
        assert_eq!(loaded.report.loaded, expected.report.loaded, "{what}");
        // gamma and beta of four norms; the decoder's two other names and a buffer.
        assert_eq!((loaded.report.renamed.len(), loaded.report.files), (8, count), "{what}");
        let left = ["bert.embeddings.position_ids", "cls.predictions.decoder.bias", "cls.predictions.decoder.weight"];
        assert_eq!(loaded.report.ignored, left, "{what}");
    }
}

#[test]
fn safetensors_go_first() {
    for pickled in ["pytorch_model.bin", "pytorch_model.bin.index.json"] {
        let folder =
            folder_of(&[("config.json", "model/config.json"), ("model.safetensors", "model/model.safetensors")]);
        fs::write(folder.path().join(pickled), "not even a pickle").unwrap();
        pretrained::load(&Cpu, folder.path(), Head::Vocabulary { seed: 0 }).unwrap();
    }
}

/// Reads everything in a file of these bytes, or the error, which is one short line.
fn read_all(folder: &Path, bytes: &[u8]) -> Result<usize, BertError> {
    let path = folder.join("pytorch_model.bin");
    // Some file systems bring a file that is written over to the disk at once, which takes a thousand times as long.
    let _ = fs::remove_file(&path);
    fs::write(&path, bytes).unwrap();
    let read = || {
        let file = WeightsFile::open(&path, Format::PyTorch)?;
        let mut reader = file.reader()?;
        for tensor in file.header.tensors.iter().filter(|tensor| tensor.dtype.is_weight()) {
            let values = reader.values(tensor)?;
            assert_eq!(values.len(), tensor.shape.iter().product::<usize>());
        }
        Ok(file.header.tensors.len())
    };
    read().inspect_err(|error| {
        told(error, folder);
    })
}

#[test]
fn every_truncation_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for layout in LAYOUTS {
        let good = bytes_of(&format!("mixed.{layout}.bin"));
        assert_eq!(read_all(folder.path(), &good).unwrap(), 21);
        for length in 0..good.len() {
            assert!(read_all(folder.path(), &good[..length]).is_err(), "{layout}, {length} bytes");
        }
    }
}

#[test]
fn every_damaged_byte_is_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    for layout in LAYOUTS {
        let good = bytes_of(&format!("mixed.{layout}.bin"));
        let mut refused = 0;
        for at in 0..good.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] ^= change;
                refused += usize::from(read_all(folder.path(), &bytes).is_err());
            }
        }
        // Most of a file of this size is padding and directory, of which much is not used.
        assert!(refused > good.len() / 2, "{layout}: {refused} of {}", 3 * good.len());
    }
}

/// Instructions and what belongs to them, so that random sequences get somewhere.
fn instruction() -> impl Strategy<Value = Vec<u8>> {
    let global = |module: &str, name: &str| format!("c{module}\n{name}\n").into_bytes();
    prop_oneof![
        prop::sample::select(b"(.01N\x88\x89)\x85\x86\x87t]}aesuRQb\x94".to_vec()).prop_map(|code| vec![code]),
        any::<u8>().prop_map(|number| vec![b'K', number]),
        any::<i32>().prop_map(|number| [b"J".as_slice(), &number.to_le_bytes()].concat()),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|number| [&[0x8a, number.len() as u8], &*number].concat()),
        (0..4u8).prop_map(|index| vec![b'q', index]),
        (0..4u8).prop_map(|index| vec![b'h', index]),
        prop::sample::select(vec!["storage", "0", "cpu", "w", ""]).prop_map(|text| [
            &[0x8c, text.len() as u8],
            text.as_bytes()
        ]
        .concat()),
        Just(global("collections", "OrderedDict")),
        Just(global("torch", "FloatStorage")),
        Just(global("torch._utils", "_rebuild_tensor_v2")),
        Just(global("torch._utils", "_rebuild_parameter")),
        any::<u8>().prop_map(|code| vec![code]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_change_of_bytes_never_panics(
        layout in prop::sample::select(LAYOUTS.to_vec()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of((any::<prop::sample::Index>(), 1..40usize)),
    ) {
        let mut bytes = bytes_of(&format!("mixed.{layout}.bin"));
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some((at, count)) = cut {
            let at = at.index(bytes.len());
            bytes.drain(at..(at + count).min(bytes.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        let _ = read_all(folder.path(), &bytes);
    }

    #[test]
    fn any_instructions_never_panic(body in prop::collection::vec(instruction(), 0..60)) {
        let pickle = [b"\x80\x02".as_slice(), &body.concat(), b"."].concat();
        let folder = tempfile::tempdir().unwrap();
        let _ = read_all(folder.path(), &pickled::zip_of(&[("x/data.pkl", &pickle), ("x/data/0", &[0; 8])]));
        let _ = read_all(folder.path(), &pickled::behind_the_magic(&pickle, &["0"], &[0; 16]));
    }
}
