//! One of two classes for each row from one logit: the probability of the positive class is its sigmoid.

use super::single_label::class_prediction;
use super::{Answer, Emphasis, Objective, Prediction, Targets, Task, binary_loss, binary_loss_of, entropy, sigmoid_at};
use crate::calibration::Scored;
use crate::metrics::{Classified, Confusion, MetricName, Report};
use ferrotune_data::{DataError, Encoded, Labels, Need, Row, Table, encode_labels};
use ferrotune_tensor::{Backend, Tape, Var};
use serde_json::{Map, Value};

/// Binary classification with one logit. Hugging Face tools know it as a multi-label model with one label, the positive class.
pub struct Binary {
    /// The negative class, then the positive one.
    classes: Labels,
    /// The positive class alone: the name of the one output.
    output: [String; 1],
    emphasis: Emphasis,
    temperature: f64,
}

impl Binary {
    /// Between these two classes.
    ///
    /// # Errors
    /// A name that is empty, or twice the same.
    pub fn new(negative: String, positive: String) -> Result<Binary, DataError> {
        let output = [positive.clone()];
        let classes = Labels::from_names(vec![negative, positive])?;
        Ok(Binary { classes, output, emphasis: Emphasis::default(), temperature: 1.0 })
    }

    /// With the two classes of a training table. The positive one is `positive`, else the later by name.
    ///
    /// # Errors
    /// A row without a label; any other number of classes than two; a positive class that is none of them.
    pub fn from_table(table: &Table, positive: Option<&str>) -> Result<Binary, DataError> {
        let classes = Labels::from_table(table)?;
        let not_binary = || DataError::NotBinary {
            file: table.path.display().to_string(),
            classes: classes.names().iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "),
        };
        match (classes.names(), positive) {
            ([negative, other], None) => Binary::new(negative.clone(), other.clone()),
            ([negative, other], Some(name)) if name == other => Binary::new(negative.clone(), other.clone()),
            ([other, negative], Some(name)) if name == other => Binary::new(negative.clone(), other.clone()),
            ([_, _], Some(name)) => Err(DataError::UnknownPositive {
                file: table.path.display().to_string(),
                label: name.to_string(),
                classes: classes.names().join(", "),
            }),
            _ => Err(not_binary()),
        }
    }

    /// With another emphasis in training.
    pub fn with_emphasis(self, emphasis: Emphasis) -> Binary {
        Binary { emphasis, ..self }
    }
}

/// The class that a logit stands for.
fn decision(logit: f32) -> usize {
    usize::from(logit >= 0.0)
}

/// The probabilities of the negative and the positive class. 1 - sigmoid(z) would lose the digits of small ones.
fn probabilities(logit: f32, temperature: f64) -> [f64; 2] {
    [sigmoid_at(-logit, temperature), sigmoid_at(logit, temperature)]
}

impl<B: Backend> Objective<B> for Binary {
    fn metrics(&self) -> &'static [MetricName] {
        &[MetricName::Accuracy, MetricName::F1Macro, MetricName::Mcc, MetricName::Loss]
    }

    fn loss(&self, tape: &mut Tape<'_, B>, logits: Var, targets: &Targets, rows: &[usize], scale: f32) -> Var {
        let targets = rows.iter().map(|&row| targets.classes()[row] as f32).collect();
        binary_loss(tape, logits, targets, &self.emphasis, scale)
    }

    fn constant_loss(&self, targets: &Targets) -> Option<f64> {
        let mut counts = vec![0; 2];
        targets.classes().iter().for_each(|&class| counts[class as usize] += 1);
        (self.emphasis == Emphasis::default()).then(|| entropy(&counts))
    }

    fn report(&self, logits: &[f32], targets: &Targets) -> Report {
        let mut confusion = Confusion::new(2);
        let mut loss = 0.0;
        for (&logit, &class) in logits.iter().zip(targets.classes()) {
            loss += binary_loss_of(logit, class == 1);
            confusion.add(class as usize, decision(logit));
        }
        Report::Classification(confusion.report(loss / targets.rows() as f64, self.classes.names()))
    }
}

impl<B: Backend> Task<B> for Binary {
    fn name(&self) -> &'static str {
        "binary"
    }

    fn labels(&self) -> &[String] {
        &self.output
    }

    fn problem_type(&self) -> Option<&'static str> {
        Some("multi_label_classification")
    }

    fn need(&self) -> Need {
        Need::Labels
    }

    fn targets(&self, table: &Table, _encoded: &Encoded) -> Result<Targets, DataError> {
        Ok(Targets::Classes(encode_labels(table, &self.classes)?))
    }

    fn columns(&self) -> Vec<String> {
        let own = ["predicted_label".to_string(), "score".to_string()];
        own.into_iter().chain(super::probability_columns(self.classes.names())).collect()
    }

    fn predict(&self, _row: &Row, Answer { logits, .. }: Answer<'_>) -> Prediction {
        class_prediction(self.classes.names(), decision(logits[0]), &probabilities(logits[0], self.temperature))
    }

    fn classified(&self, logits: &[f32], targets: &Targets) -> Option<Classified> {
        Some(Classified {
            names: self.classes.names().to_vec(),
            labels: targets.classes().iter().map(|&class| class as usize).collect(),
            predictions: logits.iter().copied().map(decision).collect(),
            probabilities: logits.iter().flat_map(|&logit| probabilities(logit, self.temperature)).collect(),
        })
    }

    fn temperature(&mut self) -> Option<&mut f64> {
        Some(&mut self.temperature)
    }

    fn scored<'a>(&self, logits: &'a [f32], targets: &Targets) -> Option<Scored<'a>> {
        let truths = targets.classes().iter().map(|&class| class == 1).collect();
        Some(Scored::Binary { logits, truths })
    }

    fn notes(&self) -> Map<String, Value> {
        Map::from_iter([("negative".to_string(), Value::from(self.classes.names()[0].as_str()))])
    }
}
