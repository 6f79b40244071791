//! One attempt at a run: the model made ready as the settings say, and trained from one seed. It must not know files of rows, nor what becomes of
//! the model.

use super::on_pool;
use super::train::{longer_than_a_pass, optimizer};
use crate::data::Data;
use crate::exit::Failure;
use crate::hub;
use crate::model::{BertClassifier, head_kind};
use crate::run_folder::RunFolder;
use crate::settings::Resolved;
use crate::{fingerprint, memory, prefix, tuning};
use ferrotune_bert::pretrained::{self, Head, Pretrained};
use ferrotune_bert::{EncoderConfig, freeze};
use ferrotune_tensor::{Cpu, Pool};
use ferrotune_train::events::{Event, Observer};
use ferrotune_train::resume::Checkpoints;
use ferrotune_train::trainer::{Outcome, Run, train};
use std::sync::atomic::AtomicBool;

/// What every attempt of a run has in common.
pub struct Attempts<'a> {
    /// The pretrained model.
    pub model: &'a hub::Resolved,
    /// Its configuration.
    pub config: &'a EncoderConfig,
    /// What stays as it is.
    pub frozen: &'a [String],
    /// The rows and their task.
    pub data: &'a Data,
    /// Where products are computed.
    pub backend: Cpu,
    /// Set from outside to end.
    pub stop: &'a AtomicBool,
}

impl Attempts<'_> {
    /// Trains with the seed in `resolved`; from the newest checkpoint, if `resume` says so.
    ///
    /// # Errors
    /// The model does not fit the settings, or what [`train`] says.
    pub fn run(
        &self,
        resolved: &Resolved,
        folder: &mut RunFolder,
        observer: &mut (dyn Observer + Send),
        resume: bool,
    ) -> Result<(Pretrained<Cpu>, Outcome), Failure> {
        let Attempts { model: model_folder, config, data, backend, .. } = *self;
        let kind = head_kind(data.task.unit());
        let head = Head::For { labels: data.task.labels(), kind, seed: resolved.numbers.seed };
        let mut loaded = pretrained::load_with_adapters(&Cpu, &model_folder.folder, head, resolved.lora.as_ref())?;
        eprintln!("weights    {}", loaded.report.summary());
        if let Some(why) = &loaded.head_replaced {
            eprintln!("weights    the folder's classification head is replaced by a new one: {why}");
        }
        tuning::override_dropouts(resolved, &mut loaded.config, loaded.model.kind())?;
        tuning::restart_top(resolved, &mut loaded.params, config)?;
        freeze::freeze(&mut loaded.params, self.frozen);
        tuning::keep_few(resolved, &mut loaded.params);
        let anchor = tuning::anchor(resolved, &loaded.params, config)?;
        let thaw = tuning::thaw(resolved, &loaded.params, config)?;
        let fingerprint = fingerprint::of(resolved, &model_folder.folder)?;
        let mut optimizer = optimizer(resolved, &loaded.params, config);
        if let Some(warning) = longer_than_a_pass(resolved, &data.train) {
            observer.on(&Event::warning(warning));
        }
        data.audit.iter().for_each(|line| observer.on(&Event::warning(line.clone())));

        let mut pool = Pool::new(backend);
        let Pretrained { config, model, params, .. } = &mut loaded;
        model.base.encoder.checkpointing = resolved.checkpointing;
        let frozen_layers = freeze::frozen_layers(params, config);
        let classifier = BertClassifier { model, config, frozen_layers };
        let validation = data.validation.as_ref();
        let mut prefix =
            prefix::open(&resolved.settings, backend, folder.path(), &classifier, params, &data.train, validation)?;
        let predicted = memory::predicted_mib(
            resolved,
            config,
            model.kind(),
            params,
            frozen_layers,
            &data.train,
            validation,
            prefix.memory,
        );
        if let Some(mib) = predicted {
            eprintln!("memory     about {mib:.0} MiB at the peak of training");
        }
        let outcome = on_pool(|| {
            train(Run {
                backend: &backend,
                model: &classifier,
                params,
                optimizer: optimizer.as_mut(),
                pool: &mut pool,
                train: &data.train,
                validation,
                prefix: prefix.caches.as_mut(),
                task: data.task.as_ref(),
                anchor: anchor.as_ref(),
                thaw: &thaw,
                settings: &resolved.numbers,
                checkpoints: Some(Checkpoints { store: &mut folder.store, fingerprint: &fingerprint }),
                resume,
                stop: self.stop,
                observer,
            })
        })?;
        if !outcome.stopped {
            prefix.close()?;
        }
        Ok((loaded, outcome))
    }
}
