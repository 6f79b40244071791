//! `ferrotune info`: what a model folder holds, read from its headers.

use crate::args::InfoArgs;
use crate::exit::Failure;
use crate::model::calibrated::Calibration;
use crate::model::find::find_model;
use crate::model::notes::Notes;
use ferrotune_bert::EncoderConfig;
use ferrotune_bert::HeadKind;
use ferrotune_bert::checkpoint::{Inspection, inspect};
use ferrotune_bert::config::Pooling;
use serde_json::json;

/// Runs the command.
pub fn run(args: &InfoArgs) -> Result<(), Failure> {
    let found = find_model(&args.model)?;
    let config = EncoderConfig::from_folder(&found.folder)?;
    let inspection = inspect(&found.folder)?;
    let calibration = Notes::read(&found.folder)?.calibration;
    if args.json {
        print_json(args, &config, &inspection, calibration)
    } else {
        print_text(args, &found.folder, &config, &inspection);
        calibration.iter().for_each(|calibration| println!("calibration   {}", calibration.text()));
    }
    Ok(())
}

fn has_head(c: &EncoderConfig, inspection: &Inspection) -> bool {
    let output = format!("{}.weight", c.head_kind().output_path(c));
    inspection.tensors.iter().any(|tensor| tensor.name == output)
}

fn print_text(args: &InfoArgs, folder: &std::path::Path, c: &EncoderConfig, inspection: &Inspection) {
    println!("{}", folder.display());
    println!(
        "architecture  {}, {} layers, hidden {}, {} heads of {}, intermediate {}, {}",
        c.family.model_type,
        c.num_hidden_layers,
        c.hidden_size,
        c.num_attention_heads,
        c.head_dim(),
        c.intermediate_size,
        c.hidden_act
    );
    println!(
        "inputs        {} word pieces, at most {} tokens, {} token types",
        c.vocab_size,
        c.longest_sequence(),
        c.type_vocab_size
    );
    if !c.layer_positions.is_empty() {
        let windows: Vec<u32> = c.layer_positions.iter().filter_map(|layer| layer.window).collect();
        let seen = windows.first().map_or_else(String::new, |window| {
            format!(", {} of {} layers see {window} tokens to either side", windows.len(), c.num_hidden_layers)
        });
        let read = match c.pooling {
            Pooling::FirstToken => "the first token",
            Pooling::Mean => "the mean of all tokens",
        };
        println!("positions     rotary{seen}; a head on texts reads {read}");
    }
    println!(
        "dropout       hidden {}, attention {}, classifier {}",
        c.hidden_dropout_prob,
        c.attention_probs_dropout_prob,
        c.head_dropout(c.head_kind())
    );
    println!("parameters    {} in {} tensors", inspection.parameters(), inspection.tensors.len());
    for file in &inspection.files {
        println!("weights       {} ({:.1} MiB)", file.name, file.bytes as f64 / 1024.0 / 1024.0);
    }
    match (&c.id2label, has_head(c, inspection)) {
        (Some(labels), true) => println!("labels        {}: {}", labels.len(), labels.join(", ")),
        (None, true) => println!("labels        a classification head without names"),
        (_, false) => println!("labels        none: a pretrained encoder, to be fine-tuned with `ferrotune train`"),
    }
    if args.tensors {
        for tensor in &inspection.tensors {
            println!("{:<70} {:<14} {}", tensor.name, format!("{:?}", tensor.shape), tensor.dtype.name());
        }
    }
}

fn print_json(args: &InfoArgs, c: &EncoderConfig, inspection: &Inspection, calibration: Option<Calibration>) {
    let mut value = json!({
        "model_type": c.family.model_type,
        "tokens": has_head(c, inspection) && c.head_kind() == HeadKind::Tokens,
        "num_hidden_layers": c.num_hidden_layers,
        "hidden_size": c.hidden_size,
        "num_attention_heads": c.num_attention_heads,
        "intermediate_size": c.intermediate_size,
        "vocab_size": c.vocab_size,
        "max_position_embeddings": c.max_position_embeddings,
        "parameters": inspection.parameters(),
        "tensors": inspection.tensors.len(),
        "bytes": inspection.files.iter().map(|file| file.bytes).sum::<u64>(),
        "labels": if has_head(c, inspection) { c.id2label.clone() } else { None },
        "calibration": calibration,
    });
    if args.tensors {
        let one = |t: &ferrotune_bert::checkpoint::InspectedTensor| json!({"name": t.name, "shape": t.shape, "dtype": t.dtype.name()});
        value["tensor_list"] = inspection.tensors.iter().map(one).collect();
    }
    println!("{value:#}");
}
