//! Rows come back as they were written or not at all.

use super::*;
use ferrotune_tensor::Layout;
use std::cell::Cell;
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
        cache.write(2, &values(2));
        cache.write(0, &values(0));
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
    let write_all = |cache: &mut PrefixCache| (0..4).for_each(|row| cache.write(row, &values(row)));
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
    cache.write(7, &[0.0; 4]);
    assert!(cache.read(7, &mut out).unwrap());
}

/// A disk that is full costs time and no run.
#[test]
fn a_file_that_takes_no_more_is_read_on_and_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let cache: PrefixCache = PrefixCache::in_file(folder.path(), "key", vec![2; 3]).unwrap();
    let mut caches = PrefixCaches { train: cache, validation: None };
    caches.train.write(0, &[1.0, 2.0]);
    assert_eq!(caches.complaint(), None);
    let Rows::File(file) = &mut caches.train.rows else { unreachable!() };
    file.refuse_writing();
    caches.train.write(1, &[3.0, 4.0]);
    caches.train.write(2, &[5.0, 6.0]);
    let mut out = [0.0; 2];
    assert!(caches.train.read(0, &mut out).unwrap() && out == [1.0, 2.0]);
    assert!(!caches.train.read(1, &mut out).unwrap() && !caches.train.read(2, &mut out).unwrap());
    assert!(caches.complaint().unwrap().contains("no longer kept") && caches.complaint().is_none());
}

/// On the disk of the checkpoints the room is worth more than the time.
#[test]
fn a_file_that_takes_no_more_gives_its_room_back() {
    let folder = tempfile::tempdir().unwrap();
    let open = || -> PrefixCache { PrefixCache::in_file(folder.path(), "key", vec![1000; 3]).unwrap() };
    let (mut cache, mut beside) = (open().giving_room_back(), open());
    cache.write(0, &[1.0; 1000]);
    let Rows::File(file) = &mut cache.rows else { unreachable!() };
    file.refuse_writing();
    let mut out = [0.0; 1000];
    assert!(cache.read(0, &mut out).unwrap() && beside.read(0, &mut out).unwrap());
    cache.write(1, &[2.0; 1000]);
    cache.write(2, &[3.0; 1000]);
    for row in 0..3 {
        assert!(!cache.read(row, &mut out).unwrap() && !beside.read(row, &mut out).unwrap(), "row {row}");
    }
    let size = std::fs::metadata(folder.path().join("key.prefix")).unwrap().len();
    assert!(size < 1000, "{size}");
    assert!(!open().read(0, &mut out).unwrap(), "a later run begins a new one");
}

/// Gives each token its id and the half of it, and counts the tokens that it was asked for.
struct Halves(Cell<usize>);

impl FrozenPrefix<Cpu> for Halves {
    fn width(&self) -> usize {
        2
    }

    fn one_state_a_row(&self) -> bool {
        false
    }

    fn hidden(&self, tape: &mut Tape<'_>, batch: &Batch) -> Var {
        self.0.set(self.0.get() + batch.tokens());
        let values: Vec<f32> = batch.ids.iter().flat_map(|&id| [id as f32, 0.5 * id as f32]).collect();
        tape.constant_from([batch.tokens(), 2], &values)
    }

    fn logits_from(&self, _: &mut Tape<'_>, hidden: Var, _: &Batch, _: Mode) -> Var {
        hidden
    }
}

/// Balanced classes draw a row several times for one pass. What adds it up must not keep a multiple of it.
#[test]
fn a_row_that_comes_twice_in_a_pass_is_computed_once_and_kept_as_it_is() {
    let encoded = Encoded {
        ids: vec![3, 5, 7, 9, 11, 13],
        type_ids: vec![0; 6],
        offsets: vec![0, 2, 3, 6],
        truncated: Vec::new(),
        longest_untruncated: 3,
        windows: Vec::new(),
        words: None,
    };
    let folder = tempfile::tempdir().unwrap();
    let lengths = lengths::<Cpu>(&Halves(Cell::new(0)), &encoded);
    let params = Params::zeros(&Cpu, Layout::new());
    for mut cache in [
        PrefixCache::in_memory(lengths.clone()),
        PrefixCache::in_file(folder.path(), "key", lengths.clone()).unwrap(),
        PrefixCache::on_device(&Cpu, lengths.clone(), 2),
    ] {
        let (prefix, mut pool) = (Halves(Cell::new(0)), Pool::new(Cpu));
        // The second time all is there.
        for _ in 0..2 {
            for (rows, ids) in
                [(&[1, 0, 1][..], &[7, 3, 5, 7][..]), (&[2, 0, 2, 2], &[9, 11, 13, 3, 5, 9, 11, 13, 9, 11, 13])]
            {
                let hidden = match cache.hidden(&Cpu, &prefix, &params, &mut pool, &encoded, rows).unwrap() {
                    Hidden::Here(hidden) => hidden,
                    Hidden::There(hidden) => Cpu.download(hidden.data()),
                };
                let expected: Vec<f32> = ids.iter().flat_map(|&id| [id as f32, 0.5 * id as f32]).collect();
                assert_eq!(hidden, expected, "{rows:?}");
            }
        }
        assert_eq!(prefix.0.get(), encoded.tokens());
    }
}
