//! The promises of training, on a tiny model: it learns, a resumed run has the bits of an uninterrupted one, threads do not matter,
//! frozen parts stay, not-a-number stops before the optimizer step.

use ferrotune_bert::parts::{self, Part};
use ferrotune_bert::pretrained::{self, Head, Pretrained};
use ferrotune_bert::{HeadKind, freeze};
use ferrotune_data::{Labels, LongTexts, Row, Tokenizer};
use ferrotune_optim::optimizer::State;
use ferrotune_optim::schedule::Kind;
use ferrotune_optim::{AdamW, Anchor, Groups, Optimizer, Penalty, adamw};
use ferrotune_tensor::{Backend, Cpu, Grads, Params, Pool, Precision};
use ferrotune_tests::{BertClassifier, golden, on_threads};
use ferrotune_train::error::TrainError;
use ferrotune_train::evaluate::evaluate;
use ferrotune_train::events::Event;
use ferrotune_train::metrics::MetricName;
use ferrotune_train::model::Split;
use ferrotune_train::prefix::{PrefixCache, PrefixCaches, key, lengths};
use ferrotune_train::store::Store;
use ferrotune_train::store::fingerprint::Fingerprint;
use ferrotune_train::store::lock::RunLock;
use ferrotune_train::tasks::{SingleLabel, Targets};
use ferrotune_train::trainer::passes::PassLimit;
use ferrotune_train::trainer::resume::{Checkpoints, download};
use ferrotune_train::trainer::thaw::Thaw;
use ferrotune_train::trainer::{End, Outcome, Run, Settings, train};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    /// Whether runs of this thread use [`Dense`].
    static DENSE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    /// Where runs pause.
    pub(super) static PAUSE: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
    /// The pull back to the weights at the start.
    static ANCHOR: std::cell::Cell<f32> = const { std::cell::Cell::new(0.0) };
    /// Layers that begin to move in each epoch after the first; 0 for all from the start.
    pub(super) static UNFREEZING: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    /// Texts are cut into windows of so many tokens; 0 for rows that all fit.
    pub(super) static WINDOWS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    /// What runs of this thread compute on.
    static BACKEND: std::cell::Cell<Cpu> = const { std::cell::Cell::new(Cpu) };
    /// Whether layers keep their results alone.
    static CHECKPOINTING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

const NAMES: [&str; 2] = ["calm", "storm"];

/// Forty rows of three to six words; the label says whether "rain" occurs.
pub(super) fn rows() -> Split {
    rows_for("tiny-single")
}

/// The same rows, as the tokenizer of another fixture cuts them.
pub(super) fn rows_for(fixture: &str) -> Split {
    let words = std::fs::read_to_string(golden("tiny-single/model/vocab.txt")).unwrap();
    let words: Vec<&str> =
        words.lines().filter(|word| word.len() > 2 && word.bytes().all(|b| b.is_ascii_lowercase())).collect();
    let mut rows = Vec::new();
    let mut labels = Vec::new();
    for n in 0..40usize {
        let mut text: Vec<&str> = (0..3 + n % 4).map(|k| words[(n * 13 + k * 7) % words.len()]).collect();
        text.retain(|word| *word != "rain");
        if n % 2 == 1 {
            text.insert(n % text.len(), "rain");
        }
        rows.push(Row { text: text.join(" "), text_b: None, words: None, label: None, line: n as u64 });
        labels.push((n % 2) as u32);
    }
    let (length, long_texts) = match WINDOWS.get() {
        0 => (16, LongTexts::Head),
        length => (length, LongTexts::Windows),
    };
    let tokenizer = Tokenizer::from_folder(&golden(fixture).join("model"), length).unwrap();
    let encoded = tokenizer.with_long_texts(long_texts).encode(&rows).unwrap();
    Split::of_rows(encoded, Targets::Classes(labels))
}

pub(super) fn settings() -> Settings {
    Settings {
        batch_size: 8,
        pass_limit: PassLimit { rows: 8, tokens: None },
        epochs: 4,
        max_steps: None,
        learning_rate: 5e-3,
        schedule: Kind::Linear,
        warmup: 0.1,
        clip: 1.0,
        penalty: Penalty { l1: 0.0, l2: 1e-4 },
        ema: None,
        average_best: 1,
        leave_degenerate: false,
        balanced: false,
        seed: 3,
        metric: MetricName::Loss,
        patience: None,
        log_every: 1,
        checkpoint_every: None,
    }
}

pub(super) struct Trained {
    pub(super) weights: Vec<u32>,
    pub(super) outcome: Outcome,
    pub(super) losses: Vec<f64>,
    pub(super) norms: Vec<f64>,
    pub(super) warnings: Vec<String>,
}

/// Trains a tiny model with dropout 0.1. `stop_at` asks to stop during that step.
pub(super) fn run(
    settings: &Settings,
    freeze_spec: &str,
    folder: Option<(&Path, bool)>,
    stop_at: Option<u64>,
) -> Result<Trained, TrainError> {
    run_with(0.1, settings, freeze_spec, folder, stop_at, &mut |_, _, _| None)
}

/// AdamW that moves every row of a table in every step, as the reference does.
pub(super) struct Dense(pub(super) AdamW<Cpu>);

impl Optimizer<Cpu> for Dense {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn step(&mut self, backend: &Cpu, params: &mut Params<Cpu>, grads: &Grads<Cpu>, lr: f64, grad_scale: &f64) {
        assert!(!grads.is_by_rows());
        self.0.step(backend, params, grads, lr, grad_scale);
    }
    fn steps(&self) -> u64 {
        self.0.steps()
    }
    fn moments(&self) -> Vec<(&'static str, &<Cpu as Backend>::Buf)> {
        self.0.moments()
    }
    fn restore(&mut self, backend: &Cpu, params: &Params<Cpu>, state: &State) -> Result<(), String> {
        self.0.restore(backend, params, state)
    }
}

/// What makes the caches of a frozen prefix for training and validation rows.
pub(super) type MakeCaches<'a> = dyn FnMut(&BertClassifier<'_>, &Params<Cpu>, &Split) -> Option<PrefixCaches> + 'a;

pub(super) fn run_with(
    dropout: f32,
    settings: &Settings,
    freeze_spec: &str,
    folder: Option<(&Path, bool)>,
    stop_at: Option<u64>,
    caches: &mut MakeCaches<'_>,
) -> Result<Trained, TrainError> {
    let names = NAMES.map(str::to_string);
    let head = Head::For { labels: &names, kind: HeadKind::Sequence, seed: settings.seed };
    let mut loaded: Pretrained<Cpu> = pretrained::load(&Cpu, &golden("tiny-single/model"), head).unwrap();
    (loaded.config.hidden_dropout_prob, loaded.config.attention_probs_dropout_prob) = (dropout, dropout);
    loaded.model.base.encoder.checkpointing = CHECKPOINTING.get();
    freeze::freeze(&mut loaded.params, &freeze::prefixes(freeze_spec, &loaded.config).unwrap());
    let (train_rows, validation) = (rows(), rows());
    let groups = Groups::standard(&loaded.params, 0.01);
    let adamw = AdamW::new(&Cpu, &loaded.params, groups, adamw::BETAS, adamw::EPS);
    let mut optimizer: Box<dyn Optimizer<Cpu>> = if DENSE.get() { Box::new(Dense(adamw)) } else { Box::new(adamw) };
    let mut fingerprint = Fingerprint::default();
    fingerprint.fix("seed", settings.seed);
    let lock = folder.map(|(folder, _)| RunLock::acquire(folder).unwrap());
    let mut store = lock.as_ref().map(|lock| Store::open(lock, 1).unwrap());
    let checkpoints = store.as_mut().map(|store| Checkpoints { store, fingerprint: &fingerprint });
    let stop = AtomicBool::new(false);
    let (mut losses, mut norms, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    let anchor = (ANCHOR.get() > 0.0)
        .then(|| Anchor::new(&Cpu, &loaded.params, ANCHOR.get(), |name| name.starts_with("bert.encoder")));
    let mut observer = |event: &Event| {
        if let Event::Warning { message } = event {
            warnings.push(message.clone());
        }
        if let Event::Step { step, loss, gradient_norm, .. } = event {
            losses.push(*loss);
            norms.push(*gradient_norm);
            if Some(*step) == stop_at {
                stop.store(true, Ordering::Relaxed);
            }
        }
    };
    let Pretrained { config, model, params, .. } = &mut loaded;
    let frozen_layers = freeze::frozen_layers(params, config);
    let classifier = BertClassifier { model, config, frozen_layers };
    let thaw = match UNFREEZING.get() {
        0 => Thaw::default(),
        step => Thaw::new(params, |name| parts::unfreezing_epoch(Part::of(name), config.num_hidden_layers, step)),
    };
    let mut caches = caches(&classifier, params, &train_rows);
    let outcome = train(Run {
        backend: &BACKEND.get(),
        model: &classifier,
        params,
        optimizer: optimizer.as_mut(),
        pool: &mut Pool::new(Cpu),
        train: &train_rows,
        validation: Some(&validation),
        prefix: caches.as_mut(),
        task: &SingleLabel::new(Labels::from_names(names.to_vec()).unwrap()),
        anchor: anchor.as_ref(),
        thaw: &thaw,
        settings,
        checkpoints,
        resume: folder.is_some_and(|(_, resume)| resume),
        stop: &stop,
        pause: PAUSE.get(),
        observer: &mut observer,
    })?;
    loaded.params.layout().ids().for_each(|id| loaded.params.set_trainable(id, true));
    if settings.ema.is_some() {
        // What was measured is what is left.
        let Pretrained { config, model, params, .. } = &loaded;
        let classifier = BertClassifier { model, config, frozen_layers };
        let task = SingleLabel::new(Labels::from_names(names.to_vec()).unwrap());
        let (mut pool, limit) = (Pool::new(Cpu), settings.evaluation_limit());
        let again = evaluate(&Cpu, &classifier, params, &mut pool, &validation, &task, None, limit)?;
        assert!(outcome.validation.as_ref().is_none_or(|report| *report == again));
    }
    let weights = download(&Cpu, &loaded.params).into_iter().map(f32::to_bits).collect();
    Ok(Trained { weights, outcome, losses, norms, warnings })
}

#[test]
fn a_tiny_model_learns_its_rows() {
    let trained = run(&Settings { epochs: 12, ..settings() }, "", None, None).unwrap();
    let accuracy = trained.outcome.validation.unwrap().summary().value(MetricName::Accuracy);
    assert!(accuracy >= 0.95, "accuracy {accuracy} after losses {:?}", trained.losses);
    assert_eq!(trained.warnings, [""; 0]);
}

#[test]
fn a_run_that_learns_nothing_is_told_so() {
    let idle = Settings { learning_rate: 1e-12, epochs: 16, ..settings() };
    let trained = run(&idle, "", None, None).unwrap();
    let told = |part: &str| trained.warnings.iter().filter(|message| message.contains(part)).count();
    assert_eq!(told("nothing is learned so far"), 1, "{:?}", trained.warnings);
}

#[test]
fn balanced_runs_and_anchored_runs_resume_to_the_same_bits() {
    let plain = run(&settings(), "", None, None).unwrap();
    for (balanced, pull) in [(true, 0.0), (false, 0.1)] {
        let settings = Settings { balanced, ..settings() };
        ANCHOR.set(pull);
        let whole = run(&settings, "", None, None).unwrap();
        assert!(whole.weights != plain.weights, "the setting does something");
        let folder = tempfile::tempdir().unwrap();
        run(&settings, "", Some((folder.path(), false)), Some(7)).unwrap();
        let resumed = run(&settings, "", Some((folder.path(), true)), None).unwrap();
        ANCHOR.set(0.0);
        assert!(resumed.weights == whole.weights, "balanced {balanced}, pull {pull}");
    }
}

/// The stronger the pull, the nearer the weights stay to where they were.
#[test]
fn an_anchor_holds() {
    let far = |pull: f32| {
        ANCHOR.set(pull);
        let end = run(&settings(), "", None, None).unwrap().weights;
        ANCHOR.set(0.0);
        let start = run(&Settings { learning_rate: 0.0, ..settings() }, "", None, None).unwrap().weights;
        let gap = |(a, b): (&u32, &u32)| (f64::from(f32::from_bits(*a)) - f64::from(f32::from_bits(*b))).powi(2);
        end.iter().zip(&start).map(gap).sum::<f64>()
    };
    let (free, held) = (far(0.0), far(10.0));
    assert!(held < 0.8 * free, "{held} {free}");
}

#[test]
fn a_resumed_run_has_the_bits_of_an_uninterrupted_one() {
    let whole = run(&settings(), "", None, None).unwrap();
    // In the first epoch, at the end of an epoch, and in a later one.
    for stop_at in [2, 5, 13] {
        let folder = tempfile::tempdir().unwrap();
        let stopped = run(&settings(), "", Some((folder.path(), false)), Some(stop_at)).unwrap();
        assert!(stopped.outcome.end == End::Stopped && stopped.outcome.steps == stop_at);
        let resumed = run(&settings(), "", Some((folder.path(), true)), None).unwrap();
        assert!(resumed.weights == whole.weights, "stopped at {stop_at}");
        assert_eq!([stopped.losses, resumed.losses].concat(), whole.losses);
    }
}

#[test]
fn averages_are_what_is_measured_and_kept_and_a_resume_goes_on_with_them() {
    let plain = run(&settings(), "", None, None).unwrap();
    // The rate is so high that the best epoch is not the last one.
    for settings in
        [Settings { ema: Some(0.9), ..settings() }, Settings { ema: Some(0.5), learning_rate: 0.05, ..settings() }]
    {
        let whole = run(&settings, "", None, None).unwrap();
        let without = run(&Settings { ema: None, ..settings.clone() }, "", None, None).unwrap();
        assert_eq!(
            (&whole.losses, &whole.norms),
            (&without.losses, &without.norms),
            "an average does not change the run"
        );
        assert!(whole.weights != without.weights && whole.weights != plain.weights);
        for stop_at in [2, 5, 13] {
            let folder = tempfile::tempdir().unwrap();
            run(&settings, "", Some((folder.path(), false)), Some(stop_at)).unwrap();
            let resumed = run(&settings, "", Some((folder.path(), true)), None).unwrap();
            assert!(resumed.weights == whole.weights, "stopped at {stop_at}");
            assert_eq!(resumed.outcome.best_epoch, whole.outcome.best_epoch);
        }
    }
}

/// Rows of the word embeddings come back after gaps of a few steps, and most never come: 40 rows of a few words each, batches of 3.
fn by_rows() -> Settings {
    Settings { batch_size: 3, epochs: 5, clip: 0.0, penalty: Penalty::default(), ..settings() }
}

#[test]
fn rows_without_a_gradient_are_moved_later_to_the_same_bits() {
    for (rows, tokens) in [(3, None), (1, None), (3, Some(9))] {
        let settings = Settings { pass_limit: PassLimit { rows, tokens }, ..by_rows() };
        let train = |dense| {
            DENSE.set(dense);
            run(&settings, "", None, None).unwrap()
        };
        let (whole, late) = (train(true), train(false));
        DENSE.set(false);
        assert_eq!(whole.losses, late.losses, "{rows} {tokens:?}");
        assert!(whole.weights == late.weights, "{rows} {tokens:?}");
        assert_eq!(whole.outcome.validation, late.outcome.validation);
    }
    // With clipping the norm is summed in another order, in f64: the factor may differ by a last bit of f32.
    let clipped = Settings { clip: 0.1, ..by_rows() };
    let late = run(&clipped, "", None, None).unwrap();
    DENSE.set(true);
    let whole = run(&clipped, "", None, None).unwrap();
    DENSE.set(false);
    for (whole, late) in whole.norms.iter().zip(&late.norms) {
        assert!((whole - late).abs() <= 1e-5 * whole, "{whole} {late}");
    }
}

#[test]
fn a_resumed_run_of_late_rows_has_the_bits_of_an_uninterrupted_one() {
    let settings = Settings { clip: 1.0, ..by_rows() };
    let whole = run(&settings, "", None, None).unwrap();
    let one = on_threads(1, || run(&settings, "", None, None).unwrap());
    assert!(one.weights == whole.weights, "threads");
    for stop_at in [1, 9, 20] {
        let folder = tempfile::tempdir().unwrap();
        run(&settings, "", Some((folder.path(), false)), Some(stop_at)).unwrap();
        let resumed = run(&settings, "", Some((folder.path(), true)), None).unwrap();
        assert!(resumed.weights == whole.weights, "stopped at {stop_at}");
    }
    // Checkpoints on the way settle all rows earlier.
    let often = Settings { checkpoint_every: Some(2), ..settings };
    let folder = tempfile::tempdir().unwrap();
    let trained = run(&often, "", Some((folder.path(), false)), None).unwrap();
    assert!(trained.weights == whole.weights, "with checkpoints");
}

#[test]
fn a_resume_with_another_seed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(&settings(), "", Some((folder.path(), false)), Some(2)).unwrap();
    let error = run(&Settings { seed: 4, ..settings() }, "", Some((folder.path(), true)), None).err().unwrap();
    assert_eq!((error.exit_code(), error.to_string().contains("seed")), (8, true), "{error}");
}

#[test]
fn threads_do_not_change_a_bit() {
    let weights = |threads| on_threads(threads, || run(&settings(), "", None, None).unwrap().weights);
    let one = weights(1);
    assert!(one == weights(2) && one == weights(4));
}

/// On processors without the instructions there is no such backend.
#[test]
fn bf16_runs_keep_the_promises_and_stay_near_f32() {
    let Some(bf16) = Cpu::with(Precision::Bf16) else { return };
    let plain = run(&settings(), "", None, None).unwrap();
    let on = |threads, folder: Option<(&Path, bool)>, stop_at| {
        on_threads(threads, || {
            BACKEND.set(bf16);
            run(&settings(), "", folder, stop_at).unwrap()
        })
    };
    let one = on(1, None, None);
    assert!(one.weights != plain.weights, "bf16 does something");
    assert!(one.weights == on(2, None, None).weights && one.weights == on(4, None, None).weights, "threads");
    let folder = tempfile::tempdir().unwrap();
    on(2, Some((folder.path(), false)), Some(7));
    assert!(on(2, Some((folder.path(), true)), None).weights == one.weights, "resumed");
    // A product is off by at most 2⁻⁸ of itself, and errors of different signs meet in a sum; 0.0015 was seen.
    let (loss, exact) = (one.losses[0], plain.losses[0]);
    assert!((loss - exact).abs() < exact / 256.0, "first loss {loss}, in f32 {exact}");
}

#[test]
fn passes_add_up_to_the_batch_with_the_same_dropout() {
    // 40 rows in batches of 12: the last batch of the epoch is a partial one.
    let short = Settings { batch_size: 12, max_steps: Some(6), ..settings() };
    for freeze_spec in ["", "embeddings,layers.0"] {
        let train = |rows, tokens| {
            let settings = Settings { pass_limit: PassLimit { rows, tokens }, ..short.clone() };
            run(&settings, freeze_spec, None, None).unwrap()
        };
        let whole = train(12, None);
        for (rows, tokens) in [(1, None), (5, None), (12, Some(20)), (12, Some(1)), (4, Some(26))] {
            let cut = train(rows, tokens);
            // In the first step the weights are the same, a row's logits have the same bits in any pass, and so have its masks. What
            // differs is the order of f32 sums: of 12 losses, and of the gradients' terms, some 80 tokens each, with cancellation in
            // single elements but not in the norm. A mask that differed would move both by per cents.
            let close = |what: &str, a: f64, b: f64, terms: f64| {
                let bound = terms * f64::from(f32::EPSILON) * a.abs();
                assert!((a - b).abs() <= bound, "{freeze_spec} {rows} {tokens:?}: {what} {a} {b}");
            };
            close("loss", whole.losses[0], cut.losses[0], 12.0);
            close("norm", whole.norms[0], cut.norms[0], 80.0);
            for (whole, cut) in whole.losses.iter().zip(&cut.losses) {
                // Adam divides small gradients by their size, which makes their rounding errors as large as the step: 5e-3.
                assert!((whole - cut).abs() < 1e-3, "{freeze_spec} {rows} {tokens:?}: {whole} {cut}");
            }
        }
    }
}

#[test]
fn activation_checkpointing_changes_no_bit() {
    for freeze_spec in ["", "embeddings", "embeddings,layers.0", "layers.0", "layers.1", "encoder"] {
        let plain = run(&settings(), freeze_spec, None, None).unwrap();
        CHECKPOINTING.set(true);
        let checkpointed = run(&settings(), freeze_spec, None, None).unwrap();
        CHECKPOINTING.set(false);
        assert!(plain.weights == checkpointed.weights, "{freeze_spec:?}");
        assert_eq!((plain.losses, plain.norms), (checkpointed.losses, checkpointed.norms), "{freeze_spec:?}");
    }
}

#[test]
fn frozen_parts_keep_their_bits_and_the_rest_moves() {
    let short = Settings { max_steps: Some(3), penalty: Penalty::default(), ..settings() };
    let untouched = run(&Settings { learning_rate: 1e-30, ..short.clone() }, "", None, None).unwrap().weights;
    let frozen = run(&short, "embeddings,layers.0", None, None).unwrap().weights;
    // Embeddings and layer 0 come first; layer 1, pooler and head follow.
    let (h, i) = (32, 64);
    let first = (120 + 64 + 2) * h + 2 * h + 4 * (h * h + h) + 2 * h + (i * h + i) + (h * i + h) + 2 * h;
    assert!(frozen[..first] == untouched[..first]);
    let moved = frozen[first..].iter().zip(&untouched[first..]).filter(|(a, b)| a != b).count();
    let rest = frozen.len() - first;
    assert!(moved * 10 > rest * 9, "{moved} of {rest} numbers moved");
}

#[test]
fn not_a_number_stops_before_the_optimizer_step() {
    let hot = Settings { learning_rate: 1e38, clip: 0.0, warmup: 0.0, ..settings() };
    let error = run(&hot, "", None, None).err().unwrap();
    assert_eq!(error.exit_code(), 6, "{error}");
    assert!(error.to_string().contains("weights were not updated"), "{error}");
}

#[test]
fn a_cache_of_the_frozen_prefix_changes_no_bit() {
    let short = Settings { epochs: 3, pass_limit: PassLimit { rows: 3, tokens: None }, ..settings() };
    for freeze_spec in ["embeddings", "embeddings,layers.0", "encoder", "encoder,pooler"] {
        let plain = run(&short, freeze_spec, None, None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        // In the device's memory; in memory; in a file that fills; in a file that is full from the start.
        for place in [None, Some(None), Some(Some(folder.path())), Some(Some(folder.path()))] {
            let mut caches = |model: &BertClassifier<'_>, params: &Params<Cpu>, split: &Split| {
                let lengths = lengths::<Cpu>(model, &split.encoded);
                let cache = || match place {
                    None => PrefixCache::on_device(&Cpu, lengths.clone(), model.config.hidden_size),
                    Some(None) => PrefixCache::in_memory(lengths.clone()),
                    Some(Some(folder)) => {
                        let key = key(&Cpu, params, freeze_spec, &split.encoded);
                        PrefixCache::in_file(folder, &key, lengths.clone()).unwrap()
                    }
                };
                Some(PrefixCaches { train: cache(), validation: Some(cache()) })
            };
            let cached = run_with(0.1, &short, freeze_spec, None, None, &mut caches).unwrap();
            assert!(cached.weights == plain.weights, "{freeze_spec}, {place:?}");
            assert_eq!(cached.losses, plain.losses, "{freeze_spec}, {place:?}");
            assert_eq!(cached.outcome.validation, plain.outcome.validation);
        }
    }
}
