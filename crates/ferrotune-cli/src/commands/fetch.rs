//! `ferrotune fetch`: brings a model to this machine.

use crate::args::FetchArgs;
use crate::exit::Failure;
use crate::model::find::find_model;

/// Runs the command.
pub fn run(args: &FetchArgs) -> Result<(), Failure> {
    let found = find_model(&args.model)?;
    eprintln!("{} ({})", args.model, found.source);
    println!("{}", found.folder.display());
    Ok(())
}
