//! The task of a model folder, from what its files say. Must not know the files.

use super::{Binary, MultiLabel, Regression, SingleLabel, Task, Tokens, Unit};
use ferrotune_data::{DataError, Labels};
use ferrotune_tensor::Backend;
use serde_json::{Map, Value};

/// What stands between two labels of a row unless the folder or the user says otherwise.
pub const DEFAULT_SEPARATOR: char = '|';

/// Files of a model folder that say no task, or contradict each other.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message above each variant says what its fields are")]
pub enum StoredTaskError {
    #[error(
        "its problem_type is {0:?}, which ferrotune does not know; known are single_label_classification, multi_label_classification and regression"
    )]
    UnknownProblem(String),
    #[error("its task is {name:?} and its problem_type {problem:?}; they do not go together")]
    Contradiction { name: String, problem: String },
    #[error(
        "its problem_type is single_label_classification with one label, {0:?}, which says the same of every row; if its output is a number, write \
         regression there, and if it is the logit of a yes, multi_label_classification"
    )]
    OneClass(String),
    #[error("its notes on the task {name:?} are damaged: {what}")]
    Damaged { name: String, what: String },
    #[error("its task is {name:?}, and its model scores {}", scored(.unit))]
    WrongUnit { name: String, unit: Unit },
    #[error("{0}")]
    Labels(#[from] DataError),
}

fn scored(unit: &Unit) -> &'static str {
    match unit {
        Unit::Row => "rows",
        Unit::Word => "words",
    }
}

/// The task of a folder whose model scores rows or words, whose config.json says `problem_type` (which words do not ask for), whose outputs
/// have the names `labels`, and beside which [`Task::notes`] were kept. Folders of other tools have no notes.
///
/// # Errors
/// Nothing that is built here, or notes of another task.
pub fn stored<B: Backend>(
    unit: Unit,
    problem_type: Option<&str>,
    labels: Vec<String>,
    notes: Option<(&str, &Map<String, Value>)>,
) -> Result<Box<dyn Task<B>>, StoredTaskError> {
    // One output without a word about it is a number, as for transformers in training.
    let one_number = notes.is_none() && unit == Unit::Row && labels.len() == 1;
    let usual = if one_number { "regression" } else { "single_label_classification" };
    let problem = problem_type.unwrap_or(usual);
    let name = match (notes, problem) {
        (Some((name, _)), _) => name,
        (None, _) if unit == Unit::Word => "tokens",
        (None, "single_label_classification") => "classification",
        (None, "multi_label_classification") => "multi-label",
        (None, "regression") => "regression",
        (None, other) => return Err(StoredTaskError::UnknownProblem(other.to_string())),
    };
    let damaged = |what: &str| StoredTaskError::Damaged { name: name.to_string(), what: what.to_string() };
    let note = |key: &str| notes.and_then(|(_, own)| own.get(key));
    let one = |labels: Vec<String>| <[String; 1]>::try_from(labels).map_err(|_| damaged("it has not one output"));
    let task: Box<dyn Task<B>> = match name {
        "classification" if labels.len() == 1 => return Err(StoredTaskError::OneClass(labels[0].clone())),
        "classification" => Box::new(SingleLabel::new(Labels::from_names(labels)?)),
        "regression" => {
            let [output] = one(labels)?;
            Box::new(Regression::new(output, None))
        }
        "binary" => {
            let [positive] = one(labels)?;
            let negative = note("negative").and_then(Value::as_str).ok_or_else(|| damaged("no `negative` class"))?;
            Box::new(Binary::new(negative.to_string(), positive)?)
        }
        "multi-label" => {
            let labels = Labels::from_names(labels)?;
            let separator = match note("separator") {
                None => DEFAULT_SEPARATOR,
                Some(value) => one_character(value).ok_or_else(|| damaged("`separator` is no character"))?,
            };
            let thresholds = match note("thresholds") {
                None => None,
                Some(value) => Some(
                    numbers(value)
                        .filter(|numbers| numbers.len() == labels.len())
                        .ok_or_else(|| damaged("`thresholds` has not one number for each label"))?,
                ),
            };
            let task = MultiLabel::new(labels, separator);
            Box::new(match thresholds {
                Some(thresholds) => task.with_thresholds(thresholds),
                None => task,
            })
        }
        "tokens" => Box::new(Tokens::new(Labels::from_names(labels)?)?),
        _ => return Err(contradiction(name, problem)),
    };
    if task.unit() != unit {
        return Err(StoredTaskError::WrongUnit { name: name.to_string(), unit });
    }
    if task.problem_type().is_some_and(|own| own != problem) {
        return Err(contradiction(name, problem));
    }
    Ok(task)
}

fn contradiction(name: &str, problem: &str) -> StoredTaskError {
    StoredTaskError::Contradiction { name: name.to_string(), problem: problem.to_string() }
}

fn one_character(value: &Value) -> Option<char> {
    let mut characters = value.as_str()?.chars();
    characters.next().filter(|_| characters.next().is_none())
}

fn numbers(value: &Value) -> Option<Vec<f64>> {
    value.as_array()?.iter().map(Value::as_f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Answer;
    use ferrotune_data::Row;
    use ferrotune_tensor::Cpu;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    /// What a task writes into a folder gives the task again.
    #[test]
    fn every_task_is_read_back() {
        let labels = || Labels::from_names(names(&["a", "b"])).unwrap();
        let tags = Labels::from_names(names(&["B-a", "O"])).unwrap();
        let row = Row { text: "x".into(), text_b: None, words: Some(vec!["x".into()]), label: None, line: 1 };
        let tasks: [Box<dyn Task<Cpu>>; 6] = [
            Box::new(Tokens::new(tags).unwrap()),
            Box::new(Tokens::new(labels()).unwrap()),
            Box::new(SingleLabel::new(labels())),
            Box::new(Binary::new("no".to_string(), "yes".to_string()).unwrap()),
            Box::new(MultiLabel::new(labels(), ';').with_thresholds(vec![0.25, 0.75])),
            Box::new(Regression::new("score".to_string(), Some(1.0))),
        ];
        for task in tasks {
            let (problem, notes) = (task.problem_type(), task.notes());
            let again =
                stored::<Cpu>(task.unit(), problem, task.labels().to_vec(), Some((task.name(), &notes))).unwrap();
            assert_eq!((again.name(), again.labels(), again.notes()), (task.name(), task.labels(), notes));
            // Below and above both thresholds in turn.
            for logits in [[-0.5f32, 0.5], [2.0, -2.0]] {
                let logits = &logits[..task.labels().len()];
                let answer = Answer { logits, words: if task.unit() == Unit::Word { &[0] } else { &[] } };
                assert_eq!(again.predict(&row, answer), task.predict(&row, answer));
            }
        }
    }

    #[test]
    fn folders_of_other_tools_and_damaged_ones() {
        let none = Map::new();
        let of = |problem, labels: &[&str], own: Option<(&str, &Map<String, Value>)>| {
            stored::<Cpu>(Unit::Row, problem, names(labels), own)
                .map(|task| task.name())
                .map_err(|error| error.to_string())
        };
        assert_eq!(of(None, &["a", "b"], None), Ok("classification"));
        assert_eq!(of(Some("multi_label_classification"), &["a", "b"], None), Ok("multi-label"));
        assert_eq!(of(Some("regression"), &["LABEL_0"], None), Ok("regression"));
        assert_eq!(of(None, &["LABEL_0"], None), Ok("regression"));
        assert_eq!(of(Some("multi_label_classification"), &["toxic"], None), Ok("multi-label"));
        let words = |labels: &[&str], own: Option<(&str, &Map<String, Value>)>| {
            let task = stored::<Cpu>(Unit::Word, None, names(labels), own);
            task.map(|task| task.name()).map_err(|error| error.to_string())
        };
        assert_eq!(words(&["O", "B-x"], None), Ok("tokens"));
        assert_eq!(words(&["NOUN", "VERB"], None), Ok("tokens"));
        assert!(words(&["B-x", "VERB"], None).unwrap_err().starts_with("\"VERB\" among the model's labels is no tag"));
        let contradicting = words(&["a", "b"], Some(("classification", &none))).unwrap_err();
        assert_eq!(contradicting, "its task is \"classification\", and its model scores words");
        for (problem, labels, own, says) in [
            (None, &["O", "B-x"][..], Some("tokens"), "its task is \"tokens\", and its model scores rows"),
            (
                Some("single_label_classification"),
                &["LABEL_0"],
                None,
                "its problem_type is single_label_classification with one label, \"LABEL_0\", which says the same",
            ),
            (Some("ranking"), &["a"], None, "its problem_type is \"ranking\", which"),
            (Some("regression"), &["a", "b"], None, "its notes on the task \"regression\" are damaged: it has not one"),
            (Some("regression"), &["a"], Some("binary"), "its notes on the task \"binary\" are damaged: no `negative`"),
            (Some("regression"), &["a", "b"], Some("multi-label"), "its task is \"multi-label\" and its problem_type"),
            (None, &["a", "b"], Some("ranking"), "its task is \"ranking\" and its problem_type"),
        ] {
            let error = of(problem, labels, own.map(|name| (name, &none))).unwrap_err();
            assert!(error.starts_with(says), "{error}");
        }
        for (key, value, says) in [
            ("thresholds", Value::from(vec![0.5]), "`thresholds` has not one number for each label"),
            ("separator", Value::from("||"), "`separator` is no character"),
        ] {
            let own = Map::from_iter([(key.to_string(), value)]);
            let error = of(Some("multi_label_classification"), &["a", "b"], Some(("multi-label", &own))).unwrap_err();
            assert!(error.ends_with(says), "{error}");
        }
    }
}
