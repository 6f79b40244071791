//! The key that requests must know. It must not know what it opens.

use crate::exit::{Failure, io, usage};
use sha2::{Digest, Sha256};
use std::path::Path;

/// A key, as its hash: two hashes are compared in a time that says nothing of the key, its length included.
pub struct Key([u8; 32]);

impl Key {
    /// The key in a file, without the white space around it.
    ///
    /// # Errors
    /// The file cannot be read, is empty, or holds what no header can.
    pub fn from_file(path: &Path) -> Result<Key, Failure> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(io(format!("cannot read --api-key-file {name}")))?;
        match text.trim() {
            "" => Err(usage(format!("--api-key-file {name} is empty: write the key into it"))),
            key if !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Err(usage(format!("--api-key-file {name}: a key is one word of visible ASCII characters")))
            }
            key => Ok(Key(hash(key.as_bytes()))),
        }
    }

    /// Whether a header `Authorization` has it.
    pub fn opens(&self, authorization: Option<&[u8]>) -> bool {
        let Some((scheme, key)) = authorization.and_then(|value| value.split_at_checked(7)) else { return false };
        let difference = self.0.iter().zip(hash(key.trim_ascii())).fold(0, |all, (a, b)| all | (a ^ b));
        scheme.eq_ignore_ascii_case(b"bearer ") && std::hint::black_box(difference) == 0
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_opens() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, " s3cret\n").unwrap();
        let key = Key::from_file(&file).unwrap();
        for (header, opens) in [
            (Some("Bearer s3cret"), true),
            (Some("bearer  s3cret"), true),
            (Some("Bearer s3cre"), false),
            (Some("Bearer s3crets"), false),
            (Some("Bearer "), false),
            (Some("Bearer"), false),
            (Some("Basic s3cret"), false),
            (Some("s3cret"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(key.opens(header.map(str::as_bytes)), opens, "{header:?}");
        }
        for (text, code) in [("\n", 2), ("two words", 2), ("ä", 2)] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(Key::from_file(&file).map(drop).unwrap_err().code, code, "{text:?}");
        }
        assert_eq!(Key::from_file(&folder.path().join("none")).map(drop).unwrap_err().code, crate::exit::IO);
    }
}
