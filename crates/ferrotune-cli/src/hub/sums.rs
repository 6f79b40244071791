//! Sizes and sha256 sums of files on this disk.
//!
//! It must not know where a file came from beyond the name that it puts into a message.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::HubError;
use super::manifest::KnownFile;

/// The sha256 of a file as 64 lower-case hexadecimal digits, and its length in bytes.
pub fn sha256_of(path: &Path) -> Result<(String, u64), HubError> {
    let mut file = File::open(path).map_err(HubError::disk(path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        let read = file.read(&mut buffer).map_err(HubError::disk(path))?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        length += read as u64;
    }
    Ok((hex(&hasher.finalize()), length))
}

/// Compares the file at `path` with what the manifest says about it; `origin` names where it came from.
pub fn check_known(path: &Path, known: &KnownFile, origin: &str) -> Result<(), HubError> {
    let (sum, length) = sha256_of(path)?;
    let file = || known.name.clone();
    let origin = || origin.to_owned();
    // The sum first: a wrong length implies a wrong sum, and the sums are what a person can look up.
    if sum != known.sha256 {
        return Err(HubError::SumMismatch {
            file: file(),
            origin: origin(),
            expected: known.sha256.clone(),
            actual: sum,
        });
    }
    if length != known.size {
        return Err(HubError::SizeMismatch { file: file(), origin: origin(), expected: known.size, actual: length });
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_abc_is_the_one_in_fips_180() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_of(&path).unwrap(), (expected.to_owned(), 3));
        let known = |sha256: &str, size| KnownFile { name: "abc".into(), sha256: sha256.into(), size };
        check_known(&path, &known(expected, 3), "here").unwrap();
        assert!(matches!(check_known(&path, &known(expected, 4), "here"), Err(HubError::SizeMismatch { .. })));
        let wrong = "0".repeat(64);
        let message = check_known(&path, &known(&wrong, 3), "here").unwrap_err().to_string();
        assert!(message.contains(expected) && message.contains(&wrong), "{message}");
    }
}
