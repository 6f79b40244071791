//! Files that a command is about to write and that are there already. It must not know what is written.

use crate::exit::{Failure, usage};
use std::path::Path;

/// Whether a path stands for a file that is open: to write into it replaces nothing, and another file must not take its place.
pub fn stands_for_open_file(path: &Path) -> bool {
    let path = path.to_string_lossy();
    ["/dev/stdout", "/dev/stderr", "/dev/fd/"].iter().any(|open| path.starts_with(open))
        || path.starts_with("/proc/") && path.contains("/fd/")
}

/// Refuses to replace a file that holds something, unless `overwrite` was said. What is no file takes what comes.
///
/// # Errors
/// There is such a file.
pub fn check_replaced(path: &Path, overwrite: bool) -> Result<(), Failure> {
    let holds = std::fs::metadata(path).is_ok_and(|there| there.is_file() && there.len() > 0);
    match holds && !overwrite && !stands_for_open_file(path) {
        true => Err(usage(format!(
            "{} exists already; say --overwrite to replace it, or name another file",
            path.display()
        ))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::USAGE;

    #[test]
    fn a_file_with_something_in_it_is_replaced_on_request_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("labels.csv"), "text,label\n").unwrap();
        std::fs::write(path("empty.csv"), "").unwrap();
        for (name, overwrite, code) in [
            ("labels.csv", false, Some(USAGE)),
            ("labels.csv", true, None),
            ("empty.csv", false, None),
            ("new.csv", false, None),
            (".", false, None),
        ] {
            let refused = check_replaced(&path(name), overwrite).err();
            assert_eq!(refused.map(|failure| failure.code), code, "{name} {overwrite}");
        }
    }
}
