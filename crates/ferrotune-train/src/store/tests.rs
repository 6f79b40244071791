//! The store on a healthy disk: what is kept, what is refused, what damage is found.

use super::*;
use crate::store::fingerprint::sha256_bytes;

struct Run {
    folder: tempfile::TempDir,
    lock: RunLock,
}

impl Run {
    fn new() -> Run {
        let folder = tempfile::tempdir().unwrap();
        let lock = RunLock::acquire(folder.path()).unwrap();
        Run { folder, lock }
    }

    fn open(&self, keep: usize) -> Store {
        Store::open(&self.lock, keep).unwrap()
    }

    fn path(&self, rest: &str) -> PathBuf {
        self.folder.path().join(CHECKPOINTS).join(rest)
    }
}

fn save(store: &mut Store, step: u64) -> Committed {
    let mut fingerprint = Fingerprint::default();
    fingerprint.fix("seed", 1);
    fingerprint.note("version", "0.1.0");
    let text = format!("weights of {step}");
    let write = |output: &mut dyn io::Write| (0..100_000).try_for_each(|row| writeln!(output, "{row}"));
    let files = [("model.bin", Contents::Bytes(text.as_bytes())), ("rows.txt", Contents::Writer(&write))];
    store.commit(step, &fingerprint, &files).unwrap()
}

#[test]
fn what_is_saved_is_read_back() {
    let run = Run::new();
    let mut store = run.open(2);
    assert!(store.latest().unwrap().is_none());
    assert_eq!(store.latest_intact().unwrap().1, Vec::<String>::new());
    let committed = save(&mut store, 1234);
    assert_eq!(committed.directory, run.path("step-00001234"));
    assert_eq!(committed.warning, None);
    let on_disk = committed.directory.read_dir().unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    assert_eq!(committed.bytes, on_disk.sum::<u64>());
    drop(store);
    let checkpoint = run.open(2).latest().unwrap().unwrap();
    assert_eq!(checkpoint.step(), 1234);
    assert_eq!(checkpoint.directory(), committed.directory);
    assert_eq!(checkpoint.fingerprint().immutable["seed"], "1");
    assert_eq!(checkpoint.manifest().files.keys().collect::<Vec<_>>(), ["model.bin", "rows.txt"]);
    assert_eq!(checkpoint.read("model.bin").unwrap(), b"weights of 1234");
    let rows: String = (0..100_000).map(|row| format!("{row}\n")).collect();
    assert_eq!(sha256_bytes(&checkpoint.read("rows.txt").unwrap()), sha256_bytes(rows.as_bytes()));
    let missing = checkpoint.read("optimizer.bin").unwrap_err();
    assert!(missing.to_string().contains("optimizer.bin"), "{missing}");
}

#[cfg(unix)]
#[test]
fn modes_follow_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    let run = Run::new();
    let committed = save(&mut run.open(1), 1);
    let reference = run.folder.path().join("plain");
    std::fs::write(&reference, "").unwrap();
    replace_file(&run.folder.path().join("replaced"), b"x").unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
    let written = ["model.bin", "rows.txt", "manifest.json"].map(|name| committed.directory.join(name));
    for path in written.iter().chain([&run.folder.path().join("replaced"), &run.folder.path().join("run.lock")]) {
        assert_eq!(mode(path), mode(&reference), "{}", path.display());
    }
}

#[test]
fn rotation_keeps_the_newest() {
    for keep in 1..=3 {
        let run = Run::new();
        let mut store = run.open(keep);
        for step in 1..=12_u64 {
            save(&mut store, step);
            let kept = (1..=step).filter(|&old| old + keep as u64 > step);
            assert_eq!(store.steps().unwrap(), kept.collect::<Vec<_>>(), "keep {keep}");
        }
    }
}

#[test]
fn steps_are_compared_as_numbers() {
    let run = Run::new();
    let mut store = run.open(9);
    for step in [9, 10, 99_999_999, 100_000_000, 1_000_000_000_000] {
        save(&mut store, step);
        assert_eq!(store.latest().unwrap().unwrap().step(), step);
    }
    let error = store.commit(11, &Fingerprint::default(), &[]).unwrap_err();
    assert!(matches!(error, TrainError::CheckpointAhead { step: 11, newest: 1_000_000_000_000, .. }), "{error}");
}

#[test]
fn a_step_saved_twice_is_replaced() {
    let run = Run::new();
    let mut store = run.open(1);
    save(&mut store, 5);
    let files = [("model.bin", Contents::Bytes(b"other"))];
    store.commit(5, &Fingerprint::default(), &files).unwrap();
    assert_eq!(store.latest().unwrap().unwrap().read("model.bin").unwrap(), b"other");
    assert_eq!(run.path("").read_dir().unwrap().count(), 1);
}

/// Any flipped bit and any missing tail of any file is found, and the error names the file.
#[test]
fn every_damage_is_found() {
    let run = Run::new();
    let mut store = run.open(1);
    let files = [("a.bin", Contents::Bytes(b"some bytes")), ("empty", Contents::Bytes(b""))];
    store.commit(7, &Fingerprint::default(), &files).unwrap();
    let directory = run.path("step-00000007");
    let whole = store.latest().unwrap().unwrap();
    for name in ["a.bin", "empty", "manifest.json"] {
        let path = directory.join(name);
        let good = std::fs::read(&path).unwrap();
        let check = |bytes: Option<&[u8]>| {
            match bytes {
                Some(bytes) => std::fs::write(&path, bytes).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            match store.latest() {
                Err(error) => assert!(error.exit_code() == 8 && error.to_string().contains(name), "{error}"),
                // White space between the tokens of the manifest carries nothing.
                Ok(found) => {
                    assert_eq!(name, "manifest.json");
                    assert_eq!(found.unwrap().manifest(), whole.manifest(), "{bytes:?}");
                }
            }
        };
        for index in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[index] ^= 1 << bit;
                check(Some(&bytes));
            }
            // All but the line end of the manifest.
            if index + 1 < good.len() || name != "manifest.json" {
                check(Some(&good[..index]));
                assert!(store.latest().is_err());
            }
        }
        check(Some(&[&good[..], b"x"].concat()));
        assert!(store.latest().is_err());
        check(None);
        std::fs::write(&path, &good).unwrap();
        assert!(store.latest().unwrap().is_some());
    }
    let read = whole.read("a.bin").unwrap();
    std::fs::write(directory.join("a.bin"), b"SOME bytes").unwrap();
    let error = whole.read("a.bin").unwrap_err();
    assert!(error.to_string().contains(&sha256_bytes(&read)), "{error}");
}

#[test]
fn a_damaged_checkpoint_is_set_aside_only_on_request() {
    let run = Run::new();
    let mut store = run.open(5);
    [10, 20, 30].into_iter().for_each(|step| drop(save(&mut store, step)));
    std::fs::remove_file(run.path("step-00000030/manifest.json")).unwrap();
    std::fs::write(run.path("step-00000020/model.bin"), "weights of 2O").unwrap();
    assert!(store.latest().unwrap_err().to_string().contains("step-00000030/manifest.json"));
    assert_eq!(store.steps().unwrap(), [10, 20, 30]);
    let (checkpoint, warnings) = store.latest_intact().unwrap();
    assert_eq!(checkpoint.unwrap().step(), 10);
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].starts_with("step 30 set aside") && warnings[0].contains("using step 10"), "{}", warnings[0]);
    assert!(warnings[1].contains("using step 10: model.bin is damaged: "), "{}", warnings[1]);
    assert!(!warnings.concat().contains("--overwrite"), "{warnings:?}");
    assert_eq!(store.steps().unwrap(), [10]);
    // The way is free, and damaged ones are never deleted nor overwritten.
    save(&mut store, 20);
    std::fs::remove_file(run.path("step-00000020/model.bin")).unwrap();
    store.latest_intact().unwrap();
    for name in ["damaged-00000020", "damaged-00000020-1", "damaged-00000030"] {
        assert!(run.path(name).is_dir(), "{name}");
    }
    std::fs::remove_file(run.path("step-00000010/model.bin")).unwrap();
    let error = store.latest_intact().unwrap_err();
    assert!(matches!(error, TrainError::CheckpointDamaged { .. }), "nothing intact is no fresh start: {error}");
    assert_eq!(store.steps().unwrap(), [10]);
}

#[test]
fn another_format_version_is_named() {
    let run = Run::new();
    let mut store = run.open(1);
    save(&mut store, 1);
    let path = run.path("step-00000001/manifest.json");
    std::fs::write(&path, "{\"format_version\": 2, \"parts\": []}").unwrap();
    for error in [store.latest().unwrap_err(), store.latest_intact().unwrap_err()] {
        assert!(matches!(error, TrainError::CheckpointVersion { found: 2, supported: 1, .. }), "{error}");
    }
}

#[test]
fn opening_sweeps_our_own_litter_alone() {
    let run = Run::new();
    save(&mut run.open(1), 3);
    let litter = [".tmp-4-99999", ".trash-2-1", ".old-3-1"];
    let foreign = ["notes", ".tmp-mine", ".trash-1", "damaged-00000001"];
    for name in litter.iter().chain(&foreign) {
        std::fs::create_dir(run.path(name)).unwrap();
        std::fs::write(run.path(name).join("file"), "x").unwrap();
    }
    std::fs::write(run.path(".tmp-5-5"), "a plain file is not of our making").unwrap();
    let store = run.open(1);
    assert_eq!(store.latest().unwrap().unwrap().step(), 3);
    litter.iter().for_each(|name| assert!(!run.path(name).exists(), "{name}"));
    foreign.iter().for_each(|name| assert!(run.path(name).join("file").exists(), "{name}"));
    assert!(run.path(".tmp-5-5").is_file());
}

#[test]
fn a_failing_writer_leaves_nothing() {
    let run = Run::new();
    let mut store = run.open(1);
    save(&mut store, 1);
    let fails = |output: &mut dyn io::Write| {
        output.write_all(b"half")?;
        Err(io::Error::other("tensor 3 cannot be written"))
    };
    let error = store.commit(2, &Fingerprint::default(), &[("model.bin", Contents::Writer(&fails))]).unwrap_err();
    assert!(error.to_string().contains("tensor 3"), "{error}");
    assert_eq!(run.path("").read_dir().unwrap().count(), 1);
    assert_eq!(store.latest().unwrap().unwrap().step(), 1);
}

#[cfg(unix)]
#[test]
fn links_are_refused() {
    use std::os::unix::fs::symlink;
    let elsewhere = tempfile::tempdir().unwrap();
    let victim = elsewhere.path().join("victim");
    std::fs::create_dir(&victim).unwrap();
    std::fs::write(victim.join("file"), "x").unwrap();

    let run = Run::new();
    symlink(&victim, run.folder.path().join(CHECKPOINTS)).unwrap();
    assert!(matches!(Store::open(&run.lock, 1), Err(TrainError::Symlink { .. })));

    for name in ["step-00000009", ".tmp-1-1", ".trash-1-1", ".old-1-1"] {
        let run = Run::new();
        save(&mut run.open(1), 1);
        symlink(&victim, run.path(name)).unwrap();
        assert!(matches!(Store::open(&run.lock, 1), Err(TrainError::Symlink { .. })), "{name}");
    }

    let run = Run::new();
    let mut store = run.open(1);
    let file = save(&mut store, 1).directory.join("model.bin");
    std::fs::rename(&file, elsewhere.path().join("moved")).unwrap();
    symlink(elsewhere.path().join("moved"), &file).unwrap();
    assert!(matches!(store.latest(), Err(TrainError::Symlink { .. })));
    assert_eq!(std::fs::read(victim.join("file")).unwrap(), b"x");
}

#[test]
#[should_panic(expected = "file name \"../x\" is not allowed")]
fn a_file_cannot_leave_the_folder() {
    let run = Run::new();
    let _ = run.open(1).commit(1, &Fingerprint::default(), &[("../x", Contents::Bytes(b""))]);
}

#[test]
#[should_panic(expected = "\"a\" given twice")]
fn a_file_cannot_be_given_twice() {
    let run = Run::new();
    let files = [("a", Contents::Bytes(b"")), ("a", Contents::Bytes(b""))];
    let _ = run.open(1).commit(1, &Fingerprint::default(), &files);
}
