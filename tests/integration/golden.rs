//! Tiny encoders against transformers: hidden states, logits, loss, every gradient, ten AdamW steps; and the folders that hold them.

use ferrotune_bert::checkpoint::{Companions, TensorSpec, load};
use ferrotune_bert::pretrained::{self, Head, Pretrained};
use ferrotune_bert::{Dropouts, EncoderClassifier, EncoderConfig};
use ferrotune_data::{Row, Tokenizer};
use ferrotune_optim::losses::CrossEntropy;
use ferrotune_optim::{AdamW, Groups, Optimizer, clip};
use ferrotune_tensor::{Backend, Cpu, Grads, Params, Pool, Tape, Var, ops};
use ferrotune_tests::{Fixture, assert_close, golden, on_threads};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What the labels of a fixture say of a token that is not scored.
const SKIPPED: u32 = u32::MAX;
/// The fixtures of the families beside BERT, and of a BERT with a head for tokens.
pub(super) const FAMILIES: [&str; 12] = [
    "tiny-roberta",
    "tiny-xlm-roberta",
    "tiny-camembert",
    "tiny-distilbert",
    "tiny-electra",
    "tiny-modernbert",
    "tiny-modernbert-cls",
    "tiny-modernbert-tokens",
    "tiny-mpnet",
    "tiny-deberta",
    "tiny-deberta-tokens",
    "tiny-tokens",
];

/// How far numbers may be from those of transformers: relative to the largest of their tensor, or 1 if that is more, but for gradients.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) activations: f32,
    pub(super) gradients: f32,
    pub(super) loss: f32,
    /// Of the gradient, relative.
    pub(super) norm: f64,
    /// Of gradients that are zero in exact arithmetic.
    pub(super) zero: f32,
    /// Where every number on the way is rounded to bf16, a gradient is measured as a whole, by its Euclidean norm, and in units of what rounding the weights
    /// alone does to it: how far rounding moves it depends on the model (a unit of ReLU may switch), and nothing but the model knows.
    pub(super) in_roundings: Option<f64>,
}

/// f32 on the processor.
const F32: Bounds =
    Bounds { activations: 1e-5, gradients: 1e-4, loss: 5e-6, norm: 2e-5, zero: 1e-6, in_roundings: None };

fn classifier(name: &str) -> Pretrained<Cpu> {
    classifier_on(&Cpu, name)
}

fn classifier_on<B: Backend>(backend: &B, name: &str) -> Pretrained<B> {
    pretrained::load(backend, &golden(name).join("model"), Head::Stored).unwrap_or_else(|e| panic!("{e}"))
}

/// The mean cross-entropy of the rows, or tokens, that have a label.
fn loss<B: Backend>(tape: &mut Tape<'_, B>, logits: Var, labels: &[u32]) -> Var {
    let rows: Vec<u32> = (0..).zip(labels).filter(|&(_, &label)| label != SKIPPED).map(|(row, _)| row).collect();
    let labels: Vec<u32> = labels.iter().copied().filter(|&label| label != SKIPPED).collect();
    let scored = tape.apply(ops::GatherRows { rows }, &[logits]);
    let scale = 1.0 / labels.len() as f32;
    tape.apply(CrossEntropy::new(labels, scale), &[scored])
}

/// One forward and backward pass without dropout; returns the loss.
fn pass<B: Backend>(
    backend: &B,
    loaded: &Pretrained<B>,
    fixture: &Fixture,
    pool: &mut Pool<B>,
    grads: &mut Grads<B>,
) -> f32 {
    let mut tape = Tape::new(backend, &loaded.params, pool);
    let logits = loaded.model.logits(&mut tape, &fixture.sequences(), &Dropouts::off());
    let loss = loss(&mut tape, logits, &fixture.ids("labels"));
    let value = tape.download(loss)[0];
    tape.backward(loss, 1.0, grads);
    value
}

/// Zero in exact arithmetic: softmax ignores a shift of a query's scores, and that is all a key's bias does.
pub(super) fn is_shift(name: &str) -> bool {
    ["attention.self.key.bias", "attention.k_lin.bias", "attention.attn.k.bias"].iter().any(|end| name.ends_with(end))
}

/// The Euclidean distance of two vectors, of which a missing one is 0.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let of = |i: usize| f64::from(a[i] - b.get(i).unwrap_or(&0.0)).powi(2);
    (0..a.len()).map(of).sum::<f64>().sqrt()
}

/// How far the processor's gradients in f32 move if the weights are rounded to bf16, relative to what they are; by parameter.
fn moved_by_rounded_weights(name: &str) -> BTreeMap<String, f64> {
    let (fixture, mut loaded) = (Fixture::read(name), classifier(name));
    let ids: Vec<_> = loaded.params.layout().ids().collect();
    for &id in &ids {
        let rounded = loaded.params.get(id).data.iter().map(|&w| f32::from_bits((w.to_bits() + 0x8000) & 0xffff_0000));
        let rounded: Vec<f32> = rounded.collect();
        loaded.params.set(&Cpu, id, &rounded);
    }
    let mut grads = Grads::new(&Cpu, &loaded.params);
    pass(&Cpu, &loaded, &fixture, &mut Pool::new(Cpu), &mut grads);
    let relative = |id| {
        let name = &loaded.params.layout().entry(id).name;
        let wanted = fixture.floats(&format!("grad.{name}"));
        (name.clone(), distance(grads.get(id).data, &wanted) / distance(&wanted, &[]))
    };
    ids.into_iter().map(relative).collect()
}

/// Hidden states, logits, loss and every gradient of a fixture.
pub(super) fn numbers<B: Backend + Clone>(backend: &B, name: &str, bounds: Bounds) {
    let fixture = Fixture::read(name);
    let loaded = classifier_on(backend, name);
    let mut pool = Pool::new(backend.clone());

    let mut tape = Tape::inference(backend, &loaded.params, &mut pool);
    let outputs = loaded.model.forward(&mut tape, &fixture.sequences(), &Dropouts::off());
    for (layer, &hidden) in outputs.hidden.iter().enumerate() {
        let what = format!("hidden.{layer}");
        assert_close(&what, &tape.download(hidden), &fixture.floats(&what), bounds.activations, 1.0);
    }
    assert_eq!(outputs.hidden.len(), loaded.config.num_hidden_layers + 1);
    assert_close("logits", &tape.download(outputs.logits), &fixture.floats("logits"), bounds.activations, 1.0);
    drop(tape);

    let mut grads = Grads::new(backend, &loaded.params);
    let loss = pass(backend, &loaded, &fixture, &mut pool, &mut grads);
    assert_close("loss", &[loss], &fixture.floats("loss"), bounds.loss, 1.0);
    let layout = loaded.params.layout().clone();
    let moved = bounds.in_roundings.map(|_| moved_by_rounded_weights(name)).unwrap_or_default();
    let mut ordered: Vec<f64> = moved.values().copied().collect();
    ordered.sort_by(f64::total_cmp);
    // What rounding does to a gradient of few numbers may be little by chance.
    let usual = ordered.get(ordered.len() / 2).copied().unwrap_or_default();
    for (id, entry) in layout.ids().zip(layout.entries()) {
        let got = backend.download(grads.get(id).data);
        if is_shift(&entry.name) {
            assert!(got.iter().all(|g| g.abs() <= bounds.zero), "{}", entry.name);
        } else {
            let what = format!("grad.{}", entry.name);
            let wanted = fixture.floats(&what);
            if let Some(most) = bounds.in_roundings {
                let error = distance(&got, &wanted) / distance(&wanted, &[]);
                let unit = moved[&entry.name].max(usual);
                assert!(error <= most * unit, "{name}: {what}: off by {error} of its norm, rounded weights by {unit}");
            } else {
                assert_close(&what, &got, &wanted, bounds.gradients, 0.0);
            }
        }
    }
}

/// [`numbers`], what the pooler gives, and ten AdamW steps.
fn check(name: &str) {
    numbers(&Cpu, name, F32);
    let fixture = Fixture::read(name);
    let loaded = classifier(name);
    let mut pool = Pool::new(Cpu);
    let mut tape = Tape::inference(&Cpu, &loaded.params, &mut pool);
    let outputs = loaded.model.forward(&mut tape, &fixture.sequences(), &Dropouts::off());
    assert_close("pooled", tape.get(outputs.pooled.unwrap()).data, &fixture.floats("pooled"), 1e-5, 1.0);
    drop(tape);
    steps(&Cpu, name, F32);
}

/// Ten AdamW steps: losses, and norms before clipping.
pub(super) fn steps<B: Backend + Clone>(backend: &B, name: &str, bounds: Bounds) {
    let fixture = &Fixture::read(name);
    let loaded = &mut classifier_on(backend, name);
    let pool = &mut Pool::new(backend.clone());
    let text = std::fs::read_to_string(golden(name).join("steps.json")).unwrap();
    let wanted: Value = serde_json::from_str(&text).unwrap();
    let numbers = |key: &str| wanted[key].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect::<Vec<_>>();
    let setting = |key: &str| wanted["hyper_parameters"][key].as_f64().unwrap();
    let groups = Groups::standard(&loaded.params, setting("weight_decay"));
    let betas = (setting("beta1"), setting("beta2"));
    let mut optimizer = AdamW::new(backend, &loaded.params, groups, betas, setting("epsilon"));
    let mut grads = Grads::new(backend, &loaded.params);
    let close = |what: &str, got: f32, wanted: f64| {
        let error = (f64::from(got) - wanted).abs();
        assert!(error <= f64::from(bounds.loss), "{name}: {what} {got}, expected {wanted}");
    };
    for (loss, norm) in numbers("losses").into_iter().zip(numbers("grad_norms")) {
        grads.clear();
        close("loss", pass(backend, loaded, fixture, pool, &mut grads), loss);
        let scalar = clip::global_norm(backend, &grads);
        let got = backend.read(&scalar);
        assert!((got - norm).abs() <= bounds.norm * norm, "{name}: norm {got}, expected {norm}");
        let factor = clip::clip_factor(backend, &scalar, setting("clip_global_norm"));
        optimizer.step(backend, &mut loaded.params, &grads, setting("learning_rate"), &factor);
    }
    grads.clear();
    let last = pass(backend, loaded, fixture, pool, &mut grads);
    close("final loss", last, wanted["final_loss"].as_f64().unwrap());
}

#[test]
fn single_texts() {
    check("tiny-single");
}

#[test]
fn pairs_with_token_types() {
    check("tiny-pair");
}

#[test]
fn other_families_and_a_head_for_tokens() {
    FAMILIES.into_iter().for_each(|name| numbers(&Cpu, name, F32));
}

#[test]
fn a_bare_legacy_encoder_in_two_shards_of_half_precision() {
    let fixture = Fixture::read("tiny-legacy");
    let config = EncoderConfig::from_folder(&golden("tiny-legacy")).unwrap();
    let (model, layout) = EncoderClassifier::new(&config, 2);
    let spec =
        |e: &ferrotune_tensor::layout::Entry| TensorSpec { name: e.name.clone(), shape: e.shape.dims().to_vec() };
    let wanted: Vec<TensorSpec> = layout.entries().iter().map(spec).collect();
    let mut params = Params::zeros(&Cpu, layout);
    let ids: Vec<_> = params.layout().ids().collect();
    let optional = |name: &str| name.starts_with("classifier.");
    let report = load(&golden("tiny-legacy"), &wanted, &optional, &mut |i, v| params.set(&Cpu, ids[i], &v)).unwrap();
    assert_eq!((report.newly_initialised.len(), report.files), (2, 2));

    let mut pool = Pool::new(Cpu);
    let mut tape = Tape::inference(&Cpu, &params, &mut pool);
    let outputs = model.forward(&mut tape, &fixture.sequences(), &Dropouts::off());
    for (layer, &hidden) in outputs.hidden.iter().enumerate() {
        let what = format!("hidden.{layer}");
        assert_close(&what, tape.get(hidden).data, &fixture.floats(&what), 1e-5, 1.0);
    }
    assert_close("pooled", tape.get(outputs.pooled.unwrap()).data, &fixture.floats("pooled"), 1e-5, 1.0);
}

#[test]
fn the_tokenizer_gives_the_reference_ids() {
    for name in ["tiny-single", "tiny-pair"].into_iter().chain(FAMILIES) {
        let folder = golden(name).join("model");
        let longest = EncoderConfig::from_folder(&folder).unwrap().longest_sequence();
        let tokenizer = Tokenizer::from_folder(&folder, longest).unwrap();
        let text = std::fs::read_to_string(golden(name).join("inputs.json")).unwrap();
        let inputs: Value = serde_json::from_str(&text).unwrap();
        for input in inputs.as_array().unwrap() {
            let string = |key: &str| input[key].as_str().map(str::to_string);
            let row =
                Row { text: string("text").unwrap(), text_b: string("text_pair"), words: None, label: None, line: 1 };
            let encoded = tokenizer.encode_row(&row).unwrap();
            let numbers = |key: &str| -> Vec<u32> {
                input[key].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as u32).collect()
            };
            assert_eq!((encoded.ids, encoded.type_ids), (numbers("ids"), numbers("type_ids")), "{name} {row:?}");
        }
    }
}

#[test]
fn gradients_have_the_same_bits_on_any_number_of_threads() {
    let fixture = Fixture::read("tiny-pair");
    let bits = |threads: usize| {
        on_threads(threads, || {
            let loaded = classifier("tiny-pair");
            let mut grads = Grads::new(&Cpu, &loaded.params);
            pass(&Cpu, &loaded, &fixture, &mut Pool::new(Cpu), &mut grads);
            let ids = grads.written_ids().collect::<Vec<_>>();
            ids.iter().flat_map(|&id| grads.get(id).data.iter().map(|g| g.to_bits())).collect::<Vec<_>>()
        })
    };
    let one = bits(1);
    assert!(one == bits(2) && one == bits(5));
}

/// The last layer computes only the first token of each sequence: the scores have the bits of the full computation, dropout included.
/// A gradient adds the same numbers, but not all of them in the same order.
#[test]
fn what_only_the_head_reads_is_the_full_computation() {
    let bert = [("tiny-single", 0), ("tiny-pair", 0), ("tiny-pair", usize::MAX)];
    let others = FAMILIES.into_iter().flat_map(|name| [(name, 0), (name, 1), (name, usize::MAX)]);
    for (name, all_layers) in bert.into_iter().chain(others) {
        let fixture = Fixture::read(name);
        let mut loaded = classifier(name);
        loaded.config.hidden_dropout_prob = 0.2;
        loaded.config.attention_probs_dropout_prob = 0.3;
        loaded.config.classifier_dropout = Some(0.4);
        let dropouts = Dropouts::training(&loaded.config, 7, 3);
        let prefix = all_layers.min(loaded.config.num_hidden_layers);
        let run = |is_full: bool| {
            let (mut pool, mut grads) = (Pool::new(Cpu), Grads::new(&Cpu, &loaded.params));
            let mut tape = Tape::new(&Cpu, &loaded.params, &mut pool);
            let input = fixture.sequences();
            let logits = if is_full {
                loaded.model.forward(&mut tape, &input, &dropouts).logits
            } else {
                let hidden = loaded.model.prefix(&mut tape, &input, &dropouts, prefix);
                loaded.model.logits_from(&mut tape, hidden, prefix, &input, &dropouts)
            };
            let values = tape.download(logits);
            let loss = loss(&mut tape, logits, &fixture.ids("labels"));
            tape.backward(loss, 1.0, &mut grads);
            (values, grads)
        };
        let ((full, full_grads), (few, few_grads)) = (run(true), run(false));
        assert_eq!(full, few, "{name}");
        for (id, entry) in loaded.params.layout().ids().zip(loaded.params.layout().entries()) {
            let (few, full) = (few_grads.get(id).data, full_grads.get(id).data);
            if is_shift(&entry.name) {
                assert!(few.iter().chain(full).all(|g| g.abs() <= 1e-6), "{}", entry.name);
            } else {
                assert_close(&entry.name, few, full, 1e-5, 0.0);
            }
        }
    }
}

#[test]
fn no_buffer_is_allocated_after_the_first_step() {
    let fixture = Fixture::read("tiny-single");
    let loaded = classifier("tiny-single");
    let mut pool = Pool::new(Cpu);
    let mut grads = Grads::new(&Cpu, &loaded.params);
    pass(&Cpu, &loaded, &fixture, &mut pool, &mut grads);
    let first = pool.misses();
    for _ in 0..5 {
        pass(&Cpu, &loaded, &fixture, &mut pool, &mut grads);
    }
    assert_eq!(pool.misses(), first);
}

#[test]
fn save_load_save_gives_identical_files() {
    for name in ["tiny-single"].into_iter().chain(FAMILIES) {
        let folder = tempfile::tempdir().unwrap();
        let source = golden(name).join("model");
        let mut files = Vec::new();
        let mut from = source.clone();
        for name in ["first", "second"] {
            let to = folder.path().join(name);
            save(&pretrained::load(&Cpu, &from, Head::Stored).unwrap(), &from, &to);
            let read = |file| std::fs::read(to.join(file)).unwrap();
            files.push(["config.json", "model.safetensors", "tokenizer.json"].map(read));
            from = to;
        }
        assert!(files[0] == files[1], "{name}");
        let theirs = |file| std::fs::read(source.join(file)).unwrap();
        assert!(files[0][1] == theirs("model.safetensors"), "{name}: the bytes of transformers itself");
        // Of their configuration everything is kept, and the kind of classification is said.
        let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Map<String, Value>>(bytes).unwrap();
        let mut ours = json(&files[0][0]);
        let theirs = json(&theirs("config.json"));
        if !theirs.contains_key("problem_type") {
            ours.remove("problem_type");
        }
        assert_eq!(ours, theirs, "{name}");
    }
}

/// Saves a model as training does.
pub(super) fn save(loaded: &Pretrained<Cpu>, from: &Path, to: &Path) {
    let Pretrained { config, labels, model, params, .. } = loaded;
    pretrained::save(&Cpu, to, config, model.kind(), labels, params, Some(Companions::of(from)), false).unwrap();
}
