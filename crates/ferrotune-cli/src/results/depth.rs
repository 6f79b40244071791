//! What `evaluate` shows of a classifier besides the report: agreement, ranking, calibration, intervals and the worst mistakes, as text and as
//! JSON. It computes none of them.

use crate::results::further::Neighbour;
use crate::terminal::shown::short;
use ferrotune_data::Row;
use ferrotune_train::metrics::{
    BINS, ClassificationDetail, Classified, ConfusedPair, Interval, Intervals, MeanOfClasses, Mistake, RESAMPLES,
};
use serde::Serialize;
use std::fmt::Write;

/// Characters that are shown of a text.
const SHOWN: usize = 100;

/// The depth of an evaluation.
#[derive(Serialize)]
pub struct Depth {
    detail: ClassificationDetail,
    intervals: Option<Intervals>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mistakes: Option<Vec<Wrong>>,
    #[serde(skip)]
    classes: usize,
}

/// A mistake as a person looks it up.
#[derive(Serialize)]
struct Wrong {
    line: u64,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text_b: Option<String>,
    label: String,
    label_probability: f64,
    predicted: String,
    probability: f64,
    /// The training rows that are nearest to it, where these were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nearest: Vec<Neighbour>,
}

impl Depth {
    /// Of what a classifier said of these rows, with its worst mistakes if a number of them is given. `seed` determines the draws of the intervals.
    pub fn new(classified: &Classified, rows: &[Row], mistakes: Option<usize>, seed: u64) -> Depth {
        let wrong = |mistake: Mistake| Wrong {
            line: rows[mistake.row].line,
            text: short(&rows[mistake.row].text, SHOWN),
            text_b: rows[mistake.row].text_b.as_deref().map(|text| short(text, SHOWN)),
            label: classified.names[mistake.label].clone(),
            label_probability: mistake.label_probability,
            predicted: classified.names[mistake.predicted].clone(),
            probability: mistake.probability,
            nearest: Vec::new(),
        };
        Depth {
            detail: classified.detail(),
            intervals: Intervals::of(classified, seed),
            mistakes: mistakes.map(|most| classified.mistakes(most).into_iter().map(wrong).collect()),
            classes: classified.names.len(),
        }
    }

    /// With the training rows that are nearest to each of the mistakes, in their order.
    pub fn with_nearest(mut self, nearest: Vec<Vec<Neighbour>>) -> Depth {
        let mistakes = self.mistakes.iter_mut().flatten();
        mistakes.zip(nearest).for_each(|(wrong, nearest)| wrong.nearest = nearest);
        self
    }

    /// As lines and tables.
    pub fn text(&self) -> String {
        let detail = &self.detail;
        let mut text = format!(
            "balanced accuracy {}   weighted F1 {:.4}   Cohen's kappa {}\n",
            self.mean(detail.balanced_accuracy),
            detail.f1_weighted,
            number(detail.cohen_kappa)
        );
        if let Some(ConfusedPair { label, predicted, rows }) = detail.most_confused.first() {
            let _ = writeln!(text, "most confused: {label} -> {predicted} ({rows} rows)");
        }
        let _ = writeln!(
            text,
            "one class against the rest: ROC-AUC {}   average precision {}",
            self.mean(detail.roc_auc),
            self.mean(detail.average_precision)
        );
        let _ = writeln!(
            text,
            "Brier score {} (sum over classes, 0 to 2)   calibration error {} ({BINS} bins)",
            number(detail.brier),
            number(detail.calibration_error)
        );
        if let Some(Intervals { accuracy, f1_macro, mcc, .. }) = &self.intervals {
            let percent = Interval { low: 100.0 * accuracy.low, high: 100.0 * accuracy.high };
            let _ = writeln!(
                text,
                "95 % intervals, {RESAMPLES} resamples of the rows: accuracy {:.2} to {:.2} %   macro F1 {:.4} to {:.4}   MCC {:.4} to {:.4}",
                percent.low, percent.high, f1_macro.low, f1_macro.high, mcc.low, mcc.high
            );
        }
        text + &self.reliability() + &self.worst()
    }

    /// A mean, and of how many classes it is where some have no value.
    fn mean(&self, mean: MeanOfClasses) -> String {
        let of = if mean.classes == self.classes {
            String::new()
        } else {
            format!(" ({} of {} classes)", mean.classes, self.classes)
        };
        number(mean.value) + &of
    }

    fn reliability(&self) -> String {
        let mut text = String::from("\nprobability of the prediction   rows    mean    accuracy\n");
        for bin in &self.detail.reliability {
            let (confidence, accuracy) = (number(bin.confidence), number(bin.accuracy));
            let range = format!("above {:.4} up to {:.4}", bin.above, bin.up_to);
            let _ = writeln!(text, "{range:<30}  {:<6}  {confidence:<6}  {accuracy}", bin.rows);
        }
        if self.detail.reliability.is_empty() {
            text.push_str("none: the model gave probabilities that are not numbers\n");
        }
        text
    }

    fn worst(&self) -> String {
        let Some(mistakes) = &self.mistakes else { return String::new() };
        let mut text = String::from("\nworst mistakes, highest loss first\n");
        for wrong in mistakes {
            let (label, predicted) = (&wrong.label, &wrong.predicted);
            let (of_label, of_predicted) = (wrong.label_probability, wrong.probability);
            let _ = writeln!(
                text,
                "line {}: {label} ({of_label:.4}), predicted {predicted} ({of_predicted:.4})",
                wrong.line
            );
            for part in std::iter::once(&wrong.text).chain(&wrong.text_b) {
                let _ = writeln!(text, "    {part}");
            }
            for Neighbour { line, label, similarity, text: near, text_b } in &wrong.nearest {
                let near = std::iter::once(near).chain(text_b).map(String::as_str).collect::<Vec<_>>().join(" | ");
                let _ = writeln!(text, "      near {similarity:.3}, training line {line}, {label}: {near}");
            }
        }
        if mistakes.is_empty() {
            text.push_str("none\n");
        }
        text
    }
}

/// Four digits; a dash where there is no value.
fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_string(), |value| format!("{value:.4}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: u64, text: &str) -> Row {
        Row { text: text.to_string(), text_b: None, words: None, label: None, line }
    }

    /// Three classes, of which the last has no rows.
    fn depth(probabilities: [[f64; 3]; 4], predictions: [usize; 4], mistakes: Option<usize>) -> Depth {
        let long = "ä\n".repeat(60);
        let rows = [row(2, "one"), row(3, &long), row(5, "\u{1b}[31mred"), row(6, "four")];
        let classified = Classified {
            names: ["a", "b", "c"].map(String::from).to_vec(),
            labels: vec![0, 1, 1, 0],
            predictions: predictions.to_vec(),
            probabilities: probabilities.concat(),
        };
        Depth::new(&classified, &rows, mistakes, 0)
    }

    const GIVEN: [[f64; 3]; 4] = [[0.5, 0.25, 0.25], [0.75, 0.125, 0.125], [0.25, 0.0, 0.75], [0.5, 0.25, 0.25]];

    #[test]
    fn text_says_of_how_many_classes_and_what_is_not_defined() {
        let text = depth(GIVEN, [0, 0, 2, 0], Some(2)).text();
        for part in [
            "balanced accuracy 0.5000 (2 of 3 classes)   weighted F1 0.4000   Cohen's kappa 0.2000\n",
            "most confused: b -> a (1 rows)\n",
            // Of a's rows one half of the pairs is won; so it is with b's.
            "ROC-AUC 0.2500 (2 of 3 classes)",
            "above 0.4667 up to 0.5333       2       0.5000  1.0000\n",
            "above 0.7333 up to 0.8000       2       0.7500  0.0000\n",
            "above 0.9333 up to 1.0000       0       -       -\n",
            "line 5: b (0.0000), predicted c (0.7500)\n    \\u{1b}[31mred\nline 3: b (0.1250), predicted a (0.7500)\n    ä\\nä\\n",
            "ä …\n",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        assert!(!text.contains("NaN") && !text.chars().any(|c| c == '\u{1b}'), "{text}");
        assert_eq!(text.lines().last().unwrap().chars().count(), 4 + SHOWN + 2);
        assert!(!depth(GIVEN, [0, 0, 2, 0], None).text().contains("mistakes"));
        assert!(depth(GIVEN, [0, 1, 1, 0], Some(3)).text().ends_with("highest loss first\nnone\n"));
    }

    #[test]
    fn json_has_null_where_there_is_no_value() {
        let mut diverged = GIVEN;
        diverged[3] = [f64::NAN; 3];
        let depth = depth(diverged, [0, 0, 2, 1], Some(1));
        let text = depth.text();
        assert!(text.contains("ROC-AUC - (0 of 3 classes)") && text.contains("Brier score - "), "{text}");
        assert!(text.contains("none: the model gave probabilities that are not numbers\n"), "{text}");
        let json = serde_json::to_value(&depth).unwrap();
        assert!(json["detail"]["brier"].is_null() && json["mistakes"][0]["probability"].is_null(), "{json}");
        assert_eq!((&json["mistakes"][0]["line"], &json["mistakes"][0]["label"]), (&6.into(), &"a".into()));
        assert_eq!(json["intervals"]["resamples"], 1000);
    }
}
