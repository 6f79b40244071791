//! Rows come back as they were written or not at all.

use super::*;
use std::io::{Seek, SeekFrom, Write};

const LENGTHS: [usize; 4] = [3, 1, 5, 2];

fn values(row: usize) -> Vec<f32> {
    (0..LENGTHS[row]).map(|i| (row * 10 + i) as f32 * 0.1 - 1.0).collect()
}

/// Which rows are there, each compared with what was written.
fn there(cache: &mut PrefixCache) -> Vec<usize> {
    let mut found = Vec::new();
    for row in 0..LENGTHS.len() {
        let mut out = vec![f32::NAN; LENGTHS[row]];
        if cache.read(row, &mut out).unwrap() {
            assert_eq!(out, values(row), "row {row}");
            found.push(row);
        }
    }
    found
}

#[test]
fn rows_come_back_from_memory_and_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let in_file: PrefixCache = PrefixCache::in_file(folder.path(), "key", LENGTHS.to_vec()).unwrap();
    for mut cache in [PrefixCache::in_memory(LENGTHS.to_vec()), in_file] {
        assert!(there(&mut cache).is_empty());
        cache.write(2, &values(2)).unwrap();
        cache.write(0, &values(0)).unwrap();
        assert_eq!(there(&mut cache), [0, 2]);
    }
    let mut again: PrefixCache = PrefixCache::in_file(folder.path(), "key", LENGTHS.to_vec()).unwrap();
    assert_eq!(there(&mut again), [0, 2]);
    let mut other: PrefixCache = PrefixCache::in_file(folder.path(), "another key", LENGTHS.to_vec()).unwrap();
    assert!(there(&mut other).is_empty());
}

#[test]
fn a_damaged_row_is_missing_and_a_damaged_file_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let open = || -> PrefixCache { PrefixCache::in_file(folder.path(), "key", LENGTHS.to_vec()).unwrap() };
    let path = folder.path().join("key.prefix");
    let write_all = |cache: &mut PrefixCache| (0..4).for_each(|row| cache.write(row, &values(row)).unwrap());
    let spoil = |at: u64| {
        let mut file = std::fs::File::options().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[0xa5]).unwrap();
    };
    write_all(&mut open());
    assert_eq!(there(&mut open()), [0, 1, 2, 3]);
    // Row 1 starts after the header and row 0; one byte of its value changes.
    spoil(128 + 16 + 5);
    assert_eq!(there(&mut open()), [0, 2, 3]);
    spoil(3);
    assert!(there(&mut open()).is_empty(), "another header");
    write_all(&mut open());
    std::fs::File::options().write(true).open(&path).unwrap().set_len(150).unwrap();
    assert!(there(&mut open()).is_empty(), "a truncated file");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
}

/// Zeros are a row like any other, and an unwritten row is not a row of zeros.
#[test]
fn zeros_are_not_taken_for_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let mut cache: PrefixCache = PrefixCache::in_file(folder.path(), "key", vec![4; 1000]).unwrap();
    let mut out = [0.0; 4];
    for row in 0..1000 {
        assert!(!cache.read(row, &mut out).unwrap());
    }
    cache.write(7, &[0.0; 4]).unwrap();
    assert!(cache.read(7, &mut out).unwrap());
}
