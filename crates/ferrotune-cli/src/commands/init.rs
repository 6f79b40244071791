//! `ferrotune init`: a BERT of a known size with random weights.

use crate::args::InitArgs;
use crate::exit::{Failure, MODEL, usage};
use crate::model::find::find_model;
use ferrotune_bert::checkpoint::Companions;
use ferrotune_bert::{EncoderConfig, pretrained};
use ferrotune_data::tokenizer_to_save;
use ferrotune_tensor::Cpu;

/// Runs the command.
pub fn run(args: &InitArgs) -> Result<(), Failure> {
    let has_content = std::fs::read_dir(&args.output).is_ok_and(|mut entries| entries.next().is_some());
    if has_content && !args.overwrite {
        let output = args.output.display();
        return Err(usage(format!("{output} is not empty: say --overwrite to replace it, or name another --output")));
    }
    let from = find_model(&args.tokenizer)?;
    eprintln!("tokenizer  {} ({})", from.folder.display(), from.source);
    let source = EncoderConfig::from_folder(&from.folder)?;
    let family = source.family.model_type;
    if family != "bert" {
        let message = format!(
            "--tokenizer: {} is of the family {family}; presets are BERT models and need the tokenizer of one",
            from.folder.display()
        );
        return Err(Failure { message, code: MODEL });
    }
    let config = args.preset.config(source.vocab_size, source.pad_token_id)?;
    let made = tokenizer_to_save(&from.folder)?;
    let companions = Companions { from: &from.folder, made: &made };
    pretrained::create(&Cpu, &args.output, &config, args.seed, Some(companions), args.overwrite)?;
    eprintln!(
        "weights    random, seed {}: this model has learned nothing yet; `ferrotune pretrain` teaches it words",
        args.seed
    );
    println!("{}", args.output.display());
    Ok(())
}
