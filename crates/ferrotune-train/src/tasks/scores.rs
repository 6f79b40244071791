//! From logits to probabilities and decisions. Must not know tasks.

/// Probabilities of one row of logits, in f64.
pub fn softmax(logits: &[f32]) -> Vec<f64> {
    softmax_at(logits, 1.0)
}

/// Probabilities of one row of logits that are divided by a temperature first. With 1 they are those of [`softmax`], to the bit.
pub fn softmax_at(logits: &[f32], temperature: f64) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp: Vec<f64> = logits.iter().map(|&z| ((f64::from(z) - f64::from(largest)) / temperature).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.into_iter().map(|e| e / sum).collect()
}

/// `−ln` of the probability of a class: the logarithm of the sum of `e^z`, less its own logit. Finite where the probability is too small to be told
/// from 0.
pub fn cross_entropy(logits: &[f32], class: usize) -> f64 {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&z| (f64::from(z) - largest).exp()).sum();
    sum.ln() - (f64::from(logits[class]) - largest)
}

/// `1 / (1 + e^−z)`.
pub fn sigmoid(logit: f32) -> f64 {
    sigmoid_at(logit, 1.0)
}

/// The sigmoid of a logit that is divided by a temperature first.
pub fn sigmoid_at(logit: f32, temperature: f64) -> f64 {
    1.0 / (1.0 + (-f64::from(logit) / temperature).exp())
}

/// The position of the largest score, the first of equals. NaN never wins.
pub fn argmax(scores: &[f32]) -> usize {
    let mut best = 0;
    for (i, &score) in scores.iter().enumerate() {
        if score > scores[best] || scores[best].is_nan() {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_logits_and_nan_are_survived() {
        let p = softmax(&[1000.0, 1000.0, -1000.0]);
        assert_eq!((p[0], p[1], p[2]), (0.5, 0.5, 0.0));
        let ln_2 = std::f64::consts::LN_2;
        assert_eq!([0, 2].map(|class| cross_entropy(&[1000.0, 1000.0, -1000.0], class)), [ln_2, 2000.0 + ln_2]);
        assert!(cross_entropy(&[f32::NAN, 1.0], 1).is_nan());
        assert_eq!((argmax(&[f32::NAN, 1.0, 2.0, 2.0]), argmax(&[3.0, 3.0])), (2, 0));
        assert_eq!((sigmoid(0.0), sigmoid(1e4), sigmoid(-1e4)), (0.5, 1.0, 0.0));
    }
}
