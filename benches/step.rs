//! One whole training step of a model with MiniLM's shape and random weights: forward, backward, clipping, AdamW. Needs no file, so it
//! must not know tokenizers or data; the speed does not depend on the values of weights.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group};
use ferrotune_benches::{LENGTHS, offsets};
use ferrotune_bert::{Dropouts, EncoderClassifier, EncoderConfig, Sequences};
use ferrotune_optim::losses::CrossEntropy;
use ferrotune_optim::{AdamW, Groups, Optimizer, adamw, clip};
use ferrotune_tensor::{Backend, Cpu, Grads, Params, Pool, Tape};

/// The sizes of all-MiniLM-L6-v2, with the dropouts of fine-tuning.
const CONFIG: &str = r#"{
    "model_type": "bert", "vocab_size": 30522, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
    "intermediate_size": 1536, "max_position_embeddings": 512, "type_vocab_size": 2, "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "layer_norm_eps": 1e-12
}"#;

/// A ragged batch whose tokens are spread over the vocabulary.
fn batch(config: &EncoderConfig) -> Sequences {
    let tokens: u32 = LENGTHS.iter().sum();
    Sequences {
        // A prime stride visits other rows of the embedding for each token.
        ids: (0..tokens).map(|token| token * 7919 % config.vocab_size as u32).collect(),
        type_ids: vec![0; tokens as usize],
        positions: LENGTHS.iter().flat_map(|&length| 0..length).collect(),
        offsets: offsets().into(),
    }
}

fn step(criterion: &mut Criterion) {
    let config: EncoderConfig = CONFIG.parse().expect("the configuration above is good");
    let (model, layout) = EncoderClassifier::new(&config, 2);
    let mut params = Params::init(&Cpu, layout, 1);
    // By rows, as the trainer has it.
    let (mut grads, mut pool) = (Grads::by_rows(&Cpu, &params), Pool::new(Cpu));
    let groups = Groups::standard(&params, 0.01);
    let mut optimizer = AdamW::new(&Cpu, &params, groups, adamw::BETAS, adamw::EPS);
    let batch = batch(&config);
    let reads = model.base.embeddings.reads(&batch);
    let labels: Vec<u32> = (0..LENGTHS.len() as u32).map(|row| row % 2).collect();
    let mut pass = 0;
    let _awake = Cpu.awake();

    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(LENGTHS.len() as u64));
    group.bench_function("MiniLM, 32 rows, 746 tokens", |bencher| {
        bencher.iter(|| {
            grads.clear();
            optimizer.prepare(&Cpu, &mut params, &reads);
            let mut tape = Tape::new(&Cpu, &params, &mut pool);
            let logits = model.logits(&mut tape, &batch, &Dropouts::training(&config, 1, pass));
            let loss = tape.apply(CrossEntropy::new(labels.clone(), 1.0 / labels.len() as f32), &[logits]);
            tape.backward(loss, 1.0, &mut grads);
            let factor = clip::clip_factor(&Cpu, &clip::global_norm(&Cpu, &grads), 1.0);
            optimizer.step(&Cpu, &mut params, &grads, 2e-5, &factor);
            pass += 1;
        });
    });
    group.finish();
}

fn short() -> Criterion {
    Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(2)).measurement_time(Duration::from_secs(10))
}

criterion_group! { name = benches; config = short(); targets = step }
/// On a thread of the pool, as the command line runs; from outside, each parallel kernel would wait for a thread to wake.
fn main() {
    rayon::scope(|_| benches());
}
