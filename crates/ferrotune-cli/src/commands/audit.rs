//! `ferrotune audit`: what is wrong with the rows, said before anybody trains on them. What is looked for is the data crate's affair.

mod fix;
mod json;
mod says;
#[cfg(test)]
mod tests;

use crate::args::{AuditArgs, Switch, TaskName, TrainSettings};
use crate::audit::{findings, judge};
use crate::device::threads::use_threads;
use crate::exit::{Failure, usage};
use crate::model::find::{find_model, max_length};
use crate::rows::data::check_vocabulary;
use crate::rows::{inputs, task};
use ferrotune_bert::EncoderConfig;
use ferrotune_data::{AuditRows, AuditSettings, Need, Part, Source, Tokenizer, Wanted, audit, rows_at};
use std::collections::BTreeSet;
use std::path::Path;

/// The files that are looked at.
struct Files {
    /// Names of splits and where their rows are, the training rows first.
    splits: Vec<(&'static str, Source)>,
    columns: Option<Wanted>,
    /// What a row must have for the audit: less than training needs where the audit counts what is missing.
    need: Need,
}

impl Files {
    fn sources(&self) -> Vec<(&'static str, AuditRows<'_>)> {
        let rows = |source| AuditRows::Files { source, columns: self.columns.as_ref(), need: self.need };
        self.splits.iter().map(|(name, source)| (*name, rows(source))).collect()
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
    let fix = args.fix.as_deref().map(|folder| fix::Fix::check(folder, &files.splits, args.overwrite)).transpose()?;
    json::check(args.json.as_deref(), &files.splits, args.overwrite)?;
    let model = args.model.as_deref().map(find_model).transpose()?.map(|model| model.folder);
    let tokenizer = model.as_deref().map(|folder| tokenizer(args, folder, files.need.words())).transpose()?;

    let sources = files.sources();
    let settings = AuditSettings { need: files.need, tokenizer: tokenizer.as_ref(), near: true, languages: true };
    let audit = audit(&sources, settings)?;
    audit.splits.iter().for_each(|split| say(says::split(split)));
    let one_class = matches!(task, TaskName::Classification | TaskName::Binary);
    let errors = match (&model, &tokenizer) {
        (Some(folder), Some(tokenizer)) if one_class => {
            let table = files.splits[0].1.read(files.columns.as_ref(), files.need)?;
            judge(&table, folder, tokenizer)?
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
    let mut asked = TrainSettings {
        train: Some(args.train.clone()),
        validation: args.validation.clone(),
        test: args.test.clone(),
        task: args.task,
        text_column: args.columns.text_column.clone(),
        label_column: args.label_column.clone(),
        label_separator: args.label_separator,
        ..TrainSettings::default()
    };
    inputs::choose(&mut asked);
    let parts = [(Part::Train, &asked.train), (Part::Validation, &asked.validation), (Part::Test, &asked.test)];
    let splits = parts
        .into_iter()
        .filter_map(|(part, path)| Some((part, path.as_ref()?)))
        .map(|(part, path)| Ok::<_, Failure>((part.name(), Source::find(path, part)?)))
        .collect::<Result<Vec<_>, _>>()?;
    let train = &splits[0].1;
    let (task, _) = task::choose(&asked, &train.headers()?);
    if args.label_separator.is_some() && task != TaskName::MultiLabel {
        return Err(usage("--label-separator belongs to --task multi-label"));
    }
    let needed = task::need(task, &asked);
    let columns = &args.columns;
    let mut columns = columns.with_label(&args.label_column);
    // That there is no column of labels at all is a mistake, with the message that training gives; a row without one is counted and not refused.
    let need = match needed {
        Need::Labels => {
            columns = Some(train.columns(columns.as_ref(), needed)?.into());
            Need::TextOnly
        }
        _ => needed,
    };
    for (_, source) in &splits {
        source.columns(columns.as_ref(), needed)?;
    }
    Ok((task, Files { splits, columns, need }))
}

fn tokenizer(args: &AuditArgs, folder: &Path, words: bool) -> Result<Tokenizer, Failure> {
    let config = EncoderConfig::from_folder(folder)?;
    let limit = max_length(args.max_length, None, config.longest_sequence())?;
    let tokenizer = Tokenizer::from_folder(folder, limit)?;
    check_vocabulary(&tokenizer, &config, folder)?;
    tokenizer.contradictions(folder, words).iter().for_each(|line| eprintln!("warning: {line}"));
    Ok(tokenizer)
}
