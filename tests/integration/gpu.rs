//! The same model and the same results on another Backend: golden numbers of every family, and a run with dropout beside the processor's. The shim
//! plays a GPU in CI (feature `shim`); on a machine with a GPU the same tests run on it (feature `driver`, `--ignored`).

use crate::golden::{Bounds, FAMILIES, numbers, steps};
use crate::training::{rows, settings};
use ferrotune_bert::pretrained::{self, Head, Pretrained};
use ferrotune_bert::{EncoderConfig, HeadKind};
use ferrotune_cuda::device::Device;
use ferrotune_cuda::{Gpu, Precision};
use ferrotune_data::Labels;
use ferrotune_optim::{AdamW, Groups, Penalty, adamw};
use ferrotune_tensor::{Backend, Cpu, Pool};
use ferrotune_tests::{BertClassifier, golden};
use ferrotune_train::events::Event;
use ferrotune_train::prefix::{PrefixCache, PrefixCaches, lengths};
use ferrotune_train::tasks::{SingleLabel, Targets};
use ferrotune_train::trainer::thaw::Thaw;
use ferrotune_train::trainer::{Run, Settings, train};
use std::sync::atomic::AtomicBool;

/// f32: sums of other orders.
const F32: Bounds =
    Bounds { activations: 1e-4, gradients: 1e-4, loss: 1e-5, norm: 1e-4, zero: 1e-6, in_roundings: None };

/// bf16 keeps 8 bits: each stored number is off by up to 2⁻⁹ of itself, about 2⁻¹⁰ on average. On the way from the input to the logits of these two layers lie
/// some 37 such roundings: two of the embeddings, nine of each layer (q, k and v, probabilities, context, its projection, norm, and the four of the
/// feed-forward part and its norm), three of pooler and head, and one of each of the fourteen weights. They add up like a random walk: √37·2⁻¹⁰ ≈ 0.6 % of a
/// typical number, and the worst of some thousands lies five such deviations out: 3 %. Gradients pass as many again on the way back. Those of the weights
/// alone are 14 of these 74, so all together move a gradient √(74/14) = 2.3 times as far, and as the walk is a matter of chance, twice that is allowed.
const BF16: Bounds =
    Bounds { activations: 0.03, gradients: 0.0, loss: 0.01, norm: 0.02, zero: 1e-2, in_roundings: Some(4.6) };

fn golden_numbers<D: Device>(open: impl Fn(Precision) -> Gpu<D>) {
    for (precision, bounds) in [(Precision::F32, F32), (Precision::Bf16, BF16)] {
        let gpu = open(precision);
        for name in ["tiny-single", "tiny-pair"].into_iter().chain(FAMILIES) {
            let folder = golden(name).join("model");
            match EncoderConfig::from_folder(&folder).unwrap().distance_rows {
                None => numbers(&gpu, name, bounds),
                Some(_) => {
                    let error = pretrained::load(&gpu, &folder, Head::Stored).err().unwrap().to_string();
                    assert!(error.contains("for which this device has no kernels yet"), "{name}: {error}");
                }
            }
        }
    }
    ["tiny-single", "tiny-pair"].into_iter().for_each(|name| steps(&open(Precision::F32), name, F32));
}

/// Losses of a run of the tiny model with dropout, of every `log_every`th step: of those between, the numbers stay under way. With `frozen`, its first
/// layer is, and a small class is drawn often enough to be in a pass several times; with `cached`, what that layer gives is kept on the device.
fn losses<B: Backend + Clone>(backend: &B, epochs: u64, log_every: u64, frozen: bool, cached: bool) -> Vec<f64> {
    let names = ["calm", "storm"].map(str::to_string);
    let settings = Settings {
        epochs,
        log_every,
        penalty: Penalty::default(),
        learning_rate: 1e-3,
        balanced: frozen,
        ..settings()
    };
    let head = Head::For { labels: &names, kind: HeadKind::Sequence, seed: settings.seed };
    let mut loaded: Pretrained<B> = pretrained::load(backend, &golden("tiny-single/model"), head).unwrap();
    (loaded.config.hidden_dropout_prob, loaded.config.attention_probs_dropout_prob) = (0.1, 0.1);
    let Pretrained { config, model, params, .. } = &mut loaded;
    let frozen_layers = frozen.then_some(1);
    if frozen {
        let frozen = ferrotune_bert::freeze::prefixes("embeddings,layers.0", config).unwrap();
        ferrotune_bert::freeze::freeze(params, &frozen);
    }
    let groups = Groups::standard(params, 0.01);
    let mut optimizer = AdamW::new(backend, params, groups, adamw::BETAS, adamw::EPS);
    let (mut train_rows, mut losses) = (rows(), Vec::new());
    if frozen {
        train_rows.targets = Targets::Classes((0..train_rows.rows()).map(|row| u32::from(row % 8 == 0)).collect());
    }
    let mut observer = |event: &Event| {
        if let Event::Step { loss, .. } = event {
            losses.push(*loss);
        }
    };
    let width = config.hidden_size;
    let classifier = BertClassifier { model, config, frozen_layers };
    let lengths = lengths::<B>(&classifier, &train_rows.encoded);
    let caches = || PrefixCaches { train: PrefixCache::on_device(backend, lengths, width), validation: None };
    let mut caches = cached.then(caches);
    train(Run {
        backend,
        model: &classifier,
        params,
        optimizer: &mut optimizer,
        pool: &mut Pool::new(backend.clone()),
        train: &train_rows,
        validation: None,
        prefix: caches.as_mut(),
        task: &SingleLabel::new(Labels::from_names(names.to_vec()).unwrap()),
        anchor: None,
        thaw: &Thaw::default(),
        settings: &settings,
        checkpoints: None,
        resume: false,
        stop: &AtomicBool::new(false),
        pause: None,
        observer: &mut observer,
    })
    .unwrap();
    losses
}

/// 200 steps with dropout: the same masks, and losses within 1e-3. The processor keeps nothing of the frozen layer.
fn a_run_beside_the_processor<D: Device>(open: impl Fn(Precision) -> Gpu<D>) {
    let gpu = open(Precision::F32);
    for (epochs, log_every, frozen) in [(40, 1, false), (4, 7, false), (4, 1, true)] {
        let (got, want) =
            (losses(&gpu, epochs, log_every, frozen, frozen), losses(&Cpu, epochs, log_every, frozen, false));
        assert_eq!((got.len(), want.len() as u64), (want.len(), (epochs * 5).div_ceil(log_every)));
        for (step, (got, want)) in got.iter().zip(&want).enumerate() {
            assert!((got - want).abs() <= 1e-3, "step {step}: loss {got}, on the processor {want}");
        }
    }
}

#[cfg(feature = "shim")]
mod on_the_shim {
    use super::*;
    use ferrotune_cuda::shim::Shim;

    fn open(precision: Precision) -> Gpu<Shim> {
        Gpu::new(Shim::new(false), precision)
    }

    #[test]
    fn golden_numbers() {
        super::golden_numbers(open);
    }

    #[test]
    fn a_run_beside_the_processor() {
        super::a_run_beside_the_processor(open);
    }
}

/// On the first GPU of this machine.
#[cfg(feature = "driver")]
mod on_the_gpu {
    use super::*;
    use ferrotune_cuda::driver::Cuda;

    fn open(precision: Precision) -> Gpu<Cuda> {
        let kernels = std::env::temp_dir().join("ferrotune-kernels");
        Gpu::new(Cuda::open(0, &kernels).unwrap_or_else(|error| panic!("{error}")), precision)
    }

    #[test]
    #[ignore = "needs a GPU: cargo xtask gpu"]
    fn golden_numbers() {
        super::golden_numbers(open);
    }

    #[test]
    #[ignore = "needs a GPU: cargo xtask gpu"]
    fn a_run_beside_the_processor() {
        super::a_run_beside_the_processor(open);
    }
}
