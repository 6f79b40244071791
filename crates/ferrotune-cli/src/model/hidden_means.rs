//! What the frozen encoder of a model folder says of rows: the mean of its last hidden states. It must not know what that is used for.

use crate::device::Machine;
use crate::device::threads::on_pool;
use crate::exit::Failure;
use crate::model::classifier::BertClassifier;
use crate::rows::data::check_vocabulary;
use ferrotune_bert::HeadKind;
use ferrotune_bert::pretrained::{self, Head, Pretrained};
use ferrotune_data::{Encoded, Tokenizer};
use ferrotune_tensor::Pool;
use ferrotune_train::probe::mean_features;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::Path;

/// Numbers for the rows of several tables.
pub struct HiddenMeans {
    /// Of each table row-major `(sequences, width)`.
    pub parts: Vec<Vec<f32>>,
    /// Numbers for a sequence.
    pub width: usize,
}

/// Reads the sequences of these tables, which the tokenizer of the folder has cut into tokens, without dropout.
///
/// # Errors
/// A model that cannot be read, or that does not embed all tokens.
pub fn hidden_means<B: Machine>(
    backend: &B,
    folder: &Path,
    tokenizer: &Tokenizer,
    tables: &[&Encoded],
) -> Result<HiddenMeans, Failure> {
    // A head of tokens, because what is read is the state of every token; no logit is computed, so its weights do not matter.
    let names = ["none".to_string(), "either".to_string()];
    let head = Head::For { labels: &names, kind: HeadKind::Tokens, seed: 0 };
    let Pretrained { config, model, params, .. } = pretrained::load(backend, folder, head)?;
    check_vocabulary(tokenizer, &config, folder)?;
    let encoder = BertClassifier { model: &model, config: &config, frozen_layers: Some(config.num_hidden_layers) };
    let progress = ProgressBar::new(tables.iter().map(|table| table.len() as u64).sum()).with_style(style());
    let mut pool = Pool::new(backend.clone());
    let mut before = 0;
    let mut read = |table: &&Encoded| {
        let mut done = |rows: usize| progress.set_position((before + rows) as u64);
        let means = on_pool(|| mean_features(backend, &encoder, &params, &mut pool, table, &mut done));
        before += table.len();
        means
    };
    let parts = tables.iter().map(&mut read).collect();
    progress.finish_and_clear();
    Ok(HiddenMeans { parts, width: config.hidden_size })
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("encoding   {pos}/{len} rows, {eta} left").expect("the template is right")
}
