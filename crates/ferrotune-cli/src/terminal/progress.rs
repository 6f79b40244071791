//! What a person sees while training runs: a bar with speed and remaining time, on a terminal the curve of the loss below it, and a line for each
//! evaluation. It hears events, and must not know the loop.

use crate::results::report::{bare, metric, word};
use crate::terminal::sparkline::Curve;
use ferrotune_train::events::{Event, Observer};
use ferrotune_train::metrics::MetricName;
use indicatif::{ProgressBar, ProgressStyle};

/// Characters of the curve.
const CURVE: usize = 40;
/// Evaluations that are shown beside it.
const SHOWN: usize = 3;

/// Draws events on standard error. Without a terminal the bar is left out and the lines stay.
pub struct Progress {
    bar: ProgressBar,
    loss: Curve,
    /// The first metric of the evaluations, newest last.
    validation: Vec<(MetricName, f64)>,
}

impl Progress {
    /// Nothing is drawn before the first event.
    pub fn new() -> Progress {
        Progress { bar: ProgressBar::hidden(), loss: Curve::default(), validation: Vec::new() }
    }

    /// The curve so far, and the newest values on validation rows.
    fn draw_curve(&self) {
        let newest = &self.validation[self.validation.len().saturating_sub(SHOWN)..];
        let values: Vec<String> = newest.iter().map(|&(name, value)| bare(name, value)).collect();
        let values = match newest.first() {
            Some(&(name, _)) => format!("   validation {} {}", word(name), values.join(" → ")),
            None => String::new(),
        };
        let loss = self.loss.last().map(|loss| format!(" {loss:.4}")).unwrap_or_default();
        self.bar.set_prefix(format!("loss {}{loss}{values}", self.loss.line(CURVE)));
    }

    fn say(&self, line: String) {
        if self.bar.is_hidden() { eprintln!("{line}") } else { self.bar.println(line) }
    }
}

impl Observer for Progress {
    fn on(&mut self, event: &Event) {
        match event {
            Event::Started { rows, epochs, total_steps, batch_size, parameters, trainable_parameters } => {
                let share = 100.0 * *trainable_parameters as f64 / (*parameters).max(1) as f64;
                self.say(format!(
                    "training   {rows} rows, {epochs} epochs, {total_steps} steps of {batch_size}; {trainable_parameters} of \
                     {parameters} parameters are trained ({share:.1} %)"
                ));
                let style = "{bar:30} {pos}/{len} steps, {elapsed} elapsed, {eta} left, {msg}\n{prefix}";
                self.bar = ProgressBar::new(*total_steps)
                    .with_style(ProgressStyle::with_template(style).expect("the template is valid"));
            }
            Event::Resumed { step, epoch, checkpoint } => {
                self.bar.set_position(*step);
                self.bar.reset_eta();
                self.say(format!("resumed    after step {step}, in epoch {epoch}, from {}", checkpoint.display()));
            }
            Event::Step { step, loss, tokens, seconds, .. } => {
                let speed = *tokens as f64 / seconds.max(1e-9);
                self.bar.set_position(*step);
                self.bar.set_message(format!("{speed:.0} tokens/s, loss {loss:.4}"));
                self.loss.add(*loss);
                self.draw_curve();
            }
            Event::Evaluated { split, epoch, summary, .. } => {
                let metrics: Vec<String> = summary.values.iter().map(|&(name, value)| metric(name, value)).collect();
                self.say(format!("epoch {epoch:<4} {split}: {}", metrics.join(", ")));
                if let (Some(&(name, value)), "validation") = (summary.values.first(), &**split) {
                    self.validation.push((name, value));
                }
                self.draw_curve();
            }
            Event::NewBest { .. } | Event::CheckpointSaved { .. } => {}
            Event::Averaged { epochs, metric, value, best, kept } => {
                let epochs: Vec<String> = epochs.iter().map(u64::to_string).collect();
                let (epochs, name) = (epochs.join(", "), metric.name());
                self.say(match kept {
                    true => format!("averaged   epochs {epochs}: {name} {value:.4}, that of the best alone is {best:.4}"),
                    false => format!(
                        "averaged   epochs {epochs}: {name} {value:.4} is worse than that of the best alone, {best:.4}, which is kept"
                    ),
                });
            }
            Event::Restarted { restart, seed } => {
                self.say(format!(
                    "restarted  with seed {seed}, restart {restart}: the run above learned one answer for all rows"
                ));
            }
            Event::Restored { epoch, metric, value, .. } => {
                self.say(format!("best       epoch {epoch} is put back ({} {value:.4})", metric.name()));
            }
            Event::EarlyStopped { epoch, metric, evaluations, .. } => self.say(format!(
                "stopped    after epoch {epoch}: {} did not improve in {evaluations} evaluations",
                metric.name()
            )),
            Event::Stopped { .. } => self.bar.finish_and_clear(),
            Event::Warning { message } => self.say(format!("warning: {message}")),
            Event::Finished { .. } => self.bar.finish_and_clear(),
        }
    }
}
