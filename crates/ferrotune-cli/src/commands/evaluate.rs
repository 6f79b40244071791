//! `ferrotune evaluate`: measures a fine-tuned model on labelled rows.

use crate::args::EvaluateArgs;
use crate::device::threads::use_threads;
use crate::device::{Machine, Work, device};
use crate::exit::Failure;
use crate::model::find::find_model;
use crate::model::fine_tuned::{Cutter, FineTuned};
use crate::results::confidence::Confidence;
use crate::results::depth::Depth;
use crate::results::further::{self, Evaluated, Further, nearest};
use crate::results::report;
use crate::rows::data::cut;
use crate::rows::inputs;
use ferrotune_train::metrics::Report;
use ferrotune_train::model::Split;
use serde::Serialize;

/// What `--json` prints.
#[derive(Serialize)]
struct Evaluation<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(flatten)]
    depth: Option<&'a Depth>,
    #[serde(flatten)]
    further: Option<&'a Further>,
    #[serde(flatten)]
    confidence: Option<&'a Confidence>,
}

/// Runs the command.
pub fn run(args: &EvaluateArgs) -> Result<(), Failure> {
    use_threads(args.threads)?;
    device(args.device.device(), args.device.precision)?.run(args)
}

impl Work for &EvaluateArgs {
    type Output = Result<(), Failure>;

    fn on<B: Machine>(self, backend: B) -> Result<(), Failure> {
        run_on(&backend, self)
    }
}

fn run_on<B: Machine>(backend: &B, args: &EvaluateArgs) -> Result<(), Failure> {
    let folder = find_model(&args.model)?.folder;
    let mut model = FineTuned::read(backend, folder)?;
    further::check(args, model.task.name())?;
    let columns = model.columns(args.columns.with_label(&args.label_column), true);
    let source = inputs::measured(&args.data)?;
    let (table, fields) = source.read_keeping(columns.as_ref(), model.task.need(), &args.further.slice_by)?;
    model.check_pair(table.pair, args.data.display())?;
    let Cutter { tokenizer, limit, long_texts } = model.cutter(args.max_length)?;
    let encoded = tokenizer.encode(&table.rows)?;
    let targets = model.task.targets(&table, &encoded)?;
    let split = Split::of_rows(encoded, targets);
    let logits = model.logits(backend, &split.encoded)?;
    let FineTuned { folder, notes, task, .. } = &model;
    let targets = split.row_targets();
    let result = task.report(&logits, &targets);
    let classified = task.classified(&logits, &targets);
    let (mut depth, mut further) = (None, None);
    if let Some(classified) = &classified {
        let (columns, fields) = (columns.as_ref(), fields.as_slice());
        let evaluated = Evaluated { args, folder, tokenizer: &tokenizer, table: &table, columns, fields, classified };
        let mut shown = Depth::new(classified, &table.rows, args.mistakes, args.further.seed);
        if let (Some(train), Some(most)) = (&args.further.nearest, args.mistakes) {
            let mistakes: Vec<usize> = classified.mistakes(most).iter().map(|mistake| mistake.row).collect();
            shown = shown.with_nearest(nearest(backend, &evaluated, train, &mistakes)?);
        }
        depth = Some(shown);
        further = Some(Further::of(backend, &evaluated)?);
    }
    let confidence = Confidence::of(task.as_ref(), &logits, &targets, notes.calibration.as_ref());
    if args.json {
        let evaluation = Evaluation {
            report: &result,
            depth: depth.as_ref(),
            further: further.as_ref(),
            confidence: confidence.as_ref(),
        };
        println!("{}", serde_json::to_string_pretty(&evaluation).expect("a report is plain numbers"));
    } else {
        if let Some(cut) = cut(&split.encoded, limit, long_texts) {
            eprintln!("{} rows, {cut}", table.rows.len());
        }
        println!("{}", report::text("result", &result));
        depth.iter().for_each(|depth| println!("{}", depth.text()));
        confidence.iter().for_each(|confidence| println!("{}", confidence.text()));
        further.iter().for_each(|further| print!("{}", further.text()));
    }
    if let Some(warning) = further.as_ref().and_then(Further::warning) {
        eprintln!("warning: {warning}");
    }
    Ok(())
}
