//! `ferrotune audit`: what is wrong with the rows, said before anybody trains on them. What is looked for is the data crate's affair.

mod fix;
mod json;
mod says;
#[cfg(test)]
mod tests;

use super::{find_model, max_length, use_threads};
use crate::args::{AuditArgs, Switch, TaskName, TrainSettings};
use crate::audit::{findings, judge};
use crate::data::check_vocabulary;
use crate::exit::{Failure, usage};
use crate::{settings, task};
use ferrotune_bert::EncoderConfig;
use ferrotune_data::{AuditRows, AuditSettings, Columns, Need, Tokenizer, audit, headers, read_table_with, rows_at};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The files that are looked at.
struct Files {
    /// Names of splits and where their rows are, the training rows first.
    paths: Vec<(&'static str, PathBuf)>,
    columns: Option<Columns>,
    /// What a row must have for the audit: less than training needs where the audit counts what is missing.
    need: Need,
}

impl Files {
    fn sources(&self) -> Vec<(&'static str, AuditRows<'_>)> {
        let source = |path| AuditRows::File { path, columns: self.columns.as_ref(), need: self.need };
        self.paths.iter().map(|(name, path)| (*name, source(path.as_path()))).collect()
    }
}

/// Runs the command.
pub fn run(args: &AuditArgs) -> Result<(), Failure> {
    use_threads(args.threads)?;
    report(args, &mut |line| println!("{line}"))
}

/// Looks at the files, and hands each line for a person to `say` as soon as it is known.
fn report(args: &AuditArgs, say: &mut dyn FnMut(String)) -> Result<(), Failure> {
    let (task, files) = files(args)?;
    let fix = args.fix.as_deref().map(|folder| fix::Fix::check(folder, &files.paths, args.overwrite)).transpose()?;
    json::check(args.json.as_deref(), &files.paths, args.overwrite)?;
    let model = args.model.as_deref().map(find_model).transpose()?.map(|model| model.folder);
    let tokenizer = model.as_deref().map(|folder| tokenizer(args, folder)).transpose()?;

    let sources = files.sources();
    let settings = AuditSettings { need: files.need, tokenizer: tokenizer.as_ref(), near: true, languages: true };
    let audit = audit(&sources, settings)?;
    audit.splits.iter().for_each(|split| say(says::split(split)));
    let one_class = matches!(task, TaskName::Classification | TaskName::Binary);
    let labels = audit.splits[0].label_counts.len();
    let errors = match (&model, &tokenizer) {
        (Some(folder), Some(tokenizer)) if one_class && labels > 1 => {
            let table = read_table_with(&args.train, None, files.columns.as_ref(), files.need)?;
            Some(judge(&table, folder, tokenizer)?)
        }
        _ => None,
    };
    let found = findings(&audit, one_class, errors.as_ref());
    let most = args.show.max(if args.json.is_some() { json::TEXTS } else { 0 });
    let rows = found.iter().flat_map(|found| found.rows.iter().take(most));
    let shown: BTreeSet<_> = rows.flat_map(|row| [Some(row.place), row.of]).flatten().collect();
    let texts = rows_at(&sources, &shown)?;
    says::findings(&found, &texts, args.show).into_iter().for_each(&mut *say);
    if errors.is_none() {
        say(says::no_label_errors(one_class, model.is_some()).to_string());
    }
    if let Some(path) = &args.json {
        json::write(path, &audit, errors.as_ref(), &found, &texts)?;
    }
    if let Some(fix) = fix {
        fix.write(&files, &audit, args.fix_near == Switch::On)?.into_iter().for_each(say);
    }
    Ok(())
}

/// The task by the columns of the training file, as for `train`, and how the files are read.
fn files(args: &AuditArgs) -> Result<(TaskName, Files), Failure> {
    let asked = TrainSettings {
        task: args.task,
        label_column: args.label_column.clone(),
        label_separator: args.label_separator,
        ..TrainSettings::default()
    };
    let (task, _) = task::choose(&asked, &headers(&args.train)?);
    if args.label_separator.is_some() && task != TaskName::MultiLabel {
        return Err(usage("--label-separator belongs to --task multi-label"));
    }
    let needed = task::need(task, &asked);
    let columns = &args.columns;
    let mut columns = settings::columns(&columns.text_column, &columns.text_b_column, &args.label_column, needed);
    // A row without a label is counted and not refused.
    let need = match needed {
        Need::Labels => {
            let label = args.label_column.clone().unwrap_or_else(|| needed.label_columns()[0].to_string());
            columns = Some(with_label(columns, &args.train, label)?);
            Need::TextOnly
        }
        _ => needed,
    };
    let paths = [("train", Some(&args.train)), ("validation", args.validation.as_ref()), ("test", args.test.as_ref())];
    let paths: Vec<_> = paths.into_iter().filter_map(|(name, path)| Some((name, path?.clone()))).collect();
    // That there is no column of labels at all is a mistake, with the message that training gives.
    if let Some(label) = columns.as_ref().and_then(|columns| columns.label.as_ref()) {
        for (_, path) in &paths {
            if !headers(path)?.contains(label) {
                read_table_with(path, None, columns.as_ref(), needed)?;
            }
        }
    }
    Ok((task, Files { paths, columns, need }))
}

/// The columns with that of the label, which must be there.
fn with_label(columns: Option<Columns>, train: &Path, label: String) -> Result<Columns, Failure> {
    // What is not named is inferred, as the reader does; it refuses what is not there.
    let inferred = || -> Result<Option<Columns>, Failure> { Ok(Columns::infer(&headers(train)?)) };
    let columns = match columns {
        Some(columns) => Some(columns),
        None => inferred()?,
    };
    let text = Columns { text: "text".to_string(), text_b: None, label: None };
    Ok(Columns { label: Some(label), ..columns.unwrap_or(text) })
}

fn tokenizer(args: &AuditArgs, folder: &Path) -> Result<Tokenizer, Failure> {
    let config = EncoderConfig::from_folder(folder)?;
    let limit = max_length(args.max_length, None, config.longest_sequence())?;
    let tokenizer = Tokenizer::from_folder(folder, limit)?;
    check_vocabulary(&tokenizer, &config, folder)?;
    Ok(tokenizer)
}
