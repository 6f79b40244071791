//! A tag for each word, and the entities that tags spell: softmax over the tags, on the first token of each word.

use super::{
    Answer, Emphasis, Objective, Prediction, Targets, Task, Unit, argmax, class_loss, cross_entropy, entropy, softmax,
};
use crate::metrics::{EntityCounts, MetricName, Report, entities};
use ferrotune_data::{DataError, Encoded, Labels, Need, Row, Table, Tag, Words, encode_tags};
use ferrotune_tensor::{Backend, Tape, Var};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What the words of a table are, and where they are scored.
#[derive(Clone, Debug, PartialEq)]
pub struct WordTags {
    /// The id of each word's tag, for each row of the table.
    pub tags: Vec<Vec<u32>>,
    /// Which tokens of which sequences stand for which words.
    pub words: Arc<Words>,
}

impl WordTags {
    /// The tags of the words that are scored in a sequence, in its order.
    fn of(&self, sequence: usize) -> impl Iterator<Item = u32> {
        let tags = &self.tags[self.words.rows[sequence]];
        self.words.of(sequence).1.iter().map(|&word| tags[word as usize])
    }
}

/// Token classification. A word that has no token is said to be outside of every entity.
pub struct Tokens {
    labels: Labels,
    emphasis: Emphasis,
}

impl Tokens {
    /// With these tags.
    ///
    /// # Errors
    /// A name that is no tag.
    pub fn new(labels: Labels) -> Result<Tokens, DataError> {
        match labels.names().iter().find(|name| Tag::parse(name).is_none()) {
            Some(name) => Err(DataError::NoTag { label: name.clone() }),
            None => Ok(Tokens { labels, emphasis: Emphasis::default() }),
        }
    }

    /// With the tags of a training table.
    ///
    /// # Errors
    /// No word in any row, or the same tag for all.
    pub fn from_table(table: &Table) -> Result<Tokens, DataError> {
        Tokens::new(Labels::from_tags(table)?)
    }

    /// With another emphasis in training.
    pub fn with_emphasis(self, emphasis: Emphasis) -> Tokens {
        Tokens { emphasis, ..self }
    }

    fn tag(&self, id: u32) -> Tag<'_> {
        Tag::parse(self.labels.name(id)).expect("new has checked the names")
    }
}

impl<B: Backend> Objective<B> for Tokens {
    fn metrics(&self) -> &'static [MetricName] {
        &[
            MetricName::F1Micro,
            MetricName::F1Macro,
            MetricName::PrecisionMicro,
            MetricName::RecallMicro,
            MetricName::Accuracy,
            MetricName::Loss,
        ]
    }

    /// The words that are scored: other tokens have no part in the mean, as those with `ignore_index` in transformers.
    fn weight(&self, targets: &Targets, rows: &[usize]) -> f64 {
        rows.iter().map(|&row| targets.words().words.of(row).0.len()).sum::<usize>() as f64
    }

    fn loss(&self, tape: &mut Tape<'_, B>, logits: Var, targets: &Targets, rows: &[usize], scale: f32) -> Var {
        let labels = rows.iter().flat_map(|&row| targets.words().of(row)).collect();
        class_loss(tape, logits, labels, self.labels.len(), None, &self.emphasis, scale)
    }

    fn constant_loss(&self, targets: &Targets) -> Option<f64> {
        let mut counts = vec![0; self.labels.len()];
        let scored = (0..targets.rows()).flat_map(|row| targets.words().of(row));
        scored.for_each(|tag| counts[tag as usize] += 1);
        (self.emphasis == Emphasis::default()).then(|| entropy(&counts))
    }

    fn report(&self, logits: &[f32], targets: &Targets) -> Report {
        let WordTags { tags, words } = targets.words();
        let real_tags = |row: &[u32]| row.iter().map(|&id| self.tag(id)).collect::<Vec<_>>();
        let mut said: Vec<Vec<Tag<'_>>> = tags.iter().map(|row| vec![Tag::OUTSIDE; row.len()]).collect();
        let mut loss = 0.0;
        let mut scores = logits.chunks(self.labels.len());
        for (sequence, &row) in words.rows.iter().enumerate() {
            for (&word, scores) in words.of(sequence).1.iter().zip(&mut scores) {
                said[row][word as usize] = self.tag(argmax(scores) as u32);
                loss += cross_entropy(scores, tags[row][word as usize] as usize);
            }
        }
        let mut counts = EntityCounts::default();
        tags.iter().zip(&said).for_each(|(real, said)| counts.add(&real_tags(real), said));
        Report::Tokens(counts.report(loss / words.places.len() as f64))
    }
}

impl<B: Backend> Task<B> for Tokens {
    fn name(&self) -> &'static str {
        "tokens"
    }

    fn labels(&self) -> &[String] {
        self.labels.names()
    }

    fn unit(&self) -> Unit {
        Unit::Word
    }

    fn problem_type(&self) -> Option<&'static str> {
        None
    }

    fn need(&self) -> Need {
        Need::Tags
    }

    fn targets(&self, table: &Table, encoded: &Encoded) -> Result<Targets, DataError> {
        let words = encoded.words.clone().expect("a table read for Need::Tags has words");
        if words.rows.is_empty() {
            return Err(DataError::NoWords { file: table.path.display().to_string() });
        }
        Ok(Targets::Words(WordTags { tags: encode_tags(table, &self.labels)?, words }))
    }

    fn columns(&self) -> Vec<String> {
        ["predicted_tags", "predicted_entities"].map(str::to_string).to_vec()
    }

    /// Tags and their probabilities, one for each word (no probability for a word without a token), and the entities: type, first word, the
    /// word after the last, and the words joined by blanks. In a table tags are joined by blanks, entities are JSON.
    fn predict(&self, row: &Row, answer: Answer<'_>) -> Prediction {
        let words = row.words.as_deref().unwrap_or_default();
        let mut tags = vec!["O"; words.len()];
        let mut scores = vec![Value::Null; words.len()];
        for (&word, logits) in answer.words.iter().zip(answer.logits.chunks(self.labels.len())) {
            let best = argmax(logits);
            tags[word as usize] = self.labels.name(best as u32);
            scores[word as usize] = Value::from(softmax(logits)[best]);
        }
        let parsed: Vec<Tag<'_>> = tags.iter().map(|tag| Tag::parse(tag).unwrap_or(Tag::OUTSIDE)).collect();
        let found = entities(&parsed);
        let entities: Vec<Value> = found
            .iter()
            .map(|entity| {
                let (start, end) = (entity.words.start, entity.words.end);
                json!({"type": entity.kind, "start": start, "end": end, "text": words[start..end].join(" ")})
            })
            .collect();
        let fields = vec![tags.join(" "), Value::from(entities.clone()).to_string()];
        let json = Map::from_iter([
            ("tags".to_string(), Value::from(tags)),
            ("scores".to_string(), Value::from(scores)),
            ("entities".to_string(), Value::from(entities)),
        ]);
        Prediction { fields, json }
    }
}
