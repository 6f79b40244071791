//! [`Masking`]: which tokens are hidden from a masked language model, and behind what. A pure function of (seed, draw, row), so that nothing
//! of it needs to be saved. It knows nothing of texts, models or epochs.
//!
//! Devlin et al. 2018, <https://arxiv.org/abs/1810.04805>, section 3.1: 15 % of the tokens are chosen; of these 80 % become the mask token,
//! 10 % another token, 10 % stay. Liu et al. 2019, <https://arxiv.org/abs/1907.11692>, section 4.1: other ones in each epoch.

use crate::order::Random;
use crate::{Encoded, Words};
use std::sync::Arc;

/// The share of a row's tokens that are chosen.
pub const MASKED_SHARE: f64 = 0.15;

/// How tokens of one vocabulary are masked.
#[derive(Debug, Clone)]
pub struct Masking {
    mask: u32,
    is_ordinary: Vec<bool>,
    ordinary: Vec<u32>,
    continues: Option<Vec<bool>>,
}

/// The tokens that a model is asked for: of each row, those that stand at its scored places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// Token ids, in the order of the places, `[places]`.
    pub ids: Vec<u32>,
    /// Where those of each row start, and at the end their number, `[rows + 1]`.
    pub offsets: Vec<u32>,
}

impl Hidden {
    /// The tokens of one row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn of(&self, row: usize) -> &[u32] {
        &self.ids[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }
}

impl Masking {
    /// `mask` is the mask token. For each id, `is_ordinary` says whether it may be chosen and stand for another (special tokens may not), and
    /// `continues` whether it goes on with the word of the token before it: then all tokens of a word are chosen together.
    ///
    /// # Panics
    /// If no token is ordinary, or the two lists are not of the same length.
    pub fn new(mask: u32, is_ordinary: Vec<bool>, continues: Option<Vec<bool>>) -> Masking {
        let ordinary: Vec<u32> = (0u32..).zip(&is_ordinary).filter(|&(_, &is)| is).map(|(id, _)| id).collect();
        assert!(!ordinary.is_empty(), "Masking::new: no token is ordinary");
        assert!(
            continues.as_ref().is_none_or(|list| list.len() == is_ordinary.len()),
            "Masking::new: lists of two lengths"
        );
        Masking { mask, is_ordinary, ordinary, continues }
    }

    /// Whether one of these tokens may be chosen.
    pub fn finds_any(&self, ids: &[u32]) -> bool {
        ids.iter().any(|&id| self.is_ordinary[id as usize])
    }

    #[cfg(test)]
    pub(crate) fn continues(&self) -> Vec<bool> {
        self.continues.clone().unwrap_or_default()
    }

    /// All tokens that may be chosen.
    pub fn candidates(&self, encoded: &Encoded) -> Hidden {
        let mut hidden = Hidden { ids: Vec::new(), offsets: vec![0] };
        for row in 0..encoded.len() {
            hidden.ids.extend(encoded.row(row).0.iter().filter(|&&id| self.is_ordinary[id as usize]));
            hidden.offsets.push(hidden.ids.len() as u32);
        }
        hidden
    }

    /// The rows as the model is to read them in this draw, with the scored places, and the tokens that really stand there.
    ///
    /// Of each row as many tokens are chosen as [`MASKED_SHARE`] of those that may be, rounded, and at least one. Of words those are chosen that
    /// still fit into this number, in random order; the first fits always.
    pub fn hide(&self, encoded: &Encoded, seed: u64, draw: u64) -> (Encoded, Hidden) {
        let rows = encoded.len();
        let mut ids = encoded.ids.clone();
        let mut words = Words { rows: (0..rows).collect(), table_rows: rows, offsets: vec![0], ..Words::default() };
        let mut hidden = Vec::new();
        for row in 0..rows {
            let mut random = Random::of(seed, &[draw, row as u64]);
            let places = self.choose(encoded.row(row).0, &mut random);
            let first = encoded.offsets[row] as usize;
            for &place in &places {
                let id = &mut ids[first + place as usize];
                hidden.push(*id);
                match random.below(10) {
                    0..8 => *id = self.mask,
                    8 => *id = self.ordinary[random.below(self.ordinary.len() as u64) as usize],
                    _ => {}
                }
            }
            words.words.extend_from_slice(&places);
            words.places.extend_from_slice(&places);
            words.offsets.push(words.places.len() as u32);
        }
        let hidden = Hidden { ids: hidden, offsets: words.offsets.clone() };
        let masked = Encoded {
            ids,
            type_ids: encoded.type_ids.clone(),
            offsets: encoded.offsets.clone(),
            truncated: Vec::new(),
            longest_untruncated: encoded.longest_untruncated,
            windows: Vec::new(),
            words: Some(Arc::new(words)),
        };
        (masked, hidden)
    }

    /// The places of a row that are chosen, ascending.
    fn choose(&self, ids: &[u32], random: &mut Random) -> Vec<u32> {
        let mut units = self.units(ids);
        let candidates: usize = units.iter().map(|unit| unit.len()).sum();
        let wanted = ((MASKED_SHARE * candidates as f64).round() as usize).max(1);
        let mut chosen: Vec<u32> = Vec::with_capacity(wanted);
        for at in 0..units.len() {
            if chosen.len() >= wanted {
                break;
            }
            let other = at + random.below((units.len() - at) as u64) as usize;
            units.swap(at, other);
            let unit = units[at].clone();
            if chosen.is_empty() || chosen.len() + unit.len() <= wanted {
                chosen.extend(unit);
            }
        }
        chosen.sort_unstable();
        chosen
    }

    /// What is chosen together: neighbouring places, in order.
    fn units(&self, ids: &[u32]) -> Vec<std::ops::Range<u32>> {
        let mut units: Vec<std::ops::Range<u32>> = Vec::new();
        for (place, &id) in (0u32..).zip(ids) {
            if !self.is_ordinary[id as usize] {
                continue;
            }
            let continues = self.continues.as_ref().is_some_and(|continues| continues[id as usize]);
            match units.last_mut() {
                Some(unit) if continues && unit.end == place => unit.end = place + 1,
                _ => units.push(place..place + 1),
            }
        }
        units
    }
}
