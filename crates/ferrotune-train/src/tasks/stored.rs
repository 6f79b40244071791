//! The task of a model folder, from what its files say. Must not know the files.

use super::{Binary, MultiLabel, Regression, SingleLabel, Task};
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
    #[error("its notes on the task {name:?} are damaged: {what}")]
    Damaged { name: String, what: String },
    #[error("{0}")]
    Labels(#[from] DataError),
}

/// The task of a folder whose config.json says `problem_type`, whose outputs have the names `labels`, and beside which [`Task::notes`]
/// were kept. Folders of other tools have no notes.
///
/// # Errors
/// Nothing that is built here, or notes of another task.
pub fn stored<B: Backend>(
    problem_type: Option<&str>,
    labels: Vec<String>,
    notes: Option<(&str, &Map<String, Value>)>,
) -> Result<Box<dyn Task<B>>, StoredTaskError> {
    let problem = problem_type.unwrap_or("single_label_classification");
    let name = match (notes, problem) {
        (Some((name, _)), _) => name,
        (None, "single_label_classification") => "classification",
        (None, "multi_label_classification") => "multi-label",
        (None, "regression") => "regression",
        (None, other) => return Err(StoredTaskError::UnknownProblem(other.to_string())),
    };
    let damaged = |what: &str| StoredTaskError::Damaged { name: name.to_string(), what: what.to_string() };
    let note = |key: &str| notes.and_then(|(_, own)| own.get(key));
    let one = |labels: Vec<String>| <[String; 1]>::try_from(labels).map_err(|_| damaged("it has not one output"));
    let task: Box<dyn Task<B>> = match name {
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
        _ => return Err(contradiction(name, problem)),
    };
    if task.problem_type() != problem {
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
    use ferrotune_tensor::Cpu;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    /// What a task writes into a folder gives the task again.
    #[test]
    fn every_task_is_read_back() {
        let labels = || Labels::from_names(names(&["a", "b"])).unwrap();
        let tasks: [Box<dyn Task<Cpu>>; 4] = [
            Box::new(SingleLabel::new(labels())),
            Box::new(Binary::new("no".to_string(), "yes".to_string()).unwrap()),
            Box::new(MultiLabel::new(labels(), ';').with_thresholds(vec![0.25, 0.75])),
            Box::new(Regression::new("score".to_string(), Some(1.0))),
        ];
        for task in tasks {
            let (problem, notes) = (task.problem_type(), task.notes());
            let again = stored::<Cpu>(Some(problem), task.labels().to_vec(), Some((task.name(), &notes))).unwrap();
            assert_eq!((again.name(), again.labels(), again.notes()), (task.name(), task.labels(), notes));
            // Below and above both thresholds in turn.
            for logits in [[-0.5f32, 0.5], [2.0, -2.0]] {
                let logits = &logits[..task.labels().len()];
                assert_eq!(again.predict(logits), task.predict(logits));
            }
        }
    }

    #[test]
    fn folders_of_other_tools_and_damaged_ones() {
        let none = Map::new();
        let of = |problem, labels: &[&str], own: Option<(&str, &Map<String, Value>)>| {
            stored::<Cpu>(problem, names(labels), own).map(|task| task.name()).map_err(|error| error.to_string())
        };
        assert_eq!(of(None, &["a", "b"], None), Ok("classification"));
        assert_eq!(of(Some("multi_label_classification"), &["a", "b"], None), Ok("multi-label"));
        assert_eq!(of(Some("regression"), &["LABEL_0"], None), Ok("regression"));
        for (problem, labels, own, says) in [
            (Some("ranking"), &["a"][..], None, "its problem_type is \"ranking\", which"),
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
