//! The rows that a classifier was most wrong about. Must not know texts.

use super::Classified;

/// A row that was predicted wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mistake {
    /// The number of the row, from 0.
    pub row: usize,
    /// Its true class.
    pub label: usize,
    /// The probability that it got; the row's loss is minus its logarithm.
    pub label_probability: f64,
    /// The class that was predicted.
    pub predicted: usize,
    /// Its probability.
    pub probability: f64,
}

impl Classified {
    /// The rows that were predicted wrong, at most `most`, highest loss first; of equals the first by number, and before all others those without
    /// a loss, because a probability is not a number.
    pub fn mistakes(&self, most: usize) -> Vec<Mistake> {
        let classes = self.names.len();
        let mistake = |row: usize| {
            let (label, predicted) = (self.labels[row], self.predictions[row]);
            let of = |class: usize| self.probabilities[row * classes + class];
            Mistake { row, label, label_probability: of(label), predicted, probability: of(predicted) }
        };
        let wrong = (0..self.labels.len()).filter(|&row| self.labels[row] != self.predictions[row]);
        let mut mistakes: Vec<Mistake> = wrong.map(mistake).collect();
        let rank = |p: f64| if p.is_nan() { -1.0 } else { p };
        mistakes.sort_by(|a, b| rank(a.label_probability).total_cmp(&rank(b.label_probability)));
        mistakes.truncate(most);
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_come_by_loss_and_then_by_row() {
        let classified = Classified {
            names: ["a", "b", "c"].map(String::from).to_vec(),
            labels: vec![0, 1, 2, 0, 1, 2],
            predictions: vec![0, 0, 1, 1, 2, 0],
            // The first is right although its class has least of all rows; the last is no number.
            probabilities: [
                [0.1, 0.0, 0.0],
                [0.6, 0.3, 0.1],
                [0.0, 0.8, 0.2],
                [0.2, 0.5, 0.3],
                [0.1, 0.25, 0.65],
                [f64::NAN; 3],
            ]
            .concat(),
        };
        let rows = |most| classified.mistakes(most).iter().map(|mistake| mistake.row).collect::<Vec<_>>();
        assert_eq!(rows(9), [5, 2, 3, 4, 1]);
        assert_eq!(rows(2), [5, 2]);
        assert_eq!(rows(0), [0; 0]);
        let expected = Mistake { row: 2, label: 2, label_probability: 0.2, predicted: 1, probability: 0.8 };
        assert_eq!(classified.mistakes(2)[1], expected);
    }
}
