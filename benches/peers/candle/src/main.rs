//! Inference of a BERT classifier with candle: pads, runs, times, and prints one JSON object. An opponent in benches/peers, never
//! linked to ferrotune; it must not know tokenizers: rows come as token ids, one row a line.
#![forbid(unsafe_code)]

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{Linear, Module, VarBuilder, linear};
use candle_transformers::models::bert::{BertModel, Config};
use std::error::Error;
use std::time::Instant;

const USAGE: &str = "usage: peers-candle MODEL_FOLDER TOKENS_FILE BATCHES_FILE WARM_UP_BATCHES";

/// The classifier of transformers: encoder, pooler (dense and tanh on the first token), linear head.
struct Classifier {
    bert: BertModel,
    pooler: Linear,
    head: Linear,
}

impl Classifier {
    fn load(folder: &str) -> std::result::Result<Classifier, Box<dyn Error>> {
        let text = std::fs::read_to_string(format!("{folder}/config.json"))?;
        let config: Config = serde_json::from_str(&text)?;
        let weights = std::fs::read(format!("{folder}/model.safetensors"))?;
        let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)?;
        let hidden = config.hidden_size;
        let labels = serde_json::from_str::<serde_json::Value>(&text)?;
        let labels = labels["id2label"].as_object().ok_or("config.json has no id2label")?.len();
        Ok(Classifier {
            bert: BertModel::load(weights.pp("bert"), &config)?,
            pooler: linear(hidden, hidden, weights.pp("bert.pooler.dense"))?,
            head: linear(hidden, labels, weights.pp("classifier"))?,
        })
    }

    /// Logits of the rows with these ids, padded to the longest of them: one vector a row.
    fn logits(&self, rows: &[&[u32]]) -> Result<Vec<Vec<f32>>> {
        let width = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let (mut ids, mut mask) = (vec![0u32; rows.len() * width], vec![0u32; rows.len() * width]);
        for (row, at) in rows.iter().zip((0..).step_by(width)) {
            ids[at..at + row.len()].copy_from_slice(row);
            mask[at..at + row.len()].fill(1);
        }
        let shape = (rows.len(), width);
        let (ids, mask) = (Tensor::from_vec(ids, shape, &Device::Cpu)?, Tensor::from_vec(mask, shape, &Device::Cpu)?);
        let hidden = self.bert.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let first = hidden.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?;
        let pooled = self.pooler.forward(&first)?.tanh()?;
        self.head.forward(&pooled)?.to_vec2()
    }
}

/// Lines of whole numbers.
fn numbers(path: &str) -> std::result::Result<Vec<Vec<u32>>, Box<dyn Error>> {
    let text = std::fs::read_to_string(path)?;
    let line = |line: &str| line.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>();
    Ok(text.lines().map(line).collect::<std::result::Result<_, _>>()?)
}

fn run(arguments: &[String]) -> std::result::Result<(), Box<dyn Error>> {
    let [folder, tokens, batches, warm_up] = arguments else { return Err(USAGE.into()) };
    let (rows, batches, warm_up) = (numbers(tokens)?, numbers(batches)?, warm_up.parse::<usize>()?);
    let model = Classifier::load(folder)?;
    let run_batch = |batch: &[u32]| {
        let rows: Vec<&[u32]> = batch.iter().map(|&row| rows[row as usize].as_slice()).collect();
        model.logits(&rows)
    };
    for batch in batches.iter().take(warm_up) {
        run_batch(batch)?;
    }
    let clock = Instant::now();
    let mut logits = vec![Vec::new(); rows.len()];
    for batch in &batches {
        for (&row, scores) in batch.iter().zip(run_batch(batch)?) {
            logits[row as usize] = scores;
        }
    }
    let seconds = clock.elapsed().as_secs_f64();
    println!("{}", serde_json::json!({"rows": rows.len(), "seconds": seconds, "logits": logits}));
    Ok(())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = run(&arguments) {
        eprintln!("peers-candle: {error}");
        std::process::exit(1);
    }
}
