//! What a fine-tuned classifier has to beat, computed before training and shown beside its result: the most frequent class, logistic regression on
//! words, and, if asked, on what the frozen encoder says. It must not know the loop.

use crate::device::threads::on_pool;
use crate::exit::Failure;
use crate::model::find::max_length;
use crate::model::hidden_means::hidden_means;
use ferrotune_bert::EncoderConfig;
use ferrotune_data::Tokenizer;
use ferrotune_tensor::{Backend, Cpu, Pool};
use ferrotune_train::baselines::{ClassRows, majority, of_probabilities, words};
use ferrotune_train::metrics::{Classified, Gain, Interval, Intervals, gains};
use ferrotune_train::probe::{Features, Probe, Standard, enough_epochs};
use ferrotune_train::tasks::{Targets, Task};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// The order of the probe's steps, and the draws of intervals, are the same in every run.
const SEED: u64 = 0;

/// One baseline.
pub struct Baseline {
    /// Its figures.
    measured: Measured,
    /// What it says of the measured rows.
    said: Classified,
}

/// The baselines of a run.
pub struct Baselines {
    /// The weakest first.
    all: Vec<Baseline>,
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
            let seconds = clock.elapsed().as_secs_f64();
            Ok::<_, Failure>(Baseline { measured: Measured::of(name, split, &said, seconds), said })
        };
        let mut all = vec![
            timed("most frequent class", &|| Ok(majority(train.classes, measured.classes, names)))?,
            timed("TF-IDF + logistic regression", &|| Ok(words(train, measured, names)?))?,
        ];
        if let Some(encoder) = encoder {
            let probe = || probe(train, measured, names, &encoder);
            all.push(timed("frozen encoder + logistic regression", &probe)?);
        }
        Ok(Baselines { all })
    }

    /// The figures of each.
    pub fn measured(&self) -> Vec<Measured> {
        self.all.iter().map(|baseline| baseline.measured.clone()).collect()
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
        let beside = |Baseline { measured, said }: &Baseline| {
            let [accuracy_gain, f1_macro_gain] =
                gains(&said.labels, &model.predictions, &said.predictions, said.names.len(), SEED)?;
            Some(Beside { measured: measured.clone(), accuracy_gain, f1_macro_gain })
        };
        self.all.iter().filter_map(beside).collect()
    }
}

/// What a baseline came to.
#[derive(Clone, Serialize)]
pub struct Measured {
    baseline: &'static str,
    rows: &'static str,
    accuracy: f64,
    accuracy_interval: Interval,
    f1_macro: f64,
    seconds: f64,
}

impl Measured {
    /// Of what it says of rows, of which there is at least one.
    fn of(baseline: &'static str, rows: &'static str, said: &Classified, seconds: f64) -> Measured {
        let confusion = said.confusion();
        let accuracy_interval = Intervals::of(said, SEED).expect("a table has rows").accuracy;
        let (accuracy, f1_macro) = (confusion.accuracy(), confusion.f1_macro());
        Measured { baseline, rows, accuracy, accuracy_interval, f1_macro, seconds }
    }
}

/// A baseline beside the fine-tuned model, on the same rows.
#[derive(Serialize)]
pub struct Beside {
    #[serde(flatten)]
    measured: Measured,
    accuracy_gain: Gain,
    f1_macro_gain: Gain,
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
    let said = hidden_means(&Cpu, encoder.folder, &tokenizer, &[&tokens[0], &tokens[1]])?;
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
