//! Whether the names of classes stand for other outputs than they are stored for: another assignment of names to outputs that scores much better,
//! by more than chance. Must not know models or files.

use super::Confusion;
use super::exact::ln_coins_at_least;
use super::ratio;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// With names that are right the alarm is raised on at most this share of test sets, whatever their size and number of classes.
const FALSE_ALARMS: f64 = 0.001;
/// So many times as many rows must be right under the other names as are right under the stored ones, of the classes that are moved: "much better"
/// besides "beyond chance", which of many rows is little.
const TIMES: u64 = 2;

/// A class and the name under which its rows are predicted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renamed {
    /// The class that the labels name.
    pub label: String,
    /// The name that the model mostly says instead.
    pub predicted: String,
    /// Rows of the class that are predicted so.
    pub rows: u64,
    /// Rows of the class that are predicted right.
    pub right: u64,
}

/// Names that seem to be exchanged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwappedNames {
    /// The classes, one cycle of exchanged names after the other.
    pub renamed: Vec<Renamed>,
    /// The accuracy with the names as they are stored.
    pub accuracy: f64,
    /// The accuracy if each of these names were the other.
    pub accuracy_if_renamed: f64,
}

impl Confusion {
    /// Names that seem to be exchanged, if some do. `names` has one name a class.
    ///
    /// The assignment of names to outputs with the highest accuracy (Kuhn 1955) is a permutation; each of its cycles is tested by itself. A cycle
    /// counts if every class in it is predicted more often under the other name than under any other; if under the other names `TIMES` as many of its rows
    /// are right; and if that is no chance: of the rows that one of the two assignments alone has right, as many for the other one come
    /// about with fair coins with a probability below `FALSE_ALARMS`, divided by the number of cycles of `m` classes that there are to choose
    /// from, `K! / ((K - m)! m)` of `K` classes, and by `2^(m - 1)`, so that the shares of all lengths add up to one at most (Bonferroni).
    pub fn swapped_names(&self, names: &[String]) -> Option<SwappedNames> {
        let counts = self.matrix();
        let best = best_assignment(&counts);
        let mut seen = vec![false; best.len()];
        let mut swapped: Vec<usize> = Vec::new();
        for start in 0..best.len() {
            let mut cycle = Vec::new();
            let mut class = start;
            while !seen[class] {
                seen[class] = true;
                cycle.push(class);
                class = best[class];
            }
            if cycle.len() > 1 && is_swap(&counts, &best, &cycle) {
                swapped.extend(cycle);
            }
        }
        if swapped.is_empty() {
            return None;
        }
        let renamed = swapped.iter().map(|&class| Renamed {
            label: names[class].clone(),
            predicted: names[best[class]].clone(),
            rows: counts[class][best[class]],
            right: counts[class][class],
        });
        let renamed: Vec<Renamed> = renamed.collect();
        let (gained, lost) =
            renamed.iter().fold((0, 0), |(gained, lost), moved| (gained + moved.rows, lost + moved.right));
        let right: u64 = counts.iter().enumerate().map(|(class, row)| row[class]).sum();
        Some(SwappedNames {
            renamed,
            accuracy: ratio(right, self.rows()),
            accuracy_if_renamed: ratio(right - lost + gained, self.rows()),
        })
    }
}

fn is_swap(counts: &[Vec<u64>], best: &[usize], cycle: &[usize]) -> bool {
    let (mut gained, mut lost) = (0, 0);
    for &class in cycle {
        let (other, own) = (counts[class][best[class]], counts[class][class]);
        if (0..counts.len()).any(|name| name != best[class] && counts[class][name] >= other) {
            return false;
        }
        (gained, lost) = (gained + other, lost + own);
    }
    let (classes, length) = (counts.len(), cycle.len());
    let ln_cycles: f64 = (classes - length + 1..=classes).map(|n| (n as f64).ln()).sum::<f64>() - (length as f64).ln();
    let ln_p = ln_coins_at_least(gained, gained + lost) + ln_cycles + (length - 1) as f64 * std::f64::consts::LN_2;
    gained >= TIMES * lost && ln_p < FALSE_ALARMS.ln()
}

/// The column of each row of a square table, each column once, with the largest sum of counts; of equal ones that with most rows in their own column.
///
/// The Hungarian method with potentials (Kuhn 1955, in the form of Jonker & Volgenant 1987: one shortest path a row), in `O(n^3)`.
pub(super) fn best_assignment(counts: &[Vec<u64>]) -> Vec<usize> {
    let classes = counts.len();
    // Costs, so that the least sum is wanted; a row in its own column is less than one count cheaper.
    let cost =
        |row: usize, column: usize| -(counts[row][column] as i64 * (classes as i64 + 1) + i64::from(row == column));
    // Everything counts from 1; column 0 holds the row that is being placed.
    let (mut of_row, mut of_column) = (vec![0_i64; classes + 1], vec![0_i64; classes + 1]);
    let mut row_in = vec![0; classes + 1];
    for row in 1..=classes {
        row_in[0] = row;
        let mut column = 0;
        let (mut least, mut before) = (vec![i64::MAX; classes + 1], vec![0; classes + 1]);
        let mut used = vec![false; classes + 1];
        // The shortest way from this row to a free column, over rows that would move.
        while row_in[column] != 0 {
            used[column] = true;
            let moving = row_in[column];
            let (mut step, mut next) = (i64::MAX, 0);
            for free in (1..=classes).filter(|&free| !used[free]) {
                let reduced = cost(moving - 1, free - 1) - of_row[moving] - of_column[free];
                if reduced < least[free] {
                    (least[free], before[free]) = (reduced, column);
                }
                if least[free] < step {
                    (step, next) = (least[free], free);
                }
            }
            for other in 0..=classes {
                if used[other] {
                    of_row[row_in[other]] += step;
                    of_column[other] -= step;
                } else {
                    // Column 0 is used from the start, so these have a way to them.
                    least[other] -= step;
                }
            }
            column = next;
        }
        while column != 0 {
            row_in[column] = row_in[before[column]];
            column = before[column];
        }
    }
    let mut columns = vec![0; classes];
    (1..=classes).for_each(|column| columns[row_in[column] - 1] = column - 1);
    columns
}
