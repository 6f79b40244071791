//! Tails of the binomial distribution: how sure a share of right answers is. Must not know what is counted.

/// `P(X <= successes)` for `X` the number of successes in `trials` with this chance each, by a sum of logarithms: nothing under- or overflows.
///
/// # Panics
/// If there are more successes than trials, or the chance is none.
pub fn at_most(successes: u64, trials: u64, chance: f64) -> f64 {
    assert!(successes <= trials, "at_most: {successes} successes in {trials} trials");
    assert!((0.0..=1.0).contains(&chance), "at_most: chance {chance}");
    if successes == trials || chance == 0.0 {
        return 1.0;
    }
    if chance == 1.0 {
        return 0.0;
    }
    let (yes, no) = (chance.ln(), (-chance).ln_1p());
    let mut term = trials as f64 * no;
    let (mut largest, mut sum) = (term, 1.0);
    for count in 0..successes {
        term += ((trials - count) as f64 / (count + 1) as f64).ln() + yes - no;
        if term > largest {
            sum = sum * (largest - term).exp() + 1.0;
            largest = term;
        } else {
            sum += (term - largest).exp();
        }
    }
    (largest.exp() * sum).min(1.0)
}

/// The largest chance at which so few successes still have the probability `tail`: the one-sided upper limit of Clopper & Pearson (1934), whose
/// confidence is `1 - tail`. 1 where all trials are successes.
///
/// # Panics
/// As [`at_most`].
pub fn upper_limit(successes: u64, trials: u64, tail: f64) -> f64 {
    if successes == trials {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    // The tail falls as the chance grows; halving ends at neighbouring numbers.
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return high;
        }
        match at_most(successes, trials, middle) > tail {
            true => low = middle,
            false => high = middle,
        }
    }
}
