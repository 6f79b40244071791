//! Puts a folder in place as a whole: built under a temporary name beside its target, flushed to the disk, renamed. A
//! crash leaves the old folder or the new one, never half of one. It must not know what is in the folder.

use crate::error::BertError;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder under construction, `.<name>.tmp-<pid>-<n>` beside its target. Dropped before [`commit`](Self::commit), it
/// is removed.
#[derive(Debug)]
pub(crate) struct Staging {
    pub folder: PathBuf,
    target: PathBuf,
    parent: PathBuf,
    committed: bool,
}

impl Staging {
    /// Makes the empty folder, and the parents of the target if they are missing.
    ///
    /// With `replace`, an existing target is allowed if it looks like a model folder: only files, among them
    /// config.json. Without, it must be absent or empty. A symbolic link is never replaced.
    pub(crate) fn new(target: &Path, replace: bool) -> Result<Staging, BertError> {
        check_can_save(target, replace)?;
        let (name, parent) = (target.file_name().unwrap_or_default(), parent_of(target));
        std::fs::create_dir_all(&parent).map_err(|cause| BertError::io("create", &parent, cause))?;
        let folder = create_sibling(&parent, &sibling_stem(name, "tmp"))?;
        Ok(Staging { folder, target: target.to_path_buf(), parent, committed: false })
    }

    /// Flushes the folder and renames it to the target; the folder that was there is deleted after that.
    pub(crate) fn commit(mut self) -> Result<(), BertError> {
        sync_folder(&self.folder)?;
        let put = |cause| BertError::io("put in place", &self.target, cause);
        if !exists_with_content(&self.target)? {
            std::fs::rename(&self.folder, &self.target).map_err(put)?;
            self.committed = true;
            return sync_folder(&self.parent);
        }
        match exchange(&self.folder, &self.target) {
            // What was the target now has the temporary name, and Drop removes it.
            Ok(()) => sync_folder(&self.parent),
            Err(error) if exchange_is_unsupported(&error) => self.commit_in_two_steps(),
            Err(error) => Err(put(error)),
        }
    }

    /// For file systems that cannot exchange two names: old aside, new in place, old back if that fails. A crash
    /// between the two renames leaves no target, but both folders complete, `.<name>.old-*` and `.<name>.tmp-*`.
    fn commit_in_two_steps(mut self) -> Result<(), BertError> {
        let put = |cause| BertError::io("put in place", &self.target, cause);
        let name = self.target.file_name().unwrap_or_default();
        let aside = create_sibling(&self.parent, &sibling_stem(name, "old"))?;
        // A rename on Unix may go over an empty folder, so the name stays ours from its creation on.
        std::fs::rename(&self.target, &aside).map_err(put)?;
        if let Err(cause) = std::fs::rename(&self.folder, &self.target) {
            // If this fails as well there is nothing left to try; the message names the target, the old is beside it.
            let _ = std::fs::rename(&aside, &self.target);
            return Err(put(cause));
        }
        self.committed = true;
        sync_folder(&self.parent)?;
        remove_flat(&aside).map_err(|cause| BertError::io("remove the replaced folder", &aside, cause))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.committed {
            // Best effort: litter with a temporary name is harmless, and the real error is already on its way.
            let _ = remove_flat(&self.folder);
        }
    }
}

/// Deletes a folder that holds only files. Not recursive, so that no mistake here can take a tree with it.
fn remove_flat(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        std::fs::remove_file(entry?.path())?;
    }
    std::fs::remove_dir(folder)
}

/// Cleans up after saves to `folder` that were killed: removes the unfinished folders beside it, and brings the old
/// model back if the kill fell between the two renames that a file system without exchange needs. Returns what it
/// removed or brought back.
///
/// Call it only while nobody else saves to `folder`, that is under the lock of the run.
///
/// # Errors
/// I/O.
pub fn clear_interrupted_saves(folder: &Path) -> Result<Vec<PathBuf>, BertError> {
    let (Some(name), parent) = (folder.file_name(), parent_of(folder)) else { return Ok(Vec::new()) };
    let entries = match std::fs::read_dir(&parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|cause| BertError::io("read", &parent, cause))?,
    };
    let (mut unfinished, mut aside) = (Vec::new(), Vec::new());
    for entry in entries {
        let entry = entry.map_err(|cause| BertError::io("read", &parent, cause))?;
        let file_name = entry.file_name();
        let of_kind = |kind| is_sibling_name(&file_name.to_string_lossy(), &sibling_stem(name, kind));
        if of_kind("tmp") {
            unfinished.push(entry.path());
        } else if of_kind("old") {
            aside.push(entry.path());
        }
    }
    let mut done = Vec::new();
    if folder.symlink_metadata().is_err() && aside.len() == 1 {
        std::fs::rename(&aside[0], folder).map_err(|cause| BertError::io("put back", &aside[0], cause))?;
        done.append(&mut aside);
    }
    if folder.symlink_metadata().is_ok() {
        unfinished.append(&mut aside);
    }
    for litter in unfinished {
        remove_flat(&litter).map_err(|cause| BertError::io("remove", &litter, cause))?;
        done.push(litter);
    }
    sync_folder(&parent)?;
    Ok(done)
}

/// Refuses a target that [`save_model`](super::save_model) would refuse, so that a long run can ask before it begins: with `replace`, a folder is
/// allowed that looks like a model folder, of files alone with a config.json among them. Nothing is written.
///
/// # Errors
/// What is there and is not replaced; I/O.
pub fn check_can_save(target: &Path, replace: bool) -> Result<(), BertError> {
    if target.file_name().is_none() {
        let problem = "is not a folder name that can be written to; name a new folder".to_string();
        return Err(BertError::Folder { folder: target.to_path_buf(), problem });
    }
    check_target(target, replace)
}

fn parent_of(folder: &Path) -> PathBuf {
    match folder.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// `.<name>.<kind>`, to which the process id and a number are added.
fn sibling_stem(name: &OsStr, kind: &str) -> String {
    format!(".{}.{kind}", name.to_string_lossy())
}

/// Whether a name is one that [`create_sibling`] makes: the stem and two numbers.
fn is_sibling_name(name: &str, stem: &str) -> bool {
    let numbers = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix('-')).and_then(|rest| rest.split_once('-'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
}

fn create_sibling(parent: &Path, stem: &str) -> Result<PathBuf, BertError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = parent.join(format!("{stem}-{}-{number}", std::process::id()));
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            // Left by a killed process that had our id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(cause) => return Err(BertError::io("create", &folder, cause)),
        }
    }
}

/// Whether there is a folder that is not empty.
fn exists_with_content(target: &Path) -> Result<bool, BertError> {
    match std::fs::read_dir(target) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(BertError::io("open", target, cause)),
    }
}

fn check_target(target: &Path, replace: bool) -> Result<(), BertError> {
    let refuse = |problem: &str| Err(BertError::Folder { folder: target.to_path_buf(), problem: problem.to_string() });
    match target.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(BertError::io("open", target, cause)),
        Ok(metadata) if metadata.is_symlink() => return refuse("is a symbolic link; save to the folder itself"),
        Ok(metadata) if !metadata.is_dir() => return refuse("is a file; save to another name or remove it"),
        Ok(_) => {}
    }
    if !exists_with_content(target)? {
        return Ok(());
    }
    if !replace {
        return refuse("exists and is not empty; save to another folder, remove it, or ask to replace it");
    }
    let io = |cause| BertError::io("read", target, cause);
    for entry in std::fs::read_dir(target).map_err(io)? {
        if entry.and_then(|entry| entry.file_type()).map_err(io)?.is_dir() {
            return refuse("has subfolders, so it is not one that was saved here, and is not replaced; move it away");
        }
    }
    if target.join("config.json").symlink_metadata().is_err() {
        return refuse("has no config.json, so it is not a model folder, and is not replaced; move it away");
    }
    Ok(())
}

/// Makes the names in a folder durable.
fn sync_folder(folder: &Path) -> Result<(), BertError> {
    // Elsewhere a folder cannot be opened as a file, and the file system keeps names in order by itself.
    if cfg!(unix) {
        let sync = std::fs::File::open(folder).and_then(|handle| handle.sync_all());
        sync.map_err(|cause| BertError::io("flush", folder, cause))?;
    }
    Ok(())
}

/// Swaps two names in one step.
#[cfg(target_os = "linux")]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

/// Swaps two names in one step, which only Linux offers.
#[cfg(not(target_os = "linux"))]
fn exchange(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn exchange_is_unsupported(error: &io::Error) -> bool {
    // EINVAL is what a file system answers that knows renames but not this flag.
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn model(folder: &Path, content: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("config.json"), content).unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn both_ways_to_replace_leave_only_the_new_folder() {
        for in_two_steps in [false, true] {
            let root = tempfile::tempdir().unwrap();
            let target = root.path().join("best");
            model(&target, "old");
            let staging = Staging::new(&target, true).unwrap();
            fs::write(staging.folder.join("config.json"), "new").unwrap();
            if in_two_steps { staging.commit_in_two_steps() } else { staging.commit() }.unwrap();
            assert_eq!(names(root.path()), ["best"], "in two steps: {in_two_steps}");
            assert_eq!(fs::read_to_string(target.join("config.json")).unwrap(), "new");
        }
    }

    #[test]
    fn an_abandoned_staging_folder_is_removed_and_the_target_untouched() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("deep/best");
        model(&target, "old");
        let staging = Staging::new(&target, true).unwrap();
        fs::write(staging.folder.join("config.json"), "new").unwrap();
        drop(staging);
        assert_eq!(names(target.parent().unwrap()), ["best"]);
        assert_eq!(fs::read_to_string(target.join("config.json")).unwrap(), "old");
    }

    #[test]
    fn what_killed_saves_left_is_cleared_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let litter = [".best.tmp-12-0", ".best.tmp-12-1", ".best.old-12-2"];
        let foreign = [".best.tmp", ".best.tmp-12", ".best.tmp-x-1", ".bester.tmp-1-1", "best.tmp-1-1"];
        for name in litter.iter().chain(&foreign).chain(&["best"]) {
            model(&path(name), name);
        }
        assert_eq!(clear_interrupted_saves(&path("best")).unwrap().len(), 3);
        let mut left: Vec<&str> = foreign.iter().copied().chain(["best"]).collect();
        left.sort();
        assert_eq!(names(root.path()), left);
        assert_eq!(fs::read_to_string(path("best/config.json")).unwrap(), "best");
        // Killed between the two renames: the old model comes back.
        fs::rename(path("best"), path(".best.old-7-0")).unwrap();
        model(&path(".best.tmp-7-1"), "half");
        clear_interrupted_saves(&path("best")).unwrap();
        assert_eq!(names(root.path()), left);
        assert_eq!(fs::read_to_string(path("best/config.json")).unwrap(), "best");
        assert_eq!(clear_interrupted_saves(&path("nowhere/best")).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn what_is_not_ours_is_not_replaced() {
        let root = tempfile::tempdir().unwrap();
        let make = |name: &str| root.path().join(name);
        model(&make("full"), "");
        model(&make("nested"), "");
        fs::create_dir(make("nested").join("sub")).unwrap();
        fs::create_dir(make("other")).unwrap();
        fs::write(make("other").join("thesis.tex"), "").unwrap();
        fs::write(make("file"), "").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(make("full"), make("link")).unwrap();
        let cases = [
            ("full", false, "exists and is not empty"),
            ("nested", true, "has subfolders"),
            ("other", true, "has no config.json"),
            ("file", true, "is a file"),
            #[cfg(unix)]
            ("link", true, "symbolic link"),
            ("..", true, "name a new folder"),
        ];
        for (name, replace, expected) in cases {
            let message = Staging::new(&make(name), replace).unwrap_err().to_string();
            assert!(message.contains(expected), "{name}: {message}");
            assert_eq!(check_can_save(&make(name), replace).unwrap_err().to_string(), message);
        }
        let before = names(root.path());
        for (name, replace) in [("full", true), ("new", false), ("deep/new", true)] {
            check_can_save(&make(name), replace).unwrap();
        }
        assert_eq!(names(root.path()), before, "nothing is made");
        fs::create_dir(make("empty")).unwrap();
        Staging::new(&make("empty"), false).unwrap().commit().unwrap();
    }
}
