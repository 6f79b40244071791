//! Exact tests and intervals of counts. Must not know rows, classes or models.

use super::Interval;

/// The 97.5 % point of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;
/// Tables whose probability is larger than the observed one by no more than this are as likely, and differ by rounding alone (R's `fisher.test`).
const AS_LIKELY: f64 = 1e-7;

/// The natural logarithm of `P(X >= successes)` for `X` successes of `trials` fair coins. At most half of them say nothing: 0 then, which
/// bounds it from above.
///
/// In logarithms, because the probability of a few thousand coins is smaller than any number of 64 bits.
pub(super) fn ln_coins_at_least(successes: u64, trials: u64) -> f64 {
    if 2 * successes <= trials {
        return 0.0;
    }
    // C(n, k) / 2^n, and the terms above it as shares of it: each is the one before times (n - j) / (j + 1).
    let failures = trials - successes;
    let ln_choose: f64 = (1..=failures).map(|j| ((successes + j) as f64 / j as f64).ln()).sum();
    let (mut term, mut terms) = (1.0, 1.0);
    for above in successes..trials {
        term *= (trials - above) as f64 / (above + 1) as f64;
        terms += term;
    }
    ln_choose - trials as f64 * std::f64::consts::LN_2 + f64::ln(terms)
}

/// The two-sided p-value of McNemar's exact test (McNemar 1947; `statsmodels.stats.contingency_tables.mcnemar(exact=True)`,
/// `scipy.stats.binomtest(first_only, first_only + second_only)`): that of rows on which one of two models alone is right, each is as
/// likely to be either's. 1 where there are no such rows.
pub fn mcnemar(first_only: u64, second_only: u64) -> f64 {
    let (more, all) = (first_only.max(second_only), first_only + second_only);
    if first_only == second_only { 1.0 } else { (2.0 * ln_coins_at_least(more, all).exp()).min(1.0) }
}

/// The two-sided p-value of Fisher's exact test (`scipy.stats.fisher_exact`) that two groups have the same share of successes: the probability of
/// all tables with these margins that are no likelier than the observed one. Each group is (successes, failures).
pub fn fisher(first: (u64, u64), second: (u64, u64)) -> f64 {
    let (size, other) = (first.0 + first.1, second.0 + second.1);
    let successes = first.0 + second.0;
    // The successes of the first group lie between these.
    let (low, high) = (successes.saturating_sub(other), size.min(successes));
    // Weights relative to the first of a walk, so that nothing overflows: begin at the likeliest table, go both ways.
    let mode = ((size as f64 + 1.0) * (successes as f64 + 1.0) / ((size + other) as f64 + 2.0)) as u64;
    let mode = mode.clamp(low, high);
    let up =
        |x: u64| ((successes - x) as f64 * (size - x) as f64) / ((x + 1) as f64 * (other + x + 1 - successes) as f64);
    let mut weights = vec![1.0];
    for x in mode..high {
        weights.push(weights[weights.len() - 1] * up(x));
    }
    let mut below = Vec::new();
    let mut weight = 1.0;
    for x in (low..mode).rev() {
        weight /= up(x);
        below.push(weight);
    }
    let observed =
        if first.0 >= mode { weights[(first.0 - mode) as usize] } else { below[(mode - first.0 - 1) as usize] };
    // Small ones first, so that none is lost.
    below.reverse();
    let all = || below.iter().chain(weights.iter().rev());
    let total: f64 = all().sum();
    let as_unlikely: f64 = all().filter(|&&weight| weight <= observed * (1.0 + AS_LIKELY)).sum();
    (as_unlikely / total).min(1.0)
}

/// The 95 % score interval of a share (Wilson 1927; `scipy.stats.binomtest(..).proportion_ci(method="wilson")`). `None` without rows.
pub fn wilson(successes: u64, rows: u64) -> Option<Interval> {
    if rows == 0 {
        return None;
    }
    let (n, share) = (rows as f64, successes as f64 / rows as f64);
    let shrink = 1.0 + Z * Z / n;
    let centre = (share + Z * Z / (2.0 * n)) / shrink;
    let half = Z / shrink * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    // At the ends the formula is exact but for rounding.
    let low = if successes == 0 { 0.0 } else { centre - half };
    let high = if successes == rows { 1.0 } else { centre + half };
    Some(Interval { low, high })
}

/// The p-values of several tests, adjusted so that with those below 5 % there is one false alarm in twenty families of tests at most (Holm 1979;
/// `statsmodels.stats.multitest.multipletests(method="holm")`, R's `p.adjust`). In the order of `p`.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut least: f64 = 0.0;
    for (place, &test) in order.iter().enumerate() {
        least = least.max((p[test] * (p.len() - place) as f64).min(1.0));
        adjusted[test] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_coins_have_a_logarithm_and_few_heads_say_nothing() {
        let ln_2 = std::f64::consts::LN_2;
        assert_eq!(ln_coins_at_least(5, 10), 0.0);
        assert!((ln_coins_at_least(10, 10) + 10.0 * ln_2).abs() < 1e-12);
        assert!((ln_coins_at_least(9, 10) - (11.0_f64 / 1024.0).ln()).abs() < 1e-12);
        assert!((ln_coins_at_least(9000, 9000) + 9000.0 * ln_2).abs() < 1e-8);
    }

    /// The example of R's documentation of `p.adjust`, by hand: 0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04 is no less than that.
    #[test]
    fn adjusted_values_never_fall() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (got, want) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((got - want).abs() < 1e-15, "{adjusted:?}");
        }
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert_eq!(holm(&[]), [0.0; 0]);
    }
}
