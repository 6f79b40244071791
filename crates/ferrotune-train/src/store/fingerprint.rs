//! Is the run that resumes the run that was saved? A canonical map of settings and of data and model hashes travels in every
//! checkpoint and is compared key by key. Must not know what the settings mean: the caller puts them in as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::TrainError;

/// Name and value of everything that makes a run what it is. Numbers go in through `Display`, which in Rust writes the
/// shortest text that reads back to the same bits, so equal text means equal numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// A difference here means that the resumed run would be another run: seed, batch size, optimizer, schedule, model hash,
    /// data hashes, label order.
    pub immutable: BTreeMap<String, String>,
    /// A difference here is allowed and worth a warning, because the result may differ in the last bits: the
    /// processor's instruction set.
    pub noted: BTreeMap<String, String>,
}

/// One key whose value differs; `None` means that the key is absent on that side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The key.
    pub key: String,
    /// Its value when the checkpoint was saved.
    pub saved: Option<String>,
    /// Its value in the run that wants to resume.
    pub now: Option<String>,
}

impl fmt::Display for Difference {
    /// `seed was "1", now "2"`; values are escaped so that the text stays on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |value: &Option<String>| value.as_ref().map_or("absent".to_string(), |text| format!("{text:?}"));
        write!(f, "{} was {}, now {}", self.key, side(&self.saved), side(&self.now))
    }
}

impl Fingerprint {
    /// Adds a value that must not change. Panics when the key is already there: two settings under one name would hide each
    /// other.
    pub fn fix(&mut self, key: &str, value: impl fmt::Display) {
        let before = self.immutable.insert(key.to_string(), value.to_string());
        assert!(before.is_none(), "fingerprint: key {key:?} added twice");
    }

    /// Adds a value whose change is only worth a warning. Panics when the key is already there.
    pub fn note(&mut self, key: &str, value: impl fmt::Display) {
        let before = self.noted.insert(key.to_string(), value.to_string());
        assert!(before.is_none(), "fingerprint: key {key:?} added twice");
    }
}

/// Compares the fingerprint of a checkpoint with that of the run that wants to resume from it.
///
/// Returns the differing noted values (for a warning), or [`TrainError::ResumeMismatch`] with every differing immutable
/// value, keys present on one side alone included.
pub fn compare(saved: &Fingerprint, now: &Fingerprint) -> Result<Vec<Difference>, TrainError> {
    let broken = differences(&saved.immutable, &now.immutable);
    if broken.is_empty() {
        Ok(differences(&saved.noted, &now.noted))
    } else {
        Err(TrainError::ResumeMismatch { differences: broken })
    }
}

fn differences(saved: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<Difference> {
    let keys: BTreeSet<&String> = saved.keys().chain(now.keys()).collect();
    keys.into_iter()
        .filter(|key| saved.get(*key) != now.get(*key))
        .map(|key| Difference { key: key.clone(), saved: saved.get(key).cloned(), now: now.get(key).cloned() })
        .collect()
}

/// SHA-256 of the bytes, 64 lower-case hexadecimal digits.
pub fn sha256_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file's bytes, read in blocks, as 64 lower-case hexadecimal digits.
pub fn sha256_file(path: &Path) -> Result<String, TrainError> {
    let mut file = File::open(path).map_err(TrainError::io("open", path))?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 18];
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(count) => hash.update(&block[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(TrainError::io("read", path)(error)),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(immutable: &[(&str, &str)], noted: &[(&str, &str)]) -> Fingerprint {
        let mut made = Fingerprint::default();
        immutable.iter().for_each(|(key, value)| made.fix(key, value));
        noted.iter().for_each(|(key, value)| made.note(key, value));
        made
    }

    #[test]
    fn every_difference_is_listed_with_both_values() {
        let saved = fingerprint(&[("batch_size", "32"), ("data", "ab"), ("gone", "x"), ("seed", "1")], &[]);
        let now = fingerprint(&[("batch_size", "32"), ("data", "cd"), ("new", "a\nb"), ("seed", "2")], &[]);
        let error = compare(&saved, &now).unwrap_err();
        assert_eq!(error.exit_code(), 8);
        let expected = "data was \"ab\", now \"cd\"; gone was \"x\", now absent; new was absent, now \"a\\nb\"; \
                        seed was \"1\", now \"2\"";
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn noted_differences_are_returned_and_equal_runs_pass() {
        let saved = fingerprint(&[("seed", "1")], &[("isa", "avx2"), ("version", "0.1.0")]);
        let now = fingerprint(&[("seed", "1")], &[("isa", "avx512"), ("version", "0.1.0")]);
        assert_eq!(compare(&saved, &saved).unwrap(), []);
        let noted = compare(&saved, &now).unwrap();
        assert_eq!(noted.len(), 1);
        assert_eq!(noted[0].to_string(), "isa was \"avx2\", now \"avx512\"");
    }

    #[test]
    #[should_panic(expected = "added twice")]
    fn a_key_cannot_hide_another() {
        fingerprint(&[("seed", "1"), ("seed", "2")], &[]);
    }

    #[test]
    fn numbers_round_trip_through_their_text() {
        let mut made = Fingerprint::default();
        made.fix("lr", 2e-5_f64);
        assert_eq!(made.immutable["lr"].parse::<f64>().unwrap(), 2e-5);
    }

    /// Digests of FIPS 180-2 for "abc" and for the empty message; one more that is longer than the read block.
    #[test]
    fn hashes_are_the_published_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let long = vec![7_u8; (1 << 18) + 5];
        let cases: [(&[u8], Option<&str>); 3] = [
            (b"abc", Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")),
            (b"", Some("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")),
            (&long, None),
        ];
        for (bytes, known) in cases {
            std::fs::write(&path, bytes).unwrap();
            let hash = sha256_file(&path).unwrap();
            assert_eq!(hash, sha256_bytes(bytes));
            assert!(known.is_none_or(|known| known == hash), "{hash}");
        }
        let missing = sha256_file(&folder.path().join("none")).unwrap_err();
        assert!(missing.to_string().contains("none"), "{missing}");
    }
}
