//! Metrics of sets of labels, defined as scikit-learn defines them. Must not know models, batches or files.

use super::{ClassMetrics, MetricName, Summary, nan_if_null, ratio};
use serde::{Deserialize, Serialize};

/// Counts of each label over rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelCounts {
    /// For each label: rows that have it and got it, rows that got it, rows that have it.
    labels: Vec<[u64; 3]>,
    /// Rows whose whole set is right.
    whole: u64,
    rows: u64,
}

impl LabelCounts {
    /// Nothing counted yet.
    pub fn new(labels: usize) -> LabelCounts {
        LabelCounts { labels: vec![[0; 3]; labels], whole: 0, rows: 0 }
    }

    /// Counts one row: for each label whether the row has it, and whether it was given to it.
    ///
    /// # Panics
    /// If there is not one value for each label.
    pub fn add(&mut self, real: &[bool], given: &[bool]) {
        let labels = self.labels.len();
        assert!(real.len() == labels && given.len() == labels, "LabelCounts::add: expected {labels} values");
        for ((counts, &real), &given) in self.labels.iter_mut().zip(real).zip(given) {
            counts[0] += u64::from(real && given);
            counts[1] += u64::from(given);
            counts[2] += u64::from(real);
        }
        self.whole += u64::from(real == given);
        self.rows += 1;
    }

    /// Everything about one evaluation; `names` and `thresholds` have one entry a label.
    pub fn report(&self, loss: f64, names: &[String], thresholds: &[f64]) -> MultiLabelReport {
        let per_label: Vec<ClassMetrics> = self
            .labels
            .iter()
            .zip(names)
            .map(|(&[hits, given, support], name)| ClassMetrics {
                name: name.clone(),
                precision: ratio(hits, given),
                recall: ratio(hits, support),
                f1: ratio(2 * hits, given + support),
                support,
            })
            .collect();
        let total = |n: usize| self.labels.iter().map(|counts| counts[n]).sum::<u64>();
        MultiLabelReport {
            f1_micro: ratio(2 * total(0), total(1) + total(2)),
            f1_macro: per_label.iter().map(|label| label.f1).sum::<f64>() / per_label.len() as f64,
            subset_accuracy: ratio(self.whole, self.rows),
            loss,
            per_label,
            thresholds: thresholds.to_vec(),
            rows: self.rows,
        }
    }
}

/// The result of one evaluation of a multi-label classifier on one split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MultiLabelReport {
    /// F1 over all (row, label) pairs; 0 where it is not defined.
    pub f1_micro: f64,
    /// Mean F1 of all labels of the model, those without rows included (`f1_score(average="macro", zero_division=0)`).
    pub f1_macro: f64,
    /// Share of rows whose whole set is right.
    pub subset_accuracy: f64,
    /// Mean binary cross-entropy of an element; `null` in JSON if it is not finite.
    #[serde(deserialize_with = "nan_if_null")]
    pub loss: f64,
    /// One entry a label.
    pub per_label: Vec<ClassMetrics>,
    /// The probability from which each label was given.
    pub thresholds: Vec<f64>,
    /// Rows evaluated.
    pub rows: u64,
}

impl MultiLabelReport {
    /// The numbers of the report that fit on one line.
    pub fn summary(&self) -> Summary {
        let values = vec![
            (MetricName::F1Macro, self.f1_macro),
            (MetricName::F1Micro, self.f1_micro),
            (MetricName::SubsetAccuracy, self.subset_accuracy),
            (MetricName::Loss, self.loss),
        ];
        Summary { values, rows: self.rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn numbers_are_those_of_scikit_learn() {
        let golden: Value = serde_json::from_str(include_str!("../../../../tests/golden/tasks.json")).unwrap();
        let cases = golden["multi_label"].as_array().unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let numbers =
                |value: &Value| -> Vec<f64> { value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect() };
            let thresholds = numbers(&case["thresholds"]);
            let mut counts = LabelCounts::new(thresholds.len());
            let rows = case["probabilities"].as_array().unwrap().iter().zip(case["targets"].as_array().unwrap());
            for (probabilities, targets) in rows {
                let given: Vec<bool> = numbers(probabilities).iter().zip(&thresholds).map(|(p, t)| p >= t).collect();
                let real: Vec<bool> = numbers(targets).iter().map(|&t| t == 1.0).collect();
                counts.add(&real, &given);
            }
            let names: Vec<String> = (0..thresholds.len()).map(|i| format!("l{i}")).collect();
            let report = counts.report(0.0, &names, &thresholds);
            let near = |what: &str, got: f64, want: f64| {
                assert!((got - want).abs() <= 1e-9, "{what}: {got}, expected {want}");
            };
            for (name, got) in [
                ("f1_micro", report.f1_micro),
                ("f1_macro", report.f1_macro),
                ("subset_accuracy", report.subset_accuracy),
            ] {
                near(name, got, case[name].as_f64().unwrap());
            }
            for (i, label) in report.per_label.iter().enumerate() {
                near("precision", label.precision, numbers(&case["precision"])[i]);
                near("recall", label.recall, numbers(&case["recall"])[i]);
                near("f1", label.f1, numbers(&case["f1"])[i]);
                near("support", label.support as f64, numbers(&case["support"])[i]);
            }
        }
    }
}
