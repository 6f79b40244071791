//! Properties of reading: damage anywhere gives an error or the same tensors, never a panic.

use super::*;
use crate::checkpoint::header::read_header;
use proptest::prelude::*;

fn small_file() -> Vec<u8> {
    stored(&[sample("bert.a", "F32", &[2, 2]), sample("bert.b", "BF16", &[3]), sample("cls.c", "F16", &[1])])
}

fn wanted() -> Vec<TensorSpec> {
    specs(&[("bert.a", &[2, 2]), ("bert.b", &[3])])
}

fn load_bytes(bytes: &[u8]) -> Result<Values, BertError> {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path(), &[("model.safetensors", bytes.to_vec())]);
    let loaded = load_all(folder.path(), &wanted(), &nothing_optional);
    if let Err(error) = &loaded {
        told(error, folder.path());
    }
    loaded.map(|(_, values)| values)
}

#[test]
fn every_single_bit_flip_of_the_header_parses_or_is_refused() {
    let good = small_file();
    let path = Path::new("model.safetensors");
    let header = 8 + u64::from_le_bytes(*good.first_chunk().unwrap()) as usize;
    let original = read_header(&mut good.as_slice(), good.len() as u64, path).unwrap();
    let mut accepted = 0;
    for bit in 0..header * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(parsed) = read_header(&mut bytes.as_slice(), bytes.len() as u64, path) {
            accepted += 1;
            // Only letters of names, or a type of the same width, can change without a contradiction.
            let places = |header: &super::super::stored::Header| -> Vec<(u64, u64)> {
                header.tensors.iter().map(|tensor| (tensor.begin, tensor.bytes)).collect()
            };
            assert_eq!(places(&parsed), places(&original), "bit {bit}");
        }
    }
    assert!(accepted < header, "{accepted} of {} flips went unnoticed", header * 8);
}

#[test]
fn every_truncation_is_refused() {
    let good = small_file();
    assert!(load_bytes(&good).is_ok());
    for length in 0..good.len() {
        assert!(load_bytes(&good[..length]).is_err(), "{length} bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_change_of_bytes_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        tail in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let mut bytes = small_file();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.extend(&tail);
        let loaded = load_bytes(&bytes);
        prop_assert!(tail.is_empty() || loaded.is_err());
        for values in loaded.into_iter().flatten().flatten() {
            prop_assert!(values.iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn any_header_text_never_panics(header in "[{}\\[\\]\":,0-9a-zF ]{0,80}", data in prop::collection::vec(any::<u8>(), 0..16)) {
        let _ = load_bytes(&framed(&header, &data));
    }

    #[test]
    fn finite_values_come_back_bit_for_bit(values in prop::collection::vec(any::<f32>().prop_filter("finite", |value| value.is_finite()), 1..40)) {
        let shape = [values.len()];
        let folder = tempfile::tempdir().unwrap();
        let file = Sample { name: "w".to_string(), dtype: "F32", shape: shape.to_vec(), values: values.clone() };
        write_files(folder.path(), &[("model.safetensors", stored(&[file]))]);
        let (_, loaded) = load_all(folder.path(), &specs(&[("w", &shape)]), &nothing_optional).unwrap();
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(loaded[0].as_ref().unwrap()), bits(&values));
    }
}
