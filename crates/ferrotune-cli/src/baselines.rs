//! What a fine-tuned classifier has to beat, computed before training and shown beside its result: the most frequent class, logistic regression on
//! words, and, if asked, on what the frozen encoder says. It must not know the loop.

use crate::commands::{max_length, on_pool};
use crate::exit::Failure;
use crate::hidden_means::hidden_means;
use ferrotune_bert::EncoderConfig;
use ferrotune_data::Tokenizer;
use ferrotune_tensor::{Backend, Cpu, Pool};
use ferrotune_train::baselines::{ClassRows, majority, of_probabilities, words};
use ferrotune_train::metrics::{Classified, Compared, Interval, Intervals, paired};
use ferrotune_train::probe::{Features, Probe, Standard, enough_epochs};
use ferrotune_train::tasks::{Targets, Task};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// The order of the probe's steps, and the draws of intervals, are the same in every run.
const SEED: u64 = 0;

/// One baseline.
pub struct Baseline {
    /// What it is, for a person.
    pub name: &'static str,
    /// What it says of the measured rows.
    pub said: Classified,
    /// How long it took.
    pub seconds: f64,
}

/// The baselines of a run.
pub struct Baselines {
    /// The rows that are measured: test, or validation.
    pub split: &'static str,
    /// The weakest first.
    pub all: Vec<Baseline>,
}

/// How the encoder is asked.
pub struct Encoder<'a> {
    /// The model folder.
    pub folder: &'a Path,
    /// Tokens that are read of a row [default: as for train].
    pub max_length: Option<usize>,
}

/// The names of the classes by number, of a task whose rows have one each.
pub fn class_names<B: Backend>(task: &dyn Task<B>) -> Option<Vec<String>> {
    task.classified(&[], &Targets::Classes(Vec::new())).map(|nothing| nothing.names)
}

impl Baselines {
    /// Fits baselines on `train` and asks them about `measured`, with a probe of the encoder if there is one.
    ///
    /// # Errors
    /// A regression that comes to no end; a model that cannot be read.
    pub fn of(
        names: &[String],
        train: ClassRows<'_>,
        (split, measured): (&'static str, ClassRows<'_>),
        encoder: Option<Encoder<'_>>,
    ) -> Result<Baselines, Failure> {
        let timed = |name, say: &dyn Fn() -> Result<Classified, Failure>| {
            let clock = Instant::now();
            let said = say()?;
            Ok::<_, Failure>(Baseline { name, said, seconds: clock.elapsed().as_secs_f64() })
        };
        let mut all = vec![
            timed("most frequent class", &|| Ok(majority(train.classes, measured.classes, names)))?,
            timed("TF-IDF + logistic regression", &|| Ok(words(train, measured, names)?))?,
        ];
        if let Some(encoder) = encoder {
            let probe = || probe(train, measured, names, &encoder);
            all.push(timed("frozen encoder + logistic regression", &probe)?);
        }
        Ok(Baselines { split, all })
    }

    /// The figures of each.
    pub fn measured(&self) -> Vec<Measured> {
        let measured = |baseline: &Baseline| {
            let confusion = baseline.said.confusion();
            Some(Measured {
                baseline: baseline.name,
                rows: self.split,
                accuracy: confusion.accuracy(),
                accuracy_interval: Intervals::of(&baseline.said, SEED)?.accuracy,
                f1_macro: confusion.f1_macro(),
                seconds: baseline.seconds,
            })
        };
        self.all.iter().filter_map(measured).collect()
    }

    /// A line for each.
    pub fn lines(&self) -> Vec<String> {
        let line = |said: Measured| {
            let [accuracy, low, high] =
                [said.accuracy, said.accuracy_interval.low, said.accuracy_interval.high].map(|x| 100.0 * x);
            let (name, split, f1, seconds) = (said.baseline, said.rows, said.f1_macro, said.seconds);
            format!(
                "{name:<35}  {split} accuracy {accuracy:.2} % ({low:.2} to {high:.2})   macro F1 {f1:.4}   {seconds:.1} s"
            )
        };
        self.measured().into_iter().map(line).collect()
    }

    /// Each beside what the fine-tuned model says of the same rows.
    pub fn beside(&self, model: &Classified) -> Vec<Beside> {
        let beside = |(measured, baseline): (Measured, &Baseline)| {
            let said = &baseline.said;
            let compared = paired(&said.labels, &model.predictions, &said.predictions, said.names.len(), SEED)?;
            let (accuracy_gain, f1_macro_gain) = (compared.accuracy.into(), compared.f1_macro.into());
            Some(Beside { measured, accuracy_gain, f1_macro_gain })
        };
        self.measured().into_iter().zip(&self.all).filter_map(beside).collect()
    }
}

/// What a baseline came to.
#[derive(Serialize)]
pub struct Measured {
    baseline: &'static str,
    rows: &'static str,
    accuracy: f64,
    accuracy_interval: Interval,
    f1_macro: f64,
    seconds: f64,
}

/// A baseline beside the fine-tuned model, on the same rows.
#[derive(Serialize)]
pub struct Beside {
    #[serde(flatten)]
    measured: Measured,
    accuracy_gain: Gain,
    f1_macro_gain: Gain,
}

/// By how much the fine-tuned model is better.
#[derive(Serialize)]
struct Gain {
    difference: f64,
    interval: Interval,
}

impl From<Compared> for Gain {
    fn from(compared: Compared) -> Gain {
        Gain { difference: compared.difference, interval: compared.interval }
    }
}

impl Beside {
    /// A line for a person. An interval that has 0 in it is said to show nothing.
    pub fn line(&self) -> String {
        let Gain { difference, interval: Interval { low, high } } = self.accuracy_gain;
        let verdict = if low <= 0.0 && high >= 0.0 { ": no difference beyond chance" } else { "" };
        format!(
            "{}: accuracy {:.2} %, fine-tuning gains {:+.2} points (95 % interval {:+.2} to {:+.2}){verdict}",
            self.measured.baseline,
            100.0 * self.measured.accuracy,
            100.0 * difference,
            100.0 * low,
            100.0 * high
        )
    }
}

/// Logistic regression on the mean of the encoder's last hidden states.
fn probe(
    train: ClassRows<'_>,
    measured: ClassRows<'_>,
    names: &[String],
    encoder: &Encoder<'_>,
) -> Result<Classified, Failure> {
    let limit = max_length(encoder.max_length, None, EncoderConfig::from_folder(encoder.folder)?.longest_sequence())?;
    let tokenizer = Tokenizer::from_folder(encoder.folder, limit)?;
    let tokens = [tokenizer.encode(train.rows)?, tokenizer.encode(measured.rows)?];
    let said = hidden_means(encoder.folder, &tokenizer, &[&tokens[0], &tokens[1]])?;
    let [mut learned, mut asked]: [Vec<f32>; 2] = said.parts.try_into().expect("two tables were read");
    let standard = Standard::of(&learned, said.width);
    [&mut learned, &mut asked].into_iter().for_each(|values| standard.apply(values));
    let features = |values| Features { values, width: said.width };
    let mut probabilities = Vec::with_capacity(measured.rows.len() * names.len());
    on_pool(|| {
        let pool = &mut Pool::new(Cpu);
        let all: Vec<usize> = (0..train.rows.len()).collect();
        let epochs = enough_epochs(all.len());
        let probe = Probe::fit(&Cpu, pool, features(&learned), train.classes, &all, names.len(), epochs, SEED);
        let all: Vec<usize> = (0..measured.rows.len()).collect();
        probe.probabilities(&Cpu, pool, features(&asked), &all, |_, p| {
            probabilities.extend(p.iter().copied().map(f64::from))
        });
    });
    Ok(of_probabilities(probabilities, measured.classes, names))
}
