//! How much each parameter mattered: epsilon squared (Kelley 1935), the share of the variance of a search's values that the means of a parameter's
//! bins explain, corrected for the number of bins. It is a measure of one parameter at a time: interactions are in none. It must not know where
//! values come from.

use super::space::{Domain, Space};
use super::study::Trial;

/// Bins of a range at most, with as many trials in each as can be.
const BINS: usize = 4;
/// Trials that a bin of a range has at least.
const IN_A_BIN: usize = 3;

/// Names and measures of the parameters, the largest first. None where there are too few values, or where all are in one bin.
///
/// `value` gives the value of a trial that counts, so that values can be compared: of all at the same rung, or of all at their end.
pub fn importance(
    space: &Space,
    trials: &[Trial],
    value: impl Fn(&Trial) -> Option<f64>,
) -> Vec<(String, Option<f64>)> {
    let mut measures: Vec<(String, Option<f64>)> = Vec::new();
    for parameter in space.parameters() {
        let places = trials.iter().filter_map(|trial| {
            let value = value(trial).filter(|value| value.is_finite())?;
            let place = trial.settings.get(&parameter.name).and_then(|it| parameter.domain.place_of(it))?;
            Some((place, value))
        });
        let places: Vec<(f64, f64)> = places.collect();
        let bins = match parameter.domain {
            Domain::Choice(_) => by_place(&places),
            _ => quantiles(places),
        };
        measures.push((parameter.name.clone(), epsilon_squared(&bins)));
    }
    measures.sort_by(|one, other| other.1.unwrap_or(-1.0).total_cmp(&one.1.unwrap_or(-1.0)));
    measures
}

/// The values of each choice.
fn by_place(places: &[(f64, f64)]) -> Vec<Vec<f64>> {
    let count = places.iter().map(|&(place, _)| place as usize + 1).max().unwrap_or(0);
    let mut bins = vec![Vec::new(); count];
    places.iter().for_each(|&(place, value)| bins[place as usize].push(value));
    bins.retain(|bin| !bin.is_empty());
    bins
}

/// The values in bins of about equally many; equal places are in one bin.
fn quantiles(mut places: Vec<(f64, f64)>) -> Vec<Vec<f64>> {
    places.sort_by(|one, other| one.0.total_cmp(&other.0));
    let count = (places.len() / IN_A_BIN).clamp(1, BINS);
    let mut bins: Vec<Vec<f64>> = Vec::new();
    let (mut last_place, mut last_bin) = (f64::NAN, usize::MAX);
    for (n, &(place, value)) in places.iter().enumerate() {
        let bin = n * count / places.len();
        if place != last_place && bin != last_bin {
            bins.push(Vec::new());
            last_bin = bin;
        }
        last_place = place;
        bins.last_mut().expect("the first value opens a bin").push(value);
    }
    bins
}

/// `1 - (within / (n - k)) / (total / (n - 1))` for n values in k bins, at least 0: Kelley 1935, "An unbiased correlation ratio measure",
/// <https://doi.org/10.1073/pnas.21.9.554>.
fn epsilon_squared(bins: &[Vec<f64>]) -> Option<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let squares = |values: &[f64], mean: f64| values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    let all: Vec<f64> = bins.concat();
    if bins.len() < 2 || all.len() <= bins.len() {
        return None;
    }
    let total = squares(&all, mean(&all)) / (all.len() - 1) as f64;
    let within: f64 = bins.iter().map(|bin| squares(bin, mean(bin))).sum::<f64>() / (all.len() - bins.len()) as f64;
    Some(if total == 0.0 { 0.0 } else { (1.0 - within / total).max(0.0) })
}

#[cfg(test)]
mod tests {
    use super::super::halving::Standing;
    use super::super::space::{Parameter, Settings, Value};
    use super::super::study::{Origin, State};
    use super::*;

    /// By hand: bins (1, 2, 3) and (4, 5, 9): total 40 / 5 = 8, within (2 + 14) / 4 = 4, so 1 - 4 / 8.
    #[test]
    fn the_measure_is_that_of_the_paper() {
        let bins = |bins: &[&[f64]]| bins.iter().map(|bin| bin.to_vec()).collect::<Vec<_>>();
        assert_eq!(epsilon_squared(&bins(&[&[1.0, 2.0, 3.0], &[4.0, 5.0, 9.0]])), Some(0.5));
        assert_eq!(epsilon_squared(&bins(&[&[1.0, 1.0], &[2.0, 2.0]])), Some(1.0));
        // Means that differ by less than chance: no negative share.
        assert_eq!(epsilon_squared(&bins(&[&[1.0, 3.0], &[1.0, 3.0]])), Some(0.0));
        assert_eq!(epsilon_squared(&bins(&[&[2.0, 2.0], &[2.0]])), Some(0.0));
        assert_eq!(epsilon_squared(&bins(&[&[1.0, 3.0]])), None);
        assert_eq!(epsilon_squared(&bins(&[&[1.0], &[3.0]])), None);
    }

    #[test]
    fn bins_have_about_as_many_trials_and_equal_places_stay_together() {
        let places =
            |places: &[f64]| places.iter().enumerate().map(|(n, &place)| (place, n as f64)).collect::<Vec<_>>();
        let sizes = |bins: Vec<Vec<f64>>| bins.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(quantiles(places(&[3.0, 1.0, 2.0, 5.0, 4.0, 6.0]))), [3, 3]);
        assert_eq!(sizes(quantiles(places(&[1.0, 1.0, 1.0, 1.0, 2.0, 3.0]))), [4, 2]);
        assert_eq!(sizes(quantiles(places(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0]))), [6]);
        assert_eq!(sizes(quantiles((0..40).map(|n| (n as f64, 0.0)).collect())), [10, 10, 10, 10]);
        assert_eq!(sizes(quantiles(Vec::new())), [0; 0]);
    }

    #[test]
    fn what_decides_comes_first() {
        let number = |name: &str| Parameter {
            name: name.to_string(),
            domain: Domain::Number { low: 0.0, high: 20.0, log: false },
            when: Vec::new(),
            points: 3,
        };
        let space = Space::new(vec![number("idle"), number("lr"), number("unused")]).unwrap();
        let trial = |n: usize| {
            let value = Value::Number(n as f64);
            let idle = Value::Number(((n * 7) % 20) as f64);
            Trial {
                origin: Origin::Random,
                settings: Settings::from([("lr".to_string(), value), ("idle".to_string(), idle)]),
                standing: Standing { finished: Some(n as f64), ..Standing::default() },
                state: State::Finished(1),
                steps: (1, 1),
                seconds: 0.0,
            }
        };
        let measures = importance(&space, &(0..20).map(trial).collect::<Vec<_>>(), Trial::value);
        let names: Vec<&str> = measures.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["lr", "idle", "unused"]);
        assert!(
            measures[0].1.unwrap() > 0.9 && measures[1].1.unwrap() < 0.5 && measures[2].1.is_none(),
            "{measures:?}"
        );
    }
}
