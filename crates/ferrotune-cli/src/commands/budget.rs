//! `train --budget`: times a few steps of the run as it was said, and of cheaper ones, until the best that fits is known. It must not know how ways to
//! run are weighed.

mod sample;

use super::start::Start;
use crate::args::{RecipeName, TrainSettings};
use crate::device::{Machine, Work};
use crate::exit::{Failure, MODEL, STOPPED, io, usage};
use crate::run::folder::{BUDGET, RunFolder, SETTINGS};
use crate::settings::budget::{
    Amounts, Budget, Depth, Open, PLANNED, Passes, Shape, Shown, Way, choose, depths, lengths, parse,
};
use crate::settings::recipes;
use crate::settings::{self, Resolved, merge, resolve};
use crate::terminal::voice::quietly;
use ferrotune_bert::parts::{Part, unfreezing_epoch};
use ferrotune_train::store::replace_file;
use sample::Sample;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// What a run with a budget begins with.
pub struct Asked<'a> {
    /// Flags over file.
    pub said: &'a mut TrainSettings,
    /// What a recipe sets where nothing was said.
    pub recipe: &'a TrainSettings,
    /// When the command began.
    pub begin: Instant,
    /// Set from outside to end.
    pub stop: &'a AtomicBool,
}

/// Chooses length, depth and epochs by measurement, and puts them among what was said. What was said already stays.
///
/// # Errors
/// A budget that is none, that nothing fits into, or that belongs to no single run; what a run would say of its rows and its model.
pub fn fit(asked: Asked<'_>, resume: bool, overwrite: bool) -> Result<Option<Budget>, Failure> {
    let Some(text) = asked.said.budget.take() else { return kept(asked.said.output.as_deref().filter(|_| resume)) };
    let time = parse(&text)?;
    for (flag, is_said) in
        [("seeds", asked.said.seeds.is_some()), ("learning-curve", asked.said.learning_curve.is_some())]
    {
        if is_said {
            return Err(usage(format!(
                "--budget is the time of one run, and --{flag} makes several; leave one of them out"
            )));
        }
    }
    let mut as_said = resolve(asked.said.clone(), asked.recipe.clone())?;
    if resume {
        return resumed(asked.said, asked.recipe, &as_said.output);
    }
    RunFolder::check(&as_said.output, resume, overwrite)?;
    let start = quietly(|| Start::of(&mut as_said))?;
    let device = start.device.clone();
    let fitting = Fitting { asked, as_said, start, seconds: time.as_secs_f64() };
    device.run(fitting).map(Some)
}

/// The budget of a run that goes on with the settings of its own folder, what was chosen for it among these.
fn kept(run: Option<&Path>) -> Result<Option<Budget>, Failure> {
    let Some(path) = run.map(|run| run.join(BUDGET)).filter(|path| path.is_file()) else { return Ok(None) };
    let text = std::fs::read_to_string(&path).map_err(io(format!("cannot read {}", path.display())))?;
    read(&text, &path).map(Some)
}

/// A budget that a run left.
fn read(text: &str, path: &Path) -> Result<Budget, Failure> {
    serde_json::from_str(text).map_err(|error| Failure {
        message: format!("{} is damaged: {error}; begin the run anew with --overwrite", path.display()),
        code: MODEL,
    })
}

/// What was chosen when the run began is what it goes on with: measured again it could be something else.
fn resumed(said: &mut TrainSettings, recipe: &TrainSettings, output: &Path) -> Result<Option<Budget>, Failure> {
    let path = output.join(SETTINGS);
    // A folder without a run is refused by whoever opens it.
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
    let chosen = output.join(BUDGET);
    let budget = std::fs::read_to_string(&chosen).map_err(|_| {
        usage(format!("--resume: the run in {} began without --budget; leave it out", output.display()))
    })?;
    let budget = read(&budget, &chosen)?;
    let before = settings::parse(&text, &path.display().to_string())?;
    let merged = merge(said.clone(), recipe.clone());
    let chosen = TrainSettings {
        epochs: before.epochs.filter(|_| said.epochs.is_none()),
        max_steps: before.max_steps.filter(|_| said.max_steps.is_none()),
        max_length: before.max_length.filter(|_| said.max_length.is_none()),
        freeze: before.freeze.filter(|_| merged.freeze.is_none()),
        lr: before.lr.filter(|_| said.lr.is_none()),
        ..TrainSettings::default()
    };
    *said = merge(said.clone(), chosen);
    eprintln!("budget     as it was chosen when the run began");
    Ok(Some(budget))
}

/// Leaves what was chosen in the folder of a run that begins, for one that goes on with it.
///
/// # Errors
/// The file cannot be written.
pub fn keep(budget: Option<&Budget>, run: &RunFolder) -> Result<(), Failure> {
    let Some(budget) = budget else { return Ok(()) };
    let text = serde_json::to_string(budget).expect("a budget is plain values");
    Ok(replace_file(&run.path().join(BUDGET), format!("{text}\n").as_bytes())?)
}

/// A choice whose device and model are known.
struct Fitting<'a> {
    asked: Asked<'a>,
    as_said: Resolved,
    start: Start,
    seconds: f64,
}

impl Work for Fitting<'_> {
    type Output = Result<Budget, Failure>;

    fn on<B: Machine>(self, backend: B) -> Result<Budget, Failure> {
        fit_on(&backend, self)
    }
}

fn fit_on<B: Machine>(backend: &B, fitting: Fitting<'_>) -> Result<Budget, Failure> {
    let Fitting { asked, as_said, start, seconds } = fitting;
    let left = || seconds - asked.begin.elapsed().as_secs_f64();
    let sample = quietly(|| Sample::<B>::read(&as_said, &start))?;
    let with_recipe = merge(asked.said.clone(), asked.recipe.clone());
    let open = open(asked.said, &with_recipe, &sample, &as_said);
    let measure = |shape: Shape| {
        let mut settings = with_recipe.clone();
        put(&mut settings, asked.said, shape);
        let costs = quietly(|| sample.measure(backend, settings, &start, asked.stop)).map_err(unsaved)?;
        let of = match shape.depth {
            Depth::AsSaid if shape.max_length == as_said.max_length => " as said".to_string(),
            depth => format!(" with {}, {} tokens at most", moving(depth), shape.max_length),
        };
        let [first, later] = [costs.first_step, costs.later_step].map(milliseconds);
        eprintln!("budget     a step{of} takes {first} ms in the first epoch, {later} ms in later ones");
        Ok::<_, Failure>(costs)
    };
    let way = choose(&sample.amounts, &open, left, measure)?.map_err(|shortest| {
        let needed = Shown((shortest.seconds + asked.begin.elapsed().as_secs_f64()) / PLANNED);
        usage(format!(
            "--budget {} is too short: the shortest run that these settings leave open needs about {needed}; give it this time, fewer rows \
             (--train-share), or leave open what was said of --epochs, --max-length or --freeze",
            Shown(seconds)
        ))
    })?;
    let given_up = given_up(&way, &sample.amounts, &as_said, asked.said);
    put(asked.said, &asked.said.clone(), way.shape);
    match way.passes {
        Passes::Epochs(epochs) => asked.said.epochs = Some(epochs),
        Passes::Part(steps) => (asked.said.epochs, asked.said.max_steps) = (Some(1), Some(steps)),
    }
    let foreseen_seconds = way.seconds + asked.begin.elapsed().as_secs_f64();
    let all = if given_up.is_empty() { "nothing".to_string() } else { given_up.join("; ") };
    eprintln!("budget     {} of {}; given up: {all}", Shown(foreseen_seconds), Shown(seconds));
    Ok(Budget { seconds, foreseen_seconds, given_up, begin: Some(asked.begin) })
}

/// A stop while steps are timed leaves nothing that could be resumed.
fn unsaved(failure: Failure) -> Failure {
    match failure.code {
        STOPPED => {
            Failure { message: "stopped on request while steps were timed; nothing was saved".to_string(), code: 130 }
        }
        _ => failure,
    }
}

/// What nobody said may be given up.
fn open<B: Machine>(said: &TrainSettings, with_recipe: &TrainSettings, sample: &Sample<B>, as_said: &Resolved) -> Open {
    let s = with_recipe;
    let by_layer =
        s.lora_rank.is_some() || s.gradual_unfreezing.is_some() || s.reinit_layers.is_some() || as_said.bitfit;
    let depths = match s.freeze.is_some() || by_layer {
        true => vec![Depth::AsSaid],
        false => depths(sample.amounts.layers),
    };
    // L2-SP holds the encoder's weights where they were, and with the head alone none of them moves.
    let depths = depths.into_iter().filter(|&depth| depth != Depth::Head || as_said.l2_sp == 0.0).collect();
    let lengths = match said.max_length {
        Some(_) => lengths(&[], as_said.max_length),
        None => lengths(&sample.lengths, as_said.max_length),
    };
    let fewest_epochs = match said.epochs.is_some() || said.max_steps.is_some() {
        true => as_said.numbers.epochs,
        false => fewest_epochs(as_said, sample.amounts.layers),
    };
    Open { depths, lengths, fewest_epochs }
}

/// The fewest epochs in which everything that was said can be done; 0 if a part of one will do.
fn fewest_epochs(as_said: &Resolved, layers: usize) -> u64 {
    let averaged = as_said.numbers.average_best;
    let thawed =
        as_said.gradual_unfreezing.map_or(0, |an_epoch| unfreezing_epoch(Part::Embeddings, layers, an_epoch) + 1);
    let fewest = thawed.max(if averaged > 1 { averaged as u64 } else { 0 });
    fewest.min(as_said.numbers.epochs)
}

/// The rate that few moving layers want, where none was said: that of the recipe which moves as few.
fn rate(depth: Depth) -> Option<f64> {
    match depth {
        Depth::AsSaid => None,
        Depth::Top(_) => recipes::settings(RecipeName::Article).lr,
        Depth::Head => recipes::settings(RecipeName::HeadOnly).lr,
    }
}

/// The settings of a shape; `said` is what a person said of them.
fn put(settings: &mut TrainSettings, said: &TrainSettings, shape: Shape) {
    settings.max_length = Some(shape.max_length);
    settings.freeze = match shape.depth {
        Depth::AsSaid => return,
        Depth::Top(top) => Some(format!("all-but.{top}")),
        Depth::Head => Some("encoder".to_string()),
    };
    settings.lr = said.lr.or(rate(shape.depth));
}

fn milliseconds(seconds: f64) -> String {
    let shown = 1000.0 * seconds;
    if shown < 10.0 { format!("{shown:.2}") } else { format!("{shown:.0}") }
}

fn moving(depth: Depth) -> String {
    match depth {
        Depth::AsSaid => "what was said".to_string(),
        Depth::Top(1) => "one layer and the head moving".to_string(),
        Depth::Top(top) => format!("{top} layers and the head moving"),
        Depth::Head => "the head alone moving".to_string(),
    }
}

/// What a way gives up, a phrase each.
fn given_up(way: &Way, amounts: &Amounts, as_said: &Resolved, said: &TrainSettings) -> Vec<String> {
    let mut given_up = Vec::new();
    match way.passes {
        Passes::Epochs(epochs) if epochs == amounts.epochs => {}
        Passes::Epochs(epochs) => {
            given_up.push(format!("{} of {} epochs (--epochs)", amounts.epochs - epochs, amounts.epochs))
        }
        Passes::Part(steps) => given_up.push(format!(
            "all epochs but {:.0} % of one ({steps} steps, --max-steps)",
            100.0 * steps as f64 / amounts.epoch_steps as f64
        )),
    }
    if way.shape.depth != Depth::AsSaid {
        let rate = rate(way.shape.depth).filter(|_| said.lr.is_none());
        let rate = rate.map(|rate| format!(", at a rate of {rate:e}")).unwrap_or_default();
        given_up.push(format!("depth: {} of {} layers{rate} (--freeze)", moving(way.shape.depth), amounts.layers));
    }
    if way.shape.max_length != as_said.max_length {
        given_up.push(format!(
            "length: rows end after {} tokens instead of {}, {:.1} % of all tokens (--max-length)",
            way.shape.max_length,
            as_said.max_length,
            100.0 * (1.0 - way.kept)
        ));
    }
    given_up
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_gets_the_epochs_that_it_needs() {
        for (text, layers, expected) in [
            ("epochs = 20\naverage-best = 19", 6, 19),
            ("epochs = 8\ngradual-unfreezing = 2", 12, 8),
            ("epochs = 9\ngradual-unfreezing = 2", 12, 8),
            ("epochs = 9\ngradual-unfreezing = 2\naverage-best = 3", 2, 3),
            ("epochs = 5", 12, 0),
        ] {
            let said = settings::parse(&format!("model = 'm'\ntrain = 't.csv'\noutput = 'o'\n{text}"), "f");
            let resolved =
                said.and_then(|said| resolve(said, TrainSettings::default())).map_err(|f| f.message).unwrap();
            assert_eq!(fewest_epochs(&resolved, layers), expected, "{text}");
        }
    }
}
