//! `ferrotune baseline`: what fine-tuning has to beat, in seconds. It reads, holds out and measures the rows that `train` would with the same files.

use crate::args::{BaselineArgs, TaskName, TrainSettings};
use crate::device::threads::use_threads;
use crate::exit::{DATA, Failure, usage};
use crate::model::find::find_model;
use crate::results::baselines::{Baselines, Encoder};
use crate::rows::{held_out, inputs, task};
use crate::settings;
use ferrotune_data::{Labels, Need, Part, Source, encode_labels};
use ferrotune_train::baselines::ClassRows;
use serde_json::json;

/// Runs the command.
pub fn run(args: &BaselineArgs) -> Result<(), Failure> {
    use_threads(args.threads)?;
    let mut asked = TrainSettings {
        train: Some(args.train.clone()),
        validation: args.validation.clone(),
        validation_share: args.validation_share,
        test: args.test.clone(),
        seed: Some(args.seed),
        text_column: args.columns.text_column.clone(),
        label_column: args.label_column.clone(),
        ..TrainSettings::default()
    };
    inputs::choose(&mut asked);
    let held = settings::held_out(&asked)?;
    let need = Need::Labels;
    let columns = &args.columns;
    let columns = columns.with_label(&args.label_column);
    let read = |path, part| Source::find(path, part)?.read(columns.as_ref(), need);
    check_task(&asked, &Source::find(&args.train, Part::Train)?)?;
    let mut train = read(&args.train, Part::Train)?;
    let validation = asked.validation.as_ref().map(|path| read(path, Part::Validation)).transpose()?;
    let test = asked.test.as_ref().map(|path| read(path, Part::Test)).transpose()?;
    // Of all rows, as train does: a class may be in the rows held out alone.
    let labels = Labels::from_table(&train)?;
    let taken = held.map(|asked| held_out::take(&mut train, need, asked)).transpose()?;
    let measured = test.map(|table| ("test", table)).or(validation.or(taken).map(|table| ("validation", table)));
    let Some((split, measured)) = measured else {
        return Err(usage(
            "nothing is measured: name --test or --validation, or hold rows out with --validation-share",
        ));
    };
    eprintln!("rows       {} to learn from, {} {split} rows to measure", train.rows.len(), measured.rows.len());
    let (learned, wanted) = (encode_labels(&train, &labels)?, encode_labels(&measured, &labels)?);
    let model = args.model.as_deref().map(find_model).transpose()?;
    let encoder = model.as_ref().map(|model| Encoder { folder: &model.folder, max_length: args.max_length });
    let train = ClassRows { rows: &train.rows, classes: &learned };
    let measured = ClassRows { rows: &measured.rows, classes: &wanted };
    let found = Baselines::of(labels.names(), train, (split, measured), encoder)?;
    if args.json {
        let said = json!({ "train_rows": train.rows.len(), "baselines": found.measured() });
        println!("{said:#}");
    } else {
        found.lines().iter().for_each(|line| println!("{line}"));
    }
    Ok(())
}

/// Refuses rows that `train` would learn another task from: they have no column of one class a row.
fn check_task(asked: &TrainSettings, train: &Source) -> Result<(), Failure> {
    let (name, why) = task::choose(asked, &train.headers()?);
    // A column that was named is taken as it is said here; but words have no class of their row.
    if name == TaskName::Classification || name != TaskName::Tokens && asked.label_column.is_some() {
        return Ok(());
    }
    let message = format!(
        "{}: baselines are for one class a row, and these rows are for {} ({why}); if a column has one class a row, name it with --label-column",
        train.name.display(),
        task::shown(name)
    );
    Err(Failure { message, code: DATA })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_other_tasks_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        for (header, label_column, says) in [
            (
                "text,labels",
                None,
                Some("one class a row, and these rows are for multi-label (the file has the column labels)"),
            ),
            ("text,score", None, Some("these rows are for regression")),
            ("text,labels", Some("labels"), None),
            ("text,label", None, None),
            // What is missing is for the reader to say.
            ("text,lable", None, None),
        ] {
            std::fs::write(&path, format!("{header}\na,b\n")).unwrap();
            let asked = TrainSettings { label_column: label_column.map(str::to_string), ..TrainSettings::default() };
            let said = check_task(&asked, &Source::file(&path)).err().map(|failure| failure.message);
            assert_eq!(said.is_some(), says.is_some(), "{header}: {said:?}");
            assert!(says.is_none_or(|says| said.unwrap().contains(says)), "{header}");
        }
    }
}
