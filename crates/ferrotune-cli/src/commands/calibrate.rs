//! `ferrotune calibrate`: fits the temperature of a model's probabilities to labelled rows, and a threshold below which it abstains, and writes both
//! into the model folder.

use crate::args::CalibrateArgs;
use crate::device::threads::use_threads;
use crate::device::{Machine, Work, device};
use crate::exit::{DATA, Failure, MODEL, usage};
use crate::hub;
use crate::model::calibrated::{Calibration, Fitted};
use crate::model::find::find_model;
use crate::model::fine_tuned::{Cutter, FineTuned};
use crate::model::notes::Notes;
use crate::results::confidence::{answered, chosen_for, percent, ranked, table};
use crate::rows::data::cut;
use crate::run::manifest::learned_from;
use ferrotune_data::{Part, Source};
use ferrotune_train::calibration::{Abstention, NoFit, Ranked};
use ferrotune_train::model::Split;
use ferrotune_train::tasks::Task;
use serde_json::json;

#[cfg(test)]
mod tests;

/// Runs the command.
pub fn run(args: &CalibrateArgs) -> Result<(), Failure> {
    use_threads(args.threads)?;
    calibrate(args, &mut |line| println!("{line}"))
}

/// What the command does, and says line by line.
fn calibrate(args: &CalibrateArgs, say: &mut dyn FnMut(String)) -> Result<(), Failure> {
    check(args)?;
    device(args.device.device(), args.device.precision)?.run(One { args, say })
}

struct One<'a> {
    args: &'a CalibrateArgs,
    say: &'a mut dyn FnMut(String),
}

impl Work for One<'_> {
    type Output = Result<(), Failure>;

    fn on<B: Machine>(self, backend: B) -> Result<(), Failure> {
        run_on(&backend, self.args, self.say)
    }
}

/// Refuses values out of their ranges, before anything is read.
fn check(args: &CalibrateArgs) -> Result<(), Failure> {
    let within = |flag: &str, value: Option<f64>, fits: fn(f64) -> bool, rule: &str| match value {
        Some(value) if !fits(value) => Err(usage(format!("--{flag} is {value}; it must be {rule}"))),
        _ => Ok(()),
    };
    let target = args.target_accuracy;
    within("target-accuracy", target, |x| x > 0.0 && x < 1.0, "above 0 and below 1, as 0.98")?;
    within("certainty", target.map(|_| args.certainty), |x| (0.0..1.0).contains(&x), "at least 0 and below 1")?;
    within("abstain-below", args.abstain_below, |x| (0.0..=1.0).contains(&x), "a probability, between 0 and 1")
}

fn run_on<B: Machine>(backend: &B, args: &CalibrateArgs, say: &mut dyn FnMut(String)) -> Result<(), Failure> {
    let found = find_model(&args.model)?;
    if found.source != hub::Source::Folder {
        let message = "--model is a hub id, whose files are shared: name a folder of your own, into which ferrotune.json can be written";
        return Err(usage(message));
    }
    let mut model = FineTuned::read(backend, found.folder)?;
    check_task(args, model.task.as_mut())?;
    let columns = model.columns(args.columns.with_label(&args.label_column), true);
    let source = Source::find(&args.data, Part::Validation)?;
    if learned_from(&model.folder, &source.files) {
        eprintln!(
            "warning: the model learned from {}: it is surer of these rows than of others, and what is promised by them will not hold; name rows that it has not seen",
            args.data.display()
        );
    }
    let table_of_rows = source.read(columns.as_ref(), model.task.need())?;
    model.check_pair(table_of_rows.pair, args.data.display())?;
    let Cutter { tokenizer, limit, long_texts } = model.cutter(None)?;
    let encoded = tokenizer.encode(&table_of_rows.rows)?;
    if let Some(cut) = cut(&encoded, limit, long_texts) {
        eprintln!("{} rows, {cut}", table_of_rows.rows.len());
    }
    let targets = model.task.targets(&table_of_rows, &encoded)?;
    let split = Split::of_rows(encoded, targets);
    let logits = model.logits(backend, &split.encoded)?;
    let FineTuned { folder, mut notes, mut task, .. } = model;
    let targets = split.row_targets();

    let fitted = Fitted::to(task.as_mut(), &logits, &targets).expect("the task has a temperature");
    let refuse = |why: &NoFit, code| Err(Failure { message: format!("{}: {why}", args.data.display()), code });
    match &fitted {
        Err(why @ NoFit::FewRows(_)) => return refuse(why, DATA),
        Err(why @ NoFit::NotFinite) => return refuse(why, MODEL),
        Err(NoFit::AllRight(_)) | Ok(_) => {}
    }
    let ranked = ranked(task.as_ref(), &logits, &targets);
    let abstention = ranked.as_ref().map(|ranked| choose(args, ranked)).transpose()?.flatten();
    let rows = table_of_rows.rows.len();
    let temperature = fitted.as_ref().map_or(1.0, |fitted| fitted.fit.temperature);
    let dropped = notes.calibration.and_then(|earlier| earlier.abstention).filter(|_| abstention.is_none());
    notes.calibration = Some(Calibration { temperature, rows, abstention });
    notes.write(&folder)?;
    let calibrated = Calibrated { rows, fitted, ranked, abstention, dropped };
    if args.json {
        say(calibrated.json());
    } else {
        calibrated.say(args, say);
        say(format!("wrote       {}", Notes::file(&folder).display()));
    }
    Ok(())
}

/// Refuses a task without probabilities, and abstention of one without a class a row.
fn check_task<B: Machine>(args: &CalibrateArgs, task: &mut dyn Task<B>) -> Result<(), Failure> {
    let name = task.name();
    if task.temperature().is_none() {
        return Err(usage(format!(
            "the task of this model is {name}, which gives no probabilities of rows: nothing to calibrate"
        )));
    }
    let abstains = args.target_accuracy.is_some() || args.abstain_below.is_some();
    if abstains && !matches!(name, "classification" | "binary") {
        return Err(usage(format!(
            "a model abstains from rows with one class each; the task of this model is {name}: leave out --target-accuracy and --abstain-below"
        )));
    }
    Ok(())
}

/// What was found, and what was chosen.
struct Calibrated {
    rows: usize,
    fitted: Result<Fitted, NoFit>,
    ranked: Option<Ranked>,
    abstention: Option<Abstention>,
    /// The threshold of the calibration before, which is no longer.
    dropped: Option<Abstention>,
}

impl Calibrated {
    fn json(&self) -> String {
        let fitted = self.fitted.as_ref();
        let said = json!({
            "rows": self.rows,
            "temperature": fitted.map_or(1.0, |fitted| fitted.fit.temperature),
            "standard_error": fitted.ok().and_then(|fitted| fitted.fit.standard_error),
            "not_fitted": fitted.err().map(NoFit::to_string),
            "effect": fitted.ok().map(|fitted| fitted.effect),
            "risk_coverage": self.ranked.as_ref().map(Ranked::risk_coverage),
            "abstention": self.abstention,
        });
        format!("{said:#}")
    }

    fn say(&self, args: &CalibrateArgs, say: &mut dyn FnMut(String)) {
        match &self.fitted {
            Ok(fitted) => {
                let (rows, file) = (self.rows, args.data.display());
                say(format!("calibration {} on {rows} rows of {file}", fitted.temperature()));
                say(format!("            {}, on the rows that it was fitted on", fitted.effect.text()));
            }
            Err(why) => say(format!("calibration none: {why}")),
        }
        if let Some(ranked) = &self.ranked {
            say(table(&ranked.risk_coverage()));
        }
        if let Some(chosen) = &self.abstention {
            say(format!("abstains    below probability {:.6}: {}", chosen.below, answered(chosen)));
            chosen_for(chosen).into_iter().for_each(|why| say(format!("            {why}")));
            let lucky = chosen.target_accuracy.filter(|_| chosen.certainty > 0.0).zip(self.ranked.as_ref());
            if let Some(Ok(lucky)) = lucky.map(|(target, ranked)| Abstention::meeting(target, ranked)) {
                say(format!("            with --certainty 0: below {:.6}, {}", lucky.below, answered(&lucky)));
            }
        }
        if let Some(earlier) = &self.dropped {
            say(format!(
                "abstains    no longer: the threshold {:.6} belonged to the calibration before; say --target-accuracy or --abstain-below again",
                earlier.below
            ));
        }
    }
}

/// The threshold that was asked for.
///
/// # Errors
/// A target that no threshold meets.
fn choose(args: &CalibrateArgs, ranked: &Ranked) -> Result<Option<Abstention>, Failure> {
    if let Some(below) = args.abstain_below {
        return Ok(Some(Abstention::below(below, ranked)));
    }
    let Some(target) = args.target_accuracy else { return Ok(None) };
    let (rows, file) = (ranked.rows(), args.data.display());
    let refuse = |message: String| Err(Failure { message, code: DATA });
    if args.certainty == 0.0 {
        return match Abstention::meeting(target, ranked) {
            Ok(chosen) => Ok(Some(chosen)),
            Err(_) => refuse(format!(
                "{file}: no threshold gives an accuracy of {} % on these {rows} rows: even the surest of them are wrong too often; ask for less",
                percent(target)
            )),
        };
    }
    match Abstention::guaranteeing(target, args.certainty, ranked) {
        Ok(chosen) => Ok(Some(chosen)),
        Err(none) => refuse(format!(
            "{file}: no threshold makes it {} % sure that the accuracy is at least {} %, with these {rows} rows: it takes {} answered rows without \
             an error, or more with some; bring more rows, ask for less, or say a lower --certainty",
            percent(args.certainty),
            percent(target),
            none.needed
        )),
    }
}
