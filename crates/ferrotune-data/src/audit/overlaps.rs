//! Which rows of one split stand in another one, or earlier in their own, as they are or nearly: from pairs of texts to rows. It knows no texts.

use super::exact::{NONE, Texts};
use super::near::Likeness;
use super::{Place, Places};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::HashMap;

/// A row and the one that it is most like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Match {
    /// The row.
    pub row: Place,
    /// The other.
    pub of: Place,
    /// In what they differ.
    pub likeness: Likeness,
    /// The Jaccard similarity of their character trigrams.
    pub similarity: f64,
    /// Whether both have labels, and the labels say different things.
    pub labels_differ: bool,
}

/// Texts that two splits share, or that a split has more than once.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overlap {
    /// The earlier split; the same as the later one for repeats inside a split.
    pub earlier: &'static str,
    /// The later split.
    pub later: &'static str,
    /// The rows of the later split that are like one of the earlier split (inside a split, like a row before them), each with the one that it is most
    /// like; the closest first.
    pub later_rows: Vec<Match>,
    /// The other way round: the rows of the earlier split that are like one of the later. Empty inside a split.
    pub earlier_rows: Vec<Match>,
}

impl Overlap {
    /// How many rows of the later split differ in this from one of the earlier.
    pub fn count(&self, likeness: Likeness) -> usize {
        self.later_rows.iter().filter(|found| found.likeness == likeness).count()
    }

    /// Rows of the later split that are copies of rows of the earlier one, [`Likeness::is_copy`].
    pub fn copies(&self) -> usize {
        self.later_rows.iter().filter(|found| found.likeness.is_copy()).count()
    }
}

/// Two rows with different texts that are near.
#[derive(Clone, Copy)]
pub(crate) struct Near {
    pub(crate) later: u32,
    pub(crate) earlier: u32,
    pub(crate) likeness: Likeness,
    pub(crate) similarity: f64,
}

/// The best partner of each row.
#[derive(Default)]
struct Best(HashMap<u32, (Likeness, f64, u32)>);

impl Best {
    fn offer(&mut self, row: u32, of: u32, likeness: Likeness, similarity: f64) {
        let new = (likeness, similarity, of);
        self.0.entry(row).and_modify(|old| *old = if closer(new, *old).is_lt() { new } else { *old }).or_insert(new);
    }

    fn matches(self, texts: &Texts, places: &Places) -> Vec<Match> {
        let mut found: Vec<_> = self.0.into_iter().collect();
        found.sort_by(|a, b| closer((a.1.0, a.1.1, a.0), (b.1.0, b.1.1, b.0)));
        let meaning = |row: u32| texts.rows[row as usize].meaning;
        let differ = |a: u32, b: u32| meaning(a).zip(meaning(b)).is_some_and(|(a, b)| a != b);
        let of_row = |(row, (likeness, similarity, of)): (u32, (Likeness, f64, u32))| {
            let labels_differ = differ(row, of);
            Match { row: places.of(texts, row), of: places.of(texts, of), likeness, similarity, labels_differ }
        };
        found.into_iter().map(of_row).collect()
    }
}

/// The closer likeness first, then the higher similarity, then the earlier row.
fn closer(a: (Likeness, f64, u32), b: (Likeness, f64, u32)) -> Ordering {
    a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2))
}

/// All pairs of splits and each split with itself, in order of the later one. `near` are pairs of first rows of their texts in their splits.
pub(crate) fn overlaps(texts: &Texts, places: &Places, near: &[Near]) -> Vec<Overlap> {
    let splits = places.splits();
    // First rows of texts, by (earlier split, later split).
    let mut near_of: HashMap<(usize, usize), Vec<Near>> = HashMap::new();
    for &pair in near {
        near_of.entry((places.split(pair.earlier), places.split(pair.later))).or_default().push(pair);
    }
    let mut overlaps = Vec::new();
    for later in 0..splits {
        for earlier in 0..=later {
            let near = near_of.remove(&(earlier, later)).unwrap_or_default();
            let (mut of_later, mut of_earlier) = (Best::default(), Best::default());
            for &Near { later, earlier, likeness, similarity } in &near {
                of_later.offer(later, earlier, likeness, similarity);
                of_earlier.offer(earlier, later, likeness, similarity);
            }
            if earlier == later {
                // A row that repeats an earlier one is an exact copy of it; what it is near to is said of the first.
                for row in places.rows(later) {
                    let first = texts.firsts(row)[later];
                    if first != NONE && first != row {
                        of_later.offer(row, first, Likeness::Exact, 1.0);
                    }
                }
                of_earlier = Best::default();
            } else {
                for (best, here, there) in [(&mut of_later, later, earlier), (&mut of_earlier, earlier, later)] {
                    for row in places.rows(here) {
                        let firsts = texts.firsts(row);
                        if firsts[there] != NONE {
                            best.offer(row, firsts[there], Likeness::Exact, 1.0);
                        } else if let Some(&(likeness, similarity, of)) = best.0.get(&firsts[here]) {
                            // A repeat of a row that is near to something is as near to it.
                            best.offer(row, of, likeness, similarity);
                        }
                    }
                }
            }
            overlaps.push(Overlap {
                earlier: places.name(earlier),
                later: places.name(later),
                later_rows: of_later.matches(texts, places),
                earlier_rows: of_earlier.matches(texts, places),
            });
        }
    }
    overlaps
}
