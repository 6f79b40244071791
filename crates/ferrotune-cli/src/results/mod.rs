//! What a result is worth, in numbers and in words: beside baselines, in depth, beside other runs, as a card. It must not train, or know files of rows.

pub mod baselines;
pub mod card;
pub mod comparison;
pub mod confidence;
pub mod depth;
pub mod evaluation;
pub mod further;
pub mod report;
