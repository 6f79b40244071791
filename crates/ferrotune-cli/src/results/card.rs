//! The model card: `README.md` of a model folder, with the metadata that the Hugging Face hub reads. It says what `results.json` and the settings
//! hold and nothing else; it must not measure, and knows no local path but by its last name.
//!
//! Metadata: <https://github.com/huggingface/hub-docs/blob/main/modelcard.md>.

use crate::exit::Failure;
use crate::results::report::metric;
use crate::rows::task::shown;
use crate::settings::Resolved;
use ferrotune_train::metrics::{MetricName, Report, Summary};
use ferrotune_train::store::replace_file;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The file's name.
const FILE: &str = "README.md";
/// Labels beyond this number are counted and not named.
const SHOWN_LABELS: usize = 40;

/// What a card says.
pub struct Card<'a> {
    /// The settings of the run.
    pub run: &'a Resolved,
    /// The hub id of the encoder, if it came from there.
    pub base: Option<&'a str>,
    /// Its `model_type`.
    pub model_type: &'a str,
    /// The task's name, and those of its outputs.
    pub task: &'a str,
    /// Their names, in order.
    pub labels: &'a [String],
    /// Rows that were learned from.
    pub rows: usize,
    /// How many training rows were held out as validation rows, if they were.
    pub held_out: Option<usize>,
    /// The best epoch on validation rows.
    pub validation: Option<&'a Report>,
    /// The test rows.
    pub test: Option<&'a Report>,
    /// Whether the folder holds a temperature of its probabilities.
    pub calibrated: bool,
}

impl Card<'_> {
    /// Writes it into a model folder.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        Ok(replace_file(&folder.join(FILE), self.text().as_bytes())?)
    }

    fn text(&self) -> String {
        format!("---\n{}---\n\n{}", self.metadata(), self.body())
    }

    /// The name of the run.
    fn name(&self) -> String {
        last(&self.run.output).unwrap_or_else(|| "model".to_string())
    }

    /// Splits that were measured: their role, the file's name and the result.
    fn measured(&self) -> Vec<(&'static str, String, Summary)> {
        let s = &self.run.settings;
        let of = |role: &'static str, path: Option<&PathBuf>, report: Option<&Report>| {
            let name = path.and_then(|path| last(path)).unwrap_or_else(|| role.to_string());
            report.map(|report| (role, name, report.summary()))
        };
        let validation = s.validation.as_ref().or(s.train.as_ref());
        [of("validation", validation, self.validation), of("test", s.test.as_ref(), self.test)]
            .into_iter()
            .flatten()
            .collect()
    }

    /// YAML, whose strings are quoted as those of JSON.
    fn metadata(&self) -> String {
        let pipeline = if self.task == "tokens" { "token-classification" } else { "text-classification" };
        let mut yaml = format!("library_name: transformers\npipeline_tag: {pipeline}\n");
        if let Some(base) = self.base {
            let _ = writeln!(yaml, "base_model: {}", quoted(base));
        }
        let _ = writeln!(yaml, "tags:\n- ferrotune\n- {}\n- {}", quoted(self.model_type), quoted(self.task));
        let measured = self.measured();
        let mut kinds: Vec<&str> = Vec::new();
        for (name, _) in measured.iter().flat_map(|(_, _, summary)| with_values(summary)) {
            if !kinds.contains(&kind(name)) {
                kinds.push(kind(name));
            }
        }
        if kinds.is_empty() {
            return yaml;
        }
        yaml += "metrics:\n";
        kinds.iter().for_each(|kind| yaml += &format!("- {kind}\n"));
        let _ = writeln!(yaml, "model-index:\n- name: {}\n  results:", quoted(&self.name()));
        for (role, file, summary) in &measured {
            let file = quoted(file);
            let _ = writeln!(yaml, "  - task:\n      type: {pipeline}");
            let _ = writeln!(yaml, "    dataset:\n      name: {file}\n      type: {file}\n      split: {role}");
            yaml += "    metrics:\n";
            for (name, value) in with_values(summary) {
                let _ = writeln!(
                    yaml,
                    "    - type: {}\n      name: {}\n      value: {value}",
                    kind(name),
                    quoted(name.name())
                );
            }
        }
        yaml
    }

    /// The labels; none of regression. The output of a binary model is named after one of its two, and a report knows both.
    fn answers(&self) -> Option<String> {
        let named = |label: &str| format!("`{}`", plain(label));
        let list = |labels: &[&str]| {
            let shown: Vec<String> = labels.iter().take(SHOWN_LABELS).map(|label| named(label)).collect();
            let more = labels.len() - shown.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("Labels ({}): {}{more}.", labels.len(), shown.join(", "))
        };
        match (self.task, self.labels, self.test.or(self.validation)) {
            ("regression", ..) => None,
            ("binary", [positive], Some(Report::Classification(report))) => {
                let both: Vec<&str> = report.per_class.iter().map(|class| &*class.name).collect();
                Some(format!("{} The one output is the logit of {}.", list(&both), named(positive)))
            }
            ("binary", [positive], _) => {
                Some(format!("The one output is the logit of {}, against one other label.", named(positive)))
            }
            _ => Some(list(&self.labels.iter().map(String::as_str).collect::<Vec<_>>())),
        }
    }

    fn body(&self) -> String {
        let run = self.run;
        let mut text = format!("# {}\n\n", self.name());
        let base = self.base.map_or("An encoder from a local folder".to_string(), |base| format!("`{base}`"));
        let what = match self.task {
            "tokens" => "tags words",
            "regression" => "gives texts a score",
            "multi-label" => "gives texts any number of labels",
            _ => "gives texts one label",
        };
        let _ = writeln!(text, "{base}, fine-tuned with ferrotune {}: it {what}.\n", env!("CARGO_PKG_VERSION"));
        if let Some(answers) = self.answers() {
            let _ = writeln!(text, "{answers}\n");
        }
        text += "## Results\n\n";
        let measured = self.measured();
        match measured.is_empty() {
            true => text += "Nothing was measured.\n",
            false => text += "| rows | file | metrics |\n|---|---|---|\n",
        }
        for (role, file, summary) in &measured {
            let metrics: Vec<String> = with_values(summary).map(|(name, value)| metric(name, value)).collect();
            let _ = writeln!(text, "| {} {role} | {} | {} |", summary.rows, plain(file), metrics.join(", "));
        }
        if self.validation.is_some() {
            let held_out = self.held_out.map(|rows| format!(" ({rows} rows held out of the training rows)"));
            let _ = writeln!(
                text,
                "\nThe validation rows{} chose the weights that were kept, so that their figures are better than those of other rows.",
                held_out.unwrap_or_default()
            );
        }
        let s = &run.settings;
        let _ = writeln!(text, "\n## Training\n\n| setting | value |\n|---|---|\n| rows | {} |", self.rows);
        let optimizer = format!("{} ({})", shown(run.optimizer), s.schedule.map(shown).unwrap_or_default());
        for (name, value) in [
            ("tokens of a row at most", run.max_length.to_string()),
            ("epochs at most", run.numbers.epochs.to_string()),
            ("rows of a step", run.numbers.batch_size.to_string()),
            ("optimizer (schedule)", optimizer),
            ("peak learning rate", run.numbers.learning_rate.to_string()),
            ("precision of products", s.precision.map(shown).unwrap_or_default()),
            ("seed", run.numbers.seed.to_string()),
        ] {
            let _ = writeln!(text, "| {name} | {value} |");
        }
        if self.task == "multi-label" && self.validation.is_some() {
            text += "\nThresholds of the labels lie in `ferrotune.json`; transformers does not know them and takes one half.\n";
        }
        if self.calibrated {
            text += "\nProbabilities are calibrated by a temperature in `ferrotune.json` (`calibration`): ferrotune divides logits by it, transformers does not know it.\n";
        }
        text
    }
}

/// The metrics that have a value: a hub refuses one that is no number.
fn with_values(summary: &Summary) -> impl Iterator<Item = (MetricName, f64)> + '_ {
    summary.values.iter().copied().filter(|(_, value)| value.is_finite())
}

/// What the hub calls a metric.
fn kind(name: MetricName) -> &'static str {
    match name {
        MetricName::Loss => "loss",
        MetricName::Perplexity => "perplexity",
        MetricName::Accuracy | MetricName::SubsetAccuracy => "accuracy",
        MetricName::F1Macro | MetricName::F1Micro => "f1",
        MetricName::Mcc => "matthews_correlation",
        MetricName::PrecisionMicro => "precision",
        MetricName::RecallMicro => "recall",
        MetricName::Pearson => "pearsonr",
        MetricName::Spearman => "spearmanr",
        MetricName::Mse => "mse",
        MetricName::Mae => "mae",
    }
}

/// A name from outside in Markdown, on one line of a table.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || "`|<>".contains(c) { ' ' } else { c }).collect()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

/// The last name of a path: the folders above are nobody's affair.
fn last(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::TrainSettings;
    use crate::settings::resolve;
    use expect_test::{Expect, expect};
    use ferrotune_train::metrics::{Confusion, RegressionReport};

    /// A card of a run with these results.
    fn with<T>(
        task: &str,
        base: Option<&str>,
        labels: &[&str],
        [validation, test]: [Option<&Report>; 2],
        of: impl Fn(Card<'_>) -> T,
    ) -> T {
        let said = TrainSettings {
            model: Some("org/encoder".into()),
            train: Some("/home/me/secret/train.csv".into()),
            test: Some("data/te\"st.csv".into()),
            output: Some("runs/tickets".into()),
            ..TrainSettings::default()
        };
        let run = resolve(said, TrainSettings::default()).map_err(|failure| failure.message).unwrap();
        let labels: Vec<String> = labels.iter().map(|label| label.to_string()).collect();
        of(Card {
            run: &run,
            base,
            model_type: "bert",
            task,
            labels: &labels,
            rows: 90,
            held_out: Some(10),
            validation,
            test,
            calibrated: task == "classification",
        })
    }

    #[track_caller]
    fn check(task: &str, base: Option<&str>, reports: [Option<&Report>; 2], expected: Expect) {
        let text = with(task, base, &["pos", "a|`b\n"], reports, |card| card.text());
        assert!(!text.contains("secret"), "{text}");
        expected.assert_eq(&text);
    }

    fn report(pearson: f64) -> Report {
        let labels = [1.0, 2.0, 3.0, 4.0];
        let mut report = RegressionReport::of(&labels, &labels);
        report.pearson = pearson;
        Report::Regression(report)
    }

    #[test]
    fn a_card_says_what_was_measured() {
        let (good, undefined) = (report(0.9375), report(f64::NAN));
        check(
            "regression",
            Some("org/encoder"),
            [Some(&undefined), Some(&good)],
            expect![[r#"
            ---
            library_name: transformers
            pipeline_tag: text-classification
            base_model: "org/encoder"
            tags:
            - ferrotune
            - "bert"
            - "regression"
            metrics:
            - spearmanr
            - mse
            - mae
            - pearsonr
            model-index:
            - name: "tickets"
              results:
              - task:
                  type: text-classification
                dataset:
                  name: "train.csv"
                  type: "train.csv"
                  split: validation
                metrics:
                - type: spearmanr
                  name: "spearman"
                  value: 0.9999999999999998
                - type: mse
                  name: "mse"
                  value: 0
                - type: mae
                  name: "mae"
                  value: 0
              - task:
                  type: text-classification
                dataset:
                  name: "te\"st.csv"
                  type: "te\"st.csv"
                  split: test
                metrics:
                - type: pearsonr
                  name: "pearson"
                  value: 0.9375
                - type: spearmanr
                  name: "spearman"
                  value: 0.9999999999999998
                - type: mse
                  name: "mse"
                  value: 0
                - type: mae
                  name: "mae"
                  value: 0
            ---

            # tickets

            `org/encoder`, fine-tuned with ferrotune 0.1.0: it gives texts a score.

            ## Results

            | rows | file | metrics |
            |---|---|---|
            | 4 validation | train.csv | Spearman 1.0000, MSE 0.0000, MAE 0.0000 |
            | 4 test | te"st.csv | Pearson 0.9375, Spearman 1.0000, MSE 0.0000, MAE 0.0000 |

            The validation rows (10 rows held out of the training rows) chose the weights that were kept, so that their figures are better than those of other rows.

            ## Training

            | setting | value |
            |---|---|
            | rows | 90 |
            | tokens of a row at most | 128 |
            | epochs at most | 3 |
            | rows of a step | 32 |
            | optimizer (schedule) | adamw (linear) |
            | peak learning rate | 0.00002 |
            | precision of products | f32 |
            | seed | 0 |
        "#]],
        );
        check(
            "classification",
            None,
            [None, None],
            expect![[r#"
            ---
            library_name: transformers
            pipeline_tag: text-classification
            tags:
            - ferrotune
            - "bert"
            - "classification"
            ---

            # tickets

            An encoder from a local folder, fine-tuned with ferrotune 0.1.0: it gives texts one label.

            Labels (2): `pos`, `a  b `.

            ## Results

            Nothing was measured.

            ## Training

            | setting | value |
            |---|---|
            | rows | 90 |
            | tokens of a row at most | 128 |
            | epochs at most | 3 |
            | rows of a step | 32 |
            | optimizer (schedule) | adamw (linear) |
            | peak learning rate | 0.00002 |
            | precision of products | f32 |
            | seed | 0 |

            Probabilities are calibrated by a temperature in `ferrotune.json` (`calibration`): ferrotune divides logits by it, transformers does not know it.
        "#]],
        );
    }

    #[test]
    fn a_card_of_one_logit_names_both_labels() {
        let report = Confusion::new(2).report(0.5, &["bad".to_string(), "good".to_string()]);
        let report = Report::Classification(report);
        let answers = |report: Option<&Report>| with("binary", None, &["good"], [report, None], |card| card.answers());
        let said = "Labels (2): `bad`, `good`. The one output is the logit of `good`.";
        assert_eq!(answers(Some(&report)).as_deref(), Some(said));
        assert_eq!(answers(None).as_deref(), Some("The one output is the logit of `good`, against one other label."));
    }

    /// A card that is written over would change what else has the name of its file.
    #[test]
    fn a_card_takes_its_place_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join(FILE), folder.path().join("other"));
        std::fs::write(&path, "earlier").unwrap();
        std::fs::hard_link(&path, &other).unwrap();
        with("regression", None, &[], [None, None], |card| card.write(folder.path())).unwrap();
        assert_eq!(std::fs::read_to_string(other).unwrap(), "earlier");
        assert!(std::fs::read_to_string(path).unwrap().starts_with("---\nlibrary_name"));
    }
}
