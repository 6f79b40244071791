//! The predicted memory of a step beside what the pool of a real one holds.

use ferrotune_bert::memory::{PassSize, activation_numbers};
use ferrotune_bert::{Dropouts, EncoderClassifier, EncoderConfig, HeadKind, freeze};
use ferrotune_optim::losses::CrossEntropy;
use ferrotune_tensor::{Cpu, Grads, Params, Pool, Tape};
use ferrotune_tests::sequences;

/// ELECTRA has embeddings of half the width, with a projection after them; ModernBERT's head reads the mean of all tokens where layers are odd.
fn config(model_type: &str, hidden: usize, intermediate: usize, layers: usize) -> EncoderConfig {
    let text = format!(
        r#"{{"model_type": "{model_type}", "vocab_size": 50, "hidden_size": {hidden}, "num_hidden_layers": {layers},
        "num_attention_heads": 4, "intermediate_size": {intermediate}, "max_position_embeddings": 66,
        {} "classifier_pooling": "{}", "mlp_dropout": 0.1, "attention_dropout": 0.1}}"#,
        match model_type {
            "electra" => format!(r#""embedding_size": {},"#, hidden / 2),
            "deberta-v2" => DEBERTA.to_string(),
            _ => String::new(),
        },
        if layers.is_multiple_of(2) { "cls" } else { "mean" },
    );
    text.parse().unwrap()
}

/// What DeBERTa's third version says of its distances.
const DEBERTA: &str = r#""relative_attention": true, "position_buckets": 16, "share_att_key": true, "pos_att_type": "p2c|c2p",
    "norm_rel_ebd": "layer_norm", "position_biased_input": false,"#;

#[track_caller]
fn check(hidden: usize, intermediate: usize, layers: usize, freeze_spec: &str, lengths: &[u32]) {
    let config = config("bert", hidden, intermediate, layers);
    check_model(&config, HeadKind::Sequence, freeze_spec, lengths);
}

#[track_caller]
fn check_model(config: &EncoderConfig, kind: HeadKind, freeze_spec: &str, lengths: &[u32]) {
    let [plain, checkpointed] = [false, true].map(|on| held(config, kind, freeze_spec, lengths, on));
    let (family, layers) = (config.family.model_type, config.num_hidden_layers);
    let trained_all = freeze_spec.is_empty() && layers >= 4;
    assert!(!trained_all || checkpointed < plain * 0.75, "{family}/{layers}: {checkpointed} held, {plain} without");
}

/// What the pool of two steps holds, compared with what is predicted.
#[track_caller]
fn held(config: &EncoderConfig, kind: HeadKind, freeze_spec: &str, lengths: &[u32], checkpointing: bool) -> f64 {
    let (mut model, layout) = EncoderClassifier::with_head(config, kind, 3);
    model.base.encoder.checkpointing = checkpointing;
    let mut params = Params::init(&Cpu, layout, 1);
    freeze::freeze(&mut params, &freeze::prefixes(freeze_spec, config).unwrap());
    let frozen = freeze::frozen_layers(&params, config);
    let tokens: u32 = lengths.iter().sum();
    let offsets = std::iter::once(0).chain(lengths.iter().scan(0, |at, length| {
        *at += length;
        Some(*at)
    }));
    let input = sequences((0..tokens).map(|i| i % 50).collect(), vec![0; tokens as usize], offsets.collect());
    let (mut pool, mut grads) = (Pool::new(Cpu), Grads::new(&Cpu, &params));
    for step in 0..2 {
        grads.clear();
        let mut tape = Tape::new(&Cpu, &params, &mut pool);
        let hidden = model.prefix(&mut tape, &input, &Dropouts::off(), frozen.unwrap_or(0));
        let dropouts = Dropouts::training(config, 1, step);
        // A head over the vocabulary is asked for 15 % of the tokens, the others for all that they score.
        let asked = (0..tokens).filter(|token| kind != HeadKind::Vocabulary || token % 20 < 3).collect::<Vec<_>>();
        let logits = match kind {
            HeadKind::Vocabulary => model.logits_at(&mut tape, hidden, frozen.unwrap_or(0), &input, &dropouts, &asked),
            _ => model.logits_from(&mut tape, hidden, frozen.unwrap_or(0), &input, &dropouts),
        };
        let labels = if kind == HeadKind::Sequence { lengths.len() } else { asked.len() };
        let loss = tape.apply(CrossEntropy::new(vec![1; labels], 1.0), &[logits]);
        tape.backward(loss, 1.0, &mut grads);
    }
    let longest = lengths.iter().max().map_or(0, |&longest| longest as usize);
    let pass = PassSize { tokens: tokens as usize, rows: lengths.len(), longest };
    let predicted = activation_numbers(config, kind, frozen, pass, checkpointing) as f64;
    let held = pool.held() as f64;
    let ratio = predicted / held;
    // An eighth of a buffer may be unused; small gradients and scratch of kernels are not counted.
    assert!(
        (0.8..1.15).contains(&ratio),
        "{} {kind:?} {freeze_spec:?}, checkpointing {checkpointing}: predicted {predicted}, held {held}: {ratio:.3}",
        config.family.model_type
    );
    held
}

#[test]
fn the_predicted_memory_of_a_step_is_what_its_pool_holds() {
    let short = [9, 23, 40, 17, 31, 12, 25, 60];
    for freeze_spec in ["", "embeddings", "embeddings,layers.0-1", "embeddings,layers.0-2", "layers.0-1"] {
        check(64, 256, 4, freeze_spec, &short);
    }
    check(128, 512, 6, "", &short);
    check(64, 128, 2, "", &[64; 40]);
    check(96, 384, 4, "encoder", &[30; 64]);
    for (model_type, kind) in [
        ("electra", HeadKind::Sequence),
        ("roberta", HeadKind::Sequence),
        ("modernbert", HeadKind::Sequence),
        ("bert", HeadKind::Tokens),
        ("electra", HeadKind::Tokens),
        ("modernbert", HeadKind::Tokens),
        ("mpnet", HeadKind::Sequence),
        ("mpnet", HeadKind::Tokens),
        ("deberta-v2", HeadKind::Sequence),
        ("deberta-v2", HeadKind::Tokens),
    ] {
        for freeze_spec in ["", "embeddings", "embeddings,layers.0-1"] {
            check_model(&config(model_type, 64, 256, 4), kind, freeze_spec, &short);
        }
    }
    for (layers, freeze_spec) in [(5, ""), (5, "embeddings,layers.0-3"), (4, "embeddings,layers.0-2"), (5, "encoder")] {
        check_model(&config("modernbert", 64, 96, layers), HeadKind::Sequence, freeze_spec, &short);
    }
    for (vocabulary, freeze_spec) in [(50, ""), (50, "embeddings"), (1000, ""), (1000, "embeddings,layers.0-1")] {
        let config = EncoderConfig { vocab_size: vocabulary, ..config("bert", 64, 256, 4) };
        check_model(&config, HeadKind::Vocabulary, freeze_spec, &short);
    }
}
