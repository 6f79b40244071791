//! Which strings may be a hub id and which may be a file name inside a model: nothing that can leave its folder.
//!
//! It must not touch the disk or the network.

use super::HubError;

/// The longest part of an id that the hub allows.
const LONGEST_PART: usize = 96;

/// Checks that `id` is `name` or `org/name` as the hub writes them.
///
/// # Errors
/// [`HubError::InvalidId`] with the reason.
pub fn check_id(id: &str) -> Result<(), HubError> {
    let invalid = |why| Err(HubError::InvalidId { id: id.escape_debug().to_string(), why });
    if id.is_empty() {
        return invalid("it is empty");
    }
    if id.split('/').count() > 2 {
        return invalid("it has more than one '/'");
    }
    for part in id.split('/') {
        if part.is_empty() || part.len() > LONGEST_PART {
            return invalid("each part must have 1 to 96 characters");
        }
        if !part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            return invalid("only letters, digits, '-', '_' and '.' are allowed");
        }
        if part.starts_with(['.', '-']) || part.ends_with(['.', '-']) {
            return invalid("no part may begin or end with '.' or '-'");
        }
        // The cache joins the parts with "--", so an id that holds it would be ambiguous.
        if part.contains("..") || part.contains("--") {
            return invalid("'..' and '--' are not allowed");
        }
    }
    Ok(())
}

/// Whether `model` was meant as a path: the message about a missing folder helps then more than one about ids.
pub fn looks_like_a_path(model: &str) -> bool {
    model.starts_with(['.', '/', '~']) || model.ends_with('/') || model.contains('\\') || model.matches('/').count() > 1
}

/// Whether `name` is the name of a file directly inside the model folder.
pub fn is_plain_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Whether `text` is a number of `digits` lower-case hexadecimal digits.
pub fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        for good in ["bert-base-uncased", "sentence-transformers/all-MiniLM-L6-v2", "a/b_c.d", "x1/y.2"] {
            check_id(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        let long = "a".repeat(97);
        for bad in
            ["", "/", "a/", "/a", "a/b/c", "../a", "a/..", "a/.b", "a b", "a/b\n", "a--b", "a/b\\c", "a/b:c", &long]
        {
            let error = check_id(bad).expect_err(bad);
            assert_eq!(error.exit_code(), 2, "{bad:?}");
            assert!(!error.to_string().contains('\n'), "{bad:?}");
        }
    }

    #[test]
    fn paths_are_told_from_ids() {
        for path in ["./a", "/a", "~/a", "a/b/", "a/b/c", "a\\b", "../a/b"] {
            assert!(looks_like_a_path(path), "{path}");
        }
        for id in ["a", "a/b", "runs/best"] {
            assert!(!looks_like_a_path(id), "{id}");
        }
    }

    #[test]
    fn file_names() {
        for good in ["config.json", "model-00001-of-00002.safetensors", "vocab.txt"] {
            assert!(is_plain_file_name(good), "{good}");
        }
        for bad in ["", ".", "..", "../a", "/a", "a/b", "a\\b", ".hidden", "a\0", "C:a"] {
            assert!(!is_plain_file_name(bad), "{bad:?}");
        }
    }
}
