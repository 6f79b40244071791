//! The proof of the store: fail every disk operation in turn, kill the process at every one, and lose every part of what was
//! not synced. Afterwards the newest checkpoint is exactly the old or the new one, whole, and saving goes on.

use std::path::Path;

use super::faults::{Fault, FaultDisk, Torn};
use super::replace::replace_file_on;
use super::*;

const ENOSPC: i32 = 28;
const EIO: i32 = 5;
const EROFS: i32 = 30;

/// What lies in the store before the commit under test, and that commit.
#[derive(Debug, Clone, Copy)]
struct Scenario {
    before: &'static [u64],
    keep: usize,
    step: u64,
}

const SCENARIOS: [Scenario; 9] = [
    Scenario { before: &[], keep: 1, step: 10 },
    Scenario { before: &[10], keep: 1, step: 20 },
    Scenario { before: &[10, 20], keep: 2, step: 30 },
    Scenario { before: &[10, 20], keep: 1, step: 30 },
    Scenario { before: &[10], keep: 1, step: 10 },
    Scenario { before: &[10, 20], keep: 2, step: 20 },
    Scenario { before: &[10, 20], keep: 1, step: 20 },
    Scenario { before: &[10, 20, 30], keep: 1, step: 40 },
    Scenario { before: &[0], keep: 2, step: 0 },
];

/// A run folder with an attic beside it.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        // In memory where the system offers it: thousands of states are tried, and none needs a real disk.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        std::fs::create_dir(folder.path().join("run")).unwrap();
        std::fs::create_dir(folder.path().join("attic")).unwrap();
        World { folder }
    }

    fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    fn disk(&self, fault: Option<Fault>) -> FaultDisk {
        FaultDisk::new(&self.folder.path().join("attic"), fault)
    }

    fn open(&self, keep: usize) -> Store {
        Store::open_on(&self.run(), CHECKPOINTS, keep, Box::new(self.disk(None))).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.run().join(CHECKPOINTS)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn model(step: u64, version: u8) -> Vec<u8> {
    (0..200).map(|index| (step as u8).wrapping_mul(7) ^ version ^ index).collect()
}

/// `version` tells two saves of one step apart.
fn save(store: &mut Store, step: u64, version: u8) -> Result<Committed, TrainError> {
    let weights = model(step, version);
    let state = |output: &mut dyn io::Write| write!(output, "step {step} version {version}");
    let files = [("model.bin", Contents::Bytes(&weights)), ("state.txt", Contents::Writer(&state))];
    let mut fingerprint = Fingerprint::default();
    fingerprint.fix("seed", version);
    store.commit(step, &fingerprint, &files)
}

/// Which version of its step this checkpoint is, after comparing all of it.
#[track_caller]
fn version(checkpoint: &Checkpoint) -> u8 {
    let version: u8 = checkpoint.fingerprint().immutable["seed"].parse().unwrap();
    let step = checkpoint.step();
    assert_eq!(checkpoint.manifest().files.keys().collect::<Vec<_>>(), ["model.bin", "state.txt"]);
    assert_eq!(checkpoint.read("model.bin").unwrap(), model(step, version));
    assert_eq!(checkpoint.read("state.txt").unwrap(), format!("step {step} version {version}").into_bytes());
    version
}

impl Scenario {
    /// A store in the state before the commit, on a disk that will fail as told after that.
    fn prepare(&self, world: &World, fault: Option<Fault>) -> (Store, FaultDisk) {
        // What came before is on stable storage: no change of it is volatile.
        let mut store = world.open(self.before.len().max(1));
        for &step in self.before {
            save(&mut store, step, 1).unwrap();
        }
        let disk = world.disk(fault);
        store.disk = Box::new(disk.clone());
        store.keep = self.keep;
        (store, disk)
    }

    /// The newest checkpoint is the old or the new one, and every checkpoint is whole. Returns whether it is the new one.
    fn check(&self, store: &Store, context: &dyn std::fmt::Debug) -> bool {
        let latest = store.latest().unwrap_or_else(|error| panic!("{context:?}: {error}"));
        for step in store.steps().unwrap() {
            version(&store.checkpoint(step).unwrap_or_else(|error| panic!("{context:?}: {error}")));
        }
        let found = latest.map(|checkpoint| (checkpoint.step(), version(&checkpoint)));
        let (old, new) = (self.before.last().map(|&step| (step, 1)), Some((self.step, 2)));
        assert!(found == old || found == new, "{context:?}: {found:?}");
        found == new
    }

    /// What must hold after a new process has opened the store: as `check`, no litter, and saving goes on.
    fn check_recovered(&self, world: &World, committed: bool, context: &dyn std::fmt::Debug) {
        let mut store = world.open(self.keep);
        let is_new = self.check(&store, context);
        assert!(is_new || !committed, "{context:?}: a finished commit is lost");
        assert!(world.names().iter().all(|name| name.starts_with("step-")), "{context:?}: {:?}", world.names());
        save(&mut store, self.step + 10, 3).unwrap();
        assert_eq!(version(&store.latest().unwrap().unwrap()), 3, "{context:?}");
        assert_eq!(store.steps().unwrap().len(), self.keep.min(world.names().len()), "{context:?}");
    }
}

/// Fails operation 1, 2, 3 ... of a commit, once or from then on, until a commit runs through without meeting the fault.
#[test]
fn every_disk_operation_may_fail() {
    let mut failures = 0;
    for scenario in SCENARIOS {
        for code in [ENOSPC, EIO, EROFS] {
            for forever in [false, true] {
                for at in 1.. {
                    let world = World::new();
                    let fault = Fault { at, forever, code };
                    let context = (scenario, fault);
                    let (mut store, disk) = scenario.prepare(&world, Some(fault));
                    let result = save(&mut store, scenario.step, 2);
                    let met = disk.operations() >= at;
                    match &result {
                        Ok(committed) => assert!(scenario.check(&store, &context), "{context:?}: {committed:?}"),
                        Err(error) => {
                            assert!(met, "{context:?}: {error}");
                            assert_eq!(error.exit_code(), 5, "{context:?}: {error}");
                            assert!(error.to_string().contains(CHECKPOINTS), "{error}");
                        }
                    }
                    // While the process lives on: after a passing fault the same store saves again.
                    if met && !forever {
                        scenario.check(&store, &context);
                        let retried = save(&mut store, scenario.step, 2).unwrap();
                        assert_eq!(retried.warning, None, "{context:?}");
                        assert!(scenario.check(&store, &context));
                    }
                    scenario.check_recovered(&world, result.is_ok() || !forever, &context);
                    if !met {
                        break;
                    }
                    failures += 1;
                }
            }
        }
    }
    assert!(failures >= 500, "only {failures} failures were tried");
}

/// Kills at every operation and loses every subset (at most 64 of them) of the changes that were not synced.
#[test]
fn power_may_fail_at_any_moment() {
    let mut states = 0;
    for scenario in SCENARIOS {
        for at in 1.. {
            let mut met = false;
            for torn in [Torn::Empty, Torn::Half, Torn::Zeros] {
                for variant in 0..64_u64 {
                    let world = World::new();
                    let (mut store, disk) = scenario.prepare(&world, Some(Fault { at, forever: true, code: EIO }));
                    let committed = save(&mut store, scenario.step, 2).is_ok_and(|done| done.warning.is_none());
                    met = disk.operations() >= at;
                    let (changes, writes) = disk.volatile_changes();
                    let lost = if changes <= 6 { variant } else { scattered(variant) };
                    if (changes <= 6 && variant >> changes != 0) || (torn != Torn::Empty && !writes) {
                        break;
                    }
                    disk.crash(lost, torn);
                    scenario.check_recovered(&world, committed, &(scenario, at, lost, torn));
                    states += 1;
                }
            }
            if !met {
                break;
            }
        }
    }
    assert!(states >= 2000, "only {states} states were tried");
}

/// All bits, no bit, then well-mixed ones (the finaliser of SplitMix64).
fn scattered(variant: u64) -> u64 {
    if variant < 2 {
        return 0_u64.wrapping_sub(variant);
    }
    let mixed = variant.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

/// A second crash while the first is being cleaned up.
#[test]
fn recovery_may_be_killed_too() {
    for scenario in SCENARIOS {
        for at in 1.. {
            let mut met = false;
            for second in 1.. {
                let world = World::new();
                let (mut store, disk) = scenario.prepare(&world, Some(Fault { at, forever: true, code: EIO }));
                let committed = save(&mut store, scenario.step, 2).is_ok();
                met = disk.operations() >= at;
                let reopening = world.disk(Some(Fault { at: second, forever: true, code: EIO }));
                let reopened = Store::open_on(&world.run(), CHECKPOINTS, scenario.keep, Box::new(reopening.clone()));
                reopening.crash(scattered(second as u64), Torn::Half);
                scenario.check_recovered(&world, committed, &(scenario, at, second));
                if reopened.is_ok() {
                    break;
                }
            }
            if !met {
                break;
            }
        }
    }
}

#[test]
fn a_replaced_file_is_the_old_or_the_new_one() {
    let read = |path: &Path| std::fs::read(path).ok();
    for old in [None, Some(b"the old bytes".to_vec())] {
        let new = Some(b"new bytes, more of them".to_vec());
        for forever in [false, true] {
            for at in 1.. {
                for lost in 0..16 {
                    let world = World::new();
                    let path = world.run().join("results.json");
                    old.iter().for_each(|bytes| std::fs::write(&path, bytes).unwrap());
                    let disk = world.disk(Some(Fault { at, forever, code: ENOSPC }));
                    let result = replace_file_on(&disk, &path, new.as_ref().unwrap());
                    if forever {
                        disk.crash(lost, Torn::Half);
                    }
                    let found = read(&path);
                    assert!(found == old || found == new, "{at} {forever} {lost}: {found:?}");
                    assert!(result.is_err() || found == new, "{at} {forever} {lost}");
                    replace_file_on(&world.disk(None), &path, b"later").unwrap();
                    assert_eq!(read(&path).unwrap(), b"later");
                    assert_eq!(std::fs::read_dir(world.run()).unwrap().count(), 1);
                }
                let world = World::new();
                let disk = world.disk(None);
                replace_file_on(&disk, &world.run().join("f"), b"x").unwrap();
                if at > disk.operations() {
                    break;
                }
            }
        }
    }
}
