//! One attempt at a run: a loaded model made ready as the settings say, and trained from one seed. It must not know files of rows, nor what becomes
//! of the model.

use super::start::Start;
use crate::args::{OptimizerName, Switch};
use crate::device::Machine;
use crate::device::threads::on_pool;
use crate::exit::{Failure, STOPPED};
use crate::model::classifier::{BertClassifier, head_kind};
use crate::model::tuning;
use crate::run::folder::RunFolder;
use crate::run::prefix::Shelf;
use crate::run::{memory, prefix};
use crate::settings::Resolved;
use crate::terminal::progress::Progress;
use crate::terminal::shown::{listed, short};
use crate::terminal::voice::{is_quiet, say};
use ferrotune_bert::pretrained::{self, FoldersHead, Head, Pretrained};
use ferrotune_bert::{EncoderConfig, freeze};
use ferrotune_optim::{AdamW, Anchor, Groups, Optimizer, Sgd, adamw};
use ferrotune_tensor::{Backend, Params, Pool};
use ferrotune_train::events::{Event, Observer, Tee};
use ferrotune_train::model::Split;
use ferrotune_train::store::fingerprint::Fingerprint;
use ferrotune_train::tasks::{Objective, Task};
use ferrotune_train::trainer::resume::Checkpoints;
use ferrotune_train::trainer::thaw::Thaw;
use ferrotune_train::trainer::{End, Outcome, Run, train};
use std::sync::atomic::AtomicBool;

#[cfg(test)]
mod tests;

/// What a run learns from.
pub struct Rows<'a, B: Backend> {
    /// Training rows.
    pub train: &'a Split,
    /// Rows that choose the best epoch.
    pub validation: Option<&'a Split>,
    /// What is learned.
    pub objective: &'a dyn Objective<B>,
    /// Whether the rows are the same in every epoch, so that what a frozen bottom gives can be kept.
    pub stay: bool,
    /// What is odd about them.
    pub warnings: &'a [String],
}

/// How a run is watched, saved and stopped.
pub struct Course<'a> {
    /// What must be the same for it to be continued.
    pub fingerprint: &'a Fingerprint,
    /// Set from outside to end.
    pub stop: &'a AtomicBool,
    /// Go on from the newest checkpoint.
    pub resume: bool,
    /// End after so many steps in all, with a checkpoint and a measurement.
    pub pause: Option<u64>,
    /// Hears what happens, besides the log and the terminal.
    pub listener: Option<&'a (dyn Fn(&Event) + Sync)>,
}

/// The pretrained model with a head for the task: the folder's own, if it is one for the same.
///
/// # Errors
/// Any fault of the folder.
pub fn load<B: Machine>(
    backend: &B,
    resolved: &Resolved,
    start: &Start,
    task: &dyn Task<B>,
) -> Result<Pretrained<B>, Failure> {
    let config = &start.config;
    let is_number = |kind: Option<&str>| matches!(kind, None | Some("regression"));
    let labels = match config.id2label.as_deref() {
        // What the one number of a regression is called says nothing of it.
        Some(own @ [_]) if task.problem_type() == Some("regression") && is_number(config.problem_type.as_deref()) => {
            own
        }
        _ => task.labels(),
    };
    let head = Head::For { labels, kind: head_kind(task.unit()), seed: resolved.numbers.seed };
    Ok(pretrained::load_with_adapters(backend, &start.model.folder, head, resolved.lora.as_ref())?)
}

/// A model, and what moves it.
pub struct Ready<B: Backend> {
    loaded: Pretrained<B>,
    anchor: Option<Anchor<B>>,
    thaw: Thaw,
    optimizer: Box<dyn Optimizer<B>>,
}

impl<B: Machine> Ready<B> {
    /// Does with a loaded model what the settings say, for a run over `rows` training rows. Nothing is written, so that a setting which does not
    /// fit the model leaves no trace.
    ///
    /// # Errors
    /// Such a setting.
    pub fn of(
        backend: &B,
        resolved: &Resolved,
        start: &Start,
        mut loaded: Pretrained<B>,
        rows: usize,
    ) -> Result<Ready<B>, Failure> {
        say!("weights    {}", loaded.report.summary());
        match &loaded.folders_head {
            FoldersHead::AsItIs => {}
            FoldersHead::Replaced(why) => {
                say!("weights    the folder's classification head is replaced by a new one: {}", short(why, 600));
            }
            FoldersHead::Extended(new) => say!(
                "weights    the folder's classification head is kept for the labels that it has; new beside them: {}",
                listed(new)
            ),
            FoldersHead::Reordered(stored) => say!(
                "weights    the folder's classification head is kept; it has the labels in another order: {}",
                listed(stored)
            ),
        }
        tuning::override_dropouts(resolved, &mut loaded.config, loaded.model.kind())?;
        tuning::restart_top(backend, resolved, &mut loaded.params, &start.config)?;
        freeze::freeze(&mut loaded.params, &start.frozen);
        tuning::keep_few(resolved, &mut loaded.params, &loaded.report)?;
        tuning::check_restarted(resolved, &loaded.params, &start.config)?;
        let anchor = tuning::anchor(backend, resolved, &loaded.params, &start.config)?;
        let thaw = tuning::thaw(resolved, &loaded.params, &start.config, rows)?;
        let optimizer = optimizer(backend, resolved, &loaded.params, &start.config);
        loaded.model.base.encoder.checkpointing = resolved.checkpointing;
        Ok(Ready { loaded, anchor, thaw, optimizer })
    }

    /// Trains with the seed in `resolved`, and gives the model back with what became of it. What a frozen bottom gave is taken from the shelf and
    /// put back there, if there is one.
    ///
    /// # Errors
    /// What [`train`] says; [`STOPPED`] if it was asked to stop.
    pub fn train(
        mut self,
        resolved: &Resolved,
        backend: &B,
        rows: &Rows<'_, B>,
        folder: &mut RunFolder,
        course: &Course<'_>,
        mut shelf: Option<&mut Shelf<B>>,
    ) -> Result<(Pretrained<B>, Outcome), Failure> {
        let mut observer = Tee::new();
        if !is_quiet() {
            observer.add(Progress::new());
        }
        if let Some(listener) = course.listener {
            observer.add(move |event: &Event| listener(event));
        }
        observer.add(folder.metrics_log()?);
        if resolved.settings.tensorboard == Some(Switch::On) {
            observer.add(folder.event_file()?);
        }
        if folder.restarts() > 0 {
            observer.on(&Event::Restarted { restart: folder.restarts(), seed: resolved.numbers.seed });
        }
        let warnings = longer_than_a_pass(resolved, rows.train).into_iter().chain(rows.warnings.iter().cloned());
        warnings.for_each(|warning| observer.on(&Event::warning(warning)));

        let mut pool = Pool::new(backend.clone());
        let Pretrained { config, model, params, .. } = &mut self.loaded;
        let frozen_layers = freeze::frozen_layers(params, config);
        let classifier = BertClassifier { model, config, frozen_layers };
        let (path, settings) = (folder.path(), &resolved.settings);
        let mut prefix = match rows.stay {
            true => {
                let shelf = shelf.as_deref_mut();
                prefix::open(settings, backend, path, &classifier, params, rows.train, rows.validation, shelf)?
            }
            false => prefix::Prefix::none(),
        };
        let kind = model.kind();
        let (train_rows, held_out) = (rows.train, rows.validation);
        let predicted =
            memory::predicted_mib(resolved, config, kind, params, frozen_layers, train_rows, held_out, prefix.memory);
        if let Some(mib) = predicted {
            say!("memory     about {mib:.0} MiB at the peak of training");
        }
        let outcome = on_pool(|| {
            train(Run {
                backend,
                model: &classifier,
                params,
                optimizer: self.optimizer.as_mut(),
                pool: &mut pool,
                train: train_rows,
                validation: held_out,
                prefix: prefix.caches.as_mut(),
                task: rows.objective,
                anchor: self.anchor.as_ref(),
                thaw: &self.thaw,
                settings: &resolved.numbers,
                checkpoints: Some(Checkpoints { store: &mut folder.store, fingerprint: course.fingerprint }),
                resume: course.resume,
                stop: course.stop,
                pause: course.pause,
                observer: &mut observer,
            })
        })?;
        if outcome.end == End::Stopped {
            let message =
                format!("stopped on request after step {}; a checkpoint is saved: go on with --resume", outcome.steps);
            return Err(Failure { message, code: STOPPED });
        }
        prefix.close(shelf)?;
        Ok((self.loaded, outcome))
    }
}

/// What `--max-tokens` cannot cut.
fn longer_than_a_pass(resolved: &Resolved, train: &Split) -> Option<String> {
    let most = resolved.numbers.pass_limit.tokens?;
    let longer = (0..train.rows()).filter(|&row| train.encoded.row(row).0.len() > most).count();
    (longer > 0).then(|| format!("{longer} rows have more than --max-tokens {most}; each gets a pass of its own"))
}

/// The optimizer that was asked for, and what decays.
fn optimizer<B: Backend>(
    backend: &B,
    resolved: &Resolved,
    params: &Params<B>,
    config: &EncoderConfig,
) -> Box<dyn Optimizer<B>> {
    let groups = tuning::with_rates(resolved, Groups::standard(params, resolved.weight_decay), params, config);
    let [weights, vectors] = Groups::counts(params);
    say!(
        "optimizer  weight decay {} on {} tensors ({} parameters), none on {} biases and layer norms ({} parameters)",
        resolved.weight_decay,
        weights.tensors,
        weights.elements,
        vectors.tensors,
        vectors.elements
    );
    match resolved.optimizer {
        OptimizerName::Adamw => Box::new(AdamW::new(backend, params, groups, adamw::BETAS, adamw::EPS)),
        OptimizerName::Sgd => Box::new(Sgd::new(backend, params, groups, resolved.momentum)),
    }
}
