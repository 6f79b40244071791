//! Starting values of parameters, through ndarray-rand. Knows no model.

use ndarray::Array1;
use ndarray_rand::RandomExt;
use ndarray_rand::rand::{SeedableRng, rngs::StdRng};
use ndarray_rand::rand_distr::{Normal, Uniform};

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All zeros (biases).
    Zeros,
    /// All ones (the scale of a layer norm).
    Ones,
    /// Normal with mean 0 and this standard deviation (BERT's `initializer_range`).
    Normal(f32),
    /// Uniform between minus and plus this bound.
    Uniform(f32),
}

impl Init {
    /// Writes the starting values of the parameter `name`. The random stream depends on `seed` and `name` alone, so a
    /// parameter starts the same whatever else the model has.
    pub fn write(self, name: &str, seed: u64, values: &mut [f32]) {
        let mut rng = StdRng::seed_from_u64(stream(name, seed));
        match self {
            Init::Zeros => values.fill(0.0),
            Init::Ones => values.fill(1.0),
            Init::Normal(std) => {
                let normal = Normal::new(0.0, std).expect("a standard deviation is finite");
                let drawn = Array1::random_using(values.len(), normal, &mut rng);
                values.copy_from_slice(drawn.as_slice().expect("a new array is contiguous"));
            }
            Init::Uniform(bound) => {
                let uniform = Uniform::new_inclusive(-bound, bound).expect("a bound is finite and positive");
                let drawn = Array1::random_using(values.len(), uniform, &mut rng);
                values.copy_from_slice(drawn.as_slice().expect("a new array is contiguous"));
            }
        }
    }
}

/// FNV-1a of the name, started from the seed: <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn stream(name: &str, seed: u64) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_values_have_the_named_spread_and_depend_on_name_and_seed() {
        let draw = |name: &str, seed: u64| {
            let mut values = vec![0.0; 20_000];
            Init::Normal(0.02).write(name, seed, &mut values);
            values
        };
        let values = draw("classifier.weight", 0);
        let mean = values.iter().sum::<f32>() / 20_000.0;
        let std = (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 20_000.0).sqrt();
        // Standard errors: 0.02/sqrt(20000) = 1.4e-4 of the mean, 1e-4 of the spread; four of each.
        assert!(mean.abs() < 5.7e-4 && (std - 0.02).abs() < 4e-4, "mean {mean}, spread {std}");
        assert_eq!(values, draw("classifier.weight", 0));
        assert_ne!(values, draw("classifier.weight", 1));
        assert_ne!(values, draw("pooler.weight", 0));
    }
}
