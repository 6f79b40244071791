//! Names of labels that look like one name written twice. It knows nothing of rows.

use super::characters::as_latin;
use crate::labels::numbers::number;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Two labels that may be one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LookAlike {
    /// The one with more rows.
    pub frequent: String,
    /// Its rows over all splits.
    pub frequent_rows: usize,
    /// The one with fewer rows.
    pub rare: String,
    /// Its rows over all splits.
    pub rare_rows: usize,
    /// Whether they differ in case, blanks, punctuation and how Unicode spells their letters alone; else in one letter.
    pub same_letters: bool,
}

/// Pairs of names that differ in case, blanks, punctuation and the spelling of their letters in Unicode alone (composed or not, of full width, a
/// Cyrillic or Greek one that looks Latin), or in one letter (more, less, another, or swapped with its neighbour) of at
/// least four; digits are no letters, and a sign or a point makes another number. The surest first. `counts` are names with their rows.
pub(crate) fn look_alikes(counts: &BTreeMap<String, usize>) -> Vec<LookAlike> {
    // As they are, and what they look like: a small letter need not look as Latin as its capital.
    let letters = |name: &str, seen: fn(char) -> char| -> Vec<char> {
        let letters = name.nfkc().filter(|c| c.is_alphanumeric() || is_combining_mark(*c));
        letters.map(seen).flat_map(char::to_lowercase).collect()
    };
    let names: Vec<(&String, Vec<char>)> = counts.keys().map(|name| (name, letters(name, |c| c))).collect();
    let seen: Vec<Vec<char>> = counts.keys().map(|name| letters(name, as_latin)).collect();
    // Names one letter apart share a name with a letter left out, so that not each pair has to be compared.
    let mut by_rest: BTreeMap<Vec<char>, Vec<usize>> = BTreeMap::new();
    for (n, (_, letters)) in names.iter().enumerate().filter(|(_, (_, letters))| !letters.is_empty()) {
        let without = |place| letters[..place].iter().chain(&letters[place + 1..]).copied().collect();
        let rests: BTreeSet<Vec<char>> =
            (0..letters.len()).map(without).chain([letters.clone(), seen[n].clone()]).collect();
        rests.into_iter().for_each(|rest| by_rest.entry(rest).or_default().push(n));
    }
    let pairs: BTreeSet<(usize, usize)> = by_rest
        .values()
        .flat_map(|names| names.iter().enumerate().flat_map(|(n, &a)| names[n + 1..].iter().map(move |&b| (a, b))))
        .collect();
    let look_alike = |(a, b): (usize, usize)| {
        if number(names[a].0).is_some() && number(names[b].0).is_some() {
            return None;
        }
        let same_letters = names[a].1 == names[b].1 || seen[a] == seen[b];
        if !same_letters && !one_letter_apart(&names[a].1, &names[b].1) {
            return None;
        }
        let rows = |n: usize| counts[names[n].0];
        let (frequent, rare) = if rows(a) >= rows(b) { (a, b) } else { (b, a) };
        Some(LookAlike {
            frequent: names[frequent].0.clone(),
            frequent_rows: rows(frequent),
            rare: names[rare].0.clone(),
            rare_rows: rows(rare),
            same_letters,
        })
    };
    let mut found: Vec<LookAlike> = pairs.into_iter().filter_map(look_alike).collect();
    found.sort_by_key(|pair| (!pair.same_letters, pair.rare_rows));
    found
}

fn one_letter_apart(a: &[char], b: &[char]) -> bool {
    let before = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (rest_a, rest_b) = (&a[before..], &b[before..]);
    let after = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (rest_a, rest_b) = (&rest_a[..rest_a.len() - after], &rest_b[..rest_b.len() - after]);
    let near = match (rest_a, rest_b) {
        ([x, y], [v, w]) => x == w && y == v,
        _ => rest_a.len() <= 1 && rest_b.len() <= 1,
    };
    near && a.len().max(b.len()) >= 4 && !rest_a.iter().chain(rest_b).any(|c| c.is_numeric())
}
