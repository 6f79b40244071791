//! What `evaluate` and `calibrate` show of a model's confidence: probabilities before and after calibration, accuracy against coverage, and what
//! abstaining costs. It computes none of it.

use crate::calibrated::{Calibration, Effect};
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

/// What a threshold was chosen for; nothing where it was said.
pub fn chosen_for(chosen: &Abstention) -> Option<String> {
    let target = 100.0 * chosen.target_accuracy?;
    Some(match chosen.accuracy_at_least {
        Some(limit) => format!(
            "for an accuracy of {target} %: {} % sure that it is at least {:.2} % for such rows",
            100.0 * chosen.certainty,
            100.0 * limit
        ),
        None => format!("for an accuracy of {target} % on the rows that chose it; other rows may miss it"),
    })
}
