//! Which task a run learns, said or read off the columns, and with which loss. It must not read files or know the model.

use crate::args::{LossName, Switch, TaskName, TrainSettings};
use crate::exit::{Failure, usage};
use clap::ValueEnum;
use ferrotune_data::{Need, Table, Tagging, real_numbers};
use ferrotune_tensor::Backend;
use ferrotune_train::metrics::MetricName;
use ferrotune_train::tasks::{
    Binary, DEFAULT_SEPARATOR, Emphasis, MultiLabel, Regression, SingleLabel, Targets, Task, Tokens,
};

/// The focusing parameter of the focal loss paper.
const GAMMA: f64 = 2.0;
/// Class weights by which all classes count the same.
const AUTO: &str = "auto";
/// The column of rows of words.
const WORDS: &str = "tokens";
/// Where Huber's error turns from squared to linear, as in PyTorch.
const DELTA: f64 = 1.0;

/// The task that was asked for, or the one that the columns of the training file speak of; and why.
pub fn choose(s: &TrainSettings, headers: &[String]) -> (TaskName, String) {
    let has = |name: &str| headers.iter().any(|header| header == name);
    let texts = s.text_column.as_deref().is_some_and(|name| name != WORDS) || has("text") || has("text_a");
    let words = has(WORDS) && !texts;
    let (name, why) = match (s.task, s.label_column.as_deref()) {
        (Some(name), _) => (name, "as asked"),
        (None, Some(tags)) if words => {
            return (TaskName::Tokens, format!("the file has the columns {WORDS} and {tags}, and no text"));
        }
        (None, Some("labels")) => (TaskName::MultiLabel, "the column is labels"),
        (None, Some("score")) => (TaskName::Regression, "the column is score"),
        (None, Some(_)) => (TaskName::Classification, "one label a row"),
        (None, None) if has("label") => (TaskName::Classification, "one label a row"),
        (None, None) if words && has("tags") => (TaskName::Tokens, "the file has the columns tokens and tags"),
        (None, None) if has("labels") => (TaskName::MultiLabel, "the file has the column labels"),
        (None, None) if has("score") => (TaskName::Regression, "the file has the column score"),
        (None, None) => (TaskName::Classification, "one label a row"),
    };
    (name, why.to_string())
}

/// Refuses rows of which nobody said what is learned, and whose labels are real numbers: each would be a class of its own.
///
/// # Errors
/// Labels that are all numbers, some with a fraction.
pub fn check_labels(s: &TrainSettings, name: TaskName, train: &Table) -> Result<(), Failure> {
    if s.task.is_some() || !matches!(name, TaskName::Classification | TaskName::MultiLabel) {
        return Ok(());
    }
    let Some(example) = real_numbers(train) else { return Ok(()) };
    let usual = if name == TaskName::MultiLabel { "labels" } else { "label" };
    let (column, this) = (s.label_column.as_deref().unwrap_or(usual), shown(name));
    Err(usage(format!(
        "the labels in column {column:?} of {} are numbers such as {example:?}: say --task regression to learn them as numbers, or --task \
         {this} to learn each as a class",
        train.path.display()
    )))
}

/// How the tables of a task are read.
pub fn need(name: TaskName, s: &TrainSettings) -> Need {
    match name {
        TaskName::Classification | TaskName::Binary => Need::Labels,
        TaskName::MultiLabel => Need::LabelSets { separator: s.label_separator.unwrap_or(DEFAULT_SEPARATOR) },
        TaskName::Regression => Need::Scores,
        TaskName::Tokens => Need::Tags,
    }
}

/// Refuses settings that belong to another task or loss.
///
/// # Errors
/// A setting that would do nothing, or a value out of its range.
pub fn check(name: TaskName, s: &TrainSettings) -> Result<(), Failure> {
    let task = shown(name);
    let stray = |flag: &str, belongs: &str| Err(usage(format!("--{flag} belongs to {belongs}; this task is {task}")));
    let loss = loss_name(name, s);
    let regression = name == TaskName::Regression;
    if matches!(loss, LossName::Mse | LossName::Huber) != regression {
        let known = if regression { "mse or huber" } else { "cross-entropy or focal" };
        return Err(usage(format!("--loss {} is no loss of {task}; use {known}", shown(loss))));
    }
    if s.class_weights.is_some() && name != TaskName::Classification {
        return stray("class-weights", "--task classification");
    }
    if s.balanced_sampling == Some(Switch::On) && !matches!(name, TaskName::Classification | TaskName::Binary) {
        return stray("balanced-sampling", "tasks with one class a row");
    }
    if s.class_weights.is_some() && s.balanced_sampling == Some(Switch::On) {
        return Err(usage(
            "--class-weights and --balanced-sampling both make rare classes count more, and rows would be weighted twice; leave one of them out",
        ));
    }
    if s.label_smoothing.is_some() && regression {
        return stray("label-smoothing", "tasks with classes");
    }
    if s.text_b_column.is_some() && name == TaskName::Tokens {
        return stray("text-b-column", "tasks of texts");
    }
    if s.long_texts.is_some() && name == TaskName::Tokens {
        return stray("long-texts", "tasks of texts (rows of words are always read in windows)");
    }
    let names_pooler = |spec: &String| spec.split(',').any(|part| part.trim() == "pooler");
    if s.freeze.as_ref().is_some_and(names_pooler) && name == TaskName::Tokens {
        return Err(usage("--freeze: a tagger of words has no pooler; leave that part out"));
    }
    if s.positive_label.is_some() && name != TaskName::Binary {
        return stray("positive-label", "--task binary");
    }
    if s.label_separator.is_some() && name != TaskName::MultiLabel {
        return stray("label-separator", "--task multi-label");
    }
    for (flag, set, of) in [
        ("focal-gamma", s.focal_gamma.is_some(), LossName::Focal),
        ("huber-delta", s.huber_delta.is_some(), LossName::Huber),
    ] {
        if set && loss != of {
            return Err(usage(format!("--{flag} belongs to --loss {}", shown(of))));
        }
    }
    if s.label_smoothing.is_some() && loss == LossName::Focal {
        return Err(usage("--label-smoothing and --loss focal exclude each other; leave one of them out"));
    }
    for (flag, value, fits, rule) in [
        ("focal-gamma", s.focal_gamma, (|x| (0.0..=10.0).contains(&x)) as fn(f64) -> bool, "between 0 and 10"),
        ("huber-delta", s.huber_delta, |x| x > 0.0 && x <= 1e6, "above 0 and at most 1000000"),
        ("label-smoothing", s.label_smoothing, |x| (0.0..1.0).contains(&x), "at least 0 and below 1"),
    ] {
        if let Some(value) = value.filter(|&value| !fits(value)) {
            return Err(usage(format!("--{flag} is {value}; it must be {rule}")));
        }
    }
    Ok(())
}

/// The task, with the labels of the training rows, and a line about its loss. Class weights `auto` are not known yet: [`balance`].
///
/// # Errors
/// Labels that the task cannot use, or class weights for classes that there are not.
pub fn build<B: Backend>(
    name: TaskName,
    s: &TrainSettings,
    train: &Table,
) -> Result<(Box<dyn Task<B>>, String), Failure> {
    let focal_gamma = (loss_name(name, s) == LossName::Focal).then(|| s.focal_gamma.unwrap_or(GAMMA) as f32);
    let emphasis = Emphasis { smoothing: s.label_smoothing.unwrap_or(0.0) as f32, focal_gamma };
    let mut said = match focal_gamma {
        Some(gamma) => format!("focal loss, gamma {gamma}"),
        None if emphasis.smoothing > 0.0 => format!("cross-entropy, smoothing {}", emphasis.smoothing),
        None => "cross-entropy".to_string(),
    };
    let task: Box<dyn Task<B>> = match name {
        TaskName::Classification => {
            let mut task = SingleLabel::from_table(train)?.with_emphasis(emphasis);
            match s.class_weights.as_deref() {
                None => {}
                Some(AUTO) => said += ", class weights auto",
                Some(spec) => {
                    let names = Task::<B>::labels(&task);
                    let weights = weights(spec, names)?;
                    said += &format!(", class weights {}", weighed(names, &weights));
                    task = task.with_weights(weights);
                }
            }
            Box::new(task)
        }
        TaskName::Binary => {
            said = format!("binary {said} on one logit");
            Box::new(Binary::from_table(train, s.positive_label.as_deref())?.with_emphasis(emphasis))
        }
        TaskName::MultiLabel => {
            said = format!("binary {said} on each label");
            let separator = s.label_separator.unwrap_or(DEFAULT_SEPARATOR);
            Box::new(MultiLabel::from_table(train, separator)?.with_emphasis(emphasis))
        }
        TaskName::Tokens => {
            let task = Tokens::from_table(train)?.with_emphasis(emphasis);
            said += match task.tagging() {
                Tagging::Entities => " on the first token of each word, whose tags spell entities",
                Tagging::Classes => " on the first token of each word, whose tag is a class of its own",
            };
            Box::new(task)
        }
        TaskName::Regression => {
            let delta = (loss_name(name, s) == LossName::Huber).then(|| s.huber_delta.unwrap_or(DELTA) as f32);
            said = delta.map_or("mean squared error".to_string(), |delta| format!("Huber's error, delta {delta}"));
            Box::new(Regression::new(s.label_column.clone().unwrap_or_else(|| "score".to_string()), delta))
        }
    };
    Ok((task, said))
}

/// `--class-weights auto`: weighs the classes so that all count the same among the rows that are learned from, and says how; none if that was not
/// asked for.
pub fn balance<B: Backend>(s: &TrainSettings, task: &mut dyn Task<B>, learned: &Targets) -> Option<String> {
    if s.class_weights.as_deref() != Some(AUTO) {
        return None;
    }
    let weights = task.balance(learned)?.to_vec();
    Some(weighed(task.labels(), &weights))
}

fn weighed(names: &[String], weights: &[f32]) -> String {
    names.iter().zip(weights).map(|(name, weight)| format!("{name} {weight:.4}")).collect::<Vec<_>>().join(", ")
}

/// The metric that chooses the best epoch: the one that was asked for, else the first of those that are known in `task`.
///
/// # Errors
/// A metric of another task.
pub fn metric(task: &str, known: &[MetricName], asked: Option<MetricName>) -> Result<MetricName, Failure> {
    match asked {
        None => Ok(known[0]),
        Some(metric) if known.contains(&metric) => Ok(metric),
        Some(metric) => {
            let known: Vec<&str> = known.iter().map(|metric| metric.name()).collect();
            Err(usage(format!("--metric {metric} is not measured in {task}; use {}", known.join(", "))))
        }
    }
}

fn loss_name(name: TaskName, s: &TrainSettings) -> LossName {
    let usual = if name == TaskName::Regression { LossName::Mse } else { LossName::CrossEntropy };
    s.loss.unwrap_or(usual)
}

/// `NAME=WEIGHT,...`; classes that are not named count 1.
fn weights(spec: &str, names: &[String]) -> Result<Vec<f32>, Failure> {
    let mut weights = vec![None; names.len()];
    for part in spec.split(',') {
        let refuse =
            |why: &str| usage(format!("--class-weights: `{part}` {why}; write auto, or NAME=WEIGHT,NAME=WEIGHT"));
        let (name, weight) = part.rsplit_once('=').ok_or_else(|| refuse("is no NAME=WEIGHT"))?;
        let place = names.iter().position(|known| known == name.trim());
        let place = place.ok_or_else(|| refuse(&format!("is none of the classes {}", names.join(", "))))?;
        let weight = weight.trim().parse::<f32>().ok().filter(|w| w.is_finite() && *w > 0.0);
        let weight = weight.ok_or_else(|| refuse("has no weight above 0"))?;
        if weights[place].replace(weight).is_some() {
            return Err(refuse("names a class twice"));
        }
    }
    Ok(weights.into_iter().map(|weight| weight.unwrap_or(1.0)).collect())
}

/// A value as it is typed.
pub fn shown(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::LongTextsName;

    #[test]
    fn the_columns_speak_of_a_task() {
        for (headers, label_column, expected) in [
            (&["text", "label"][..], None, TaskName::Classification),
            (&["text", "label", "score"], None, TaskName::Classification),
            (&["text_a", "text_b", "score"], None, TaskName::Regression),
            (&["text", "labels"], None, TaskName::MultiLabel),
            (&["text", "labels", "kind"], Some("kind"), TaskName::Classification),
            (&["text"], None, TaskName::Classification),
            (&["tokens", "tags", "intent"], None, TaskName::Tokens),
            (&["tokens", "tags", "label"], None, TaskName::Classification),
            (&["tokens", "tags", "text", "score"], None, TaskName::Regression),
            (&["text", "score"], Some("score"), TaskName::Regression),
            (&["text", "labels"], Some("labels"), TaskName::MultiLabel),
            (&["tokens", "tags"], Some("tags"), TaskName::Tokens),
            (&["id", "tokens", "ner_tags"], Some("ner_tags"), TaskName::Tokens),
            (&["tokens", "tags", "text", "intent"], Some("intent"), TaskName::Classification),
        ] {
            let headers: Vec<String> = headers.iter().map(|name| name.to_string()).collect();
            let s = TrainSettings { label_column: label_column.map(str::to_string), ..TrainSettings::default() };
            assert_eq!(choose(&s, &headers).0, expected, "{headers:?}");
        }
        let named = |text: &str, label: &str| TrainSettings {
            text_column: Some(text.to_string()),
            label_column: Some(label.to_string()),
            ..TrainSettings::default()
        };
        let headers = ["tokens", "tags", "sentence", "intent"].map(str::to_string);
        assert_eq!(choose(&named("sentence", "intent"), &headers).0, TaskName::Classification);
        assert_eq!(choose(&named("tokens", "tags"), &headers).0, TaskName::Tokens);
        let asked = TrainSettings { task: Some(TaskName::Binary), ..TrainSettings::default() };
        assert_eq!(choose(&asked, &["labels".to_string()]).0, TaskName::Binary);
    }

    #[test]
    fn settings_of_another_task_are_refused() {
        let none = TrainSettings::default;
        for (task, s, says) in [
            (
                TaskName::Regression,
                TrainSettings { loss: Some(LossName::Focal), ..none() },
                "--loss focal is no loss of regression",
            ),
            (
                TaskName::Tokens,
                TrainSettings { long_texts: Some(LongTextsName::Windows), ..none() },
                "--long-texts belongs to tasks of texts",
            ),
            (
                TaskName::Binary,
                TrainSettings { loss: Some(LossName::Mse), ..none() },
                "--loss mse is no loss of binary",
            ),
            (
                TaskName::MultiLabel,
                TrainSettings { class_weights: Some("auto".into()), ..none() },
                "--class-weights belongs to --task",
            ),
            (
                TaskName::Regression,
                TrainSettings { label_smoothing: Some(0.1), ..none() },
                "--label-smoothing belongs to tasks",
            ),
            (
                TaskName::Classification,
                TrainSettings { positive_label: Some("a".into()), ..none() },
                "--positive-label belongs",
            ),
            (
                TaskName::Tokens,
                TrainSettings { class_weights: Some("auto".into()), ..none() },
                "--class-weights belongs to --task",
            ),
            (
                TaskName::Tokens,
                TrainSettings { text_b_column: Some("b".into()), ..none() },
                "--text-b-column belongs to tasks of texts",
            ),
            (
                TaskName::Tokens,
                TrainSettings { freeze: Some("embeddings, pooler".into()), ..none() },
                "--freeze: a tagger of words has no pooler",
            ),
            (
                TaskName::Classification,
                TrainSettings { label_separator: Some(';'), ..none() },
                "--label-separator belongs",
            ),
            (
                TaskName::Classification,
                TrainSettings { focal_gamma: Some(1.0), ..none() },
                "--focal-gamma belongs to --loss focal",
            ),
            (
                TaskName::Regression,
                TrainSettings { huber_delta: Some(1.0), ..none() },
                "--huber-delta belongs to --loss huber",
            ),
            (
                TaskName::Binary,
                TrainSettings { loss: Some(LossName::Focal), label_smoothing: Some(0.1), ..none() },
                "--label-smoothing and --loss focal exclude",
            ),
            (
                TaskName::Classification,
                TrainSettings { class_weights: Some("auto".into()), balanced_sampling: Some(Switch::On), ..none() },
                "--class-weights and --balanced-sampling both",
            ),
            (
                TaskName::Binary,
                TrainSettings { label_smoothing: Some(1.0), ..none() },
                "--label-smoothing is 1; it must be",
            ),
            (
                TaskName::Regression,
                TrainSettings { loss: Some(LossName::Huber), huber_delta: Some(0.0), ..none() },
                "--huber-delta is 0; it must be above 0",
            ),
        ] {
            let message = check(task, &s).unwrap_err().message;
            assert!(message.starts_with(says), "{message}");
        }
    }

    #[test]
    fn class_weights_are_read_by_name() {
        let names = ["a=b", "c"].map(str::to_string);
        assert_eq!(weights("a=b=2.5", &names).map_err(|f| f.message), Ok(vec![2.5, 1.0]));
        for (spec, says) in [
            ("c", "--class-weights: `c` is no NAME=WEIGHT"),
            ("d=1", "--class-weights: `d=1` is none of the classes a=b, c"),
            ("c=0", "--class-weights: `c=0` has no weight above 0"),
            ("c=nan", "--class-weights: `c=nan` has no weight"),
            ("c=1,c=2", "--class-weights: `c=2` names a class twice"),
        ] {
            let message = weights(spec, &names).unwrap_err().message;
            assert!(message.starts_with(says), "{message}");
        }
    }
}
