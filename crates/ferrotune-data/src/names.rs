//! Showing and comparing names that came from outside: quoting for messages, and the nearest known name.
//! It knows nothing of files, rows or labels.

/// Names longer than this many characters are cut in a message.
const SHOWN_CHARS: usize = 60;
/// A list in a message shows this many names.
const SHOWN_NAMES: usize = 8;

/// `name` in double quotes, control characters escaped and cut to 60 characters, so that a message stays on one line
/// and a hostile file cannot send escape codes to a terminal.
pub(crate) fn quoted(name: &str) -> String {
    match name.char_indices().nth(SHOWN_CHARS) {
        None => format!("{name:?}"),
        Some((cut, _)) => format!("{:?}...", &name[..cut]),
    }
}

/// The first few names, quoted and joined by commas, with a count of the rest.
pub(crate) fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let total = names.len();
    let mut text = names.take(SHOWN_NAMES).map(quoted).collect::<Vec<_>>().join(", ");
    if total > SHOWN_NAMES {
        text.push_str(&format!(" and {} more", total - SHOWN_NAMES));
    }
    text
}

/// The candidate that `name` was most likely meant to be: the same but for case and spaces, or within one edit
/// (Damerau-Levenshtein) for each three characters. `None` when nothing is near.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    // The distance is quadratic in length: a whole sentence in the label column has no near name anyway.
    if name.chars().count() > 2 * SHOWN_CHARS {
        return None;
    }
    let folded = name.trim().to_lowercase();
    let allowed = (folded.chars().count() / 3).max(1);
    candidates
        .filter(|candidate| candidate.len() <= 8 * SHOWN_CHARS)
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &candidate.trim().to_lowercase()), candidate))
        .filter(|&(distance, candidate)| distance <= allowed && !candidate.is_empty())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate.to_owned())
}

/// `; did you mean "name"?`, or nothing.
pub(crate) fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean {}?", quoted(name)))
}
