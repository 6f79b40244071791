//! `--recipe auto`: rate, batch and epochs by rows, classes and the size of the encoder, with the reasons. It must not train, and reads rows only
//! to count.

use crate::args::{OptimizerName, ScheduleName, TaskName, TrainSettings};
use crate::exit::Failure;
use crate::model::find::find_model;
use crate::rows::data::Labelled;
use crate::settings;
use ferrotune_bert::EncoderConfig;
use ferrotune_data::{held_out_rows, subset_rows};
use ferrotune_tensor::Cpu;

/// What the choice goes by.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Rows of training.
    pub rows: usize,
    /// Numbers that the model gives a row or word.
    pub labels: usize,
    /// What is learned.
    pub task: TaskName,
    /// Layers of the encoder.
    pub layers: usize,
    /// Its width.
    pub hidden: usize,
}

impl Facts {
    /// Counts what the settings name; none if they do not name it, which is said elsewhere.
    ///
    /// # Errors
    /// Rows or model that cannot be read, a task that does not fit the rows.
    pub fn of(said: &TrainSettings) -> Result<Option<Facts>, Failure> {
        let (Some(model), Some(train)) = (&said.model, &said.train) else { return Ok(None) };
        let config = EncoderConfig::from_folder(&find_model(model)?.folder)?;
        let Labelled { name, table, task, .. } = Labelled::<Cpu>::read(said, train)?;
        let all = table.rows.len();
        let held_out = settings::held_out(said)?.map_or(0, |asked| held_out_rows(all, asked.share));
        let part = settings::part_of_rows(said)?.map_or(1.0, |part| part.share);
        Ok(Some(Facts {
            rows: subset_rows(all.saturating_sub(held_out), part),
            labels: task.labels().len(),
            task: name,
            layers: config.num_hidden_layers,
            hidden: config.hidden_size,
        }))
    }
}

/// Encoders of at most this width are small.
const SMALL: usize = 512;
/// What these want, and what wider ones do where nobody says more.
const DEFAULT_RATES: [f64; 2] = [1e-4, 2e-5];

/// The learning rate of a run that says none, by the width of its encoder: one that fits BERT-base teaches a small encoder next to nothing in a few
/// epochs.
pub fn default_rate(hidden: usize) -> f64 {
    DEFAULT_RATES[usize::from(hidden > SMALL)]
}

/// More labels than this are many.
const MANY_LABELS: usize = 20;
/// Fewer rows than this are few.
const FEW_ROWS: usize = 1000;

/// The settings for these facts, and why they are so.
///
/// The rates of wide encoders are those of Devlin et al. 2018, <https://arxiv.org/abs/1810.04805>, appendix A.3 (and half the lowest for encoders as
/// large as BERT-large, whose runs fail more often: Mosbach et al. 2021, <https://arxiv.org/abs/2006.04884>), those of small ones what MiniLM
/// wanted. That few rows want more epochs, so that there are as many steps, is from Mosbach et al. too, and from Zhang et al. 2021,
/// <https://arxiv.org/abs/2006.05987>.
pub fn choose(facts: &Facts) -> (TrainSettings, Vec<String>) {
    let Facts { rows, labels, task, layers, hidden } = *facts;
    let mut why = Vec::new();
    let (rate, size) = match (hidden, layers) {
        (1024.., _) | (_, 18..) => (1e-5, "a large encoder wants a low rate"),
        (hidden, _) if hidden > SMALL => (3e-5, "an encoder of this size wants a rate between 2e-5 and 5e-5"),
        _ => (default_rate(hidden), "a small encoder wants a high rate"),
    };
    why.push(format!("lr: {layers} layers of width {hidden}, {size}"));
    let words = task == TaskName::Tokens;
    let many = labels > MANY_LABELS;
    if words || many {
        why.push(match words {
            true => "lr doubled: a tag for each word".to_string(),
            false => format!("lr doubled: {labels} labels are many for a head that starts from nothing"),
        });
    }
    let rate = if words || many { 2.0 * rate } else { rate };
    let (batch, steps): (usize, usize) = match rows < FEW_ROWS {
        true => (16, 400),
        false => (32, if many { 1500 } else { 800 }),
    };
    let wanted = (steps * batch).div_ceil(rows.max(1)) as u64;
    let epochs = wanted.clamp(3, 20);
    let in_all = rows.div_ceil(batch) as u64 * epochs;
    why.push(format!(
        "epochs, batch-size: {rows} rows, about {steps} steps are wanted, between 3 and 20 epochs: {in_all}"
    ));
    let chosen = TrainSettings {
        lr: Some(rate),
        batch_size: Some(batch),
        epochs: Some(epochs),
        optimizer: Some(OptimizerName::Adamw),
        schedule: Some(ScheduleName::Linear),
        warmup: Some(0.1),
        weight_decay: Some(0.01),
        clip: Some(1.0),
        ..TrainSettings::default()
    };
    (chosen, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::tiny;

    #[track_caller]
    fn check(
        rows: usize,
        labels: usize,
        task: TaskName,
        (layers, hidden): (usize, usize),
        expected: (f64, usize, u64),
    ) {
        let (chosen, why) = choose(&Facts { rows, labels, task, layers, hidden });
        assert_eq!(
            (chosen.lr, chosen.batch_size, chosen.epochs),
            (Some(expected.0), Some(expected.1), Some(expected.2))
        );
        assert_eq!(why.iter().any(|line| line.starts_with("lr doubled")), labels > 20 || task == TaskName::Tokens);
        assert!(why.iter().all(|line| !line.contains('\n')) && why.len() >= 2, "{why:?}");
    }

    #[test]
    fn rows_are_those_that_are_learned_from() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("train.csv"), tiny::rows(200, 0)).unwrap();
        for (held_out, share, expected) in
            [(0.0, None, 200), (0.2, None, 160), (0.2, Some(0.1), 16), (0.0, Some(0.001), 1)]
        {
            let said =
                TrainSettings { validation_share: Some(held_out), train_share: share, ..tiny::settings(folder.path()) };
            let facts = Facts::of(&said).map_err(|failure| failure.message).unwrap().unwrap();
            assert_eq!(facts.rows, expected, "{held_out} {share:?}");
        }
    }

    #[test]
    fn rows_labels_and_size_decide() {
        use TaskName::{Classification, Regression, Tokens};
        let (mini, base, large) = ((6, 384), (12, 768), (24, 1024));
        check(6920, 2, Classification, mini, (1e-4, 32, 4));
        check(6920, 2, Classification, base, (3e-5, 32, 4));
        check(6920, 2, Classification, large, (1e-5, 32, 4));
        check(10003, 77, Classification, mini, (2e-4, 32, 5));
        check(3394, 13, Tokens, base, (6e-5, 32, 8));
        check(1_000_000, 1, Regression, base, (3e-5, 32, 3));
        check(999, 2, Classification, base, (3e-5, 16, 7));
        check(12, 2, Classification, base, (3e-5, 16, 20));
    }
}
