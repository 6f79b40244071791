//! [`Tally`]: what accuracy, macro F1 and Matthews correlation need of a confusion matrix, in three numbers a class, for those who count thousands
//! of times. Must not know how its rows are drawn.

use super::ratio;

/// Counts of each class.
#[derive(Clone)]
pub(super) struct Tally {
    pub(super) support: Vec<u64>,
    pub(super) predicted: Vec<u64>,
    pub(super) correct: Vec<u64>,
}

impl Tally {
    /// Of no rows.
    pub(super) fn new(classes: usize) -> Tally {
        Tally { support: vec![0; classes], predicted: vec![0; classes], correct: vec![0; classes] }
    }

    /// Counts one row.
    pub(super) fn add(&mut self, label: usize, prediction: usize) {
        self.support[label] += 1;
        self.predicted[prediction] += 1;
        self.correct[label] += u64::from(label == prediction);
    }

    /// Becomes equal to another of as many classes, without a new allocation.
    pub(super) fn set(&mut self, to: &Tally) {
        self.support.copy_from_slice(&to.support);
        self.predicted.copy_from_slice(&to.predicted);
        self.correct.copy_from_slice(&to.correct);
    }

    /// Rows that were predicted right.
    pub(super) fn right(&self) -> u64 {
        self.correct.iter().sum()
    }

    fn rows(&self) -> u64 {
        self.support.iter().sum()
    }

    /// As [`super::Confusion::accuracy`].
    pub(super) fn accuracy(&self) -> f64 {
        ratio(self.right(), self.rows())
    }

    /// As [`super::Confusion::f1_macro`].
    pub(super) fn f1_macro(&self) -> f64 {
        let (mut sum, mut present) = (0.0, 0_u32);
        for ((support, predicted), correct) in self.support.iter().zip(&self.predicted).zip(&self.correct) {
            if support + predicted > 0 {
                sum += ratio(2 * correct, support + predicted);
                present += 1;
            }
        }
        if present == 0 { 0.0 } else { sum / f64::from(present) }
    }

    /// As [`super::Confusion::matthews`].
    pub(super) fn matthews(&self) -> f64 {
        // Whole numbers up to rows^2: exact in 128 bits, so that a zero denominator is truly zero.
        let rows = i128::from(self.rows());
        let (mut both, mut labels, mut predictions) = (0_i128, 0_i128, 0_i128);
        for (&support, &predicted) in self.support.iter().zip(&self.predicted) {
            let (support, predicted) = (i128::from(support), i128::from(predicted));
            both += support * predicted;
            labels += support * support;
            predictions += predicted * predicted;
        }
        let covariance = i128::from(self.right()) * rows - both;
        let (label_variance, prediction_variance) = (rows * rows - labels, rows * rows - predictions);
        if label_variance == 0 || prediction_variance == 0 {
            return 0.0;
        }
        covariance as f64 / ((label_variance as f64).sqrt() * (prediction_variance as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Confusion;

    #[test]
    fn a_tally_says_what_a_confusion_matrix_says() {
        for classes in [1, 2, 5] {
            let (mut tally, mut confusion) = (Tally::new(classes), Confusion::new(classes));
            let mut drawn = ferrotune_data::resampled(classes.max(2) * 20, 4, classes as u64).map(|n| n % classes);
            assert_eq!((tally.accuracy(), tally.f1_macro()), (0.0, 0.0));
            while let (Some(label), Some(said)) = (drawn.next(), drawn.next()) {
                // The last of five is never a label, and the first never said.
                let (label, said) = if classes == 5 { (label.min(3), said.max(1)) } else { (label, said) };
                tally.add(label, said);
                confusion.add(label, said);
                assert_eq!((tally.accuracy(), tally.f1_macro()), (confusion.accuracy(), confusion.f1_macro()));
                assert_eq!(tally.matthews(), confusion.matthews());
            }
            let mut other = Tally::new(classes);
            other.set(&tally);
            assert_eq!((other.right(), other.f1_macro()), (tally.right(), tally.f1_macro()));
        }
    }
}
