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

/// Names of which a list shows so many at most, and so many characters of each.
const NAMES: usize = 12;
const NAME: usize = 60;

/// The first names of a list, and how many there are more.
pub fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMES).map(|name| short(name, NAME)).collect::<Vec<_>>().join(", ");
    if names.len() > NAMES { format!("{shown}, … ({} more)", names.len() - NAMES) } else { shown }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_reaches_the_terminal_as_it_is() {
        assert_eq!(short("a\u{1b}[31m\u{7}", 60), r"a\u{1b}[31m\u{7}");
        assert_eq!(short("äöü", 2), "äö …");
        let names: Vec<String> = (0..14).map(|n| format!("{n}\n")).collect();
        let said = listed(&names);
        assert!(said.starts_with("0\\n, 1\\n, ") && said.ends_with(", … (2 more)") && !said.contains('\n'), "{said}");
        assert_eq!(listed(&names[..1]), "0\\n");
    }
}
