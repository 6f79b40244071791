//! [`split`]: which part of a data set each row goes to, as a pure function of numbers. It knows nothing of files, texts or names.
//!
//! Rows of a group stay together, sizes are exact, and each class has its share of every part, in this order of importance. First each class
//! is given a whole number of rows in each part ([`targets`]). Groups of several rows are placed against these numbers, the largest first;
//! single rows fill what is left, which they do exactly as long as no group had to go where there was no room for it.

pub(crate) mod hold_out;
pub(crate) mod subset;
mod targets;

use crate::order::Random;
use crate::shuffled;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
pub(crate) use targets::targets;

/// Why rows cannot be split as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// A part would have no row.
    #[error("part {part} gets none of {rows} rows")]
    EmptyPart {
        /// Its number.
        part: usize,
        /// All rows.
        rows: usize,
    },
    /// A group is larger than every part.
    #[error("a group of {rows} rows does not fit into a part, of which the largest has {largest}")]
    GroupTooLarge {
        /// Its first row.
        first: usize,
        /// Its size.
        rows: usize,
        /// The size of the largest part.
        largest: usize,
    },
}

/// How large the parts are, by largest remainder: the whole rows of each share, and one more for the largest fractions, of equal ones the
/// first. They add up to `rows`.
///
/// # Panics
/// When a share is negative, or they do not add up to 1 (within rounding).
pub fn part_sizes(rows: usize, shares: &[f64]) -> Vec<usize> {
    let sum: f64 = shares.iter().sum();
    assert!((sum - 1.0).abs() < 1e-9 && shares.iter().all(|&share| share >= 0.0), "part_sizes: shares {shares:?}");
    // A share such as 0.7 of 10 rows is 7 but for rounding, and must neither lose a row nor count as a fraction.
    let quota = |share: f64| {
        let exact = rows as f64 * share;
        if (exact - exact.round()).abs() < 1e-6 { exact.round() } else { exact }
    };
    let quotas: Vec<f64> = shares.iter().map(|&share| quota(share)).collect();
    let mut sizes: Vec<usize> = quotas.iter().map(|quota| quota.floor() as usize).collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by(|&a, &b| quotas[b].fract().total_cmp(&quotas[a].fract()));
    let left = rows.saturating_sub(sizes.iter().sum());
    order.into_iter().cycle().take(left).for_each(|part| sizes[part] += 1);
    sizes
}

/// Groups of rows: rows that have a value in common in any column are in one group, and so are rows that such rows join. A row without a
/// value is joined to none by that column. Groups are numbered in the order of their first rows.
pub fn joined<K: Hash + Eq>(rows: usize, columns: &[&[Option<K>]]) -> Vec<usize> {
    // Each row points to an earlier one of its group, the first to itself.
    let mut earlier: Vec<usize> = (0..rows).collect();
    fn first(earlier: &mut [usize], mut row: usize) -> usize {
        while earlier[row] != row {
            earlier[row] = earlier[earlier[row]];
            row = earlier[row];
        }
        row
    }
    for column in columns {
        let mut seen: HashMap<&K, usize> = HashMap::new();
        for (row, value) in column.iter().enumerate() {
            let Some(value) = value else { continue };
            let other = *seen.entry(value).or_insert(row);
            let (a, b) = (first(&mut earlier, row), first(&mut earlier, other));
            earlier[a.max(b)] = a.min(b);
        }
    }
    let mut numbers = vec![0; rows];
    let mut groups = 0;
    for row in 0..rows {
        let root = first(&mut earlier, row);
        if root == row {
            numbers[row] = groups;
            groups += 1;
        } else {
            numbers[row] = numbers[root];
        }
    }
    numbers
}

/// The part of each row, a pure function of its arguments.
///
/// `sizes` are the rows of each part, which add up to the number of rows. `classes` has the class of each row, `groups` its group; both count
/// from 0. The part `home` gets at least one row of each class if there is one, since a class that is not learned cannot be recognised; not of a class whose rows
/// are all in groups for which it has no room.
///
/// Without groups of several rows the sizes are exact, and of a class with `n` of the `N` rows a part of `S` rows has `n·S/N`, rounded down
/// or up (of classes that are too small for `home`, one row is set aside for it before). Groups of several rows may prevent both.
///
/// # Errors
/// A part without any row; a group that is larger than every part.
///
/// # Panics
/// When the lengths disagree.
pub fn split(
    sizes: &[usize],
    classes: &[usize],
    groups: &[usize],
    home: Option<usize>,
    seed: u64,
) -> Result<Vec<usize>, SplitError> {
    let rows = classes.len();
    assert_eq!(groups.len(), rows, "split: groups of {} rows, classes of {rows}", groups.len());
    assert_eq!(sizes.iter().sum::<usize>(), rows, "split: sizes {sizes:?} of {rows} rows");
    if let Some(part) = sizes.iter().position(|&size| size == 0) {
        return Err(SplitError::EmptyPart { part, rows });
    }
    let mut class_rows = vec![0; classes.iter().max().map_or(0, |&most| most + 1)];
    classes.iter().for_each(|&class| class_rows[class] += 1);
    let wanted = targets(&class_rows, sizes, home);
    let mut room = Room {
        cells: wanted.iter().map(|parts| parts.iter().map(|&rows| rows as i64).collect()).collect(),
        parts: sizes.iter().map(|&size| size as i64).collect(),
    };

    let mut members: Vec<Vec<usize>> = vec![Vec::new(); groups.iter().max().map_or(0, |&most| most + 1)];
    groups.iter().enumerate().for_each(|(row, &group)| members[group].push(row));
    let order = shuffled(members.len(), seed, 0);
    let (mut large, single): (Vec<usize>, Vec<usize>) = order.into_iter().partition(|&group| members[group].len() > 1);
    // Stable: of the same size in the shuffled order.
    large.sort_by_key(|&group| std::cmp::Reverse(members[group].len()));

    let mut parts = vec![usize::MAX; rows];
    let mut at_home = vec![false; class_rows.len()];
    let mut random = Random::of(seed, &[1]);
    let largest = sizes.iter().copied().max().unwrap_or(0);
    for group in large {
        let group = &members[group];
        if group.len() > largest {
            return Err(SplitError::GroupTooLarge { first: group[0], rows: group.len(), largest });
        }
        let mut counts: BTreeMap<usize, i64> = BTreeMap::new();
        group.iter().for_each(|&row| *counts.entry(classes[row]).or_insert(0) += 1);
        let part = room.choose(&counts, group.len() as i64, &mut random);
        room.take(&counts, part);
        for &row in group {
            parts[row] = part;
            at_home[classes[row]] |= Some(part) == home;
        }
    }

    let mut singles: Vec<Vec<usize>> = vec![Vec::new(); class_rows.len()];
    single.into_iter().flat_map(|group| &members[group]).for_each(|&row| singles[classes[row]].push(row));
    let counts: Vec<i64> = singles.iter().map(|rows| rows.len() as i64).collect();
    let kept = |class: usize, part: usize| i64::from(Some(part) == home && !at_home[class]);
    let filled = room.fill(&counts, kept);
    for (rows, filled) in singles.iter().zip(filled) {
        let into = filled.iter().enumerate().flat_map(|(part, &n)| std::iter::repeat_n(part, n as usize));
        rows.iter().zip(into).for_each(|(&row, part)| parts[row] = part);
    }
    match (0..sizes.len()).find(|part| !parts.contains(part)) {
        Some(part) => Err(SplitError::EmptyPart { part, rows }),
        None => Ok(parts),
    }
}

/// How many rows are still wanted; negative where there are too many.
struct Room {
    /// Of each class in each part.
    cells: Vec<Vec<i64>>,
    /// In each part.
    parts: Vec<i64>,
}

impl Room {
    /// Where a group goes: any part in which all its classes fit, larger rooms more often; else the one where least is too much.
    fn choose(&self, counts: &BTreeMap<usize, i64>, rows: i64, random: &mut Random) -> usize {
        let excess = |part: usize| -> i64 {
            counts.iter().map(|(&class, &count)| (count - self.cells[class][part].max(0)).max(0)).sum()
        };
        let beyond = |part: usize| (rows - self.parts[part].max(0)).max(0);
        let all = 0..self.parts.len();
        let fitting: Vec<usize> = all.clone().filter(|&part| excess(part) == 0 && beyond(part) == 0).collect();
        let total: i64 = fitting.iter().map(|&part| self.parts[part]).sum();
        if total > 0 {
            let mut drawn = random.below(total as u64) as i64;
            for &part in &fitting {
                drawn -= self.parts[part];
                if drawn < 0 {
                    return part;
                }
            }
        }
        all.min_by_key(|&part| (beyond(part), excess(part), -self.parts[part])).expect("there are parts")
    }

    fn take(&mut self, counts: &BTreeMap<usize, i64>, part: usize) {
        for (&class, &count) in counts {
            self.cells[class][part] -= count;
            self.parts[part] -= count;
        }
    }

    /// How many single rows of each class go to each part: as wanted where no group has taken too much; else so that the sizes of the parts
    /// are right, with the least change to the classes. `kept` rows of a class are not moved out of a part.
    fn fill(&self, counts: &[i64], kept: impl Fn(usize, usize) -> i64) -> Vec<Vec<i64>> {
        let parts = self.parts.len();
        let mut filled: Vec<Vec<i64>> =
            self.cells.iter().map(|cells| cells.iter().map(|&cell| cell.max(0)).collect()).collect();
        // Rows that a part has too many of (or, negative, lacks).
        let mut surplus: Vec<i64> = self.parts.iter().map(|&room| -room.max(0)).collect();
        for cells in &filled {
            surplus.iter_mut().zip(cells).for_each(|(surplus, &cell)| *surplus += cell);
        }
        for (class, cells) in filled.iter_mut().enumerate() {
            let mut over = cells.iter().sum::<i64>() - counts[class];
            while over > 0 {
                let free = |part: usize| (cells[part] > kept(class, part), surplus[part], cells[part]);
                let part = (0..parts).filter(|&part| cells[part] > 0).max_by_key(|&part| free(part));
                let part = part.expect("cells add up to more than the rows");
                cells[part] -= 1;
                surplus[part] -= 1;
                over -= 1;
            }
        }
        loop {
            let mut best: Option<(i64, i64, usize, usize, usize)> = None;
            for from in (0..parts).filter(|&part| surplus[part] > 0) {
                for to in (0..parts).filter(|&part| surplus[part] < 0) {
                    for (class, cells) in filled.iter().enumerate().filter(|(c, cells)| cells[from] > kept(*c, from)) {
                        let wanted = &self.cells[class];
                        let gain = (cells[from] - wanted[from]) - (cells[to] - wanted[to]);
                        let move_ = (gain, cells[from], class, from, to);
                        if best.is_none_or(|best| move_ > best) {
                            best = Some(move_);
                        }
                    }
                }
            }
            let Some((_, _, class, from, to)) = best else { return filled };
            filled[class][from] -= 1;
            filled[class][to] += 1;
            surplus[from] -= 1;
            surplus[to] += 1;
        }
    }
}
