//! The names inside a checkpoint folder: which are checkpoints, which are ours to sweep. A name that does not match to the
//! letter is someone else's and is left alone. Must not touch the disk.

/// What an entry of the checkpoint folder is. The number is the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// `step-00001234`: a committed checkpoint.
    Step(u64),
    /// `.tmp-<step>-<process>`: one being written.
    Temporary(u64),
    /// `.old-<step>-<process>`: one whose place a newer save of the same step is taking.
    Old(u64),
    /// `.trash-<step>-<process>`: one being removed.
    Trash(u64),
}

/// Name of the committed checkpoint of a step.
pub(super) fn step(step: u64) -> String {
    format!("step-{step:08}")
}

/// Name of this process's unfinished checkpoint of a step.
pub(super) fn temporary(step: u64) -> String {
    format!(".tmp-{step}-{}", std::process::id())
}

/// Name under which the previous checkpoint of the same step waits until the new one is safe.
pub(super) fn old(step: u64) -> String {
    format!(".old-{step}-{}", std::process::id())
}

/// Name of a checkpoint on its way out.
pub(super) fn trash(step: u64) -> String {
    format!(".trash-{step}-{}", std::process::id())
}

/// Name under which a damaged checkpoint is kept for inspection, the `copy`-th of its step.
pub(super) fn damaged(step: u64, copy: u32) -> String {
    if copy == 0 { format!("damaged-{step:08}") } else { format!("damaged-{step:08}-{copy}") }
}

impl Entry {
    /// The step, if this is a committed checkpoint.
    pub(super) fn committed(self) -> Option<u64> {
        match self {
            Entry::Step(step) => Some(step),
            Entry::Temporary(_) | Entry::Old(_) | Entry::Trash(_) => None,
        }
    }
}

/// Reads a name back; `None` when it is not one that this module makes.
pub(super) fn parse(name: &str) -> Option<Entry> {
    if let Some(digits) = name.strip_prefix("step-") {
        let number = number(digits)?;
        return (step(number) == name).then_some(Entry::Step(number));
    }
    let (kind, rest) = name.strip_prefix('.')?.split_once('-')?;
    let (step, process) = rest.split_once('-')?;
    number(process)?;
    let step = number(step)?;
    match kind {
        "tmp" => Some(Entry::Temporary(step)),
        "old" => Some(Entry::Old(step)),
        "trash" => Some(Entry::Trash(step)),
        _ => None,
    }
}

/// A plain decimal number; unlike `str::parse` it takes no sign.
fn number(digits: &str) -> Option<u64> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// May a file inside a checkpoint have this name? Letters, digits, `.`, `_`, `-`; not hidden; at most 128 bytes.
pub(super) fn is_plain(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_foreign_names_do_not() {
        for number in [0, 7, 1234, 123_456_789_012, u64::MAX] {
            assert_eq!(parse(&step(number)), Some(Entry::Step(number)));
            assert_eq!(parse(&temporary(number)), Some(Entry::Temporary(number)));
            assert_eq!(parse(&old(number)), Some(Entry::Old(number)));
            assert_eq!(parse(&trash(number)), Some(Entry::Trash(number)));
        }
        let foreign = [
            "",
            "step-",
            "step-7",
            "step-0000000x",
            "step-+0000007",
            "step-000000007",
            "step-00000007 ",
            ".tmp-",
            ".tmp-1",
            ".tmp-1-",
            ".tmp-1-2-3",
            ".tmp-+1-2",
            ".trash-x-1",
            ".old--1",
            "damaged-00000007",
            "best",
            ".tmp-99999999999999999999-1",
        ];
        for name in foreign {
            assert_eq!(parse(name), None, "{name:?}");
        }
        assert_eq!(parse(&damaged(7, 0)), None);
        assert_eq!(parse(&damaged(7, 1)), None);
    }

    #[test]
    fn file_names_cannot_leave_the_folder() {
        for name in ["model.safetensors", "state.json", "a-b_c.0"] {
            assert!(is_plain(name), "{name:?}");
        }
        for name in ["", ".", "..", "../x", "a/b", "a\\b", "/x", ".hidden", "a\0", "a b", "ü", &"a".repeat(129)] {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
