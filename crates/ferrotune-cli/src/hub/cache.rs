//! The two caches on this disk: looking a model up, and moving a finished download into place.
//!
//! It must not know the network. Everything it puts in place is written and synced elsewhere on the same file system
//! first and then renamed, so a reader sees a whole file or none, and of two writers one wins file by file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::manifest::{KnownModel, Mirror, PypiMirror};
use super::{HubError, HubSettings, names, parts, sums};

/// The beginning of every staging folder's name.
const STAGING: &str = ".staging-";
/// A staging folder older than this belongs to a process that was killed.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// One downloaded file of a hub model, still in its staging folder.
pub struct Staged {
    /// The file's name in the model folder.
    pub name: String,
    /// Where its bytes lie now.
    pub path: PathBuf,
    /// Its name among the blobs: the hub's tag.
    pub blob: String,
}

/// The hub cache's folder of one model.
pub fn repository(settings: &HubSettings, id: &str) -> PathBuf {
    settings.cache.join(format!("models--{}", id.replace('/', "--")))
}

/// The folder for what the mirror brings: its name holds package and version, so another version is another folder.
pub fn mirrored(settings: &HubSettings, id: &str, mirror: &PypiMirror) -> PathBuf {
    let model = settings.assets.join("ferrotune").join("models").join(id.replace('/', "--"));
    model.join(format!("{}-{}", mirror.package, mirror.version))
}

/// Looks the model up in both caches. A folder whose files differ from the manifest is reported and passed over.
pub fn find(
    settings: &HubSettings,
    id: &str,
    known: Option<&KnownModel>,
    progress: &mut dyn FnMut(&str),
) -> Result<Option<PathBuf>, HubError> {
    let mut candidates = snapshots(&repository(settings, id), known.is_some());
    if let Some(Mirror::Pypi(mirror)) = known.and_then(|known| known.mirror.as_ref()) {
        candidates.push(mirrored(settings, id, mirror));
    }
    for folder in candidates {
        if !parts::is_complete(&folder) {
            continue;
        }
        match known.map_or(Ok(()), |known| check(&folder, known)) {
            Ok(()) => return Ok(Some(folder)),
            Err(error @ HubError::Disk { .. }) => return Err(error),
            Err(error) => progress(&format!("passing over {}: {error}", folder.display())),
        }
    }
    Ok(None)
}

/// Checks every file of the manifest that the folder has.
pub fn check(folder: &Path, known: &KnownModel) -> Result<(), HubError> {
    for file in &known.files {
        let path = folder.join(&file.name);
        if path.exists() {
            sums::check_known(&path, file, "the cache")?;
        }
    }
    Ok(())
}

/// The snapshot that `refs/main` names, then, where sums will tell which is right, all others.
fn snapshots(repository: &Path, others_too: bool) -> Vec<PathBuf> {
    let folder = repository.join("snapshots");
    let main = fs::read_to_string(repository.join("refs").join("main")).ok();
    let main = main.map(|revision| revision.trim().to_owned()).filter(|name| names::is_plain_file_name(name));
    let mut found: Vec<PathBuf> = main.iter().map(|revision| folder.join(revision)).collect();
    if others_too && let Ok(entries) = fs::read_dir(&folder) {
        let mut others: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        others.retain(|path| !found.contains(path));
        others.sort();
        found.append(&mut others);
    }
    found
}

/// A fresh staging folder inside `parent`, which is created. What killed processes left there is removed.
pub fn staging(parent: &Path) -> Result<TempDir, HubError> {
    fs::create_dir_all(parent).map_err(HubError::disk(parent))?;
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(STAGING);
        let age = entry.metadata().and_then(|data| data.modified()).ok().and_then(|time| time.elapsed().ok());
        if ours && age.is_some_and(|age| age > ABANDONED) {
            // Only tidying up: if it fails, the next download tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let make = || tempfile::Builder::new().prefix(STAGING).tempdir_in(parent);
    make()
        // Another process that failed may just have removed the empty parent.
        .or_else(|_| fs::create_dir_all(parent).and_then(|()| make()))
        .map_err(HubError::disk(parent))
}

/// Moves a hub download into the hub cache: blobs first, then the snapshot's links, and `refs/main` last of all,
/// because it is what makes the snapshot visible. Returns the snapshot's folder.
pub fn publish_snapshot(
    repository: &Path,
    revision: &str,
    files: &[Staged],
    staging: &Path,
) -> Result<PathBuf, HubError> {
    let blobs = repository.join("blobs");
    let snapshot = repository.join("snapshots").join(revision);
    let refs = repository.join("refs");
    for folder in [&blobs, &snapshot, &refs] {
        fs::create_dir_all(folder).map_err(HubError::disk(folder))?;
    }
    // The staged paths are links of hf-hub's; the bytes are what moves. All are followed before the first is moved,
    // because two files with the same bytes are one blob.
    let mut bytes = Vec::with_capacity(files.len());
    for file in files {
        sync(&file.path)?;
        bytes.push(fs::canonicalize(&file.path).map_err(HubError::disk(&file.path))?);
    }
    for (file, bytes) in files.iter().zip(&bytes) {
        place(bytes, &blobs, &file.blob, &snapshot.join(&file.name), staging)?;
    }
    let reference = staging.join("main");
    fs::write(&reference, revision).map_err(HubError::disk(&reference))?;
    rename(&reference, &refs.join("main"))?;
    sync_folder(&snapshot);
    sync_folder(&refs);
    Ok(snapshot)
}

/// Blob and link, as `huggingface_hub` lays them out.
#[cfg(unix)]
fn place(bytes: &Path, blobs: &Path, blob: &str, target: &Path, staging: &Path) -> Result<(), HubError> {
    // Gone already if the file before had the same bytes.
    if bytes.exists() {
        rename(bytes, &blobs.join(blob))?;
    }
    // A link is made aside and renamed, because a link cannot be made over one that is there.
    let link = staging.join("link");
    std::os::unix::fs::symlink(Path::new("../../blobs").join(blob), &link).map_err(HubError::disk(&link))?;
    rename(&link, target)
}

/// Without links `huggingface_hub` keeps the file itself in the snapshot.
#[cfg(not(unix))]
fn place(bytes: &Path, _blobs: &Path, _blob: &str, target: &Path, _staging: &Path) -> Result<(), HubError> {
    fs::copy(bytes, target).map(drop).map_err(HubError::disk(target))
}

/// Moves a whole checked folder to `target`. If another process was faster and its files are right, they stay.
pub fn publish_folder(staged: &Path, target: &Path, known: &KnownModel, staging: &Path) -> Result<(), HubError> {
    for file in &known.files {
        sync(&staged.join(&file.name))?;
    }
    sync_folder(staged);
    if fs::rename(staged, target).is_err() {
        if parts::is_complete(target) && check(target, known).is_ok() {
            return Ok(());
        }
        // What lies there is broken (nobody else puts a folder in place half done), so it makes room.
        if target.exists() {
            rename(target, &staging.join("replaced"))?;
        }
        rename(staged, target)?;
    }
    if let Some(parent) = target.parent() {
        sync_folder(parent);
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<(), HubError> {
    fs::rename(from, to).map_err(HubError::disk(to))
}

fn sync(path: &Path) -> Result<(), HubError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(HubError::disk(path))
}

/// Makes the renames last through a power cut. Some file systems refuse to sync a folder; the files are whole anyway.
fn sync_folder(path: &Path) {
    if let Ok(folder) = File::open(path) {
        let _ = folder.sync_all();
    }
}
