//! Which settings are tried next: from a grid, at random, or by the tree-structured Parzen estimator. A pure function of space, seed, number of
//! the trial and what is known of earlier ones; it must not know what a trial does.

use super::space::{Domain, Settings, Space};
use ferrotune_data::shuffled;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use std::fmt;
use tpe::{TpeOptimizerBuilder, histogram_estimator, parzen_estimator};

/// How settings are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// All settings of a grid, in an order that the seed gives.
    Grid,
    /// Each parameter evenly over its range.
    Random,
    /// Where good trials are dense and bad ones are not: Bergstra et al. 2011,
    /// <https://papers.nips.cc/paper/4443-algorithms-for-hyper-parameter-optimization>, each parameter for itself.
    Tpe,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Grid => "grid",
            Method::Random => "random",
            Method::Tpe => "tpe",
        })
    }
}

/// Trials before TPE begins: fewer say nothing about where the good ones are.
pub const START_UP: usize = 6;
/// The share of trials that count as good.
const GOOD: f64 = 0.25;
/// Draws of TPE for a trial, until one is new; and of random after them.
const DRAWS: (u64, u64) = (16, 256);

/// The settings of a trial and how they were chosen; none if nothing new is found.
///
/// `ranked` are the settings of earlier trials, the best first; `number` is that of the new trial.
pub fn suggest(
    method: Method,
    space: &Space,
    seed: u64,
    number: u64,
    ranked: &[&Settings],
) -> Option<(Settings, Method)> {
    let is_new = |settings: &Settings| !ranked.contains(&settings);
    if method == Method::Grid {
        // Whoever makes a study has looked at the size of its grid.
        let grid = space.grid().unwrap_or_default();
        let order = shuffled(grid.len(), seed, 0);
        return order.into_iter().map(|n| &grid[n]).find(|settings| is_new(settings)).map(|it| (it.clone(), method));
    }
    let model = (0..DRAWS.0).filter(|_| method == Method::Tpe && ranked.len() >= START_UP);
    let model = model.map(|draw| (by_model(space, stream(seed, number, draw), ranked), Method::Tpe));
    let chance =
        (DRAWS.0..DRAWS.0 + DRAWS.1).map(|draw| (at_random(space, stream(seed, number, draw)), Method::Random));
    model.chain(chance).find(|(settings, _)| is_new(settings))
}

/// The random numbers of a draw.
fn stream(seed: u64, number: u64, draw: u64) -> StdRng {
    let mut bytes = [0; 32];
    for (n, part) in [seed, number, draw].into_iter().enumerate() {
        bytes[8 * n..][..8].copy_from_slice(&part.to_le_bytes());
    }
    StdRng::from_seed(bytes)
}

fn at_random(space: &Space, mut random: StdRng) -> Settings {
    space.fill(|_, parameter| {
        let (start, end) = parameter.domain.interval();
        let share: f64 = random.random();
        parameter.domain.value_at(start + (end - start) * share)
    })
}

/// The place in the order of trials is what the estimator is told: only the order counts for it, and trials that were pruned have one too.
fn by_model(space: &Space, mut random: StdRng, ranked: &[&Settings]) -> Settings {
    space.fill(|_, parameter| {
        let (start, end) = parameter.domain.interval();
        let estimator = match parameter.domain {
            Domain::Choice(_) => histogram_estimator(),
            _ => parzen_estimator(),
        };
        let range = tpe::range(start, end).expect("the interval of a domain is not empty");
        let mut builder = TpeOptimizerBuilder::new();
        let mut model = builder.gamma(GOOD).build(estimator, range).expect("the share lies between 0 and 1");
        for (rank, settings) in ranked.iter().enumerate() {
            let place = settings.get(&parameter.name).and_then(|value| parameter.domain.place_of(value));
            model.tell(place.unwrap_or(f64::NAN), rank as f64).expect("a place in the range, and a rank");
        }
        let place = match model.ask(&mut random) {
            Ok(place) => place,
            Err(never) => match never {},
        };
        parameter.domain.value_at(place)
    })
}

#[cfg(test)]
mod tests {
    use super::super::space::{Parameter, Value};
    use super::*;

    fn space() -> Space {
        let parameter = |name: &str, domain| Parameter { name: name.to_string(), domain, when: Vec::new(), points: 3 };
        let text = |value: &str| Value::Text(value.to_string());
        let momentum = Parameter {
            when: vec![("optimizer".to_string(), vec![text("sgd")])],
            ..parameter("momentum", Domain::Number { low: 0.0, high: 0.9, log: false })
        };
        Space::new(vec![
            parameter("lr", Domain::Number { low: 1e-5, high: 1e-2, log: true }),
            parameter("epochs", Domain::Integer { low: 1, high: 8, log: false }),
            parameter("optimizer", Domain::Choice(vec![text("adamw"), text("sgd")])),
            momentum,
        ])
        .unwrap()
    }

    /// The nearer to a rate of 1e-3 the better, and adamw before all.
    fn loss(settings: &Settings) -> f64 {
        let Value::Number(rate) = settings["lr"] else { panic!("a rate is a number") };
        let sgd = settings["optimizer"] == Value::Text("sgd".to_string());
        (rate.log10() + 3.0).abs() + f64::from(u8::from(sgd))
    }

    /// The settings of a whole search.
    fn searched(method: Method, seed: u64, trials: u64) -> Vec<Settings> {
        let space = space();
        let mut tried: Vec<Settings> = Vec::new();
        for number in 0..trials {
            let mut ranked: Vec<&Settings> = tried.iter().collect();
            ranked.sort_by(|one, other| loss(one).total_cmp(&loss(other)));
            let (settings, _) = suggest(method, &space, seed, number, &ranked).unwrap();
            tried.push(settings);
        }
        tried
    }

    #[test]
    fn the_same_seed_gives_the_same_settings_and_conditions_hold() {
        for method in [Method::Grid, Method::Random, Method::Tpe] {
            let tried = searched(method, 7, 20);
            assert_eq!(tried, searched(method, 7, 20), "{method}");
            assert_ne!(tried, searched(method, 8, 20), "{method}");
            for (n, settings) in tried.iter().enumerate() {
                let sgd = settings["optimizer"] == Value::Text("sgd".to_string());
                assert_eq!(settings.contains_key("momentum"), sgd, "{method}: {settings:?}");
                assert!(!tried[..n].contains(settings), "{method} repeats itself");
            }
        }
    }

    /// Means over seeds; that TPE beats chance on one seed would say little.
    #[test]
    fn tpe_finds_better_settings_than_chance() {
        let best = |method, seed| searched(method, seed, 30).iter().map(loss).fold(f64::INFINITY, f64::min);
        let mean = |method| (0..20).map(|seed| best(method, seed)).sum::<f64>() / 20.0;
        let (tpe, random) = (mean(Method::Tpe), mean(Method::Random));
        assert!(tpe < 0.6 * random, "tpe {tpe}, random {random}");
    }

    #[test]
    fn a_space_that_was_tried_whole_gives_nothing() {
        let domain = Domain::Integer { low: 1, high: 4, log: false };
        let parameter = Parameter { name: "epochs".to_string(), domain, when: Vec::new(), points: 4 };
        let space = Space::new(vec![parameter]).unwrap();
        for method in [Method::Grid, Method::Random, Method::Tpe] {
            let mut tried: Vec<Settings> = Vec::new();
            while let Some((settings, _)) =
                suggest(method, &space, 1, tried.len() as u64, &tried.iter().collect::<Vec<_>>())
            {
                tried.push(settings);
            }
            assert_eq!(tried.len(), 4, "{method}: {tried:?}");
        }
    }
}
