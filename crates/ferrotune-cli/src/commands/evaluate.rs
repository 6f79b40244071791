//! `ferrotune evaluate`: measures a fine-tuned model on labelled rows.

use super::{find_model, max_length, on_pool, use_threads};
use crate::args::EvaluateArgs;
use crate::exit::Failure;
use crate::model::BertClassifier;
use crate::{report, settings};
use ferrotune_bert::pretrained::{self, Head};
use ferrotune_data::{Labels, Need, Tokenizer, encode_labels, read_table_with};
use ferrotune_tensor::{Cpu, Pool};
use ferrotune_train::evaluate::evaluate;
use ferrotune_train::model::Split;

/// Runs the command.
pub fn run(args: &EvaluateArgs) -> Result<(), Failure> {
    use_threads(args.threads)?;
    let folder = find_model(&args.model)?.folder;
    let loaded = pretrained::load(&Cpu, &folder, Head::Stored)?;
    let columns = settings::columns(&args.text_column, &args.text_b_column, &args.label_column);
    let table = read_table_with(&args.data, None, columns.as_ref(), Need::Labels)?;
    let labels = Labels::from_names(loaded.labels.clone())?;
    let ids = encode_labels(&table, &labels)?;
    let limit = max_length(args.max_length, &folder, loaded.config.max_position_embeddings)?;
    let tokenizer = Tokenizer::from_folder(&folder, limit)?;
    super::train::check_vocabulary(&tokenizer, &loaded.config, &folder)?;
    let encoded = tokenizer.encode(&table.rows)?;
    let truncated = encoded.truncated.len();
    let split = Split { encoded, labels: ids };
    let model = BertClassifier { model: &loaded.model, config: &loaded.config, frozen_layers: None };
    let result = on_pool(|| evaluate(&Cpu, &model, &loaded.params, &mut Pool::new(Cpu), &split, &loaded.labels, None))?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&result).expect("a report is plain numbers"));
    } else {
        if truncated > 0 {
            eprintln!("{truncated} of {} rows were cut to {limit} tokens", split.rows());
        }
        println!("{}\n\n{}\n{}", report::line("result", &result), report::classes(&result), report::confusion(&result));
    }
    Ok(())
}
