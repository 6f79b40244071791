//! Folders of data sets in place of files: which part of one a command reads where only the folder is named. It must not know rows.

use crate::args::TrainSettings;
use crate::exit::Failure;
use ferrotune_data::{DataError, Part, Source};
use std::path::Path;

/// Of a training folder that also holds validation rows, these choose the best epoch unless something else was said. Test rows are measured
/// only where they are named: `--test` with the same folder.
pub fn choose(said: &mut TrainSettings) {
    let Some(folder) = said.train.as_ref().filter(|path| path.is_dir()) else { return };
    let open = said.validation.is_none() && said.validation_share.is_none();
    // Several files of which one must be named are refused where they are read.
    if open && !matches!(Source::find(folder, Part::Validation), Err(DataError::NoPart { .. })) {
        said.validation = Some(folder.clone());
    }
    for (part, path) in [(Part::Train, &said.train), (Part::Validation, &said.validation), (Part::Test, &said.test)] {
        // A part that is not there is refused where it is read.
        if let Some(source) = path.as_ref().filter(|path| path.is_dir()).and_then(|path| Source::find(path, part).ok())
        {
            eprintln!("data       {}: {}", part.name(), shown(&source));
        }
    }
}

/// The rows that are measured: the file, or of a folder its test rows, else its validation rows.
///
/// # Errors
/// A folder with neither.
pub fn measured(path: &Path) -> Result<Source, Failure> {
    let test = Source::find(path, Part::Test);
    let source = match &test {
        Err(DataError::NoPart { .. }) => Source::find(path, Part::Validation).or(test)?,
        _ => test?,
    };
    if path.is_dir() {
        eprintln!("data       {}", shown(&source));
    }
    Ok(source)
}

fn shown(source: &Source) -> String {
    match &source.files[..] {
        [file] => file.display().to_string(),
        files => format!("{} and {} more", files[0].display(), files.len() - 1),
    }
}
