//! `ferrotune evaluate`: measures a fine-tuned model on labelled rows.

use super::{find_model, max_length, on_pool, use_threads};
use crate::args::{EvaluateArgs, LongTextsName};
use crate::data::{check_vocabulary, cut};
use crate::device::device;
use crate::exit::Failure;
use crate::model::BertClassifier;
use crate::notes::Notes;
use crate::{report, settings};
use ferrotune_bert::pretrained::{self, Head};
use ferrotune_data::{Tokenizer, read_table_with};
use ferrotune_tensor::{Cpu, Pool};
use ferrotune_train::evaluate::evaluate;
use ferrotune_train::model::Split;

/// Runs the command.
pub fn run(args: &EvaluateArgs) -> Result<(), Failure> {
    use_threads(args.threads)?;
    let backend = device(args.precision)?;
    let folder = find_model(&args.model)?.folder;
    let loaded = pretrained::load(&Cpu, &folder, Head::Stored)?;
    let notes = Notes::read(&folder)?;
    let task = notes.stored_task(&folder, &loaded.config, &loaded.labels)?;
    let columns = settings::columns(&args.text_column, &args.text_b_column, &args.label_column, task.need());
    let table = read_table_with(&args.data, None, columns.as_ref(), task.need())?;
    let limit = max_length(args.max_length, notes.max_length, loaded.config.longest_sequence())?;
    let long_texts = notes.long_texts.unwrap_or(LongTextsName::Head);
    let tokenizer = Tokenizer::from_folder(&folder, limit)?.with_long_texts(long_texts.into());
    check_vocabulary(&tokenizer, &loaded.config, &folder)?;
    let encoded = tokenizer.encode(&table.rows)?;
    let targets = task.targets(&table, &encoded)?;
    let split = Split::of_rows(encoded, targets);
    let model = BertClassifier { model: &loaded.model, config: &loaded.config, frozen_layers: None };
    let pool = &mut Pool::new(backend);
    let result = on_pool(|| evaluate(&backend, &model, &loaded.params, pool, &split, task.as_ref(), None))?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&result).expect("a report is plain numbers"));
    } else {
        if let Some(cut) = cut(&split.encoded, limit, long_texts) {
            eprintln!("{} rows, {cut}", table.rows.len());
        }
        println!("{}", report::text("result", &result));
    }
    Ok(())
}
