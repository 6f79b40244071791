//! A run on a tiny model as the tests of tasks and families make it: losses are noted, a step may be the last one, checkpoints may lie in a
//! folder. It must not know what is trained.

use ferrotune_bert::freeze;
use ferrotune_bert::pretrained::Pretrained;
use ferrotune_optim::{Anchor, Optimizer};
use ferrotune_tensor::{Cpu, Pool};
use ferrotune_tests::BertClassifier;
use ferrotune_train::events::Event;
use ferrotune_train::model::Split;
use ferrotune_train::prefix::{PrefixCache, PrefixCaches, lengths};
use ferrotune_train::store::Store;
use ferrotune_train::store::fingerprint::Fingerprint;
use ferrotune_train::store::lock::RunLock;
use ferrotune_train::tasks::Objective;
use ferrotune_train::trainer::resume::Checkpoints;
use ferrotune_train::trainer::thaw::Thaw;
use ferrotune_train::trainer::{Outcome, Run, Settings, train};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is trained, on what.
pub(super) struct Trial<'a> {
    pub(super) train: &'a Split,
    pub(super) validation: &'a Split,
    pub(super) objective: &'a dyn Objective<Cpu>,
    pub(super) optimizer: &'a mut dyn Optimizer<Cpu>,
    pub(super) anchor: Option<&'a Anchor<Cpu>>,
    pub(super) settings: &'a Settings,
    /// Whether what a frozen bottom gives is kept.
    pub(super) cache: bool,
    /// Where checkpoints go, and whether the run goes on from the newest.
    pub(super) folder: Option<(&'a Path, bool)>,
    /// The step after which the run is asked to stop.
    pub(super) stop_at: Option<u64>,
}

impl Trial<'_> {
    /// Trains; the losses of all logged steps, and the outcome.
    pub(super) fn run(self, loaded: &mut Pretrained<Cpu>) -> (Vec<f64>, Outcome) {
        let mut fingerprint = Fingerprint::default();
        fingerprint.fix("seed", self.settings.seed);
        let lock = self.folder.map(|(folder, _)| RunLock::acquire(folder).unwrap());
        let mut store = lock.as_ref().map(|lock| Store::open(lock, 1).unwrap());
        let stop = AtomicBool::new(false);
        let mut losses = Vec::new();
        let mut observer = |event: &Event| {
            if let Event::Step { step, loss, .. } = event {
                losses.push(*loss);
                stop.fetch_or(Some(*step) == self.stop_at, Ordering::Relaxed);
            }
        };
        let Pretrained { config, model, params, .. } = loaded;
        let frozen_layers = freeze::frozen_layers(params, config);
        let classifier = BertClassifier { model, config, frozen_layers };
        let cache = |split: &Split| PrefixCache::in_memory(lengths::<Cpu>(&classifier, &split.encoded));
        let caches = || PrefixCaches { train: cache(self.train), validation: Some(cache(self.validation)) };
        let mut caches = self.cache.then(caches);
        let outcome = train(Run {
            backend: &Cpu,
            model: &classifier,
            params,
            optimizer: self.optimizer,
            pool: &mut Pool::new(Cpu),
            train: self.train,
            validation: Some(self.validation),
            prefix: caches.as_mut(),
            task: self.objective,
            anchor: self.anchor,
            thaw: &Thaw::default(),
            settings: self.settings,
            checkpoints: store.as_mut().map(|store| Checkpoints { store, fingerprint: &fingerprint }),
            resume: self.folder.is_some_and(|(_, resume)| resume),
            stop: &stop,
            pause: None,
            observer: &mut observer,
        })
        .unwrap();
        (losses, outcome)
    }
}
