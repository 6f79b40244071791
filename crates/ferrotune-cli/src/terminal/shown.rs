//! Texts and names from outside as they may stand in a line on a terminal. It must not know what they are.

/// Control characters and those without width escaped, and at most so many characters.
pub fn short(text: &str, most: usize) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let escaped = |c: char| if hidden(c) { c.escape_default().collect::<Vec<_>>() } else { vec![c] };
    // Cut first: a text may be very long. One character more says whether something is left out.
    let text: String = text.chars().take(most + 1).flat_map(escaped).collect();
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}

/// The word for so many.
pub fn plural(number: usize, word: &str) -> String {
    match (number, word) {
        (1, _) => word.to_string(),
        (_, "class") => "classes".to_string(),
        _ => format!("{word}s"),
    }
}

/// A number and the word for so many.
pub fn counted(number: usize, word: &str) -> String {
    format!("{number} {}", plural(number, word))
}
