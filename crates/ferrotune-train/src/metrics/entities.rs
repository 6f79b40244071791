//! Entities among tagged words, and their precision, recall and F1 by type, defined as seqeval defines them in its default mode (not the
//! strict one). Must not know models, batches or files.
//!
//! An entity is a run of words of one type. A word goes on with the entity before it if both have the same type, the word before is tagged
//! `B` or `I`, and this one `I` or `E`; any other word that is not `O` begins an entity, whatever its tag says. An entity counts as found
//! if type, first and last word are all right.

use super::{ClassMetrics, MetricName, Summary, nan_if_null, ratio};
use ferrotune_data::Tag;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// A run of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity<'a> {
    /// Its type.
    pub kind: &'a str,
    /// Its words in the row.
    pub words: Range<usize>,
}

/// The entities of one row, in order.
pub fn entities<'a>(tags: &[Tag<'a>]) -> Vec<Entity<'a>> {
    let mut found: Vec<Entity<'a>> = Vec::new();
    let mut before = Tag::OUTSIDE;
    for (word, &tag) in tags.iter().enumerate() {
        let goes_on = "BI".contains(before.place) && "IE".contains(tag.place) && before.kind == tag.kind;
        match found.last_mut() {
            Some(entity) if goes_on => entity.words.end = word + 1,
            _ if tag.place != 'O' => found.push(Entity { kind: tag.kind, words: word..word + 1 }),
            _ => {}
        }
        before = tag;
    }
    found
}

/// Counts over rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntityCounts {
    /// For each type: entities that are there and were found, that were given, that are there.
    kinds: BTreeMap<String, [u64; 3]>,
    /// Words with the right tag.
    right_words: u64,
    words: u64,
    rows: u64,
}

impl EntityCounts {
    /// Counts one row: what its words are, and what was said.
    ///
    /// # Panics
    /// If there is not one tag for each word on both sides.
    pub fn add(&mut self, real: &[Tag<'_>], said: &[Tag<'_>]) {
        let (words, tags) = (real.len(), said.len());
        assert_eq!(words, tags, "EntityCounts::add: {tags} tags, expected {words}");
        let (there, given) = (entities(real), entities(said));
        for entity in &there {
            let counts = self.of(entity.kind);
            counts[2] += 1;
            // Entities do not overlap, so at most one begins at a word.
            let same = given.binary_search_by_key(&entity.words.start, |other| other.words.start);
            counts[0] += u64::from(same.is_ok_and(|place| given[place] == *entity));
        }
        given.iter().for_each(|entity| self.of(entity.kind)[1] += 1);
        self.right_words += real.iter().zip(said).filter(|(real, said)| real == said).count() as u64;
        self.words += words as u64;
        self.rows += 1;
    }

    fn of(&mut self, kind: &str) -> &mut [u64; 3] {
        if !self.kinds.contains_key(kind) {
            self.kinds.insert(kind.to_string(), [0; 3]);
        }
        self.kinds.get_mut(kind).expect("it is there now")
    }

    /// Everything about one evaluation.
    pub fn report(&self, loss: f64) -> EntityReport {
        let metrics = |name: &str, [hits, given, support]: [u64; 3]| ClassMetrics {
            name: name.to_string(),
            precision: ratio(hits, given),
            recall: ratio(hits, support),
            f1: ratio(2 * hits, given + support),
            support,
        };
        let per_type: Vec<ClassMetrics> = self.kinds.iter().map(|(name, &counts)| metrics(name, counts)).collect();
        let total = |n: usize| self.kinds.values().map(|counts| counts[n]).sum::<u64>();
        let micro = metrics("", [total(0), total(1), total(2)]);
        let mean = |of: fn(&ClassMetrics) -> f64| per_type.iter().map(of).sum::<f64>() / per_type.len().max(1) as f64;
        EntityReport {
            f1_micro: micro.f1,
            precision_micro: micro.precision,
            recall_micro: micro.recall,
            f1_macro: mean(|kind| kind.f1),
            precision_macro: mean(|kind| kind.precision),
            recall_macro: mean(|kind| kind.recall),
            accuracy: ratio(self.right_words, self.words),
            loss,
            per_type,
            entities: total(2),
            predicted_entities: total(1),
            words: self.words,
            rows: self.rows,
        }
    }
}

/// The result of one evaluation of a tagger of words on one split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EntityReport {
    /// F1 of entities of all types together; 0 where it is not defined, as for all that follows.
    pub f1_micro: f64,
    /// Entities found of those given.
    pub precision_micro: f64,
    /// Entities found of those there.
    pub recall_micro: f64,
    /// Mean F1 of the types that are there or were given.
    pub f1_macro: f64,
    /// Mean precision of these types.
    pub precision_macro: f64,
    /// Mean recall of these types.
    pub recall_macro: f64,
    /// Share of words with the right tag.
    pub accuracy: f64,
    /// Mean cross-entropy of a word that has a token; `null` in JSON if it is not finite.
    #[serde(deserialize_with = "nan_if_null")]
    pub loss: f64,
    /// One entry a type that is there or was given, sorted by name.
    pub per_type: Vec<ClassMetrics>,
    /// Entities that are there.
    pub entities: u64,
    /// Entities that were given.
    pub predicted_entities: u64,
    /// Words evaluated.
    pub words: u64,
    /// Rows evaluated.
    pub rows: u64,
}

impl EntityReport {
    /// The numbers of the report that fit on one line.
    pub fn summary(&self) -> Summary {
        let values = vec![
            (MetricName::F1Micro, self.f1_micro),
            (MetricName::PrecisionMicro, self.precision_micro),
            (MetricName::RecallMicro, self.recall_micro),
            (MetricName::F1Macro, self.f1_macro),
            (MetricName::Accuracy, self.accuracy),
            (MetricName::Loss, self.loss),
        ];
        Summary { values, rows: self.rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn tags(text: &str) -> Vec<Tag<'_>> {
        text.split_whitespace().map(|tag| Tag::parse(tag).unwrap_or_else(|| panic!("{tag}"))).collect()
    }

    /// Entities and figures of seqeval 1.2.2, of chosen and of random sequences of all schemes, well-formed or not.
    #[test]
    fn numbers_are_those_of_seqeval() {
        let golden: Value = serde_json::from_str(include_str!("../../../../tests/golden/tokens.json")).unwrap();
        let cases = golden["entities"].as_array().unwrap();
        assert!(cases.len() > 50);
        for case in cases {
            let rows = |key: &str| -> Vec<Vec<Tag<'_>>> {
                case[key].as_array().unwrap().iter().map(|row| tags(row.as_str().unwrap())).collect()
            };
            let (real, said) = (rows("real"), rows("said"));
            let mut counts = EntityCounts::default();
            for (n, (real, said)) in real.iter().zip(&said).enumerate() {
                let found: Vec<Value> = entities(real)
                    .iter()
                    .map(|entity| Value::from(format!("{} {} {}", entity.kind, entity.words.start, entity.words.end)))
                    .collect();
                assert_eq!(Value::from(found), case["entities"][n], "{case}");
                counts.add(real, said);
            }
            let report = counts.report(0.0);
            let near = |what: &str, got: f64, want: &Value| {
                let want = want.as_f64().unwrap();
                assert!((got - want).abs() <= 1e-12, "{what}: {got}, expected {want}: {case}");
            };
            for (name, got) in [
                ("f1_micro", report.f1_micro),
                ("precision_micro", report.precision_micro),
                ("recall_micro", report.recall_micro),
                ("f1_macro", report.f1_macro),
                ("precision_macro", report.precision_macro),
                ("recall_macro", report.recall_macro),
                ("accuracy", report.accuracy),
            ] {
                near(name, got, &case[name]);
            }
            let types = case["types"].as_object().unwrap();
            assert!(report.per_type.iter().map(|kind| &kind.name).eq(types.keys()), "{case}");
            for kind in &report.per_type {
                let want = &types[&kind.name];
                near("precision", kind.precision, &want["precision"]);
                near("recall", kind.recall, &want["recall"]);
                near("f1", kind.f1, &want["f1"]);
                near("support", kind.support as f64, &want["support"]);
            }
        }
    }

    #[test]
    fn rows_do_not_run_together() {
        let mut counts = EntityCounts::default();
        counts.add(&tags("O B-a"), &tags("O B-a"));
        counts.add(&tags("I-a O"), &tags("I-a O"));
        assert_eq!((counts.report(0.0).entities, counts.report(0.0).f1_micro), (2, 1.0));
        assert_eq!(EntityCounts::default().report(0.0).f1_macro, 0.0);
    }
}
