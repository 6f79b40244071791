//! How well scores rank rows of one kind above all others. Equal scores are one place of the ranking. Must not know classes or
//! where scores come from.

/// One place of a ranking: the rows that share a score.
struct Place {
    positive: u64,
    negative: u64,
}

/// The places from the highest score down. NaN sorts by its sign; callers keep it out.
fn places(scores: impl Iterator<Item = (f64, bool)>) -> Vec<Place> {
    let mut rows: Vec<(f64, bool)> = scores.collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let place = |rows: &[(f64, bool)]| {
        let positive = rows.iter().filter(|row| row.1).count() as u64;
        Place { positive, negative: rows.len() as u64 - positive }
    };
    rows.chunk_by(|a, b| a.0 == b.0).map(place).collect()
}

/// What a ranking is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ranking {
    /// The probability that a positive row has a higher score than a negative one, equal scores counting half: the area under the ROC curve
    /// (Hanley & McNeil 1982; `roc_auc_score`).
    pub roc_auc: f64,
    /// The sum over places of their share of all positive rows times the precision down to them, without interpolation
    /// (`average_precision_score`).
    pub average_precision: f64,
}

impl Ranking {
    /// Of scores, each with whether its row is positive. `None` if all rows are of one kind.
    pub(super) fn of(scores: impl Iterator<Item = (f64, bool)>) -> Option<Ranking> {
        let places = places(scores);
        let positives: u64 = places.iter().map(|place| place.positive).sum();
        let negatives: u64 = places.iter().map(|place| place.negative).sum();
        if positives == 0 || negatives == 0 {
            return None;
        }
        // Twice the pairs in the right order: whole numbers, so no place of the ranking is rounded.
        let (mut above, mut below, mut twice_won, mut precision) = (0, negatives, 0_u128, 0.0);
        let mut seen = 0;
        for Place { positive, negative } in places {
            below -= negative;
            twice_won += u128::from(positive) * u128::from(2 * below + negative);
            above += positive;
            seen += positive + negative;
            precision += positive as f64 / positives as f64 * (above as f64 / seen as f64);
        }
        let pairs = u128::from(positives) * u128::from(negatives);
        Some(Ranking { roc_auc: twice_won as f64 / (2 * pairs) as f64, average_precision: precision })
    }
}
