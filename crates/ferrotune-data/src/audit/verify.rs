//! The second pass: texts of candidates compared in full, and the labels of rows that contradict each other. It keeps the texts of candidates.

use super::exact::Texts;
use super::near::Compared;
use super::overlaps::Near;
use super::{AuditRows, BLOCK, Conflict, Places, normalised};
use crate::DataError;
use rayon::prelude::*;
use std::collections::HashMap;

/// The pairs that are near, and the conflicts with their labels.
///
/// # Errors
/// Rows that cannot be read.
pub(crate) fn second_pass(
    splits: &[(&'static str, AuditRows<'_>)],
    texts: &Texts,
    places: &Places,
    pairs: Vec<u64>,
    conflicts: Vec<Vec<u32>>,
) -> Result<(Vec<Near>, Vec<Conflict>), DataError> {
    let rows = texts.rows.len();
    let (mut is_candidate, mut is_labelled) = (vec![false; rows], vec![false; rows]);
    let both = |pair: &u64| [(*pair >> 32) as u32, *pair as u32];
    pairs.iter().flat_map(both).for_each(|row| is_candidate[row as usize] = true);
    conflicts.iter().flatten().for_each(|&row| is_labelled[row as usize] = true);
    let mut compared: HashMap<u32, Compared> = HashMap::new();
    let mut labels: HashMap<u32, String> = HashMap::new();
    for (split, &(_, source)) in splits.iter().enumerate() {
        let mut next = places.rows(split).start;
        if !places.rows(split).any(|row| is_candidate[row as usize] || is_labelled[row as usize]) {
            continue;
        }
        source.blocks(BLOCK, &mut |block| {
            let first = next;
            next += block.len() as u32;
            // A file that grew since the first pass has rows that nobody asked for.
            let wanted = |n: &usize| is_candidate.get(first as usize + n).copied().unwrap_or(false);
            let texts = (0..block.len())
                .into_par_iter()
                .filter(wanted)
                .filter_map(|n| normalised(&block[n]).map(|text| (first + n as u32, Compared::new(text))));
            compared.par_extend(texts);
            for (n, row) in block.iter().enumerate() {
                if is_labelled.get(first as usize + n).copied().unwrap_or(false) {
                    labels.insert(first + n as u32, row.label.clone().unwrap_or_default());
                }
            }
            Ok(())
        })?;
    }
    let near = |pair: &u64| {
        let [later, earlier] = both(pair);
        let (likeness, similarity) = compared.get(&later)?.likeness(compared.get(&earlier)?)?;
        Some(Near { later, earlier, likeness, similarity })
    };
    let near = pairs.par_iter().filter_map(near).collect();
    let mut labelled = |row: u32| (places.of(texts, row), labels.remove(&row).unwrap_or_default());
    let conflicts = conflicts.into_iter().map(|rows| Conflict { rows: rows.into_iter().map(&mut labelled).collect() });
    Ok((near, conflicts.collect()))
}
