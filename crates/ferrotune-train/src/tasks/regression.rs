//! A number for each row, such as a similarity or a rating.

use super::{Answer, Objective, Prediction, Targets, Task};
use crate::metrics::{MetricName, RegressionReport, Report};
use ferrotune_data::{DataError, Encoded, Need, Row, Table, encode_scores};
use ferrotune_optim::losses::{Huber, SquaredError};
use ferrotune_tensor::{Backend, Tape, Var};
use serde_json::{Map, Value};

/// Regression on one number, in the units of the data.
pub struct Regression {
    output: [String; 1],
    huber_delta: Option<f32>,
}

impl Regression {
    /// With squared errors, or with Huber's of this delta. `output` names the number.
    pub fn new(output: String, huber_delta: Option<f32>) -> Regression {
        Regression { output: [output], huber_delta }
    }
}

impl<B: Backend> Objective<B> for Regression {
    fn metrics(&self) -> &'static [MetricName] {
        &[MetricName::Pearson, MetricName::Spearman, MetricName::Mse, MetricName::Mae]
    }

    fn loss(&self, tape: &mut Tape<'_, B>, logits: Var, targets: &Targets, rows: &[usize], scale: f32) -> Var {
        let targets = rows.iter().map(|&row| targets.scores()[row] as f32).collect();
        match self.huber_delta {
            Some(delta) => tape.apply(Huber { targets, delta, scale }, &[logits]),
            None => tape.apply(SquaredError { targets, scale }, &[logits]),
        }
    }

    /// The variance of the scores, exactly 0 if all are the same.
    fn constant_loss(&self, targets: &Targets) -> Option<f64> {
        let (scores, rows) = (targets.scores(), targets.rows() as f64);
        if scores.windows(2).all(|pair| pair[0] == pair[1]) {
            return self.huber_delta.is_none().then_some(0.0);
        }
        let mean = scores.iter().sum::<f64>() / rows;
        self.huber_delta.is_none().then(|| scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / rows)
    }

    fn report(&self, logits: &[f32], targets: &Targets) -> Report {
        let predicted: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
        Report::Regression(RegressionReport::of(&predicted, targets.scores()))
    }
}

impl<B: Backend> Task<B> for Regression {
    fn name(&self) -> &'static str {
        "regression"
    }

    fn labels(&self) -> &[String] {
        &self.output
    }

    fn problem_type(&self) -> Option<&'static str> {
        Some("regression")
    }

    fn need(&self) -> Need {
        Need::Scores
    }

    fn targets(&self, table: &Table, _encoded: &Encoded) -> Result<Targets, DataError> {
        Ok(Targets::Scores(encode_scores(table)?))
    }

    fn columns(&self) -> Vec<String> {
        vec!["predicted_score".to_string()]
    }

    fn predict(&self, _row: &Row, Answer { logits, .. }: Answer<'_>) -> Prediction {
        let json = Map::from_iter([("score".to_string(), Value::from(f64::from(logits[0])))]);
        Prediction { fields: vec![super::shown(f64::from(logits[0]))], json }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrotune_tensor::Cpu;

    #[test]
    fn the_best_constant_answer_is_the_mean() {
        let loss = |scores: &[f64]| {
            Objective::<Cpu>::constant_loss(&Regression::new("score".into(), None), &Targets::Scores(scores.to_vec()))
        };
        assert_eq!(loss(&[1.0, 2.0, 3.0]), Some(2.0 / 3.0));
        // Their rounded mean is another number.
        assert_eq!(loss(&[0.1; 3]), Some(0.0));
    }
}
