//! Tiny encoders against transformers: hidden states, logits, loss, every gradient, ten AdamW steps; and the folders that hold them.

use ferrotune_bert::checkpoint::{TensorSpec, load};
use ferrotune_bert::pretrained::{self, Head, Pretrained};
use ferrotune_bert::{Dropouts, EncoderClassifier, EncoderConfig};
use ferrotune_data::{Row, Tokenizer};
use ferrotune_optim::losses::CrossEntropy;
use ferrotune_optim::{AdamW, Groups, Optimizer, clip};
use ferrotune_tensor::{Cpu, Grads, Params, Pool, Tape};
use ferrotune_tests::{Fixture, assert_close, golden, on_threads};
use serde_json::Value;

fn classifier(name: &str) -> Pretrained<Cpu> {
    pretrained::load(&Cpu, &golden(name).join("model"), Head::Stored).unwrap_or_else(|e| panic!("{e}"))
}

/// One forward and backward pass without dropout; returns the loss.
fn pass(loaded: &Pretrained<Cpu>, fixture: &Fixture, pool: &mut Pool<Cpu>, grads: &mut Grads<Cpu>) -> f32 {
    let labels = fixture.ids("labels");
    let mut tape = Tape::new(&Cpu, &loaded.params, pool);
    let logits = loaded.model.logits(&mut tape, &fixture.sequences(), &Dropouts::off());
    let scale = 1.0 / labels.len() as f32;
    let loss = tape.apply(CrossEntropy::new(labels, scale), &[logits]);
    let value = tape.download(loss)[0];
    tape.backward(loss, 1.0, grads);
    value
}

fn check(name: &str) {
    let fixture = Fixture::read(name);
    let mut loaded = classifier(name);
    let mut pool = Pool::new(Cpu);

    let mut tape = Tape::inference(&Cpu, &loaded.params, &mut pool);
    let outputs = loaded.model.forward(&mut tape, &fixture.sequences(), &Dropouts::off());
    for (layer, &hidden) in outputs.hidden.iter().enumerate() {
        let what = format!("hidden.{layer}");
        assert_close(&what, tape.get(hidden).data, &fixture.floats(&what), 1e-5, 1.0);
    }
    assert_eq!(outputs.hidden.len(), loaded.config.num_hidden_layers + 1);
    assert_close("pooled", tape.get(outputs.pooled.unwrap()).data, &fixture.floats("pooled"), 1e-5, 1.0);
    assert_close("logits", tape.get(outputs.logits).data, &fixture.floats("logits"), 1e-5, 1.0);
    drop(tape);

    let mut grads = Grads::new(&Cpu, &loaded.params);
    let loss = pass(&loaded, &fixture, &mut pool, &mut grads);
    assert_close("loss", &[loss], &fixture.floats("loss"), 5e-6, 1.0);
    let layout = loaded.params.layout().clone();
    for (id, entry) in layout.ids().zip(layout.entries()) {
        let got = grads.get(id).data;
        if entry.name.ends_with("attention.self.key.bias") {
            // Zero in exact arithmetic: softmax ignores a shift of a query's scores.
            assert!(got.iter().all(|g| g.abs() <= 1e-6), "{}", entry.name);
        } else {
            let what = format!("grad.{}", entry.name);
            assert_close(&what, got, &fixture.floats(&what), 1e-4, 0.0);
        }
    }
    steps(name, &fixture, &mut loaded, &mut pool);
}

/// Ten AdamW steps: losses, and norms before clipping.
fn steps(name: &str, fixture: &Fixture, loaded: &mut Pretrained<Cpu>, pool: &mut Pool<Cpu>) {
    let text = std::fs::read_to_string(golden(name).join("steps.json")).unwrap();
    let wanted: Value = serde_json::from_str(&text).unwrap();
    let numbers = |key: &str| wanted[key].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect::<Vec<_>>();
    let setting = |key: &str| wanted["hyper_parameters"][key].as_f64().unwrap();
    let groups = Groups::standard(&loaded.params, setting("weight_decay"));
    let betas = (setting("beta1"), setting("beta2"));
    let mut optimizer = AdamW::new(&Cpu, &loaded.params, groups, betas, setting("epsilon"));
    let mut grads = Grads::new(&Cpu, &loaded.params);
    for (loss, norm) in numbers("losses").into_iter().zip(numbers("grad_norms")) {
        grads.clear();
        let got = f64::from(pass(loaded, fixture, pool, &mut grads));
        assert!((got - loss).abs() <= 5e-6, "{name}: loss {got}, expected {loss}");
        let got = clip::global_norm(&Cpu, &grads);
        assert!((got - norm).abs() <= 2e-5 * norm, "{name}: norm {got}, expected {norm}");
        let factor = clip::clip_factor(got, setting("clip_global_norm"));
        optimizer.step(&Cpu, &mut loaded.params, &grads, setting("learning_rate"), factor);
    }
    grads.clear();
    let last = f64::from(pass(loaded, fixture, pool, &mut grads));
    let wanted = wanted["final_loss"].as_f64().unwrap();
    assert!((last - wanted).abs() <= 5e-6, "{name}: final loss {last}, expected {wanted}");
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
    for name in ["tiny-single", "tiny-pair"] {
        let tokenizer = Tokenizer::from_folder(&golden(name).join("model"), 41).unwrap();
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
            assert_eq!((encoded.ids, encoded.type_ids), (numbers("ids"), numbers("type_ids")), "{row:?}");
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
            pass(&loaded, &fixture, &mut Pool::new(Cpu), &mut grads);
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
    for (name, all_layers) in [("tiny-single", 0), ("tiny-pair", 0), ("tiny-pair", usize::MAX)] {
        let fixture = Fixture::read(name);
        let mut loaded = classifier(name);
        loaded.config.hidden_dropout_prob = 0.2;
        loaded.config.attention_probs_dropout_prob = 0.3;
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
            let loss = tape.apply(CrossEntropy::new(fixture.ids("labels"), 1.0), &[logits]);
            tape.backward(loss, 1.0, &mut grads);
            (values, grads)
        };
        let ((full, full_grads), (few, few_grads)) = (run(true), run(false));
        assert_eq!(full, few, "{name}");
        for (id, entry) in loaded.params.layout().ids().zip(loaded.params.layout().entries()) {
            let (few, full) = (few_grads.get(id).data, full_grads.get(id).data);
            if entry.name.ends_with("attention.self.key.bias") {
                // Zero in exact arithmetic: softmax ignores a shift of a query's scores.
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
    pass(&loaded, &fixture, &mut pool, &mut grads);
    let first = pool.misses();
    for _ in 0..5 {
        pass(&loaded, &fixture, &mut pool, &mut grads);
    }
    assert_eq!(pool.misses(), first);
}

#[test]
fn save_load_save_gives_identical_files() {
    let folder = tempfile::tempdir().unwrap();
    let source = golden("tiny-single").join("model");
    let mut files = Vec::new();
    let mut from = source.clone();
    for name in ["first", "second"] {
        let loaded = pretrained::load(&Cpu, &from, Head::Stored).unwrap();
        let to = folder.path().join(name);
        pretrained::save(
            &Cpu,
            &to,
            &loaded.config,
            loaded.model.kind(),
            &loaded.labels,
            &loaded.params,
            Some(&from),
            false,
        )
        .unwrap();
        files.push(["config.json", "model.safetensors", "tokenizer.json"].map(|f| std::fs::read(to.join(f)).unwrap()));
        from = to;
    }
    assert!(files[0] == files[1]);
    assert!(
        files[0][1] == std::fs::read(source.join("model.safetensors")).unwrap(),
        "the bytes of transformers itself"
    );
}
