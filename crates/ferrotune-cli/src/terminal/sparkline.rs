//! A curve on one line of a terminal. It must not know what it is of.

/// The heights that a character has.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// How much of the average each value leaves of those before it.
const KEEP: f64 = 0.7;

/// The values of a run so far, smoothed.
#[derive(Default)]
pub struct Curve {
    values: Vec<f64>,
    sum: f64,
    weight: f64,
}

impl Curve {
    /// Adds a value; what is no number is left out. The first values count in full: the average is divided by the weight of what is in it.
    pub fn add(&mut self, value: f64) {
        if value.is_finite() {
            (self.sum, self.weight) = (KEEP * self.sum + (1.0 - KEEP) * value, KEEP * self.weight + (1.0 - KEEP));
            self.values.push(self.sum / self.weight);
        }
    }

    /// The newest smoothed value.
    pub fn last(&self) -> Option<f64> {
        self.values.last().copied()
    }

    /// All values on at most so many characters, from the lowest to the highest that there was; of more values each character is the mean of its share.
    pub fn line(&self, width: usize) -> String {
        let width = width.min(self.values.len());
        let share = |n: usize| &self.values[n * self.values.len() / width..(n + 1) * self.values.len() / width];
        let means: Vec<f64> = (0..width).map(share).map(|part| part.iter().sum::<f64>() / part.len() as f64).collect();
        let (low, high) = means.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
        let block = |value: f64| {
            let height = if high > low { (value - low) / (high - low) } else { 0.0 };
            BLOCKS[((height * 8.0) as usize).min(7)]
        };
        means.into_iter().map(block).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[f64], width: usize, expected: &str) {
        let curve = Curve { values: values.to_vec(), ..Curve::default() };
        assert_eq!(curve.line(width), expected);
    }

    #[test]
    fn the_line_goes_from_the_highest_to_the_lowest() {
        check(&[8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0], 9, "██▇▆▅▄▃▂▁");
        check(&[4.0, 4.0, 0.0, 0.0, 2.0], 2, "█▁");
        check(&[1.0, 1.0], 5, "▁▁");
        check(&[], 5, "");
    }

    #[test]
    fn values_are_smoothed_and_begin_at_the_first() {
        let mut curve = Curve::default();
        [2.0, f64::NAN, 1.0].into_iter().for_each(|value| curve.add(value));
        // (0.7 · 0.3 · 2 + 0.3 · 1) / (0.7 · 0.3 + 0.3)
        assert_eq!(curve.values.len(), 2);
        assert!((curve.values[0] - 2.0).abs() < 1e-12 && (curve.last().unwrap() - 0.72 / 0.51).abs() < 1e-12);
    }
}
