//! The rows of a run: read, given targets by the task, cut into tokens, audited. It must not know the model or the loop.

use crate::args::{BaselinesName, LongTextsName, TaskName, TrainSettings};
use crate::audit;
use crate::exit::{Failure, MODEL};
use crate::results::baselines::{Baselines, Encoder, class_names};
use crate::rows::{held_out, task};
use crate::settings::{self, PartOfRows, Resolved};
use crate::terminal::shown::listed;
use ferrotune_bert::EncoderConfig;
use ferrotune_data::{Encoded, Need, Part, Row, Source, Table, Tokenizer, Wanted, subset};
use ferrotune_tensor::Backend;
use ferrotune_train::baselines::ClassRows;
use ferrotune_train::model::Split;
use ferrotune_train::tasks::Task;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The training rows of a run as a table, and what is learned from them.
pub struct Labelled<B: Backend> {
    /// The task's name among the settings.
    pub name: TaskName,
    /// Why it is this one.
    why: String,
    need: Need,
    columns: Option<Wanted>,
    /// The rows.
    pub table: Table,
    /// What is learned.
    pub task: Box<dyn Task<B>>,
    /// What training makes small, for a person.
    loss: String,
}

impl<B: Backend> Labelled<B> {
    /// Chooses the task by the settings and the columns of the file, and reads the file for it.
    ///
    /// # Errors
    /// Settings that belong to other tasks; rows that cannot be read or used.
    pub fn read(s: &TrainSettings, train: &Path) -> Result<Labelled<B>, Failure> {
        let source = Source::find(train, Part::Train)?;
        let (name, why) = task::choose(s, &source.headers()?);
        task::check(name, s)?;
        let need = task::need(name, s);
        let columns = settings::columns(&s.text_column, &s.text_b_column, &s.label_column);
        let table = source.read(columns.as_ref(), need)?;
        task::check_labels(s, name, &table)?;
        let (task, loss) = task::build(name, s, &table)?;
        Ok(Labelled { name, why, need, columns, table, task, loss })
    }

    /// Reads other rows as these were read.
    ///
    /// # Errors
    /// Rows that cannot be read.
    pub fn read_more(&self, source: &Source) -> Result<Table, Failure> {
        Ok(source.read(self.columns.as_ref(), self.need)?)
    }
}

/// The rows of a run, encoded, and what is odd about them.
pub struct Data<B: Backend> {
    /// What is learned.
    pub task: Box<dyn Task<B>>,
    /// Its name among the settings.
    pub task_name: TaskName,
    /// Whether its rows are pairs of texts.
    pub pair: bool,
    /// Rows that are learned from.
    pub train: Split,
    /// How many texts they are.
    pub train_rows: usize,
    /// Rows that choose the best epoch.
    pub validation: Option<Split>,
    /// How many training rows were held out for this, if they were.
    pub held_out: Option<usize>,
    /// Rows that are measured at the end.
    pub test: Option<Split>,
    /// The test rows as they were read, else the validation rows: those that a report looks at.
    pub shown: Vec<Row>,
    /// Lines for a person.
    pub audit: Vec<String>,
    /// What simple models say of the rows that are measured, where rows have one class each.
    pub baselines: Option<Baselines>,
}

impl<B: Backend> Data<B> {
    /// Reads all files of a run.
    pub fn read(resolved: &Resolved, model: &Path, config: &EncoderConfig) -> Result<Data<B>, Failure> {
        let s = &resolved.settings;
        let Labelled { name: task_name, why, need, columns, table: mut train, mut task, loss } =
            Labelled::read(s, &resolved.train)?;
        let read = |path: &PathBuf, part| Source::find(path, part)?.read(columns.as_ref(), need);
        let validation = s.validation.as_ref().map(|path| read(path, Part::Validation)).transpose()?;
        let test = s.test.as_ref().map(|path| read(path, Part::Test)).transpose()?;
        eprintln!("task       {} ({why}), {loss}", task.name());
        // After the task has seen the labels of all rows: one that is only in the rows held out is an output too.
        let taken = resolved.held_out.map(|asked| held_out::take(&mut train, need, asked)).transpose()?;
        let held_out = taken.as_ref().map(|table| table.rows.len());
        if let Some(PartOfRows { share, seed }) = resolved.part {
            let all = train.rows.len();
            train = train.take_out(&subset(&train.rows, need, share, seed));
            let rows = train.rows.len();
            eprintln!("part       {rows} of {all} training rows are learned from (--train-share {share}, seed {seed})");
        }
        let (validation, train_rows) = (validation.or(taken), train.rows.len());
        let tokenizer = Tokenizer::from_folder(model, resolved.max_length)?.with_long_texts(resolved.long_texts.into());
        check_vocabulary(&tokenizer, config, model)?;
        let mut audit = tokenizer.contradictions(model, need.words());
        audit.extend(audit::lines(&train, validation.as_ref(), test.as_ref(), need)?);
        let encode = |name: &str, table: &Table| -> Result<Split, Failure> {
            let encoded = tokenizer.encode(&table.rows)?;
            let targets = task.targets(table, &encoded)?;
            let (rows, mean) = (table.rows.len(), encoded.tokens() as f64 / table.rows.len() as f64);
            let cut = cut(&encoded, resolved.max_length, resolved.long_texts)
                .map(|cut| format!(", {cut}"))
                .unwrap_or_default();
            eprintln!("{name:<10} {rows} rows, {mean:.1} tokens on average{cut}");
            Ok(Split::of_rows(encoded, targets))
        };
        let train = (encode("train", &train)?, train);
        let part = |name: &'static str, table: Option<Table>| {
            table.map(|table| Ok::<_, Failure>((name, encode(name, &table)?, table))).transpose()
        };
        let (validation, test) = (part("validation", validation)?, part("test", test)?);
        eprintln!("outputs    {}: {}", task.labels().len(), listed(task.labels()));
        if let Some(weights) = task::balance(s, task.as_mut(), &train.0.row_targets()) {
            eprintln!("classes    weights by the rows that are learned from: {weights}");
        }
        let measured = test.as_ref().or(validation.as_ref());
        let encoder = || Encoder { folder: model, max_length: Some(resolved.max_length) };
        let baselines = match (s.baselines, class_names(task.as_ref()), measured) {
            (Some(BaselinesName::Off) | None, ..) | (_, None, _) | (.., None) => None,
            (Some(asked), Some(names), Some((split, encoded, table))) => {
                let (learned, wanted) = (train.0.row_targets(), encoded.row_targets());
                let (learned, wanted) = (ClassRows::of(&train.1.rows, &learned), ClassRows::of(&table.rows, &wanted));
                let encoder = (asked == BaselinesName::All).then(encoder);
                let found = Baselines::of(&names, learned, (*split, wanted), encoder)?;
                found.lines().iter().for_each(|line| eprintln!("baseline   {line}"));
                Some(found)
            }
        };
        let apart = |part: Option<(_, Split, Table)>| part.map(|(_, split, table)| (split, table)).unzip();
        let ((validation, held), (test, tested)) = (apart(validation), apart(test));
        let (pair, train, shown) = (train.1.pair, train.0, tested.or(held).map(|table| table.rows).unwrap_or_default());
        Ok(Data { task, task_name, pair, train, train_rows, validation, held_out, test, shown, audit, baselines })
    }

    /// The number of texts of each part.
    pub fn rows(&self) -> BTreeMap<String, usize> {
        let of = |split: &Split| match &split.encoded.words {
            Some(words) => words.table_rows,
            None => split.row_targets().rows(),
        };
        let parts = [
            ("train", Some(self.train_rows)),
            ("validation", self.validation.as_ref().map(of)),
            ("test", self.test.as_ref().map(of)),
        ];
        parts.into_iter().filter_map(|(name, rows)| Some((name.to_string(), rows?))).collect()
    }
}

/// What the length limit did to rows, and words that say nothing to the model.
pub fn cut(encoded: &Encoded, max_length: usize, long_texts: LongTextsName) -> Option<String> {
    let longest = encoded.longest_untruncated;
    let mut said = Vec::new();
    if !encoded.truncated.is_empty() {
        said.push(format!("{} cut to {} (longest {longest})", encoded.truncated.len(), kept(max_length, long_texts)));
    }
    let windowed = encoded.windowed_rows();
    if windowed > 0 {
        let windows = encoded.len();
        said.push(format!(
            "{windowed} read in overlapping windows of {max_length} (longest {longest}), {windows} sequences in all"
        ));
    }
    if let Some(words) = &encoded.words
        && let Some(line) = words.first_silent_line
    {
        said.push(format!(
            "{} words give no token: their answer is O, or none where tags are classes (first on line {line})",
            words.silent_words
        ));
    }
    (!said.is_empty()).then(|| said.join(", "))
}

/// What is left of a row that was cut.
pub fn kept(max_length: usize, long_texts: LongTextsName) -> String {
    match long_texts {
        LongTextsName::HeadTail => format!("begin and end, {max_length} tokens"),
        LongTextsName::Head | LongTextsName::Windows => format!("{max_length} tokens"),
    }
}

/// The tokenizer's ids must all have a row in the word embeddings.
pub fn check_vocabulary(tokenizer: &Tokenizer, config: &EncoderConfig, folder: &Path) -> Result<(), Failure> {
    if tokenizer.vocab_size() <= config.vocab_size {
        return Ok(());
    }
    let message = format!(
        "{}: the tokenizer has ids up to {}, the model embeds {}; the tokenizer's files and config.json are not of one model",
        folder.display(),
        tokenizer.vocab_size() - 1,
        config.vocab_size
    );
    Err(Failure { message, code: MODEL })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::resolve;
    use ferrotune_tensor::Cpu;

    /// Rows are held out and left out by class, in whole numbers: what is left has other shares than the file.
    #[test]
    fn classes_count_the_same_among_the_rows_that_are_learned_from() {
        let folder = tempfile::tempdir().unwrap();
        let train = folder.path().join("train.csv");
        let label = |n: usize| if n < 45 { "calm" } else { "storm" };
        let rows: String = (0..58).map(|n| format!("row {n},{}\n", label(n))).collect();
        std::fs::write(&train, format!("text,label\n{rows}")).unwrap();
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny-single/model");
        let said = TrainSettings {
            model: Some(model.display().to_string()),
            train: Some(train),
            output: Some(folder.path().join("run")),
            class_weights: Some("auto".to_string()),
            validation_share: Some(0.2),
            train_share: Some(0.3),
            max_length: Some(16),
            ..TrainSettings::default()
        };
        let resolved = resolve(said, TrainSettings::default()).unwrap();
        let config = EncoderConfig::from_folder(&model).unwrap();
        let data = Data::<Cpu>::read(&resolved, &model, &config).unwrap();
        let targets = &data.train.targets;
        let (calm, storm): (Vec<usize>, Vec<usize>) =
            (0..targets.rows()).partition(|&row| targets.class_ids().unwrap()[row] == 0);
        assert!(calm.len() * 13 != storm.len() * 45, "the shares are others: {} and {}", calm.len(), storm.len());
        let (calm, storm) = (data.task.weight(targets, &calm), data.task.weight(targets, &storm));
        // The weights are in single precision.
        let half = 0.5 * targets.rows() as f64;
        assert!((calm - half).abs() < 1e-5 * half && (storm - half).abs() < 1e-5 * half, "{calm} {storm}");
    }
}
