//! The one temperature that makes labelled rows most likely. Must not know tasks or files.

use super::scored::{Loss, Scored};

/// The smallest temperature that is given.
pub const COLDEST: f64 = 0.05;
/// The largest temperature that is given.
pub const HOTTEST: f64 = 20.0;
/// Fewer rows than this are not fitted to.
pub const FEWEST_ROWS: usize = 30;

/// Evaluations of the loss at most; rounding ends the search long before.
const STEPS: usize = 200;
/// The search ends when a step changes the inverse temperature by less than this part of it.
const CLOSE: f64 = 1e-13;

/// A temperature that was fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Logits are divided by it; between [`COLDEST`] and [`HOTTEST`].
    pub temperature: f64,
    /// Its standard error, from the curvature of the loss and the spread of the rows' slopes (the sandwich of White 1982, a row being one
    /// observation); `None` at a bound, where there is none.
    pub standard_error: Option<f64>,
}

/// Why there is no temperature to fit. It stays 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFit {
    /// Less than [`FEWEST_ROWS`].
    #[error("{0} rows are fewer than {FEWEST_ROWS}: too few to fit a temperature to")]
    FewRows(usize),
    /// The model diverged.
    #[error("the model gives scores that are not finite numbers: no temperature makes probabilities of them")]
    NotFinite,
    /// The loss has its lowest value at temperature 0.
    #[error(
        "all {0} rows are predicted right, so that they would be most likely at temperature 0: probabilities stay as the model gives them"
    )]
    AllRight(usize),
}

/// The temperature with the least negative log-likelihood on these rows (temperature scaling: Guo et al. 2017, "On Calibration of Modern Neural
/// Networks"). It is never worse there than temperature 1, and changes the order of no row's scores.
///
/// The loss is convex in the inverse temperature, so that its slope has one zero: Newton's method finds it inside a bracket, with a bisection of
/// the bracket's logarithm where a step would leave it, and in every third step in any case.
///
/// # Errors
/// Rows to which none can be fitted.
pub fn fit(rows: &Scored<'_>) -> Result<Fit, NoFit> {
    if rows.rows() < FEWEST_ROWS {
        return Err(NoFit::FewRows(rows.rows()));
    }
    if !rows.is_finite() {
        return Err(NoFit::NotFinite);
    }
    if rows.is_separated() {
        return Err(NoFit::AllRight(rows.rows()));
    }
    let (mut low, mut high) = (1.0 / HOTTEST, 1.0 / COLDEST);
    let at_bound = |temperature| Ok(Fit { temperature, standard_error: None });
    if rows.sum(low).slope >= 0.0 {
        return at_bound(HOTTEST);
    }
    if rows.sum(high).slope <= 0.0 {
        return at_bound(COLDEST);
    }
    let mut inverse: f64 = 1.0;
    for step in 1..=STEPS {
        let Loss { slope, curvature, .. } = rows.sum(inverse);
        match slope < 0.0 {
            true => low = inverse,
            false => high = inverse,
        }
        let newton = inverse - slope / curvature;
        let inside = low < newton && newton < high && step % 3 != 0;
        let next = if inside { newton } else { (low * high).sqrt() };
        let small = CLOSE * inverse;
        if slope == 0.0 || (newton - inverse).abs() < small || high - low < small {
            break;
        }
        inverse = next;
    }
    if rows.sum(inverse).value > rows.sum(1.0).value {
        // Within rounding of 1, on its worse side.
        inverse = 1.0;
    }
    let (slopes, curvature) = rows
        .losses(inverse)
        .fold((0.0, 0.0), |(slopes, curvature), loss| (slopes + loss.slope * loss.slope, curvature + loss.curvature));
    let temperature = 1.0 / inverse;
    // Of the inverse temperature, and by the delta method of the temperature.
    let standard_error = temperature * temperature * slopes.sqrt() / curvature;
    Ok(Fit { temperature, standard_error: Some(standard_error).filter(|error| error.is_finite()) })
}
