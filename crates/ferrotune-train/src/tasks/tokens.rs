//! A tag for each word: softmax over the tags, on the first token of each word. What is measured and told follows from the tags: the entities that
//! they spell, or, where they spell none, the words themselves. It must not know files or models.

use super::{
    Answer, Emphasis, Objective, Prediction, Targets, Task, Unit, argmax, class_loss, cross_entropy, entropy, softmax,
};
use crate::metrics::{Confusion, EntityCounts, MetricName, Report, WordReport, entities};
use ferrotune_data::{DataError, Encoded, Labels, Need, Row, Table, Tag, Tagging, Words, encode_tags};
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

    /// Of each scored word, in the order of the logits `(words, labels)`: its row, its place there, its tag and its logits.
    pub fn scored<'a>(
        &'a self,
        logits: &'a [f32],
        labels: usize,
    ) -> impl Iterator<Item = (usize, usize, u32, &'a [f32])> {
        let of =
            |(sequence, &row): (usize, &usize)| self.words.of(sequence).1.iter().map(move |&word| (row, word as usize));
        let words = self.words.rows.iter().enumerate().flat_map(of);
        words.zip(logits.chunks(labels)).map(|((row, word), scores)| (row, word, self.tags[row][word], scores))
    }
}

/// Token classification. A word that has no token is said to be outside of every entity; as a class it is not scored.
pub struct Tokens {
    labels: Labels,
    tagging: Tagging,
    emphasis: Emphasis,
}

/// What stands in a table for the class of a word that has no token.
const NO_CLASS: &str = "_";

impl Tokens {
    /// With these tags.
    ///
    /// # Errors
    /// A name that spells no entity although others do.
    pub fn new(labels: Labels) -> Result<Tokens, DataError> {
        match Tagging::of(labels.names().iter().map(String::as_str)) {
            Ok(tagging) => Ok(Tokens { labels, tagging, emphasis: Emphasis::default() }),
            Err(name) => Err(DataError::NoTag { label: name.to_owned() }),
        }
    }

    /// With the tags of a training table.
    ///
    /// # Errors
    /// No word in any row, the same tag for all, or some tags that spell entities among others.
    pub fn from_table(table: &Table) -> Result<Tokens, DataError> {
        Tokens::new(Labels::from_tags(table)?)
    }

    /// With another emphasis in training.
    pub fn with_emphasis(self, emphasis: Emphasis) -> Tokens {
        Tokens { emphasis, ..self }
    }

    /// What the tags spell.
    pub fn tagging(&self) -> Tagging {
        self.tagging
    }

    /// The tags that the logits say of the scored words, row by row, with `None` for the others; and the sum of the losses.
    fn said(&self, logits: &[f32], targets: &WordTags) -> (Vec<Vec<Option<u32>>>, f64) {
        let mut said: Vec<Vec<Option<u32>>> = targets.tags.iter().map(|row| vec![None; row.len()]).collect();
        let mut loss = 0.0;
        for (row, word, tag, scores) in targets.scored(logits, self.labels.len()) {
            said[row][word] = Some(argmax(scores) as u32);
            loss += cross_entropy(scores, tag as usize);
        }
        (said, loss)
    }

    /// The entities of real and said tags.
    fn entities(&self, real: &[Vec<u32>], said: &[Vec<Option<u32>>], loss: f64) -> Report {
        let tag = |id: u32| Tag::parse(self.labels.name(id)).expect("all names spell entities");
        let mut counts = EntityCounts::default();
        for (real, said) in real.iter().zip(said) {
            let real: Vec<Tag<'_>> = real.iter().map(|&id| tag(id)).collect();
            let said: Vec<Tag<'_>> = said.iter().map(|id| id.map_or(Tag::OUTSIDE, tag)).collect();
            counts.add(&real, &said);
        }
        Report::Tokens(counts.report(loss))
    }

    /// The classes of real and said tags.
    fn classes(&self, real: &[Vec<u32>], said: &[Vec<Option<u32>>], loss: f64) -> Report {
        let mut confusion = Confusion::new(self.labels.len());
        let mut silent_words = 0;
        for (&real, said) in real.iter().flatten().zip(said.iter().flatten()) {
            match said {
                Some(said) => confusion.add(real as usize, *said as usize),
                None => silent_words += 1,
            }
        }
        let report = confusion.report(loss, self.labels.names());
        Report::Words(WordReport::of(report, silent_words, real.len() as u64))
    }
}

impl<B: Backend> Objective<B> for Tokens {
    fn metrics(&self) -> &'static [MetricName] {
        use MetricName::{Accuracy, F1Macro, F1Micro, Loss, Mcc, PrecisionMicro, RecallMicro};
        match self.tagging {
            Tagging::Entities => &[F1Micro, F1Macro, PrecisionMicro, RecallMicro, Accuracy, Loss],
            Tagging::Classes => &[Accuracy, F1Macro, Mcc, Loss],
        }
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
        let (said, loss) = self.said(logits, targets.words());
        let loss = loss / words.places.len() as f64;
        match self.tagging {
            Tagging::Entities => self.entities(tags, &said, loss),
            Tagging::Classes => self.classes(tags, &said, loss),
        }
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
        let columns: &[&str] = match self.tagging {
            Tagging::Entities => &["predicted_tags", "predicted_entities"],
            Tagging::Classes => &["predicted_tags"],
        };
        columns.iter().map(|name| name.to_string()).collect()
    }

    /// Tags and their probabilities, one for each word (no probability for a word without a token, and no class), and where the tags spell entities
    /// these: type, first word, the word after the last, and the words joined by blanks. In a table tags are joined by blanks, entities are JSON.
    fn predict(&self, row: &Row, answer: Answer<'_>) -> Prediction {
        let words = row.words.as_deref().unwrap_or_default();
        let mut tags: Vec<Option<&str>> = vec![None; words.len()];
        let mut scores = vec![Value::Null; words.len()];
        for (&word, logits) in answer.words.iter().zip(answer.logits.chunks(self.labels.len())) {
            let best = argmax(logits);
            tags[word as usize] = Some(self.labels.name(best as u32));
            scores[word as usize] = Value::from(softmax(logits)[best]);
        }
        let joined = |none: &'static str| tags.iter().map(|tag| tag.unwrap_or(none)).collect::<Vec<_>>();
        if self.tagging == Tagging::Classes {
            let json = [("tags", Value::from(tags.clone())), ("scores", Value::from(scores))];
            let json = json.map(|(key, value)| (key.to_string(), value));
            return Prediction { fields: vec![joined(NO_CLASS).join(" ")], json: Map::from_iter(json) };
        }
        let tags = joined("O");
        let parsed: Vec<Tag<'_>> = tags.iter().map(|tag| Tag::parse(tag).expect("all names spell entities")).collect();
        let entities: Vec<Value> = entities(&parsed)
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

#[cfg(test)]
mod tests {
    use super::*;
    use ferrotune_tensor::Cpu;

    /// Two rows, of which the first has a word without a token.
    fn words() -> WordTags {
        let words = Words {
            rows: vec![0, 1],
            places: vec![1, 2, 1, 2],
            words: vec![0, 2, 0, 1],
            offsets: vec![0, 2, 4],
            table_rows: 2,
            windowed_rows: 0,
            silent_words: 1,
            first_silent_line: Some(1),
        };
        WordTags { tags: vec![vec![0, 1, 1], vec![0, 0]], words: Arc::new(words) }
    }

    fn task(names: [&str; 2]) -> Tokens {
        Tokens::new(Labels::from_names(names.map(str::to_string).to_vec()).unwrap()).unwrap()
    }

    /// What is said of the four scored words: the first class, the second, the second, the first.
    const LOGITS: [f32; 8] = [2.0, 0.0, 0.0, 2.0, 0.0, 2.0, 2.0, 0.0];

    #[test]
    fn classes_are_counted_over_the_words_that_have_a_token() {
        let (task, targets) = (task(["NOUN", "VERB"]), Targets::Words(words()));
        let Report::Words(report) = Objective::<Cpu>::report(&task, &LOGITS, &targets) else {
            panic!("another report")
        };
        assert_eq!(report.confusion, [[2, 1], [0, 1]]);
        assert_eq!((report.words, report.silent_words, report.rows), (4, 1, 2));
        assert_eq!((report.accuracy, report.per_class[0].recall), (0.75, 2.0 / 3.0));
        // Three right with a lead of 2, one wrong by 2.
        let loss = (-2f64).exp().ln_1p() + 0.5;
        assert!((report.loss - loss).abs() < 1e-9, "{report:?}");
        let summary = report.summary();
        let known = Objective::<Cpu>::metrics(&task);
        assert!(summary.values.iter().map(|(name, _)| name).eq(known), "{summary:?}");
    }

    #[test]
    fn the_same_words_may_spell_entities() {
        let (task, targets) = (task(["O", "S-x"]), Targets::Words(words()));
        let Report::Tokens(report) = Objective::<Cpu>::report(&task, &LOGITS, &targets) else {
            panic!("another report")
        };
        // The word without a token counts as outside: of two entities one is found, and one that is none is given.
        assert_eq!((report.words, report.entities, report.predicted_entities, report.f1_micro), (5, 2, 2, 0.5));
    }

    #[test]
    fn a_word_without_a_token_has_no_class() {
        let words: Vec<String> = ["rain", "\u{200d}", "falls"].map(str::to_string).to_vec();
        let row = Row { text: words.join(" "), text_b: None, words: Some(words), label: None, line: 1 };
        let answer = Answer { logits: &LOGITS[..4], words: &[0, 2] };
        let said = Task::<Cpu>::predict(&task(["NOUN", "VERB"]), &row, answer);
        assert_eq!(said.fields, ["NOUN _ VERB"]);
        assert_eq!(said.json["tags"], json!(["NOUN", null, "VERB"]));
        assert_eq!(Task::<Cpu>::columns(&task(["NOUN", "VERB"])).len(), said.fields.len());
        let said = Task::<Cpu>::predict(&task(["O", "S-x"]), &row, answer);
        assert_eq!(said.fields, ["O O S-x", r#"[{"end":3,"start":2,"text":"falls","type":"x"}]"#]);
    }
}
