//! Characters that people do not type: signs of damage, of a wrong encoding, or of texts made to look like others. It knows nothing of rows.

use serde::Serialize;

/// What is odd about the characters of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Oddity {
    /// UTF-8 that was read as Windows-1252 and saved: "Ã©" for "é".
    Mojibake,
    /// U+FFFD, which stands for bytes that were no text.
    Replacement,
    /// A control character other than tab and line ends.
    Control,
    /// A character without width, or one that turns the direction of writing; joiners only where no script needs them.
    Invisible,
    /// A word of Latin letters with a Greek or Cyrillic letter that looks like one.
    Confusable,
}

impl Oddity {
    /// All of them.
    pub const ALL: [Oddity; 5] =
        [Oddity::Mojibake, Oddity::Replacement, Oddity::Control, Oddity::Invisible, Oddity::Confusable];

    /// Whether a text has it.
    pub fn is_in(self, text: &str) -> bool {
        match self {
            Oddity::Mojibake => repaired(text).is_some(),
            Oddity::Replacement => text.contains('\u{fffd}'),
            Oddity::Control => text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')),
            Oddity::Invisible => invisible(text),
            Oddity::Confusable => text.split(|c: char| !c.is_alphabetic()).any(confusable),
        }
    }

    /// All that a text has.
    pub(crate) fn of(text: &str) -> Vec<Oddity> {
        // Nothing but controls is odd in ASCII, and most texts are that.
        match text.is_ascii() {
            true => [Oddity::Control].into_iter().filter(|oddity| oddity.is_in(text)).collect(),
            false => Oddity::ALL.into_iter().filter(|oddity| oddity.is_in(text)).collect(),
        }
    }
}

fn invisible(text: &str) -> bool {
    let always = |c| matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{ad}' | '\u{180e}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // Emoji, Persian and Indic scripts are written with joiners, ASCII is not.
    let mut before = ' ';
    let joined = text.chars().any(|c| {
        let stray = matches!(c, '\u{200c}' | '\u{200d}') && before.is_ascii_alphanumeric();
        before = c;
        stray
    });
    joined || text.chars().any(always)
}

/// Greek and Cyrillic letters that look like a Latin one in most typefaces: the single letters of the confusables of Unicode Technical
/// Standard 39 that map to an ASCII letter.
const LOOK_LATIN: &str = "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧονаеорсухіјѕԁԛԝһАВЕКМНОРСТХІЈЅԚԜҮ";
/// What each of them looks like.
const LATIN: &str = "ABEZHIKMNOPTYXovaeopcyxijsdqwhABEKMHOPCTXIJSQWY";

/// The Latin letter that this one looks like, else the letter itself.
pub(super) fn as_latin(letter: char) -> char {
    let place = LOOK_LATIN.chars().position(|other| other == letter);
    place.and_then(|place| LATIN.chars().nth(place)).unwrap_or(letter)
}

fn confusable(word: &str) -> bool {
    word.contains(|c: char| c.is_ascii_alphabetic()) && word.contains(|c| LOOK_LATIN.contains(c))
}

/// The text as it was before its UTF-8 was read as Windows-1252, if that is what happened to a part of it.
pub fn repaired(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let mut repaired = String::with_capacity(text.len());
    let mut changed = false;
    // Bytes of one run of characters that Windows-1252 has and ASCII has not.
    let mut run: Vec<(char, u8)> = Vec::new();
    let mut flush = |run: &mut Vec<(char, u8)>, repaired: &mut String| {
        let bytes: Vec<u8> = run.iter().map(|&(_, byte)| byte).collect();
        match std::str::from_utf8(&bytes) {
            Ok(read) if plausible(read) => {
                repaired.push_str(read);
                changed = true;
            }
            _ => repaired.extend(run.iter().map(|&(c, _)| c)),
        }
        run.clear();
    };
    for c in text.chars() {
        match windows_1252(c).filter(|byte| *byte >= 0x80) {
            Some(byte) => run.push((c, byte)),
            None => {
                flush(&mut run, &mut repaired);
                repaired.push(c);
            }
        }
    }
    flush(&mut run, &mut repaired);
    changed.then_some(repaired)
}

/// Whether this is what somebody wrote. Two or three letters may make another one by chance, as in the French « voilà » with its blanks that do not
/// break; a letter of Latin, or a dash or quote, is no chance.
fn plausible(read: &str) -> bool {
    let usual = |c| matches!(c, '\u{80}'..='\u{24f}' | '\u{2010}'..='\u{2122}' | '\u{1f000}'..='\u{1ffff}');
    read.contains(usual) || read.chars().count() > 1
}

/// The byte that stands for a character in Windows-1252, as browsers read it: the five places without a character are controls.
fn windows_1252(c: char) -> Option<u8> {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match u32::from(c) {
        code @ (0..0x80 | 0xa0..0x100) => Some(code as u8),
        _ => HIGH.iter().position(|&high| high == c).map(|place| 0x80 + place as u8),
    }
}
