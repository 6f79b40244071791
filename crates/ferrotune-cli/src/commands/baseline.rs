//! `ferrotune baseline`: what fine-tuning has to beat, in seconds. It reads, holds out and measures the rows that `train` would with the same files.

use super::{find_model, use_threads};
use crate::args::{BaselineArgs, TrainSettings};
use crate::baselines::{Baselines, Encoder};
use crate::exit::{Failure, usage};
use crate::{held_out, inputs, settings};
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
        ..TrainSettings::default()
    };
    inputs::choose(&mut asked);
    let held = settings::held_out(&asked)?;
    let need = Need::Labels;
    let columns = &args.columns;
    let columns = settings::columns(&columns.text_column, &columns.text_b_column, &args.label_column, need);
    let read = |path, part| Source::find(path, part)?.read(columns.as_ref(), need);
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
