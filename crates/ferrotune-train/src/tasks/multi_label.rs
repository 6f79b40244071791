//! Any number of labels for each row: one sigmoid a label, and one threshold a label that validation rows choose.

use super::{
    Answer, Emphasis, Objective, Prediction, Targets, Task, binary_loss, binary_loss_of, by_name, entropy,
    probability_columns, shown, sigmoid, sigmoid_at,
};
use crate::calibration::Scored;
use crate::metrics::{LabelCounts, MetricName, Report};
use ferrotune_data::{DataError, Encoded, Labels, Need, Row, Table, encode_label_sets};
use ferrotune_tensor::{Backend, Tape, Var};
use serde_json::{Map, Value};

/// The probability from which a label is given before validation rows have chosen another.
const HALF: f64 = 0.5;

/// Multi-label classification with binary cross-entropy.
pub struct MultiLabel {
    labels: Labels,
    separator: char,
    /// A label is given to rows whose probability at temperature 1 is at least this.
    thresholds: Vec<f64>,
    emphasis: Emphasis,
    temperature: f64,
}

impl MultiLabel {
    /// With these labels, which the separator joins in a field, and thresholds of one half.
    pub fn new(labels: Labels, separator: char) -> MultiLabel {
        let thresholds = vec![HALF; labels.len()];
        MultiLabel { labels, separator, thresholds, emphasis: Emphasis::default(), temperature: 1.0 }
    }

    /// With the labels of a training table.
    ///
    /// # Errors
    /// Malformed sets of labels, or no label in any row.
    pub fn from_table(table: &Table, separator: char) -> Result<MultiLabel, DataError> {
        Ok(MultiLabel::new(Labels::from_sets(table, separator)?, separator))
    }

    /// With other thresholds.
    ///
    /// # Panics
    /// If there is not one for each label.
    pub fn with_thresholds(self, thresholds: Vec<f64>) -> MultiLabel {
        assert_eq!(thresholds.len(), self.labels.len(), "MultiLabel::with_thresholds: expected one for each label");
        MultiLabel { thresholds, ..self }
    }

    /// The thresholds as they stand beside probabilities at the temperature: those of the logits at which the decisions change.
    fn shown_thresholds(&self) -> Vec<f64> {
        let shown = |&threshold: &f64| match self.temperature == 1.0 {
            true => threshold,
            false => 1.0 / (1.0 + (1.0 / threshold - 1.0).powf(1.0 / self.temperature)),
        };
        self.thresholds.iter().map(shown).collect()
    }

    /// With another emphasis in training.
    pub fn with_emphasis(self, emphasis: Emphasis) -> MultiLabel {
        MultiLabel { emphasis, ..self }
    }
}

impl<B: Backend> Objective<B> for MultiLabel {
    fn metrics(&self) -> &'static [MetricName] {
        &[MetricName::F1Macro, MetricName::F1Micro, MetricName::SubsetAccuracy, MetricName::Loss]
    }

    /// Rows times labels: the mean is over all elements, as in `torch.nn.BCEWithLogitsLoss`.
    fn weight(&self, _targets: &Targets, rows: &[usize]) -> f64 {
        (rows.len() * self.labels.len()) as f64
    }

    fn loss(&self, tape: &mut Tape<'_, B>, logits: Var, targets: &Targets, rows: &[usize], scale: f32) -> Var {
        let mut hot = vec![0.0; rows.len() * self.labels.len()];
        for (hot, &row) in hot.chunks_mut(self.labels.len()).zip(rows) {
            targets.sets()[row].iter().for_each(|&label| hot[label as usize] = 1.0);
        }
        binary_loss(tape, logits, hot, &self.emphasis, scale)
    }

    fn constant_loss(&self, targets: &Targets) -> Option<f64> {
        let mut counts = vec![0; self.labels.len()];
        targets.sets().iter().flatten().for_each(|&label| counts[label as usize] += 1);
        let sum: f64 = counts.iter().map(|&count| entropy(&[count, targets.rows() - count])).sum();
        (self.emphasis == Emphasis::default()).then_some(sum / counts.len() as f64)
    }

    fn report(&self, logits: &[f32], targets: &Targets) -> Report {
        let mut counts = LabelCounts::new(self.labels.len());
        let mut loss = 0.0;
        for (logits, set) in logits.chunks(self.labels.len()).zip(targets.sets()) {
            let said: Vec<bool> = logits.iter().zip(&self.thresholds).map(|(&z, &t)| sigmoid(z) >= t).collect();
            let real: Vec<bool> = (0..logits.len() as u32).map(|label| set.contains(&label)).collect();
            loss += logits.iter().zip(&real).map(|(&z, &real)| binary_loss_of(z, real)).sum::<f64>();
            counts.add(&real, &said);
        }
        let mean = loss / logits.len() as f64;
        Report::MultiLabel(counts.report(mean, self.labels.names(), &self.shown_thresholds()))
    }
}

impl<B: Backend> Task<B> for MultiLabel {
    fn name(&self) -> &'static str {
        "multi-label"
    }

    fn labels(&self) -> &[String] {
        self.labels.names()
    }

    fn problem_type(&self) -> Option<&'static str> {
        Some("multi_label_classification")
    }

    fn need(&self) -> Need {
        Need::LabelSets { separator: self.separator }
    }

    fn targets(&self, table: &Table, _encoded: &Encoded) -> Result<Targets, DataError> {
        Ok(Targets::Sets(encode_label_sets(table, &self.labels, self.separator)?))
    }

    fn fits(&self) -> bool {
        true
    }

    /// For each label the threshold with the best F1 on these rows; a label that none of them has keeps its own.
    fn fit(&mut self, logits: &[f32], targets: &Targets) {
        for label in 0..self.labels.len() {
            let rows = logits.iter().skip(label).step_by(self.labels.len()).zip(targets.sets());
            let scored: Vec<(f64, bool)> = rows.map(|(&z, set)| (sigmoid(z), set.contains(&(label as u32)))).collect();
            self.thresholds[label] = best_threshold(scored).unwrap_or(self.thresholds[label]);
        }
    }

    fn columns(&self) -> Vec<String> {
        std::iter::once("predicted_labels".to_string()).chain(probability_columns(self.labels.names())).collect()
    }

    fn predict(&self, _row: &Row, Answer { logits, .. }: Answer<'_>) -> Prediction {
        let names = self.labels.names();
        let probabilities: Vec<f64> = logits.iter().map(|&z| sigmoid_at(z, self.temperature)).collect();
        let is_given = |&i: &usize| sigmoid(logits[i]) >= self.thresholds[i];
        let given: Vec<&str> = (0..names.len()).filter(is_given).map(|i| names[i].as_str()).collect();
        let joined = given.join(&self.separator.to_string());
        let json = Map::from_iter([
            ("labels".to_string(), Value::from(given)),
            ("probabilities".to_string(), by_name(names, &probabilities)),
        ]);
        Prediction { fields: std::iter::once(joined).chain(probabilities.into_iter().map(shown)).collect(), json }
    }

    fn temperature(&mut self) -> Option<&mut f64> {
        Some(&mut self.temperature)
    }

    fn scored<'a>(&self, logits: &'a [f32], targets: &Targets) -> Option<Scored<'a>> {
        let labels = self.labels.len();
        let mut truths = vec![false; logits.len()];
        for (row, set) in truths.chunks_mut(labels).zip(targets.sets()) {
            set.iter().for_each(|&label| row[label as usize] = true);
        }
        Some(Scored::Labels { logits, labels, truths })
    }

    fn notes(&self) -> Map<String, Value> {
        Map::from_iter([
            ("separator".to_string(), Value::from(self.separator.to_string())),
            ("thresholds".to_string(), Value::from(self.thresholds.clone())),
        ])
    }
}

/// The threshold with the largest F1, halfway between two probabilities; of equals the one nearest to one half. `None` without a positive
/// row or with NaN among the probabilities.
fn best_threshold(mut scored: Vec<(f64, bool)>) -> Option<f64> {
    let positives = scored.iter().filter(|(_, real)| *real).count() as u64;
    if positives == 0 || scored.iter().any(|(p, _)| p.is_nan()) {
        return None;
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    // F1 = 2·hits / (given + positives), compared as fractions: no rounding decides.
    let mut best: Option<(u64, u64, f64)> = None;
    let mut hits = 0;
    for (i, &(p, real)) in scored.iter().enumerate() {
        hits += u64::from(real);
        let next = scored.get(i + 1).map_or(0.0, |&(next, _)| next);
        if next == p {
            continue;
        }
        let (whole, threshold) = (i as u64 + 1 + positives, 0.5 * (p + next));
        let better = best.is_none_or(|(top, under, at)| {
            let (new, old) = (u128::from(hits) * u128::from(under), u128::from(top) * u128::from(whole));
            new > old || (new == old && (threshold - HALF).abs() < (at - HALF).abs())
        });
        if better {
            best = Some((hits, whole, threshold));
        }
    }
    best.map(|(_, _, threshold)| threshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All thresholds that could differ, tried one by one.
    fn exhaustive(scored: &[(f64, bool)]) -> f64 {
        let f1 = |t: f64| {
            let hits = scored.iter().filter(|(p, real)| *p >= t && *real).count() as f64;
            let sum = scored.iter().map(|(p, real)| usize::from(*p >= t) + usize::from(*real)).sum::<usize>();
            2.0 * hits / sum as f64
        };
        scored.iter().map(|&(p, _)| f1(p)).fold(0.0, f64::max)
    }

    #[test]
    fn the_threshold_has_the_best_f1_of_all() {
        let mut state = 7u64;
        let mut random = move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f64 / (1u64 << 24) as f64
        };
        for rows in [1, 2, 5, 40] {
            for _ in 0..50 {
                // Ten possible values, so that ties are common.
                let mut scored: Vec<(f64, bool)> = (0..rows)
                    .map(|_| {
                        let p = (random() * 10.0).floor() / 10.0 + 0.05;
                        (p, random() < p)
                    })
                    .collect();
                scored[0].1 = true;
                let t = best_threshold(scored.clone()).unwrap();
                let hits = scored.iter().filter(|(p, real)| *p >= t && *real).count() as f64;
                let sum: usize = scored.iter().map(|(p, real)| usize::from(*p >= t) + usize::from(*real)).sum();
                assert_eq!(2.0 * hits / sum as f64, exhaustive(&scored), "{scored:?} {t}");
            }
        }
        assert_eq!(best_threshold(vec![(0.9, false)]), None);
        assert_eq!(best_threshold(vec![(0.8, true), (0.3, false)]), Some(0.55));
        // Everything positive: any threshold up to 0.2 is as good, and halfway to 0 is what is left.
        assert_eq!(best_threshold(vec![(0.2, true), (0.7, true)]), Some(0.1));
    }
}
