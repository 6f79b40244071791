//! Settings of a part of the training rows. It must not know rows.

use super::within;
use crate::args::TrainSettings;
use crate::exit::{Failure, usage};

/// Which training rows are learned from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PartOfRows {
    /// Their share, above 0.
    pub share: f64,
    /// Which rows they are.
    pub seed: u64,
}

/// The training rows that are learned from under these settings.
///
/// # Errors
/// A share that is none, or flags that contradict each other.
pub(super) fn part_of_rows(s: &TrainSettings) -> Result<Option<PartOfRows>, Failure> {
    if s.learning_curve.is_some() {
        for (flag, said) in [("train-share", s.train_share.is_some()), ("seeds", s.seeds.is_some())] {
            if said {
                return Err(usage(format!(
                    "--learning-curve trains with several shares of the rows, one seed each; leave --{flag} out"
                )));
            }
        }
        return Ok(None);
    }
    let Some(share) = s.train_share else {
        return match s.train_share_seed {
            Some(_) => Err(usage("--train-share-seed belongs to --train-share or --learning-curve")),
            None => Ok(None),
        };
    };
    within("train-share", share, share > 0.0 && share <= 1.0, "above 0 and at most 1")?;
    let seed = s.train_share_seed.or(s.seed).unwrap_or_default();
    Ok((share < 1.0).then_some(PartOfRows { share, seed }))
}
