//! What `evaluate` and `calibrate` show of a model's confidence: probabilities before and after calibration, accuracy against coverage, and what
//! abstaining costs. It computes none of it. It must not know models: it reads what they said.

use crate::model::calibrated::{Calibration, Effect};
use ferrotune_tensor::Backend;
use ferrotune_train::calibration::{Abstention, Ranked, RiskCoverage};
use ferrotune_train::tasks::{Targets, Task};
use serde::Serialize;
use std::fmt::Write;

/// Of some rows.
#[derive(Serialize)]
pub struct Confidence {
    /// What the temperature of the folder did; `None` if it has none.
    calibration: Option<Calibrated>,
    /// Of tasks with one class a row.
    risk_coverage: Option<RiskCoverage>,
    /// What the threshold of the folder does to these rows, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    abstention: Option<Abstaining>,
}

#[derive(Serialize)]
struct Calibrated {
    temperature: f64,
    fitted_rows: usize,
    #[serde(flatten)]
    effect: Effect,
}

#[derive(Serialize)]
struct Abstaining {
    /// On the rows that chose it.
    chosen: Abstention,
    /// On these rows.
    here: Abstention,
}

impl Confidence {
    /// Of logits and targets under the calibration of the folder, which the task has; `None` for tasks without probabilities of rows.
    pub fn of<B: Backend>(
        task: &dyn Task<B>,
        logits: &[f32],
        targets: &Targets,
        calibration: Option<&Calibration>,
    ) -> Option<Confidence> {
        let temperature = calibration.map_or(1.0, |calibration| calibration.temperature);
        let effect = Effect::of(task, logits, targets, temperature)?;
        let ranked = ranked(task, logits, targets);
        let abstaining = |chosen: Abstention| {
            let here = Abstention::below(chosen.below, ranked.as_ref()?);
            Some(Abstaining { chosen, here })
        };
        Some(Confidence {
            calibration: calibration.map(|calibration| Calibrated {
                temperature,
                fitted_rows: calibration.rows,
                effect,
            }),
            risk_coverage: ranked.as_ref().map(Ranked::risk_coverage),
            abstention: calibration.and_then(|calibration| calibration.abstention).and_then(abstaining),
        })
    }

    /// As lines and tables.
    pub fn text(&self) -> String {
        let mut text = match &self.calibration {
            None => "calibration: none; `ferrotune calibrate` fits a temperature to labelled rows\n".to_string(),
            Some(Calibrated { temperature, fitted_rows, effect }) => {
                format!("calibration: temperature {temperature:.3}, fitted on {fitted_rows} rows; {}\n", effect.text())
            }
        };
        if let Some(curve) = &self.risk_coverage {
            text += &table(curve);
        }
        if let Some(Abstaining { chosen, here }) = &self.abstention {
            let _ = writeln!(text, "\nabstains below probability {:.6}: {}", chosen.below, answered(here));
            if let Some(why) = chosen_for(chosen) {
                let _ = writeln!(text, "    {why}; on the rows that chose it: {}", answered(chosen));
            }
        }
        text
    }
}

/// The rows by their confidence, the probability of the predicted class; `None` for tasks whose rows do not have one class each, without rows,
/// and where a probability is no number.
pub fn ranked<B: Backend>(task: &dyn Task<B>, logits: &[f32], targets: &Targets) -> Option<Ranked> {
    Ranked::of(task.classified(logits, targets)?.confidences())
}

/// Accuracy against coverage.
pub fn table(curve: &RiskCoverage) -> String {
    let mut text = format!(
        "\nanswering the surest rows alone (area under the risk-coverage curve {:.4})\n\
         coverage  rows    accuracy   lowest probability\n",
        curve.area
    );
    for point in &curve.points {
        let _ = writeln!(
            text,
            "{:>6.0} %  {:<6}  {:>7.2} %  {:.6}",
            100.0 * point.coverage,
            point.rows,
            100.0 * point.accuracy,
            point.confidence
        );
    }
    text
}

/// `answers 880 of 1000 rows (88.00 %), 98.86 % of them right`.
pub fn answered(on: &Abstention) -> String {
    let share = 100.0 * on.answered as f64 / on.rows as f64;
    let right = on.accuracy.map_or(String::new(), |accuracy| format!(", {:.2} % of them right", 100.0 * accuracy));
    format!("answers {} of {} rows ({share:.2} %){right}", on.answered, on.rows)
}

/// A share in percent, with the digits that somebody typed: 0.57 is 57, which 100 times its nearest number is not.
pub fn percent(share: f64) -> f64 {
    (1e12 * share).round() / 1e10
}

/// What a threshold was chosen for; nothing where it was said.
pub fn chosen_for(chosen: &Abstention) -> Option<String> {
    let target = percent(chosen.target_accuracy?);
    Some(match chosen.accuracy_at_least {
        Some(limit) => format!(
            "for an accuracy of {target} %: {} % sure that it is at least {:.2} % for such rows",
            percent(chosen.certainty),
            // Down: what is promised is not rounded up.
            (1e4 * limit).floor() / 100.0
        ),
        None => format!("for an accuracy of {target} % on the rows that chose it; other rows may miss it"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_shown_as_they_were_typed_and_promises_not_rounded_up() {
        for (share, shown) in [(0.57, "57"), (0.98, "98"), (0.995, "99.5"), (0.29, "29"), (0.9999, "99.99")] {
            assert_eq!(percent(share).to_string(), shown);
        }
        let chosen = Abstention {
            below: 0.5,
            target_accuracy: Some(0.57),
            certainty: 0.95,
            accuracy_at_least: Some(0.57999),
            rows: 8,
            answered: 6,
            accuracy: Some(0.75),
        };
        let said = "for an accuracy of 57 %: 95 % sure that it is at least 57.99 % for such rows";
        assert_eq!(chosen_for(&chosen).as_deref(), Some(said));
        assert_eq!(answered(&chosen), "answers 6 of 8 rows (75.00 %), 75.00 % of them right");
        let lucky = chosen_for(&Abstention { accuracy_at_least: None, ..chosen }).unwrap();
        assert!(lucky.ends_with("other rows may miss it"), "{lucky}");
        let nothing = Abstention { answered: 0, accuracy: None, target_accuracy: None, ..chosen };
        assert_eq!((answered(&nothing).as_str(), chosen_for(&nothing)), ("answers 0 of 8 rows (0.00 %)", None));
    }
}
