//! What a training run tells the outside while it runs. The loop sends every [`Event`] to one [`Observer`]; printing, progress
//! bars and logs are observers. Must not know who listens, and listening must not change the run.

pub mod metrics_log;
pub mod tensorboard;

use std::path::PathBuf;

use serde::Serialize;

use crate::metrics::{MetricName, Summary};

/// One thing that happened. In JSON the key `event` holds the name in snake_case.
///
/// Steps are optimizer steps done so far (the first step reports 1), epochs are counted from 1, seconds are wall-clock time
/// and the only values that differ between two runs of one seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Training begins.
    Started {
        /// Training rows.
        rows: u64,
        /// Passes over the data that are planned.
        epochs: u64,
        /// Optimizer steps that are planned.
        total_steps: u64,
        /// Rows of one optimizer step.
        batch_size: u64,
        /// Numbers in the model.
        parameters: u64,
        /// Those of them that are trained.
        trainable_parameters: u64,
    },
    /// Training goes on from a checkpoint.
    Resumed {
        /// Step of the checkpoint.
        step: u64,
        /// Epoch that goes on.
        epoch: u64,
        /// The checkpoint folder.
        checkpoint: PathBuf,
    },
    /// A logged optimizer step.
    Step {
        /// Epoch it belongs to.
        epoch: u64,
        /// Its number.
        step: u64,
        /// Steps of the whole run.
        total_steps: u64,
        /// Mean loss of its rows with penalties (L1, L2, L2-SP): what is minimised.
        loss: f64,
        /// Learning rate it used.
        learning_rate: f64,
        /// Gradient norm before clipping.
        gradient_norm: f64,
        /// Rows in it.
        rows: u64,
        /// Tokens in it.
        tokens: u64,
        /// Time it took.
        seconds: f64,
    },
    /// A split was evaluated.
    Evaluated {
        /// Its name, such as `validation`.
        split: String,
        /// Epoch it closes or lies in.
        epoch: u64,
        /// Steps done.
        step: u64,
        /// The result.
        #[serde(flatten)]
        summary: Summary,
        /// Time it took.
        seconds: f64,
    },
    /// The last evaluation is the best so far.
    NewBest {
        /// Epoch of it.
        epoch: u64,
        /// Steps done.
        step: u64,
        /// The metric that chooses.
        metric: MetricName,
        /// Its value.
        value: f64,
    },
    /// A checkpoint is safe on disk.
    CheckpointSaved {
        /// Step it holds.
        step: u64,
        /// Its folder.
        directory: PathBuf,
        /// Its size.
        bytes: u64,
        /// Time it took.
        seconds: f64,
    },
    /// The mean of the weights of the best evaluations was measured.
    Averaged {
        /// Their epochs, best first.
        epochs: Vec<u64>,
        /// The metric that chose them.
        metric: MetricName,
        /// Its value for the mean.
        value: f64,
        /// Its value for the best of them.
        best: f64,
        /// Whether the mean is what is left: it is if it is no worse.
        kept: bool,
    },
    /// The run was left because it gives one answer for all rows, and begins again from other random numbers.
    Restarted {
        /// How often it was begun again, this time included.
        restart: u64,
        /// The seed that now counts.
        seed: u64,
    },
    /// The best weights were put back.
    Restored {
        /// Epoch they come from.
        epoch: u64,
        /// Step they come from.
        step: u64,
        /// The metric that chose them.
        metric: MetricName,
        /// Its value.
        value: f64,
    },
    /// Training ends early because the metric stopped improving.
    EarlyStopped {
        /// Epoch it ends in.
        epoch: u64,
        /// Steps done.
        step: u64,
        /// The metric that is watched.
        metric: MetricName,
        /// Evaluations without improvement.
        evaluations: u64,
    },
    /// Training ends because it was asked to, with a checkpoint saved.
    Stopped {
        /// Epoch it ends in.
        epoch: u64,
        /// Steps done.
        step: u64,
    },
    /// Something the user should read; training goes on.
    Warning {
        /// One line.
        message: String,
    },
    /// Training is over.
    Finished {
        /// Epochs done.
        epochs: u64,
        /// Steps done.
        steps: u64,
        /// Time it took, evaluation included.
        seconds: f64,
        /// Training rows a second, in training steps alone.
        samples_per_second: Option<f64>,
        /// Training tokens a second, in training steps alone.
        tokens_per_second: Option<f64>,
    },
}

impl Event {
    /// An [`Event::Warning`].
    pub fn warning(message: impl Into<String>) -> Event {
        Event::Warning { message: message.into() }
    }
}

/// Someone who listens to a run.
pub trait Observer {
    /// Takes note of an event. It cannot fail: what goes wrong inside is kept for [`Observer::complaint`].
    fn on(&mut self, event: &Event);

    /// What went wrong inside since the last call, one line; each trouble is told once.
    fn complaint(&mut self) -> Option<String> {
        None
    }
}

/// Passes each event on to several observers in their order, and each observer's complaint to all of them as a warning.
#[derive(Default)]
pub struct Tee<'a> {
    observers: Vec<Box<dyn Observer + Send + 'a>>,
}

impl<'a> Tee<'a> {
    /// A tee without listeners.
    pub fn new() -> Tee<'a> {
        Tee::default()
    }

    /// Adds a listener.
    pub fn add(&mut self, observer: impl Observer + Send + 'a) {
        self.observers.push(Box::new(observer));
    }

    fn pass(&mut self, event: &Event) {
        self.observers.iter_mut().for_each(|observer| observer.on(event));
    }
}

impl Observer for Tee<'_> {
    fn on(&mut self, event: &Event) {
        self.pass(event);
        let complaints: Vec<String> = self.observers.iter_mut().filter_map(|observer| observer.complaint()).collect();
        complaints.into_iter().for_each(|message| self.pass(&Event::Warning { message }));
    }
}

/// A closure may listen.
impl<F: FnMut(&Event)> Observer for F {
    fn on(&mut self, event: &Event) {
        self(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    struct Grumbler {
        left: u32,
    }

    impl Observer for Grumbler {
        fn on(&mut self, _: &Event) {}

        fn complaint(&mut self) -> Option<String> {
            self.left = self.left.checked_sub(1)?;
            Some("disk full".to_string())
        }
    }

    #[test]
    fn a_tee_passes_events_in_order_and_complaints_to_all() {
        let heard = Mutex::new(Vec::new());
        let mut tee = Tee::new();
        tee.add(|event: &Event| heard.lock().unwrap().push(("first", event.clone())));
        tee.add(Grumbler { left: 1 });
        tee.add(|event: &Event| heard.lock().unwrap().push(("second", event.clone())));
        let stopped = Event::Stopped { epoch: 1, step: 2 };
        tee.on(&stopped);
        tee.on(&stopped);
        let warning = Event::warning("disk full");
        let expected = [
            ("first", &stopped),
            ("second", &stopped),
            ("first", &warning),
            ("second", &warning),
            ("first", &stopped),
            ("second", &stopped),
        ];
        drop(tee);
        let heard = heard.into_inner().unwrap();
        assert!(heard.iter().map(|(name, event)| (*name, event)).eq(expected), "{heard:?}");
    }

    #[test]
    fn events_are_flat_json_objects() {
        let values = vec![(MetricName::Accuracy, 0.5), (MetricName::F1Macro, 0.25), (MetricName::Loss, f64::NAN)];
        let summary = Summary { values, rows: 4 };
        let cases = [
            (Event::warning("odd"), "{\"event\":\"warning\",\"message\":\"odd\"}"),
            (
                Event::Evaluated { split: "test".into(), epoch: 1, step: 9, summary, seconds: 2.0 },
                "{\"event\":\"evaluated\",\"split\":\"test\",\"epoch\":1,\"step\":9,\"accuracy\":0.5,\"f1_macro\":0.25,\
                 \"loss\":null,\"rows\":4,\"seconds\":2.0}",
            ),
            (
                Event::NewBest { epoch: 1, step: 9, metric: MetricName::F1Macro, value: 0.25 },
                "{\"event\":\"new_best\",\"epoch\":1,\"step\":9,\"metric\":\"f1_macro\",\"value\":0.25}",
            ),
        ];
        for (event, expected) in cases {
            assert_eq!(serde_json::to_string(&event).unwrap(), expected);
        }
    }
}
