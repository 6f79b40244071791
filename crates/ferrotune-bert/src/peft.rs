//! Saves adapters as a folder that PEFT loads over the base model. Must not know how adapters compute or how they are trained.

use crate::checkpoint::{TensorToSave, save_adapter};
use crate::error::BertError;
use crate::family::TOKEN_HEAD;
use crate::lora::{LoraSpec, is_adapter};
use crate::model::HeadKind;
use crate::parts::{Part, is_of_task};
use crate::pretrained::{FoldersHead, Pretrained, places, rows_at};
use ferrotune_tensor::Backend;
use serde_json::json;
use std::path::Path;

/// What PEFT writes before the names of a wrapped model.
const PEFT_PREFIX: &str = "base_model.model.";

/// Saves adapters, head and what else the base model's folder had not: `PeftModel.from_pretrained(base, folder)`, `base` with a head of so many
/// classes. `base_model` is noted there as the name of the base model.
///
/// Such a folder has no names of labels, and takes those of the base: where the base has the same labels in another order, so has its head.
///
/// # Errors
/// As [`save_adapter`].
///
/// # Panics
/// If there are no adapters, or the head is one over the vocabulary, for which PEFT has no name.
pub fn save<B: Backend>(backend: &B, folder: &Path, loaded: &Pretrained<B>, base_model: &str) -> Result<(), BertError> {
    let Pretrained { params, report, .. } = loaded;
    let layout = params.layout();
    let moved = |name: &str| is_adapter(name) || is_of_task(name, report);
    let chosen: Vec<_> = layout.ids().filter(|&id| moved(&layout.entry(id).name)).collect();
    let names: Vec<String> = chosen.iter().map(|&id| format!("{PEFT_PREFIX}{}", layout.entry(id).name)).collect();
    let order = match &loaded.folders_head {
        FoldersHead::Reordered(stored) => places(&loaded.labels, stored),
        _ => None,
    };
    let out = loaded.model.kind().output_path(&loaded.config);
    let outputs = ["weight", "bias"].map(|name| format!("{out}.{name}"));
    let values: Vec<Vec<f32>> = chosen
        .iter()
        .map(|&id| {
            let values = backend.download(params.get(id).data);
            match &order {
                Some(places) if outputs.contains(&layout.entry(id).name) => rows_at(&values, places),
                _ => values,
            }
        })
        .collect();
    let tensors: Vec<TensorToSave<'_>> = (chosen.iter().zip(&names).zip(&values))
        .map(|((&id, name), values)| TensorToSave { name, shape: layout.entry(id).shape.dims(), values })
        .collect();
    let spec = loaded.adapters.as_ref().expect("peft::save: the model has no adapters");
    let mut text = serde_json::to_string_pretty(&description(loaded, spec, base_model)).expect("a JSON value is JSON");
    text.push('\n');
    save_adapter(folder, &text, &tensors)
}

/// `adapter_config.json`. The targets are one expression that matches whole paths, because a list of endings would confuse
/// `attention.output.dense` with `output.dense`.
fn description<B: Backend>(loaded: &Pretrained<B>, spec: &LoraSpec, base_model: &str) -> serde_json::Value {
    let family = loaded.config.family;
    let escaped = |path: &str| path.replace('.', r"\.");
    let paths: Vec<String> = spec.layers(&family.layer).into_iter().map(|(_, path)| escaped(path)).collect();
    let (task_type, head) = match loaded.model.kind() {
        HeadKind::Sequence => ("SEQ_CLS", family.sequence_head.modules),
        // The layers before the last one are the same as in the head on sequences.
        HeadKind::Tokens if family.transforms_tokens() => ("TOKEN_CLS", family.sequence_head.modules),
        HeadKind::Tokens => ("TOKEN_CLS", &[TOKEN_HEAD][..]),
        HeadKind::Vocabulary => panic!("peft::save: adapters below a head over the vocabulary are not saved"),
    };
    let mut modules: Vec<&str> = head.to_vec();
    // PEFT would initialise these anew, by its own random numbers.
    let beside_head = loaded.report.newly_initialised.iter().filter(|new| Part::of(&new.name) != Part::Head);
    modules.extend(beside_head.filter_map(|new| Some(new.name.rsplit_once('.')?.0)));
    modules.dedup();
    json!({
        "peft_type": "LORA",
        "task_type": task_type,
        "base_model_name_or_path": base_model,
        "inference_mode": true,
        "r": spec.rank,
        "lora_alpha": spec.alpha,
        "lora_dropout": spec.dropout,
        "bias": "none",
        "fan_in_fan_out": false,
        "target_modules": format!(r".*\.{}\.\d+\.({})", escaped(family.layers), paths.join("|")),
        "modules_to_save": modules,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::LoadReport;
    use crate::config::EncoderConfig;
    use crate::lora::{Target, attach};
    use crate::model::EncoderClassifier;
    use ferrotune_tensor::{Cpu, Params};
    use safetensors::SafeTensors;

    /// What a folder of a masked language model lacks.
    const POOLER: [&str; 2] = ["bert.pooler.dense.weight", "bert.pooler.dense.bias"];

    /// Three layers and three classes, with adapters, loaded from a folder that lacked `new`.
    fn loaded(new: &[&str]) -> Pretrained<Cpu> {
        let config: EncoderConfig =
            r#"{"model_type": "bert", "vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 3,
            "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 7, "type_vocab_size": 2}"#
                .parse()
                .unwrap();
        let targets = vec![Target::AttentionOutput, Target::Output];
        let spec = LoraSpec { rank: 2, alpha: 6.0, dropout: 0.1, targets };
        let (mut model, mut layout) = EncoderClassifier::new(&config, 3);
        attach(&mut model, &mut layout, &spec);
        Pretrained {
            config,
            labels: ["a", "b", "c"].map(str::to_string).to_vec(),
            model,
            params: Params::init(&Cpu, layout, 5),
            report: LoadReport::without(new.iter().copied()),
            adapters: Some(spec),
            folders_head: FoldersHead::AsItIs,
        }
    }

    /// The folder's description, and the bytes of its tensors.
    fn saved(loaded: &Pretrained<Cpu>) -> (serde_json::Value, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("adapter");
        save(&Cpu, &folder, loaded, "some/base").unwrap();
        let text = std::fs::read_to_string(folder.join("adapter_config.json")).unwrap();
        (serde_json::from_str(&text).unwrap(), std::fs::read(folder.join("adapter_model.safetensors")).unwrap())
    }

    #[test]
    fn the_folder_says_what_peft_asks_for() {
        for (new, modules) in [(&[][..], json!(["classifier"])), (&POOLER, json!(["classifier", "bert.pooler.dense"]))]
        {
            let (config, bytes) = saved(&loaded(new));
            assert_eq!((&config["r"], &config["lora_dropout"]), (&json!(2), &json!(0.1)));
            assert_eq!(config["modules_to_save"], modules);
            assert_eq!(config["target_modules"], r".*\.encoder\.layer\.\d+\.(attention\.output\.dense|output\.dense)");
            let tensors = SafeTensors::deserialize(&bytes).unwrap();
            assert_eq!(tensors.len(), 3 * 2 * 2 + 2 + new.len());
            let tensor = tensors.tensor("base_model.model.bert.encoder.layer.2.output.dense.lora_A.weight").unwrap();
            assert_eq!(tensor.shape(), [2, 12]);
            for name in ["classifier.bias"].iter().chain(new) {
                assert!(tensors.tensor(&format!("base_model.model.{name}")).is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn one_layer_for_queries_keys_and_values_is_named_once_and_the_head_is_saved_whole() {
        for kind in [HeadKind::Sequence, HeadKind::Tokens] {
            let config: EncoderConfig =
                r#"{"model_type": "modernbert", "vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 3,
                "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 7}"#
                    .parse()
                    .unwrap();
            let targets = vec![Target::Query, Target::Value, Target::Output];
            let spec = LoraSpec { rank: 2, alpha: 6.0, dropout: 0.1, targets };
            let (mut model, mut layout) = EncoderClassifier::with_head(&config, kind, 3);
            attach(&mut model, &mut layout, &spec);
            let params = Params::init(&Cpu, layout, 5);
            let (said, bytes) = saved(&Pretrained { config, model, params, adapters: Some(spec), ..loaded(&[]) });
            assert_eq!(said["target_modules"], r".*\.layers\.\d+\.(attn\.Wqkv|mlp\.Wo)");
            assert_eq!(said["modules_to_save"], json!(["head", "classifier"]), "{kind:?}");
            let tensors = SafeTensors::deserialize(&bytes).unwrap();
            // Two adapters a layer; dense, norm and the last layer with its bias.
            assert_eq!(tensors.len(), 3 * 2 * 2 + 4, "{kind:?}");
            let tensor = tensors.tensor("base_model.model.model.layers.2.attn.Wqkv.lora_B.weight").unwrap();
            assert_eq!(tensor.shape(), [24, 2]);
        }
    }

    /// The base has the labels c, a, b: its first output is our third.
    #[test]
    fn the_head_has_the_order_of_the_base() {
        let (same, mut other) = (loaded(&[]), loaded(&[]));
        other.folders_head = FoldersHead::Reordered(["c", "a", "b"].map(str::to_string).to_vec());
        let ((_, same), (_, other)) = (saved(&same), saved(&other));
        let (same, other) = (SafeTensors::deserialize(&same).unwrap(), SafeTensors::deserialize(&other).unwrap());
        for (name, same) in same.tensors() {
            let (same, other) = (same.data(), other.tensor(&name).unwrap());
            let row = same.len() / 3;
            let expected = match name.contains("classifier") {
                true => [&same[2 * row..], &same[..row], &same[row..2 * row]].concat(),
                false => same.to_vec(),
            };
            assert!(other.data() == expected, "{name}");
        }
    }
}
