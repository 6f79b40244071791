//! Which rows of the training file are learned from and which are held out, by settings. It must not read them.

use super::within;
use crate::args::TrainSettings;
use crate::exit::{Failure, usage};

/// Which training rows are held out as validation rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOut {
    /// Their share, above 0.
    pub share: f64,
    /// Which rows they are.
    pub seed: u64,
    /// The flag that says the share.
    pub flag: &'static str,
}

/// Which training rows are learned from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PartOfRows {
    /// Their share, above 0.
    pub share: f64,
    /// Which rows they are.
    pub seed: u64,
}

/// The share of the training rows that is held out unless another is said.
pub(super) const VALIDATION_SHARE: f64 = 0.1;

/// What is held out of the training rows under these settings, resolved or not; nothing where validation rows are named.
///
/// # Errors
/// A share that is none, or that contradicts other settings.
pub fn held_out(s: &TrainSettings) -> Result<Option<HeldOut>, Failure> {
    let flag = "validation-share";
    if s.validation.is_some() {
        return match (s.validation_share, s.validation_seed) {
            (Some(_), _) => Err(usage(
                "--validation-share and --validation both say which rows choose the best epoch; leave one of them out",
            )),
            (None, Some(_)) => {
                Err(usage("--validation-seed belongs to --validation-share; leave it or --validation out"))
            }
            (None, None) => Ok(None),
        };
    }
    let share = s.validation_share.unwrap_or(VALIDATION_SHARE);
    within(flag, share, (0.0..=0.5).contains(&share), "between 0 (none) and 0.5")?;
    let seed = s.validation_seed.or(s.seed).unwrap_or_default();
    if share == 0.0 && s.validation_seed.is_some() {
        return Err(usage("--validation-seed belongs to --validation-share, which holds no rows out; leave it out"));
    }
    Ok((share > 0.0).then_some(HeldOut { share, seed, flag }))
}

/// The training rows that are learned from under these settings.
pub fn part_of_rows(s: &TrainSettings) -> Result<Option<PartOfRows>, Failure> {
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
