//! Rows in the order of their confidence: what accuracy comes of answering the surest of them alone. Must not know where confidence comes from.

use serde::{Deserialize, Serialize};

/// Shares of the rows, in percent, that a table of [`RiskCoverage`] has.
const COVERAGES: [usize; 11] = [100, 95, 90, 80, 70, 60, 50, 40, 30, 20, 10];

/// Groups of rows of the same confidence, the surest first. Rows of one group are answered together or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    groups: Vec<Cut>,
}

/// What comes of answering all rows down to a confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut {
    /// The lowest confidence that is answered.
    pub(super) confidence: f64,
    /// Rows that are answered.
    pub(super) rows: u64,
    /// How many of them are wrong.
    pub(super) wrong: u64,
}

impl Cut {
    pub(super) fn accuracy(&self) -> f64 {
        (self.rows - self.wrong) as f64 / self.rows as f64
    }
}

/// What comes of answering a share of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoveragePoint {
    /// The share of rows that is asked for. Rows of equal confidence stay together, so that more may be answered.
    pub coverage: f64,
    /// Rows that are answered.
    pub rows: u64,
    /// The share of them that is right.
    pub accuracy: f64,
    /// The lowest confidence among them.
    pub confidence: f64,
}

/// The figures of selective classification (El-Yaniv & Wiener 2010; Geifman & El-Yaniv 2017).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RiskCoverage {
    /// Area under the risk-coverage curve (AURC, Geifman et al. 2019): the mean over `k` of the share of wrong rows among the `k` surest. Rows of
    /// equal confidence come in any order, so that their errors count evenly.
    pub area: f64,
    /// From all rows to the surest tenth.
    pub points: Vec<CoveragePoint>,
}

impl Ranked {
    /// Of rows, each given as its confidence and whether its answer is right. `None` without rows or with a confidence that is no number.
    pub fn of(rows: impl Iterator<Item = (f64, bool)>) -> Option<Ranked> {
        let mut rows: Vec<(f64, bool)> = rows.collect();
        if rows.is_empty() || rows.iter().any(|(confidence, _)| confidence.is_nan()) {
            return None;
        }
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut groups: Vec<Cut> = Vec::new();
        let mut wrong = 0;
        for (number, (confidence, right)) in rows.into_iter().enumerate() {
            wrong += u64::from(!right);
            let cut = Cut { confidence, rows: number as u64 + 1, wrong };
            match groups.last_mut() {
                Some(last) if last.confidence == confidence => *last = cut,
                _ => groups.push(cut),
            }
        }
        Some(Ranked { groups })
    }

    /// The ways to cut, from the fewest rows to all.
    pub(super) fn cuts(&self) -> &[Cut] {
        &self.groups
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.groups.last().map_or(0, |all| all.rows)
    }

    /// Rows whose confidence is at least this, and how many of them are wrong.
    pub fn answered(&self, at_least: f64) -> (u64, u64) {
        let cut = self.groups.iter().take_while(|cut| cut.confidence >= at_least).last();
        cut.map_or((0, 0), |cut| (cut.rows, cut.wrong))
    }

    /// Table and area.
    pub fn risk_coverage(&self) -> RiskCoverage {
        let all = self.rows();
        let point = |percent: usize| {
            let wanted = (all * percent as u64).div_ceil(100);
            let cut = self.groups.iter().find(|cut| cut.rows >= wanted).expect("the last group is all rows");
            CoveragePoint {
                coverage: percent as f64 / 100.0,
                rows: cut.rows,
                accuracy: cut.accuracy(),
                confidence: cut.confidence,
            }
        };
        let (mut area, mut before, mut wrong_before) = (0.0, 0, 0);
        for cut in &self.groups {
            let each = (cut.wrong - wrong_before) as f64 / (cut.rows - before) as f64;
            for row in 1..=cut.rows - before {
                area += (wrong_before as f64 + row as f64 * each) / (before + row) as f64;
            }
            (before, wrong_before) = (cut.rows, cut.wrong);
        }
        RiskCoverage { area: area / all as f64, points: COVERAGES.map(point).to_vec() }
    }
}
