//! Tags of words: `O` outside of entities, or the place of a word in an entity and the entity's type (`B-person`); or a class for each word, such
//! as its part of speech. Which of both follows from all tags together. It knows nothing of tokens.
//!
//! IOB2 (`B` begins, `I` goes on) and BIOES (`E` ends, `S` stands alone) are read alike, and so is IOB1, where `I` may begin.

use crate::labels::encode_rows;
use crate::{DataError, Labels, Row, Table};
use std::collections::BTreeSet;

/// What a tag says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag<'a> {
    /// `O`, `B`, `I`, `E` or `S`.
    pub place: char,
    /// The entity's type; `_` for `O` and for a tag that names none.
    pub kind: &'a str,
}

impl<'a> Tag<'a> {
    /// Outside of every entity.
    pub const OUTSIDE: Tag<'static> = Tag { place: 'O', kind: "_" };

    /// Reads `O`, `B-person` or a bare `B`. `None` for anything else, and for types that hold white space.
    pub fn parse(text: &'a str) -> Option<Tag<'a>> {
        if text == "O" {
            return Some(Tag::OUTSIDE);
        }
        let place = text.chars().next().filter(|place| "BIES".contains(*place))?;
        let kind = match &text[1..] {
            "" => "_",
            rest => rest.strip_prefix('-')?,
        };
        (!kind.is_empty() && !kind.contains(char::is_whitespace)).then_some(Tag { place, kind })
    }
}

/// What the tags of a task spell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagging {
    /// Entities: each tag is one that [`Tag::parse`] reads.
    Entities,
    /// A class for each word by itself: parts of speech, languages, the marks that follow words.
    Classes,
}

impl Tagging {
    /// What these tags spell: entities if one of them has a place and a type (`B-person`), or all are bare places, `B` or `I` among them; else
    /// classes.
    ///
    /// # Errors
    /// The first tag that spells no entity where others do, or that looks like a place in an entity and is none: `b-person` beside
    /// `i-person`, `B_person` beside `I_person`.
    pub fn of<'a>(tags: impl Iterator<Item = &'a str> + Clone) -> Result<Tagging, &'a str> {
        let stray = tags.clone().find(|tag| Tag::parse(tag).is_none());
        let typed = |tag: &str| tag.contains('-') && Tag::parse(tag).is_some();
        let odd = |place: char| tags.clone().find(move |tag| almost(tag) == Some(place));
        match stray {
            // `E`, `S` and `O` alone may well be languages.
            None if tags.clone().any(|tag| typed(tag) || tag == "B" || tag == "I") => Ok(Tagging::Entities),
            None => Ok(Tagging::Classes),
            Some(stray) if tags.clone().any(typed) => Err(stray),
            Some(_) => odd('B').filter(|_| odd('I').is_some()).map_or(Ok(Tagging::Classes), Err),
        }
    }
}

/// The place of a tag in a spelling that is nearly the right one.
fn almost(tag: &str) -> Option<char> {
    let mut characters = tag.chars();
    let place = characters.next()?.to_ascii_uppercase();
    matches!(characters.next()?, '-' | '_').then_some(place)
}

/// The tags of a row's words in their order; the reader has checked their number, and that none holds white space.
pub fn row_tags(row: &Row) -> impl Iterator<Item = &str> {
    row.label.as_deref().into_iter().flat_map(|tags| tags.split(' '))
}

impl Labels {
    /// The tags of a training table, sorted by name. Of entities each type has every place that one of them has: where `I` occurs, a type that has
    /// only words by themselves here (`B-year`) may have longer ones elsewhere.
    ///
    /// # Errors
    /// No row has a word, all words have the same tag, or some tags spell entities and others do not.
    pub fn from_tags(table: &Table) -> Result<Labels, DataError> {
        let file = || table.path.display().to_string();
        let mut names: BTreeSet<&str> = BTreeSet::new();
        table.rows.iter().for_each(|row| names.extend(row_tags(row)));
        let tagging = Tagging::of(names.iter().copied()).map_err(|tag| {
            let with_it = table.rows.iter().find(|row| row_tags(row).any(|other| other == tag));
            DataError::MixedTags { file: file(), line: with_it.map_or(0, |row| row.line), tag: tag.to_owned() }
        })?;
        match names.len() {
            0 => Err(DataError::NoLabels { file: file() }),
            1 => {
                Err(DataError::SingleTag { file: file(), tag: names.into_iter().next().unwrap_or_default().to_owned() })
            }
            _ if tagging == Tagging::Entities => Labels::from_names(with_all_places(&names)),
            _ => Labels::from_names(names.into_iter().map(str::to_owned).collect()),
        }
    }
}

/// These tags of entities, and those of the same types in the places of all.
fn with_all_places(names: &BTreeSet<&str>) -> Vec<String> {
    let tags =
        || names.iter().filter_map(|name| Some((name.chars().next()?, name.get(1..)?))).filter(|tag| tag.0 != 'O');
    let places: BTreeSet<char> = tags().map(|(place, _)| place).collect();
    let all = tags().flat_map(|(_, kind)| places.iter().map(move |place| format!("{place}{kind}")));
    all.chain(names.iter().map(|name| name.to_string())).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The ids of each row's tags, one for each word.
///
/// # Errors
/// The first tag that `labels` lacks, with the number of all rows that have such tags.
pub fn encode_tags(table: &Table, labels: &Labels) -> Result<Vec<Vec<u32>>, DataError> {
    encode_rows(table, labels, |row| Ok(row_tags(row).map(|tag| labels.id(tag).ok_or(tag)).collect()))
}
