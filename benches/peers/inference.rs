//! Inference of a saved classifier on rows that are already tokens: the part of `predict` that opponents can be timed against. Prints
//! one JSON object. It must not train, and it reads its files with the same calls as the command line.

use ferrotune_bert::pretrained::{self, Head};
use ferrotune_bert::{Dropouts, Sequences};
use ferrotune_data::{Batch, Need, Tokenizer, read_table_with};
use ferrotune_tensor::{Cpu, Pool, Precision, Tape};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

const USAGE: &str = "usage: inference MODEL_FOLDER ROWS.csv BATCH_SIZE WARM_UP_BATCHES MAX_LENGTH PRECISION";

fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [folder, rows, batch_size, warm_up, max_length, precision] = arguments else { return Err(USAGE.into()) };
    let precision = [Precision::F32, Precision::Bf16].into_iter().find(|it| it.name() == precision).ok_or(USAGE)?;
    let backend = Cpu::with(precision).ok_or("this processor lacks the instructions for that precision")?;
    let (folder, rows) = (Path::new(folder), Path::new(rows));
    let (batch_size, warm_up) = (batch_size.parse::<usize>()?, warm_up.parse::<usize>()?);
    let encoded = Tokenizer::from_folder(folder, max_length.parse()?)?
        .encode(&read_table_with(rows, None, None, Need::TextOnly)?.rows)?;
    let loaded = pretrained::load(&Cpu, folder, Head::Stored)?;
    let mut pool = Pool::new(backend);
    let mut logits = |rows: &[usize]| {
        let batch = Batch::gather(&encoded, rows);
        let sequences = Sequences {
            ids: batch.ids,
            type_ids: batch.type_ids,
            positions: batch.positions.into(),
            offsets: batch.offsets.as_slice().into(),
        };
        let mut tape = Tape::inference(&backend, &loaded.params, &mut pool);
        let logits = loaded.model.logits(&mut tape, &sequences, &Dropouts::off());
        tape.download(logits)
    };

    let order: Vec<usize> = (0..encoded.len()).collect();
    for rows in order.chunks(batch_size).take(warm_up) {
        logits(rows);
    }
    let clock = Instant::now();
    let all: Vec<f32> = order.chunks(batch_size).flat_map(&mut logits).collect();
    let seconds = clock.elapsed().as_secs_f64();
    let rows: Vec<String> = all.chunks(loaded.labels.len()).map(|row| format!("{row:?}")).collect();
    println!("{{\"rows\": {}, \"seconds\": {seconds}, \"logits\": [{}]}}", encoded.len(), rows.join(", "));
    Ok(())
}

/// On a thread of the pool, as the command line runs. The variable RAYON_NUM_THREADS sets the threads.
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match rayon::scope(|_| run(&arguments).map_err(|error| error.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("inference: {message}");
            ExitCode::FAILURE
        }
    }
}
