//! What `ferrotune evaluate` can be asked beyond figures of all rows.

use clap::Args;
use std::path::PathBuf;

/// Flags of tasks with one class a row.
#[derive(Args, Clone, Default)]
pub struct FurtherArgs {
    /// Also measure the rows of each value of this column, the worst first; may be said several times. Numbers with more than 20 different values are
    /// cut into 5 ranges of about as many rows.
    #[arg(long, value_name = "COLUMN")]
    pub slice_by: Vec<String>,
    /// Also measure short and long rows: this many ranges of lengths in tokens, of about as many rows.
    #[arg(long, value_name = "RANGES")]
    pub slice_by_length: Option<usize>,
    /// Compare on the same rows with another model, or with what `ferrotune predict` wrote for these rows (.csv with predicted_label).
    #[arg(long, value_name = "DIR|FILE")]
    pub against: Option<String>,
    /// Show under each mistake the 3 rows that are nearest to it among these training rows; of a folder its training files.
    #[arg(long, value_name = "FILE|DIR", requires = "mistakes")]
    pub nearest: Option<PathBuf>,
    /// Determines the resamples of intervals and the permutations of tests.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

impl FurtherArgs {
    /// The flags that were said, but for the seed.
    pub fn said(&self) -> Vec<&'static str> {
        let said = [
            ("--slice-by", !self.slice_by.is_empty()),
            ("--slice-by-length", self.slice_by_length.is_some()),
            ("--against", self.against.is_some()),
            ("--nearest", self.nearest.is_some()),
        ];
        said.into_iter().filter_map(|(flag, said)| said.then_some(flag)).collect()
    }
}
