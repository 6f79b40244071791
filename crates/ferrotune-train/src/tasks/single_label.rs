//! One class for each row: softmax over the classes.

use super::{
    Answer, Emphasis, Objective, Prediction, Targets, Task, argmax, by_name, class_loss, cross_entropy, entropy,
    probability_columns, shown, softmax_at,
};
use crate::calibration::Scored;
use crate::metrics::{Classified, Confusion, MetricName, Report};
use ferrotune_data::{DataError, Encoded, Labels, Need, Row, Table, encode_labels};
use ferrotune_tensor::{Backend, Tape, Var};
use serde_json::{Map, Value};

/// Classification of each row as one of its classes.
pub struct SingleLabel {
    labels: Labels,
    /// One for each class, if they do not all count the same.
    weights: Option<Vec<f32>>,
    emphasis: Emphasis,
    temperature: f64,
}

impl SingleLabel {
    /// Classification as one of these classes.
    pub fn new(labels: Labels) -> SingleLabel {
        SingleLabel { labels, weights: None, emphasis: Emphasis::default(), temperature: 1.0 }
    }

    /// With another emphasis in training.
    pub fn with_emphasis(self, emphasis: Emphasis) -> SingleLabel {
        SingleLabel { emphasis, ..self }
    }

    /// With a weight for the rows of each class in training.
    ///
    /// # Panics
    /// If there is not one for each class.
    pub fn with_weights(self, weights: Vec<f32>) -> SingleLabel {
        assert_eq!(weights.len(), self.labels.len(), "SingleLabel::with_weights: expected one for each class");
        SingleLabel { weights: Some(weights), ..self }
    }

    /// With the classes of a training table.
    ///
    /// # Errors
    /// A row without a label, or only one class in the whole table.
    pub fn from_table(table: &Table) -> Result<SingleLabel, DataError> {
        Ok(SingleLabel::new(Labels::from_table(table)?))
    }

    /// The rows of each class.
    fn counts(&self, targets: &Targets) -> Vec<usize> {
        let mut counts = vec![0; self.labels.len()];
        targets.classes().iter().for_each(|&class| counts[class as usize] += 1);
        counts
    }
}

impl<B: Backend> Objective<B> for SingleLabel {
    fn metrics(&self) -> &'static [MetricName] {
        &[MetricName::Accuracy, MetricName::F1Macro, MetricName::Mcc, MetricName::Loss]
    }

    fn loss(&self, tape: &mut Tape<'_, B>, logits: Var, targets: &Targets, rows: &[usize], scale: f32) -> Var {
        let labels: Vec<u32> = rows.iter().map(|&row| targets.classes()[row]).collect();
        class_loss(tape, logits, labels, self.labels.len(), self.weights.as_deref(), &self.emphasis, scale)
    }

    /// With class weights the mean is weighted, as in `torch.nn.CrossEntropyLoss`; the focal loss is a plain mean over rows.
    fn weight(&self, targets: &Targets, rows: &[usize]) -> f64 {
        match (&self.weights, self.emphasis.focal_gamma) {
            (Some(weights), None) => rows.iter().map(|&row| f64::from(weights[targets.classes()[row] as usize])).sum(),
            _ => rows.len() as f64,
        }
    }

    fn constant_loss(&self, targets: &Targets) -> Option<f64> {
        (self.weights.is_none() && self.emphasis == Emphasis::default()).then(|| entropy(&self.counts(targets)))
    }

    fn report(&self, logits: &[f32], targets: &Targets) -> Report {
        let names = self.labels.names();
        let mut confusion = Confusion::new(names.len());
        let mut loss = 0.0;
        for (row, &class) in logits.chunks(names.len()).zip(targets.classes()) {
            loss += cross_entropy(row, class as usize);
            confusion.add(class as usize, argmax(row));
        }
        Report::Classification(confusion.report(loss / targets.rows() as f64, names))
    }
}

impl<B: Backend> Task<B> for SingleLabel {
    fn name(&self) -> &'static str {
        "classification"
    }

    fn labels(&self) -> &[String] {
        self.labels.names()
    }

    fn problem_type(&self) -> Option<&'static str> {
        Some("single_label_classification")
    }

    fn need(&self) -> Need {
        Need::Labels
    }

    fn targets(&self, table: &Table, _encoded: &Encoded) -> Result<Targets, DataError> {
        Ok(Targets::Classes(encode_labels(table, &self.labels)?))
    }

    fn balance(&mut self, targets: &Targets) -> Option<&[f32]> {
        let counts = self.counts(targets);
        let weight = |&count: &usize| (targets.rows() as f64 / (counts.len() * count.max(1)) as f64) as f32;
        self.weights = Some(counts.iter().map(weight).collect());
        self.weights.as_deref()
    }

    fn columns(&self) -> Vec<String> {
        let own = ["predicted_label".to_string(), "score".to_string()];
        own.into_iter().chain(probability_columns(self.labels.names())).collect()
    }

    fn predict(&self, _row: &Row, Answer { logits, .. }: Answer<'_>) -> Prediction {
        let (probabilities, best) = (softmax_at(logits, self.temperature), argmax(logits));
        class_prediction(self.labels.names(), best, &probabilities)
    }

    fn classified(&self, logits: &[f32], targets: &Targets) -> Option<Classified> {
        let rows = || logits.chunks(self.labels.len());
        Some(Classified {
            names: self.labels.names().to_vec(),
            labels: targets.classes().iter().map(|&class| class as usize).collect(),
            predictions: rows().map(argmax).collect(),
            probabilities: rows().flat_map(|row| softmax_at(row, self.temperature)).collect(),
        })
    }

    fn temperature(&mut self) -> Option<&mut f64> {
        Some(&mut self.temperature)
    }

    fn scored<'a>(&self, logits: &'a [f32], targets: &Targets) -> Option<Scored<'a>> {
        Some(Scored::Classes { logits, classes: self.labels.len(), labels: targets.classes().to_vec() })
    }
}

/// A class, its probability as the score, and the probabilities of all classes.
pub(super) fn class_prediction(names: &[String], best: usize, probabilities: &[f64]) -> Prediction {
    let own = [names[best].clone(), shown(probabilities[best])];
    let mut json = Map::new();
    json.insert("label".to_string(), Value::from(names[best].as_str()));
    json.insert("score".to_string(), Value::from(probabilities[best]));
    json.insert("probabilities".to_string(), by_name(names, probabilities));
    Prediction { fields: own.into_iter().chain(probabilities.iter().map(|&p| shown(p))).collect(), json }
}
