//! Tells the code of a Rust file from its comments and its strings.
//!
//! It knows just enough of the language for that: comments (nested ones too), strings with escapes, raw strings, and the
//! difference between a character and a lifetime. It must not know what a token means.

/// A Rust file taken apart. Both texts have the lines and columns of the original; what is not theirs is blank.
pub struct Lexed {
    /// Everything but comments and the insides of strings and characters.
    pub code: String,
    /// The comments, documentation included.
    pub comments: String,
}

/// Takes a file apart. A file that ends inside a string or a comment is taken as far as it goes.
pub fn lex(source: &str) -> Lexed {
    let bytes = source.as_bytes();
    let mut code: Vec<u8> = blank(bytes);
    let mut comments = code.clone();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = if rest.starts_with(b"//") {
            let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
            comments[at..at + length].copy_from_slice(&rest[..length]);
            length
        } else if rest.starts_with(b"/*") {
            let length = block_comment(rest);
            comments[at..at + length].copy_from_slice(&rest[..length]);
            length
        } else if rest[0] == b'"' {
            string(rest)
        } else if rest[0] == b'\'' {
            character(rest).unwrap_or(1)
        } else if is_word(rest[0]) {
            let word = rest.iter().take_while(|b| is_word(**b)).count();
            let literal = prefixed(&rest[..word], &rest[word..]);
            if literal == 0 {
                code[at..at + word].copy_from_slice(&rest[..word]);
            }
            word + literal
        } else {
            code[at] = rest[0];
            1
        };
        at += length;
    }
    Lexed { code: text(code), comments: text(comments) }
}

/// Whole literals and comments are copied or left out, and their ends are ASCII, so this loses nothing.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn blank(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|b| if *b == b'\n' { b'\n' } else { b' ' }).collect()
}

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// Length of a block comment, which may hold others.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// Length of a string that begins with its quote.
fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Length of a character literal that begins with its quote, or none for a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    let first = std::str::from_utf8(&rest[1..rest.len().min(5)]).map_or_else(
        |error| std::str::from_utf8(&rest[1..1 + error.valid_up_to()]).ok().and_then(|valid| valid.chars().next()),
        |valid| valid.chars().next(),
    )?;
    if first == '\\' {
        // The escaped character may be a quote itself.
        return Some(rest.iter().skip(3).position(|b| *b == b'\'').map_or(rest.len(), |end| end + 4));
    }
    (rest.get(1 + first.len_utf8()) == Some(&b'\'')).then_some(2 + first.len_utf8())
}

/// Length of the literal behind a word that is its prefix (`r"`, `br#"`, `c"`, `b'`), or 0 if the word is only a word.
fn prefixed(word: &[u8], rest: &[u8]) -> usize {
    let hashes = rest.iter().take_while(|b| **b == b'#').count();
    match (word, rest.first()) {
        (b"r" | b"br" | b"cr", Some(b'"' | b'#')) if rest.get(hashes) == Some(&b'"') => {
            let body = &rest[hashes + 1..];
            let end = [&b"\""[..], &rest[..hashes]].concat();
            let length = body.windows(end.len()).position(|window| window == end);
            length.map_or(rest.len(), |length| hashes + 1 + length + end.len())
        }
        (b"b" | b"c", Some(b'"')) => string(rest),
        (b"b", Some(b'\'')) => character(rest).unwrap_or(0),
        _ => 0,
    }
}

/// Where `word` stands alone in `code`: byte offsets. A word that begins or ends with another character than a letter,
/// a digit or `_` needs no edge there.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let end = at + word.len();
        let joined = |left: Option<&u8>, right: Option<&u8>| {
            left.is_some_and(|b| is_word(*b)) && right.is_some_and(|b| is_word(*b))
        };
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        !joined(before, bytes.get(*at)) && !joined(bytes.get(end - 1), bytes.get(end))
    })
}

/// The number of the line, from 1, in which a byte lies.
pub fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_left() {
        for (source, expected) in [
            ("a // unsafe\nb", "a b"),
            ("a /* x /* unsafe */ y */ b", "a b"),
            ("a /* open", "a"),
            (r#"f("unsafe \" unsafe") + 1"#, "f( ) + 1"),
            ("f(r#\"unsafe \" unsafe\"#, 2)", "f( , 2)"),
            ("f(r\"\\\", 2)", "f( , 2)"),
            ("f(br##\"\"# unsafe\"##)", "f( )"),
            ("f(b\"unsafe\", c\"unsafe\")", "f( , )"),
            ("r#type + bar + r", "r#type + bar + r"),
            ("['\"', '\\'', '\\\\', b'\"', '\\u{41}', 'é', '€', '𝄞'] x", "[ , , , , , , , ] x"),
            ("fn f<'a>(x: &'a str, y: &'static u8)", "fn f< a>(x: & a str, y: & static u8)"),
            ("'outer: loop { break 'outer }", "outer: loop { break outer }"),
            ("/// unsafe\nfn f() {} //! x", "fn f() {}"),
            ("\"open", ""),
            ("'", ""),
            ("b'", "b"),
            ("\"http://x\" y", "y"),
            ("\"a\nb\" y", "y"),
        ] {
            let code = lex(source).code;
            assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{source}");
            assert_eq!(code.len(), source.len(), "{source}");
            assert_eq!(code.matches('\n').count(), source.matches('\n').count(), "{source}");
        }
    }

    #[test]
    fn comments_are_kept_apart() {
        let lexed = lex("let a = \"// no\"; // SAFETY: é yes\n/* two\nlines */ b");
        assert_eq!(lexed.comments.split_whitespace().collect::<Vec<_>>().join(" "), "// SAFETY: é yes /* two lines */");
        assert_eq!(lexed.comments.lines().nth(1).unwrap(), "/* two");
    }

    #[test]
    fn words_stand_alone() {
        for (code, word, expected) in [
            ("unsafe_code unsafe {", "unsafe", &[12][..]),
            ("an_unsafe unsafely unsafe", "unsafe", &[19]),
            ("eprintln!(); println!()", "println!", &[13]),
            ("std::env::var(x); my_env::var", "env::var", &[5]),
            ("env::vars()", "env::var", &[]),
        ] {
            assert_eq!(words(code, word).collect::<Vec<_>>(), expected, "{code}");
        }
        assert_eq!(line_of("a\nb\nc", 4), 3);
    }
}
