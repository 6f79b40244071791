//! LoRA: a low-rank product beside a frozen weight (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>). Declares the adapters of a
//! model and merges them into the weights. Must not know training, or how they are saved: `peft.rs`.

use crate::checkpoint::LoadReport;
use crate::config::EncoderConfig;
use crate::family::{Block, LayerPaths};
use crate::memory::{PassSize, embedded_distances};
use crate::model::{EncoderClassifier, Place, drop};
use crate::parts::is_of_task;
use ferrotune_tensor::init::Init;
use ferrotune_tensor::{Backend, Layout, ParamId, Params, Tape, Var, ops};
use ndarray::ArrayView2;

/// A linear layer of an encoder layer that can get an adapter, by BERT's names.
/// The order is part of what a seed means: it numbers the dropouts. Never change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `attention.self.query`
    Query,
    /// `attention.self.key`
    Key,
    /// `attention.self.value`
    Value,
    /// `attention.output.dense`
    AttentionOutput,
    /// `intermediate.dense`
    Intermediate,
    /// `output.dense`
    Output,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 6] =
        [Target::Query, Target::Key, Target::Value, Target::AttentionOutput, Target::Intermediate, Target::Output];

    /// The name that a person types.
    pub fn name(self) -> &'static str {
        match self {
            Target::Query => "query",
            Target::Key => "key",
            Target::Value => "value",
            Target::AttentionOutput => "attention-output",
            Target::Intermediate => "intermediate",
            Target::Output => "output",
        }
    }

    /// The layer's path inside an encoder layer.
    pub(crate) fn path(self, layer: &LayerPaths) -> &'static str {
        match self {
            Target::Query => layer.query,
            Target::Key => layer.key,
            Target::Value => layer.value,
            Target::AttentionOutput => layer.attention_output,
            Target::Intermediate => layer.intermediate,
            Target::Output => layer.output,
        }
    }
}

/// Which adapters a model gets.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraSpec {
    /// r, the rank of the product.
    pub rank: usize,
    /// The product is multiplied by `alpha / rank`.
    pub alpha: f32,
    /// The probability with which an adapter drops an element of its input, in training.
    pub dropout: f64,
    /// The layers that get one, in every encoder layer.
    pub targets: Vec<Target>,
}

impl LoraSpec {
    /// The factor of the product.
    pub fn scale(&self) -> f32 {
        self.alpha / self.rank as f32
    }

    /// The linear layers of an encoder layer that get an adapter, by the first target that names each, with their paths: where query, key and value are one
    /// layer, several targets name it.
    pub(crate) fn layers(&self, paths: &LayerPaths) -> Vec<(Target, &'static str)> {
        let mut layers: Vec<(Target, &'static str)> = Vec::new();
        for &target in &self.targets {
            let path = target.path(paths);
            if layers.iter().all(|&(_, known)| known != path) {
                layers.push((target, path));
            }
        }
        layers
    }
}

/// The adapter of one linear layer.
#[derive(Clone, Copy, Debug)]
pub struct Adapter {
    /// `lora_A.weight (r, i)`, uniform within `1/√i` at first, as PEFT's Kaiming initialisation.
    pub a: ParamId,
    /// `lora_B.weight (o, r)`, zero at first: training starts at the pretrained function.
    pub b: ParamId,
    /// `alpha / r`
    pub scale: f32,
    /// The probability with which an element of x is dropped before A, in training.
    pub dropout: f32,
    /// The linear layer's part in its encoder layer.
    pub target: Target,
}

impl Adapter {
    /// `y + scale·(dropout(x) Aᵀ) Bᵀ`.
    pub(crate) fn add<B: Backend>(&self, tape: &mut Tape<'_, B>, x: Var, y: Var, place: Place<'_>) -> Var {
        let (a, b) = (tape.param(self.a), tape.param(self.b));
        let x = self.drop(tape, x, place);
        let product = tape.apply(ops::LowRank::new(self.scale), &[x, a, b]);
        tape.apply(ops::Add, &[y, product])
    }

    /// `dropout(x)`, with a mask of this adapter's own, as in PEFT. Rows get the mask that they have in the whole matrix.
    fn drop<B: Backend>(&self, tape: &mut Tape<'_, B>, x: Var, place: Place<'_>) -> Var {
        let width = tape.shape(x).width();
        let mask = place.dropouts.adapter_mask(self.dropout, place.layer, self.target, width);
        drop(tape, x, mask, place.rows)
    }
}

/// Whether a parameter belongs to an adapter.
pub fn is_adapter(name: &str) -> bool {
    name.ends_with(".lora_A.weight") || name.ends_with(".lora_B.weight")
}

/// Declares the adapters of a model below its other parameters, each under the path of its layer. Where one layer is query, key and value, it gets one
/// adapter for those of them that are targets.
pub fn attach(model: &mut EncoderClassifier, layout: &mut Layout, spec: &LoraSpec) {
    for layer in &mut model.base.encoder.layer {
        for &target in &spec.targets {
            let linear = layer.linear(target);
            if linear.lora.is_some() {
                // One layer for query, key and value, which has its adapter.
                continue;
            }
            let entry = layout.entry(linear.weight);
            let path = path_of(&entry.name).to_string();
            let (o, i) = (entry.shape.rows(), entry.shape.width());
            let mut root = layout.root();
            let mut scope = root.enter(path);
            let bound = 1.0 / (i as f32).sqrt();
            let a = scope.enter("lora_A").param("weight", [spec.rank, i], Init::Uniform(bound));
            let b = scope.enter("lora_B").param("weight", [o, spec.rank], Init::Zeros);
            linear.lora = Some(Adapter { a, b, scale: spec.scale(), dropout: spec.dropout as f32, target });
        }
    }
}

fn path_of(weight: &str) -> &str {
    weight.strip_suffix(".weight").expect("a linear layer's matrix is called weight")
}

/// Freezes all but adapters and what is of the task ([`is_of_task`]). What was frozen before stays frozen.
pub fn freeze_all_but_adapters<B: Backend>(params: &mut Params<B>, report: &LoadReport) {
    let layout = params.layout().clone();
    for (id, entry) in layout.ids().zip(layout.entries()) {
        if !is_adapter(&entry.name) && !is_of_task(&entry.name, report) {
            params.set_trainable(id, false);
        }
    }
}

/// Adds each adapter's product to its weight, `W += scale·B A`, and makes the adapter zero: the model computes what it computed before,
/// and can do so without adapters.
pub fn merge<B: Backend>(backend: &B, params: &mut Params<B>, spec: &LoraSpec) {
    let layout = params.layout().clone();
    for (a, entry) in layout.ids().zip(layout.entries()) {
        let Some(path) = entry.name.strip_suffix(".lora_A.weight") else { continue };
        let find =
            |name: &str| layout.find(&format!("{path}.{name}")).expect("an adapter has both parts and its layer");
        let (w, b) = (find("weight"), find("lora_B.weight"));
        let values = |id| backend.download(params.get(id).data);
        let (mut merged, a_values, b_values) = (values(w), values(a), values(b));
        let (o, i) = (layout.entry(w).shape.rows(), layout.entry(w).shape.width());
        let r = layout.entry(a).shape.rows();
        let b_matrix = ArrayView2::from_shape((o, r), &b_values).expect("the layout's shape");
        let a_matrix = ArrayView2::from_shape((r, i), &a_values).expect("the layout's shape");
        let product = b_matrix.dot(&a_matrix);
        merged.iter_mut().zip(&product).for_each(|(w, delta)| *w += spec.scale() * delta);
        params.set(backend, w, &merged);
        params.set(backend, b, &vec![0.0; o * r]);
    }
}

/// Numbers of f32 that the adapters of so many layers add to the activations of a training pass: the outputs of the products and of the additions, and
/// inputs after dropout.
pub fn activation_numbers(spec: &LoraSpec, config: &EncoderConfig, layers: usize, pass: PassSize) -> usize {
    let (h, i) = (config.hidden_size, config.intermediate_size);
    let of_layer = spec.layers(&config.family.layer).into_iter().map(|(target, _)| {
        let (inputs, outputs) = match (config.family.block, target) {
            (_, Target::AttentionOutput) => (h, h),
            (_, Target::Output) => (i, h),
            (Block::PostNorm, Target::Intermediate) => (h, i),
            (Block::PostNorm, Target::Query | Target::Key | Target::Value) => (h, h),
            (Block::PreNorm { .. }, Target::Intermediate) => (h, 2 * i),
            (Block::PreNorm { .. }, Target::Query | Target::Key | Target::Value) => (h, 3 * h),
        };
        let dropped = if spec.dropout == 0.0 { 0 } else { inputs };
        let reads_distances = matches!(target, Target::Query | Target::Key);
        let rows = pass.tokens + if reads_distances { embedded_distances(config, pass) } else { 0 };
        rows * (2 * outputs + spec.rank + dropped)
    });
    layers * of_layer.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Dropouts, Sequences};
    use ferrotune_tensor::{Cpu, Pool};

    /// What a folder of a masked language model lacks.
    const POOLER: [&str; 2] = ["bert.pooler.dense.weight", "bert.pooler.dense.bias"];

    fn spec(targets: &[Target]) -> LoraSpec {
        LoraSpec { rank: 2, alpha: 6.0, dropout: 0.0, targets: targets.to_vec() }
    }

    fn config() -> EncoderConfig {
        r#"{"model_type": "bert", "vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 3,
            "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 7, "type_vocab_size": 2,
            "initializer_range": 0.3}"#
            .parse()
            .unwrap()
    }

    fn model(spec: Option<&LoraSpec>) -> (EncoderClassifier, Params<Cpu>) {
        let config = config();
        let (mut model, mut layout) = EncoderClassifier::new(&config, 2);
        if let Some(spec) = spec {
            attach(&mut model, &mut layout, spec);
        }
        (model, Params::init(&Cpu, layout, 5))
    }

    fn logits(model: &EncoderClassifier, params: &Params<Cpu>) -> Vec<f32> {
        logits_of(model, params, 0, &Dropouts::off(), false)
    }

    /// Of two sequences from number `from` on; with every hidden state `whole`, or only with what the scores depend on.
    fn logits_of(
        model: &EncoderClassifier,
        params: &Params<Cpu>,
        from: usize,
        dropouts: &Dropouts,
        whole: bool,
    ) -> Vec<f32> {
        let (start, offsets) = [(0, vec![0, 3, 7]), (3, vec![0, 4])][from].clone();
        let input = Sequences {
            ids: [1, 5, 2, 1, 7, 8, 2][start..].to_vec(),
            type_ids: vec![0; 7 - start],
            positions: [0, 1, 2, 0, 1, 2, 3][start..].into(),
            offsets: offsets.into(),
        };
        let mut pool = Pool::new(Cpu);
        let mut tape = Tape::new(&Cpu, params, &mut pool);
        let logits = if whole {
            model.forward(&mut tape, &input, dropouts).logits
        } else {
            model.logits(&mut tape, &input, dropouts)
        };
        tape.download(logits)
    }

    /// Gives every B values, as training would.
    fn train(params: &mut Params<Cpu>) {
        let layout = params.layout().clone();
        for (id, entry) in layout.ids().zip(layout.entries()).filter(|(_, entry)| entry.name.ends_with("lora_B.weight"))
        {
            let values: Vec<f32> = (0..entry.shape.len()).map(|i| ((i * 7 % 11) as f32 - 5.0) / 20.0).collect();
            params.set(&Cpu, id, &values);
        }
    }

    fn distance(x: &[f32], y: &[f32]) -> f32 {
        x.iter().zip(y).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn adapters_start_as_nothing_move_the_output_and_merge_into_the_weights() {
        let (plain, plain_params) = model(None);
        let before = logits(&plain, &plain_params);
        for targets in [&Target::ALL[..], &[Target::Query, Target::Value], &[Target::Output], &[Target::Intermediate]] {
            let spec = spec(targets);
            let (model, mut params) = model(Some(&spec));
            // The q, k and v products are cut differently; each element is one chain of the same products either way.
            assert_eq!(logits(&model, &params), before, "{targets:?}: B starts as zero");
            train(&mut params);
            let trained = logits(&model, &params);
            assert!(distance(&trained, &before) > 1e-2, "{targets:?}: {trained:?}");
            merge(&Cpu, &mut params, &spec);
            let merged = logits(&model, &params);
            // Three layers of sums of a dozen terms of size 1, in another order.
            assert!(distance(&merged, &trained) < 1e-5, "{targets:?}: {merged:?} {trained:?}");
            // Without adapters the merged weights do the same.
            let (plain, mut kept) = self::model(None);
            let layout = kept.layout().clone();
            for (id, entry) in layout.ids().zip(layout.entries()) {
                let from = params.layout().find(&entry.name).unwrap();
                kept.set(&Cpu, id, params.get(from).data);
            }
            assert_eq!(logits(&plain, &kept), merged, "{targets:?}");
        }
    }

    #[test]
    fn an_adapter_drops_elements_of_its_input_as_peft_does() {
        let spec = LoraSpec { dropout: 0.4, ..spec(&[Target::Key]) };
        let (mut model, mut params) = model(Some(&spec));
        train(&mut params);
        let config = EncoderConfig { hidden_dropout_prob: 0.0, attention_probs_dropout_prob: 0.0, ..config() };
        let dropouts = Dropouts::training(&config, 3, 5).starting_at(2, 1);
        let linear = &*model.base.encoder.layer[1].linear(Target::Key);
        let adapter = linear.lora.unwrap();
        let x: Vec<f32> = (0..40).map(|i| ((i * 7 % 23) as f32 - 11.0) / 10.0).collect();
        let mut pool = Pool::new(Cpu);
        let mut tape = Tape::new(&Cpu, &params, &mut pool);
        let var = tape.constant_from([5, 8], &x);
        let place = Place { dropouts: &dropouts, layer: 1, rows: None };
        let y = linear.forward_at(&mut tape, var, place);
        let base = tape.param(linear.weight);
        let (y, w) = (tape.download(y), tape.download(base));
        // The textbook, in f64: result + lora_B(lora_A(dropout(x)))·scaling; the token before it in the batch is number 1.
        let mask = ferrotune_tensor::Mask::new(0.4, 3, 5, 1, 16 + 1);
        let get = |id| params.get(id).data;
        let (a, b, mut dropped) = (get(adapter.a), get(adapter.b), 0);
        for row in 0..5 {
            let keep: Vec<f64> = (0..8).map(|i| f64::from(mask.keep_scale((row + 2) * 8 + i))).collect();
            dropped += keep.iter().filter(|&&keep| keep == 0.0).count();
            let x: Vec<f64> = (0..8).map(|i| f64::from(x[row as usize * 8 + i])).collect();
            let inner: Vec<f64> =
                (0..2).map(|r| (0..8).map(|i| x[i] * keep[i] * f64::from(a[r * 8 + i])).sum()).collect();
            for o in 0..8 {
                let plain: f64 = (0..8).map(|i| x[i] * f64::from(w[o * 8 + i])).sum();
                let product: f64 = (0..2).map(|r| 3.0 * inner[r] * f64::from(b[o * 2 + r])).sum();
                let got = f64::from(y[row as usize * 8 + o]);
                // Some thirty roundings of terms below 2.
                assert!((got - plain - product).abs() < 4e-6, "{row} {o}: {got} {}", plain + product);
            }
        }
        assert!((8..25).contains(&dropped), "{dropped} of 40 were dropped with probability 0.4");
    }

    #[test]
    fn dropout_of_adapters_is_that_of_the_batch_and_off_in_evaluation() {
        let spec = LoraSpec { dropout: 0.5, ..spec(&Target::ALL) };
        let (dropping, mut params) = model(Some(&spec));
        train(&mut params);
        let (plain, _) = model(Some(&LoraSpec { dropout: 0.0, ..spec.clone() }));
        assert_eq!(logits(&dropping, &params), logits(&plain, &params));
        let config = EncoderConfig { hidden_dropout_prob: 0.0, attention_probs_dropout_prob: 0.0, ..config() };
        let step = |step| Dropouts::training(&config, 1, step);
        let trained = logits_of(&dropping, &params, 0, &step(1), false);
        assert_eq!(logits_of(&plain, &params, 0, &step(1), false), logits(&plain, &params));
        assert!(distance(&trained, &logits(&plain, &params)) > 1e-3);
        assert!(distance(&trained, &logits_of(&dropping, &params, 0, &step(2), false)) > 1e-3);
        // The last layer computes first tokens only, and a pass may begin within the batch: the same masks.
        assert_eq!(logits_of(&dropping, &params, 0, &step(1), true), trained);
        assert_eq!(logits_of(&dropping, &params, 1, &step(1).starting_at(3, 1), false), trained[2..]);
    }

    #[test]
    fn adapters_head_and_what_the_folder_had_not_are_trained_alone() {
        for new in [&[][..], &POOLER] {
            let (_, mut params) = model(Some(&spec(&[Target::Query, Target::Value])));
            freeze_all_but_adapters(&mut params, &LoadReport::without(new.iter().copied()));
            let layout = params.layout().clone();
            let names: Vec<&str> = params.trainable_ids().map(|id| layout.entry(id).name.as_str()).collect();
            assert_eq!(names.len(), 3 * 2 * 2 + 2 + new.len());
            let moves = |name: &str| name.contains(".lora_") || name.starts_with("classifier.") || new.contains(&name);
            assert!(names.iter().all(|name| moves(name)), "{names:?}");
        }
    }
}
