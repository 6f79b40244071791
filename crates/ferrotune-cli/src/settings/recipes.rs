//! Recipes: settings that belong together, each with its source. A recipe fills what neither flags nor file say, and nothing else.

use crate::args::{OptimizerName, RecipeName, ScheduleName, TrainSettings};
use crate::exit::Failure;
use crate::settings::auto::{self, Facts};
use crate::settings::unset;
use clap::ValueEnum;

/// A recipe that was asked for.
pub struct Recipe {
    name: RecipeName,
    /// What it sets.
    pub settings: TrainSettings,
    /// Where that comes from; of what is chosen by the rows, a line for each choice.
    why: Vec<String>,
}

impl Recipe {
    /// The one that was asked for, if one was.
    ///
    /// # Errors
    /// Rows or a model that cannot be read, where the choice depends on them.
    pub fn of(said: &TrainSettings) -> Result<Option<Recipe>, Failure> {
        let Some(name) = said.recipe else { return Ok(None) };
        let (settings, why) = match name {
            RecipeName::Auto => Facts::of(said)?.as_ref().map(auto::choose).unwrap_or_default(),
            name => (settings(name), vec![source(name).to_string()]),
        };
        let settings = unset::without(settings, &said.unset)?;
        Ok(Some(Recipe { name, settings, why }))
    }

    /// Every setting of the recipe as the run uses it, those that were said otherwise marked, and the reasons.
    pub fn lines(&self, resolved: &TrainSettings) -> Vec<String> {
        let table = |settings: &TrainSettings| toml::Table::try_from(settings).expect("settings are a table");
        let (used, meant) = (table(resolved), table(&self.settings));
        let shown = meant.iter().map(|(key, value)| match used.get(key) {
            Some(other) if other != value => format!("{key} = {other} (recipe: {value})"),
            _ => format!("{key} = {value}"),
        });
        let name = self.name.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default();
        let shown = shown.collect::<Vec<_>>().join(", ");
        match &self.why[..] {
            [source] => vec![format!("{name} ({source}): {shown}")],
            reasons => [&[format!("{name}: {shown}")], reasons].concat(),
        }
    }
}

/// What a recipe with a name of its own sets; nothing for `auto`, which is chosen by the rows.
pub fn settings(recipe: RecipeName) -> TrainSettings {
    let adamw = TrainSettings {
        optimizer: Some(OptimizerName::Adamw),
        schedule: Some(ScheduleName::Linear),
        warmup: Some(0.1),
        clip: Some(1.0),
        ..TrainSettings::default()
    };
    match recipe {
        // Section 6 of the paper and its configuration; its epsilon of 1e-6 is not taken over, ours is 1e-8.
        RecipeName::Stable => TrainSettings {
            lr: Some(2e-5),
            batch_size: Some(16),
            epochs: Some(20),
            weight_decay: Some(0.01),
            dropout: Some(0.1),
            attention_dropout: Some(0.1),
            classifier_dropout: Some(0.1),
            ..adamw
        },
        // The paper re-initialises 1 to 6 of 24 layers and trains for a fixed number of steps instead of 3 epochs.
        RecipeName::FewSample => TrainSettings {
            lr: Some(2e-5),
            batch_size: Some(32),
            epochs: Some(10),
            weight_decay: Some(0.0),
            reinit_layers: Some(1),
            ..adamw
        },
        // With so few weights a rate fifty times higher; the frozen encoder is computed once.
        RecipeName::HeadOnly => TrainSettings {
            lr: Some(1e-3),
            batch_size: Some(32),
            epochs: Some(10),
            weight_decay: Some(0.01),
            freeze: Some("encoder".to_string()),
            ..adamw
        },
        // Rank, alpha and targets of the paper's RoBERTa runs (its table 9); the rate is theirs too.
        RecipeName::Lora => TrainSettings {
            lr: Some(5e-4),
            batch_size: Some(32),
            epochs: Some(5),
            weight_decay: Some(0.01),
            lora_rank: Some(8),
            lora_alpha: Some(16.0),
            lora_targets: Some("query,value".to_string()),
            ..adamw
        },
        // Rate and epochs are ours: two layers of a small encoder want a higher rate than a whole one.
        RecipeName::Article => TrainSettings {
            lr: Some(2e-4),
            batch_size: Some(32),
            epochs: Some(5),
            schedule: Some(ScheduleName::Cosine),
            weight_decay: Some(0.0),
            l2: Some(1e-4),
            dropout: Some(0.1),
            classifier_dropout: Some(0.1),
            freeze: Some("all-but.2".to_string()),
            ..adamw
        },
        // The paper's factor of 2.6 between layers and its triangle (cut_frac 0.1, ratio 32), for an LSTM of 4 groups; two layers an epoch and the
        // rate are ours, so that an encoder of 12 layers moves as a whole in the last of 8 epochs.
        RecipeName::Ulmfit => TrainSettings {
            lr: Some(2e-4),
            batch_size: Some(32),
            epochs: Some(8),
            schedule: Some(ScheduleName::SlantedTriangular),
            weight_decay: Some(0.01),
            layer_lr_decay: Some(1.0 / 2.6),
            gradual_unfreezing: Some(2),
            ..adamw
        },
        RecipeName::Auto => TrainSettings::default(),
    }
}

/// Where a recipe comes from.
fn source(recipe: RecipeName) -> &'static str {
    match recipe {
        RecipeName::Stable => "Mosbach et al. 2021, https://arxiv.org/abs/2006.04884",
        RecipeName::FewSample => "Zhang et al. 2021, https://arxiv.org/abs/2006.05987",
        RecipeName::Lora => "Hu et al. 2021, https://arxiv.org/abs/2106.09685",
        RecipeName::HeadOnly => "the usual probe of a frozen encoder",
        RecipeName::Article => "the usual way to train on a laptop",
        RecipeName::Ulmfit => "Howard and Ruder 2018, https://arxiv.org/abs/1801.06146",
        RecipeName::Auto => "chosen by the rows",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_printed_in_full_with_what_overrides_it() {
        let said = TrainSettings { recipe: Some(RecipeName::HeadOnly), ..TrainSettings::default() };
        let recipe = Recipe::of(&said).map_err(|failure| failure.message).unwrap().unwrap();
        let run = TrainSettings { lr: Some(0.5), ..settings(RecipeName::HeadOnly) };
        assert_eq!(
            recipe.lines(&run),
            [
                "head-only (the usual probe of a frozen encoder): batch-size = 32, clip = 1.0, epochs = 10, freeze = \"encoder\", \
             lr = 0.5 (recipe: 0.001), optimizer = \"adamw\", schedule = \"linear\", warmup = 0.1, weight-decay = 0.01"
            ]
        );
    }
}
