//! `manifest.json`, the last file written into a checkpoint: the size and hash of every other file, the step, the fingerprint
//! of the run, and a hash of itself. Must not know what the files hold.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::store::fingerprint::{Fingerprint, sha256_bytes};

use super::names;

/// Name of the manifest inside a checkpoint.
pub(super) const MANIFEST: &str = "manifest.json";

/// The layout this program writes and reads. Goes up when an older program could misread a checkpoint.
const FORMAT_VERSION: u64 = 1;

/// A manifest names a handful of files and settings; anything larger is not one.
const LARGEST_MANIFEST: u64 = 16 << 20;

/// Size and hash of one file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEntry {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// What a checkpoint says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) step: u64,
    pub(super) files: BTreeMap<String, FileEntry>,
    pub(super) fingerprint: Fingerprint,
}

/// The manifest as it lies on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    format_version: u64,
    manifest: Manifest,
    /// SHA-256 of `manifest` as compact JSON with the fields in the order of their declaration.
    sha256: String,
}

/// Only the version, so that a later layout is recognised and not called damaged.
#[derive(Deserialize)]
struct Version {
    format_version: u64,
}

impl Manifest {
    fn sha256(&self) -> String {
        sha256_bytes(&serde_json::to_vec(self).expect("maps with text keys, text and whole numbers always serialise"))
    }

    /// The bytes of the file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let sealed = Sealed { format_version: FORMAT_VERSION, manifest: self.clone(), sha256: self.sha256() };
        let mut bytes = serde_json::to_vec_pretty(&sealed).expect("as in sha256");
        bytes.push(b'\n');
        bytes
    }

    /// Reads and checks the manifest of the checkpoint in `directory`, which must be that of `step`.
    pub(super) fn read(directory: &Path, step: u64) -> Result<Manifest, TrainError> {
        let path = directory.join(MANIFEST);
        let damaged = |what: String| TrainError::CheckpointDamaged { path: path.clone(), what };
        let mut file = super::checkpoint::open_plain_file(&path)?;
        let mut bytes = Vec::new();
        file.by_ref().take(LARGEST_MANIFEST + 1).read_to_end(&mut bytes).map_err(TrainError::io("read", &path))?;
        if bytes.len() as u64 > LARGEST_MANIFEST {
            return Err(damaged(format!("it is larger than {LARGEST_MANIFEST} bytes")));
        }
        let not_json = |error: serde_json::Error| damaged(format!("it is not a manifest: {error}"));
        let version: Version = serde_json::from_slice(&bytes).map_err(not_json)?;
        if version.format_version != FORMAT_VERSION {
            let (found, supported) = (version.format_version, FORMAT_VERSION);
            return Err(TrainError::CheckpointVersion { path, found, supported });
        }
        let sealed: Sealed = serde_json::from_slice(&bytes).map_err(not_json)?;
        let manifest = sealed.manifest;
        if manifest.sha256() != sealed.sha256 {
            return Err(damaged("its own sha256 differs".to_string()));
        }
        if manifest.step != step {
            return Err(damaged(format!("it is that of step {}", manifest.step)));
        }
        match manifest.files.keys().find(|name| !names::is_plain(name)) {
            Some(name) => Err(damaged(format!("it lists the file name {name:?}"))),
            None => Ok(manifest),
        }
    }
}
