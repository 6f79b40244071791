//! Watches a run for the ways in which training quietly goes wrong, and says each once, with the likely cause. It changes nothing and must not
//! know which model or task runs.

use crate::metrics::Report;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Steps over which loss and gradient norm are looked at together.
const WINDOW: usize = 50;
/// A mean loss above this share of the best constant answer's is no learning. After a fifth of their steps, runs of MiniLM on SST-2 were below
/// 0.75 of it, on banking77 below 0.35.
const STUCK: f64 = 0.98;
/// The share of a run's steps, warm-up aside, after which a model should have begun to learn.
const PATIENCE: f64 = 0.2;
/// A gradient norm of so many medians of the window is an explosion. Healthy runs reached 11 on banking77, and 68 on sms_spam, which is nearly
/// solved after few steps, so that the median is small.
const EXPLOSION: f64 = 1000.0;
/// Steps in a row without a learning rate. A schedule that touches 0 for a moment (cosine with restarts) is in order.
const IDLE: u32 = 5;

/// What a finished step came to.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Its number, from 1.
    pub step: u64,
    /// Steps of the run.
    pub total_steps: u64,
    /// Steps of the warm-up.
    pub warmup_steps: u64,
    /// Mean loss, without penalties.
    pub loss: f64,
    /// Gradient norm before clipping.
    pub norm: f64,
    /// Learning rate.
    pub learning_rate: f64,
}

/// Something that is wrong with a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// One line, with the likely cause.
    pub message: String,
    /// The model gives, or has learned, no more than one answer for all rows: to go on is of little use.
    pub degenerate: bool,
}

/// The watch over one run. Checkpoints hold it, so that a resumed run finds what the uninterrupted one would have found, at the same step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sentinels {
    /// Given anew by each process.
    #[serde(skip)]
    constant_loss: Option<f64>,
    losses: VecDeque<f64>,
    norms: VecDeque<f64>,
    idle: u32,
    said_stuck: bool,
    said_explosion: bool,
    said_idle: bool,
    constant_before: bool,
    said_constant: bool,
}

impl Sentinels {
    /// `constant_loss` is the loss of the best answer that is the same for every row, if losses of steps can be compared with it. Where it is 0 all rows
    /// have the same target: there is nothing more to learn.
    pub fn compare_with(&mut self, constant_loss: Option<f64>) {
        self.constant_loss = constant_loss.filter(|&loss| loss > 0.0);
    }

    /// Takes note of a step. What is wrong, if something is that was not said before.
    pub fn step(&mut self, now: Step) -> Vec<Finding> {
        let said = [(self.explosion(&now), false), (self.stuck(&now), true), (self.no_rate(&now), false)];
        let finding = |(message, degenerate): (Option<String>, bool)| Some(Finding { message: message?, degenerate });
        said.into_iter().filter_map(finding).collect()
    }

    fn explosion(&mut self, now: &Step) -> Option<String> {
        let mut sorted: Vec<f64> = self.norms.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        push(&mut self.norms, now.norm);
        let median = *sorted.get(sorted.len() / 2)?;
        let full = sorted.len() == WINDOW;
        if !full || self.said_explosion || now.norm <= EXPLOSION * median || median == 0.0 {
            return None;
        }
        self.said_explosion = true;
        Some(format!(
            "the gradient norm of step {} is {:.3e}, {:.0} times the median of the {WINDOW} steps before it: the rate ({:.1e}) is too high, or a row \
             of this step is unlike the others; try a lower --lr, a longer --warmup, or look for odd rows",
            now.step,
            now.norm,
            now.norm / median,
            now.learning_rate
        ))
    }

    fn stuck(&mut self, now: &Step) -> Option<String> {
        push(&mut self.losses, now.loss);
        let constant = self.constant_loss?;
        let after = now.total_steps.saturating_sub(now.warmup_steps) as f64;
        let due = now.step as f64 >= now.warmup_steps as f64 + PATIENCE * after;
        if self.said_stuck || !due || self.losses.len() < WINDOW {
            return None;
        }
        let mean = self.losses.iter().sum::<f64>() / WINDOW as f64;
        if mean < STUCK * constant {
            return None;
        }
        self.said_stuck = true;
        Some(format!(
            "the loss of the last {WINDOW} steps is {mean:.4}; the same answer for every row gives {constant:.4}: nothing is learned so far. The rate \
             ({:.1e}) may be too high (try a tenth) or too low (small encoders want 1e-4 and more), labels may be shuffled, or the seed unlucky",
            now.learning_rate
        ))
    }

    fn no_rate(&mut self, now: &Step) -> Option<String> {
        self.idle = if now.learning_rate == 0.0 { self.idle + 1 } else { 0 };
        if self.said_idle || self.idle < IDLE || now.step == now.total_steps {
            return None;
        }
        self.said_idle = true;
        Some(format!(
            "the learning rate has been 0 for {IDLE} steps and {} are left, in which nothing can change: look at --schedule, --warmup and --minimum-lr",
            now.total_steps - now.step
        ))
    }

    /// Takes note of an evaluation. After its first epoch a model may still answer all alike; the second time in a row, or if it is the `last`
    /// evaluation, that is said.
    pub fn evaluated(&mut self, report: &Report, last: bool) -> Option<Finding> {
        let what = constant_answer(report);
        let again = std::mem::replace(&mut self.constant_before, what.is_some());
        let what = what.filter(|_| (again || last) && !self.said_constant)?;
        self.said_constant = true;
        let classes = match report {
            Report::Classification(_) => {
                ", or nearly all rows of one kind (--class-weights auto, or --balanced-sampling on)"
            }
            Report::Words(_) => ", or nearly all words of one kind",
            _ => "",
        };
        let message = format!(
            "{what}: the model does not look at its input. The rate may be too high or the run too short{classes}"
        );
        Some(Finding { message, degenerate: true })
    }
}

fn push(window: &mut VecDeque<f64>, value: f64) {
    if window.len() == WINDOW {
        window.pop_front();
    }
    window.push_back(value);
}

/// What every row was told, if it is the same although the rows differ.
fn constant_answer(report: &Report) -> Option<String> {
    match report {
        Report::Classification(report) => {
            let only = only_class(&report.confusion)?;
            Some(format!("every validation row is given the class {:?}", report.per_class[only].name))
        }
        Report::Words(report) => {
            let only = only_class(&report.confusion)?;
            Some(format!("every validation word is given the tag {:?}", report.per_class[only].name))
        }
        Report::MultiLabel(report) => {
            let silent = report.f1_micro == 0.0 && report.per_label.iter().all(|label| label.recall == 0.0);
            let real = report.per_label.iter().any(|label| label.support > 0);
            (silent && real).then(|| "no validation row is given any of its labels".to_string())
        }
        Report::Tokens(report) => (report.entities > 0 && report.predicted_entities == 0)
            .then(|| "no entity is found in any validation row".to_string()),
        // What it tells of each token is not kept; that its loss falls is watched.
        Report::Masked(_) => None,
        // A correlation that is no number would not do: it is none either where all rows have the same score.
        Report::Regression(report) => {
            (report.rows > 1 && report.constant && report.mse.is_finite() && report.mse > 0.0)
                .then(|| "every validation row is given the same number".to_string())
        }
    }
}

/// The one class that is predicted, although there are others.
fn only_class(confusion: &[Vec<u64>]) -> Option<usize> {
    let real = confusion.iter().filter(|row| row.iter().any(|&count| count > 0)).count();
    let told = |class: usize| confusion.iter().any(|row| row[class] > 0);
    let mut told = (0..confusion.len()).filter(|&class| told(class));
    let only = told.next()?;
    (real > 1 && told.next().is_none()).then_some(only)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Confusion, EntityCounts, LabelCounts, RegressionReport, WordReport};
    use ferrotune_data::Tag;

    fn watch(constant: Option<f64>) -> Sentinels {
        let mut sentinels = Sentinels::default();
        sentinels.compare_with(constant);
        sentinels
    }

    /// A run of 400 steps, 40 of them warm-up, whose steps are what `of` makes of a healthy one.
    fn said(constant: Option<f64>, of: impl Fn(&mut Step)) -> Vec<(u64, Finding)> {
        let mut sentinels = watch(constant);
        let mut said = Vec::new();
        for step in 1..=400u64 {
            let wave = 1.0 + 0.5 * (step as f64 * 0.7).sin();
            let loss = 0.69 * (-(step as f64) / 150.0).exp() * wave;
            let learning_rate = 1e-4 * (400 - step + 1) as f64 / 400.0;
            let mut now = Step { step, total_steps: 400, warmup_steps: 40, loss, norm: 2.0 * wave, learning_rate };
            of(&mut now);
            said.extend(sentinels.step(now).into_iter().map(|finding| (step, finding)));
            // What a checkpoint holds goes on in the same way.
            sentinels = serde_json::from_str(&serde_json::to_string(&sentinels).unwrap()).unwrap();
            sentinels.compare_with(constant);
        }
        said
    }

    #[track_caller]
    fn check(of: impl Fn(&mut Step), expected: &[(u64, &str)]) {
        let said = said(Some(std::f64::consts::LN_2), of);
        assert_eq!(said.len(), expected.len(), "{said:?}");
        for ((step, Finding { message, degenerate }), (at, part)) in said.iter().zip(expected) {
            assert!(step == at && message.contains(part) && !message.contains('\n'), "{step}: {message}");
            assert_eq!(*degenerate, part.starts_with("the same answer"));
        }
    }

    #[test]
    fn a_healthy_run_is_left_alone() {
        check(|_| {}, &[]);
        // Where no loss can be compared, a high one says nothing; nor does any where all rows have the same target.
        assert_eq!(said(None, |now| now.loss = 9.0), []);
        assert_eq!(said(Some(0.0), |now| now.loss = 0.01), []);
        // One step at rate 0, as between the cycles of a cosine.
        check(|now| now.learning_rate *= f64::from(now.step % 100 != 0), &[]);
    }

    #[test]
    fn each_trouble_is_said_once() {
        check(|now| now.loss = std::f64::consts::LN_2, &[(112, "the same answer for every row gives 0.6931")]);
        check(|now| now.norm *= if now.step > 200 { 1e4 } else { 1.0 }, &[(201, "the gradient norm of step 201 is")]);
        check(|now| now.learning_rate *= f64::from(now.step < 300), &[(304, "for 5 steps and 96 are left")]);
    }

    #[test]
    fn constant_answers_are_seen() {
        let names = ["a", "b"].map(str::to_string);
        let classes = |pairs: &[(usize, usize)]| {
            let mut confusion = Confusion::new(2);
            pairs.iter().for_each(|&(label, prediction)| confusion.add(label, prediction));
            Report::Classification(confusion.report(0.5, &names))
        };
        let classes_of_words = |pairs: &[(usize, usize)]| {
            let Report::Classification(report) = classes(pairs) else { unreachable!() };
            Report::Words(WordReport::of(report, 0, 1))
        };
        let sets = |given: bool| {
            let mut counts = LabelCounts::new(2);
            counts.add(&[true, false], &[given, false]);
            Report::MultiLabel(counts.report(0.5, &names, &[0.5, 0.5]))
        };
        let words = |real: &str, said: &str| {
            let tag = |name| [Tag::parse(name).unwrap()];
            let mut counts = EntityCounts::default();
            counts.add(&tag(real), &tag(said));
            Report::Tokens(counts.report(0.5))
        };
        let scores = |predicted: &[f64], real: &[f64]| Report::Regression(RegressionReport::of(predicted, real));
        let numbers = |predicted: &[f64]| scores(predicted, &[1.0, 2.0]);
        for (report, expected) in [
            (classes(&[(0, 1), (1, 1)]), Some("every validation row is given the class \"b\"")),
            (classes(&[(0, 0), (1, 1)]), None),
            (classes_of_words(&[(0, 1), (1, 1)]), Some("every validation word is given the tag \"b\"")),
            (classes_of_words(&[(0, 0), (1, 1)]), None),
            // All rows are of that class.
            (classes(&[(1, 1), (1, 1)]), None),
            (sets(false), Some("no validation row is given any")),
            (sets(true), None),
            (words("B-a", "O"), Some("no entity is found in any")),
            (words("B-a", "B-b"), None),
            (words("O", "O"), None),
            (numbers(&[1.5, 1.5]), Some("every validation row is given the same number")),
            (numbers(&[1.5, 1.6]), None),
            // All rows have that score.
            (scores(&[1.5, 1.6], &[2.0, 2.0]), None),
        ] {
            let mut sentinels = watch(None);
            assert_eq!(sentinels.evaluated(&report, false), None, "it may come yet");
            let said = sentinels.evaluated(&report, false);
            assert_eq!(said, watch(None).evaluated(&report, true), "at the end it is said at once");
            assert_eq!(said.as_ref().is_some(), expected.is_some(), "{said:?}");
            assert!(said.is_none_or(|said| said.degenerate && said.message.starts_with(expected.unwrap_or_default())));
            assert_eq!(sentinels.evaluated(&report, true), None, "said once");
        }
    }
}
