//! `ferrotune replay`: makes a run again from its manifest, where data and base model are the same, and says whether the weights are.

use super::train::{one, stop_on_signal};
use crate::args::{ReplayArgs, TrainSettings};
use crate::device::threads::use_threads;
use crate::device::{Machine, Work, device};
use crate::exit::{Failure, IO, OTHER_RUN, UNEQUAL, usage};
use crate::model::find::find_model;
use crate::run::folder::{BEST, Kind, MANIFEST};
use crate::run::manifest::{self, Manifest};
use crate::run::sums::{FileSum, Sums};
use crate::settings::{Resolved, parse, resolve};
use crate::terminal::shown::counted;
use ferrotune_bert::pretrained::{self, Head};
use ferrotune_tensor::Cpu;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

#[cfg(test)]
mod tests;

/// Settings that say where and with what a run is made, and change none of its weights.
const LEFT: [&str; 5] = ["output", "threads", "prefix-cache-dir", "tensorboard", "seeds"];

/// Runs the command.
pub fn run(args: &ReplayArgs) -> Result<(), Failure> {
    use_threads(args.threads)?;
    replay(args, &stop_on_signal(), &mut |line| println!("{line}"))
}

/// What the command does, and says line by line.
fn replay(args: &ReplayArgs, stop: &AtomicBool, say: &mut dyn FnMut(String)) -> Result<(), Failure> {
    let file = if args.manifest.is_dir() { args.manifest.join(MANIFEST) } else { args.manifest.clone() };
    let manifest = Manifest::read(&file)?;
    let resolved = as_settled(&manifest, &file, args)?;
    if !args.check {
        check_free(&resolved.output, args.overwrite)?;
    }
    let model = find_model(&resolved.model)?.folder;
    let differing = differing(&manifest, &Sums::of(&resolved, &model)?, &model);
    if !differing.is_empty() {
        differing.iter().for_each(|line| say(format!("differs    {line}")));
        let (count, are) = (differing.len(), if differing.len() == 1 { "is another" } else { "are others" });
        let message =
            format!("{} that {} was made from {are} here; nothing was trained", counted(count, "file"), file.display());
        return Err(Failure { message, code: OTHER_RUN });
    }
    say(format!("same       {} files of rows, {} of the base model", count(&manifest), manifest.model.files.len()));
    let reasons = reasons(&manifest, &resolved)?;
    reasons.iter().for_each(|reason| say(format!("differs    {reason}")));
    if args.check {
        return Ok(());
    }
    let output = resolved.output.clone();
    one(resolved, false, args.overwrite, stop)?;
    let weights = manifest::weights(&output)?;
    if weights.sha256 == manifest.weights.sha256 {
        say(format!("byte-equal {}: SHA-256 {}", output.join(&weights.name).display(), weights.sha256));
        return Ok(());
    }
    if let Some(line) = tensors(file.parent().unwrap_or(Path::new(".")), &manifest, &output) {
        say(format!("differs    {line}"));
    }
    let why = match (reasons.is_empty(), manifest.resumed) {
        (false, _) => format!("the likely reason: {}", reasons.join("; ")),
        (true, true) => {
            "the run went on from a checkpoint, whose steps may come from another instruction set".to_string()
        }
        (true, false) => "version and instruction set are the same, so that this is a defect of ferrotune".to_string(),
    };
    let message = format!(
        "the weights are not equal: {} has SHA-256 {}, the manifest says {}; {why}",
        output.join(&weights.name).display(),
        weights.sha256,
        manifest.weights.sha256
    );
    Err(Failure { message, code: UNEQUAL })
}

/// The settings of the manifest, with the places of here.
fn as_settled(manifest: &Manifest, file: &Path, args: &ReplayArgs) -> Result<Resolved, Failure> {
    if cfg!(not(feature = "cuda")) && manifest.device != "cpu" {
        return Err(usage(format!(
            "{} is of a run on {}; this ferrotune is built without CUDA: build it with --features cuda",
            file.display(),
            manifest.device
        )));
    }
    let mut table = manifest.settings.clone();
    LEFT.iter().for_each(|key| drop(table.remove(*key)));
    let text = toml::to_string(&table).expect("a table is TOML");
    let mut settings = parse(&text, &file.display().to_string())?;
    let place = |path: Option<PathBuf>| path.map(|path| found(&path, args.data_root.as_deref())).transpose();
    settings = TrainSettings {
        train: place(settings.train)?,
        validation: place(settings.validation)?,
        test: place(settings.test)?,
        model: args.model.clone().or(settings.model),
        output: Some(args.output.clone().unwrap_or_else(|| beside(file))),
        threads: args.threads,
        ..settings
    };
    resolve(settings, TrainSettings::default())
}

/// Where a file of rows lies here.
///
/// # Errors
/// Nowhere.
fn found(path: &Path, root: Option<&Path>) -> Result<PathBuf, Failure> {
    let places = match root {
        None => vec![path.to_path_buf()],
        // A relative path keeps its folders there, if it has them.
        Some(root) => {
            let whole = path.is_relative().then(|| root.join(path));
            whole.into_iter().chain(path.file_name().map(|name| root.join(name))).collect()
        }
    };
    places.iter().find(|place| place.exists()).cloned().ok_or_else(|| {
        let message = format!(
            "the rows {} are not here ({} does not exist): name with --data-root the folder that holds them",
            path.display(),
            places.last().unwrap_or(&path.to_path_buf()).display()
        );
        Failure { message, code: IO }
    })
}

/// The run folder of a manifest, with `-replay` at its end.
fn beside(file: &Path) -> PathBuf {
    let run = file.parent().filter(|run| !run.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let run = run.canonicalize().unwrap_or_else(|_| run.to_path_buf());
    let mut name = run.file_name().unwrap_or_default().to_os_string();
    name.push("-replay");
    run.with_file_name(name)
}

fn count(manifest: &Manifest) -> usize {
    manifest.data.iter().map(|part| part.files.len()).sum()
}

/// Whether a run may be written into the folder. What `train` says of an earlier run is not all for here: no replay is gone on with.
fn check_free(output: &Path, overwrite: bool) -> Result<(), Failure> {
    if overwrite || !Kind::Run.is_in(output) {
        return Ok(());
    }
    Err(usage(format!(
        "{} holds an earlier run: say --overwrite to replace it, or name another --output",
        output.display()
    )))
}

/// The files that are not those of the manifest, one line each; `model` is the folder that was read here.
fn differing(manifest: &Manifest, here: &Sums, model: &Path) -> Vec<String> {
    let folder = model.display().to_string();
    let mut lines = Vec::new();
    for then in &manifest.data {
        let Some(now) = here.data.iter().find(|now| now.part == then.part) else { continue };
        // The order of the files of a part counts, and their names do not.
        compare(&mut lines, &then.part, &now.path.display().to_string(), &then.files, &now.files);
    }
    for file in &manifest.model.files {
        let now: Vec<FileSum> = here.model.iter().filter(|now| now.name == file.name).cloned().collect();
        compare(&mut lines, "model", &folder, std::slice::from_ref(file), &now);
    }
    for more in here.model.iter().filter(|now| !manifest.model.files.iter().any(|then| then.name == now.name)) {
        lines.push(format!("model: {} in {folder} was not there then", more.name));
    }
    lines
}

fn compare(lines: &mut Vec<String>, what: &str, place: &str, then: &[FileSum], now: &[FileSum]) {
    for n in 0..then.len().max(now.len()) {
        match (then.get(n), now.get(n)) {
            (Some(then), Some(now)) if then.sha256 == now.sha256 => {}
            (Some(then), Some(now)) => lines.push(format!(
                "{what}: {} in {place}: SHA-256 {} expected, {} found ({} and {} bytes)",
                now.name, then.sha256, now.sha256, then.bytes, now.bytes
            )),
            (Some(then), None) => lines.push(format!("{what}: {} is not in {place}", then.name)),
            (None, Some(now)) => lines.push(format!("{what}: {} in {place} was not there then", now.name)),
            (None, None) => {}
        }
    }
}

/// What is not the same here and may change last bits.
fn reasons(manifest: &Manifest, resolved: &Resolved) -> Result<Vec<String>, Failure> {
    let mut reasons = Vec::new();
    let version = env!("CARGO_PKG_VERSION");
    if manifest.ferrotune != version {
        reasons.push(format!("ferrotune {version}, then {}", manifest.ferrotune));
    }
    if let (Some(then), Some(now)) = (&manifest.commit, manifest::commit())
        && *then != now
    {
        reasons.push(format!("commit {now}, then {then}"));
    }
    let processor = device(resolved.device, resolved.precision)?.run(Processor);
    if manifest.processor != processor {
        reasons.push(format!(
            "{processor} instead of {}, so that last bits may differ; FERROTUNE_ISA={} forces the instruction set of then, where the processor has it",
            manifest.processor, manifest.processor
        ));
    }
    Ok(reasons)
}

/// Which tensors are others, if the weights of then still lie beside the manifest.
fn tensors(run: &Path, manifest: &Manifest, output: &Path) -> Option<String> {
    let same = manifest::weights(run).is_ok_and(|weights| weights.sha256 == manifest.weights.sha256);
    let load = |run: &Path| pretrained::load(&Cpu, &run.join(BEST), Head::Stored).ok();
    let (then, now) = (load(run).filter(|_| same)?, load(output)?);
    let layout = then.params.layout();
    let (mut differing, mut largest) = (0, (0.0, ""));
    for id in layout.ids() {
        let name = &layout.entry(id).name;
        let other = now.params.get(now.params.layout().find(name)?);
        let pairs = then.params.get(id).data.iter().zip(other.data);
        let distance = pairs.map(|(then, now)| (then - now).abs()).fold(0.0, f32::max);
        differing += usize::from(distance > 0.0);
        if distance > largest.0 {
            largest = (distance, name);
        }
    }
    let (most, name) = largest;
    Some(format!("{differing} of {} tensors, by at most {most:e} ({name})", layout.entries().len()))
}

/// Asks for the processor.
struct Processor;

impl Work for Processor {
    type Output = String;

    fn on<B: Machine>(self, backend: B) -> String {
        backend.processor()
    }
}
