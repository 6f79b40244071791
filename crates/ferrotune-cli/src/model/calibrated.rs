//! The temperature of a model's probabilities and the threshold of its answers, as a model folder remembers them, and what they did to some rows as
//! text and as JSON. It must not know how they are fitted (`ferrotune_train::calibration`) or where rows come from.

use crate::exit::{Failure, MODEL};
use ferrotune_tensor::Backend;
use ferrotune_train::calibration::{Abstention, COLDEST, Fit, HOTTEST, NoFit, Quality, fit};
use ferrotune_train::tasks::{Prediction, Targets, Task};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

/// The column and the field of `predict` that say whether the model abstains.
pub const ABSTAINS: &str = "abstains";

/// What `ferrotune.json` holds of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Logits are divided by it.
    pub temperature: f64,
    /// Rows that it was fitted on.
    pub rows: usize,
    /// When the model had better not answer; `None` if it always does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abstention: Option<Abstention>,
}

impl Calibration {
    /// `temperature 0.804, fitted on 3000 rows; abstains below probability 0.71`.
    pub fn text(&self) -> String {
        let abstains = self.abstention.map(|chosen| format!("; abstains below probability {:.6}", chosen.below));
        let Calibration { temperature, rows, .. } = self;
        format!("temperature {temperature:.3}, fitted on {rows} rows{}", abstains.unwrap_or_default())
    }

    /// Refuses what no calibration gives.
    ///
    /// # Errors
    /// Numbers out of their ranges: somebody wrote the file by hand.
    pub fn check(&self, file: &Path) -> Result<(), Failure> {
        let below = self.abstention.map(|abstention| abstention.below);
        let what = match below {
            _ if !(COLDEST..=HOTTEST).contains(&self.temperature) => "the temperature",
            Some(below) if !(0.0..=1.0).contains(&below) => "the threshold of abstention",
            _ => return Ok(()),
        };
        let message = format!(
            "{} is damaged: {what} is out of range; say `ferrotune calibrate` to write it again, or remove `calibration`",
            file.display()
        );
        Err(Failure { message, code: MODEL })
    }
}

/// Says of a prediction whether the model abstains: by the probability of the predicted class.
pub fn mark(prediction: &mut Prediction, abstention: &Abstention) {
    let score = prediction.json.get("score").and_then(Value::as_f64).unwrap_or(f64::NAN);
    let abstains = abstention.abstains(score);
    prediction.fields.push(abstains.to_string());
    prediction.json.insert(ABSTAINS.to_string(), Value::from(abstains));
}

/// Probabilities before and after.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// As the model gives them.
    pub before: Quality,
    /// With the temperature.
    pub after: Quality,
}

impl Effect {
    /// On rows with these logits; `None` for tasks without probabilities of rows.
    pub fn of<B: Backend>(task: &dyn Task<B>, logits: &[f32], targets: &Targets, temperature: f64) -> Option<Effect> {
        let scored = task.scored(logits, targets)?;
        Some(Effect { before: scored.quality(1.0), after: scored.quality(temperature) })
    }

    /// `calibration error 0.0411 -> 0.0123, log loss 0.3012 -> 0.2711`.
    pub fn text(&self) -> String {
        let error =
            |quality: &Quality| quality.calibration_error.map_or("-".to_string(), |error| format!("{error:.4}"));
        let Effect { before, after } = self;
        format!(
            "calibration error {} -> {}, log loss {:.4} -> {:.4}",
            error(before),
            error(after),
            before.log_loss,
            after.log_loss
        )
    }
}

/// A temperature that was fitted, and what it did to the rows that it was fitted on: better than it does to others.
pub struct Fitted {
    /// The temperature.
    pub fit: Fit,
    /// Rows.
    pub rows: usize,
    /// On these rows.
    pub effect: Effect,
}

impl Fitted {
    /// Fits the temperature of a task, and gives it to the task; `None` for tasks that have none.
    pub fn to<B: Backend>(task: &mut dyn Task<B>, logits: &[f32], targets: &Targets) -> Option<Result<Fitted, NoFit>> {
        let fitted = {
            let scored = task.scored(logits, targets)?;
            fit(&scored).map(|fit| {
                let (before, after) = (scored.quality(1.0), scored.quality(fit.temperature));
                Fitted { fit, rows: scored.rows(), effect: Effect { before, after } }
            })
        };
        *task.temperature()? = fitted.as_ref().map_or(1.0, |fitted| fitted.fit.temperature);
        Some(fitted)
    }

    /// `temperature 1.63 ± 0.05`.
    pub fn temperature(&self) -> String {
        match self.fit.standard_error {
            Some(error) => format!("temperature {:.3} ± {error:.3}", self.fit.temperature),
            None if self.fit.temperature == HOTTEST => format!(
                "temperature {HOTTEST}, the largest that is given: the scores say no more of these rows than a guess"
            ),
            None => format!(
                "temperature {}, the smallest that is given: nearly all of these rows are right",
                self.fit.temperature
            ),
        }
    }
}

/// What `train` does of it at its end: a temperature from the validation rows, and what that does to the test rows.
pub struct AtEnd {
    fitted: Option<Result<Fitted, NoFit>>,
    /// On the test rows.
    pub test: Option<Effect>,
}

impl AtEnd {
    /// Without validation rows.
    pub fn nothing() -> AtEnd {
        AtEnd { fitted: None, test: None }
    }

    /// From the logits of the validation rows. The task remembers it.
    pub fn fit<B: Backend>(task: &mut dyn Task<B>, logits: &[f32], targets: &Targets) -> AtEnd {
        AtEnd { fitted: Fitted::to(task, logits, targets), test: None }
    }

    /// What it does to other rows.
    pub fn on<B: Backend>(&self, task: &dyn Task<B>, logits: &[f32], targets: &Targets) -> Option<Effect> {
        let Some(Ok(fitted)) = &self.fitted else { return None };
        Effect::of(task, logits, targets, fitted.fit.temperature)
    }

    /// What the model folder remembers.
    pub fn note(&self) -> Option<Calibration> {
        let Some(Ok(fitted)) = &self.fitted else { return None };
        Some(Calibration { temperature: fitted.fit.temperature, rows: fitted.rows, abstention: None })
    }

    /// For `results.json`.
    pub fn to_json(&self) -> Value {
        match &self.fitted {
            None => Value::Null,
            Some(Err(why)) => json!({ "none": why.to_string() }),
            Some(Ok(Fitted { fit, rows, effect })) => json!({
                "temperature": fit.temperature,
                "standard_error": fit.standard_error,
                "rows": rows,
                "validation": effect,
                "test": self.test,
            }),
        }
    }

    /// For a person.
    pub fn lines(&self) -> Vec<String> {
        match &self.fitted {
            None => Vec::new(),
            Some(Err(why)) => vec![format!("calibration none: {why}")],
            Some(Ok(fitted)) => {
                let mut lines = vec![format!(
                    "calibration {}, {} on validation, where it was fitted",
                    fitted.temperature(),
                    fitted.effect.text()
                )];
                lines.extend(self.test.map(|effect| format!("            on test: {}", effect.text())));
                lines
            }
        }
    }
}
