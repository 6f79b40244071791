//! What every run begins with, of labelled rows or of texts: where products are computed, the model folder and its configuration. It must not
//! know rows or the loop.

use crate::args::Precision;
use crate::device::{Device, device};
use crate::exit::{Failure, usage};
use crate::hub;
use crate::model::find::find_model;
use crate::rows::task::shown;
use crate::settings::Resolved;
use crate::settings::auto::default_rate;
use crate::terminal::voice::say;
use ferrotune_bert::{EncoderConfig, freeze};

/// The ground of a run.
#[derive(Clone)]
pub struct Start {
    /// Where products are computed.
    pub device: Device,
    /// The pretrained model.
    pub model: hub::Resolved,
    /// Its configuration, as the folder has it.
    pub config: EncoderConfig,
    /// What stays as it is.
    pub frozen: Vec<String>,
}

impl Start {
    /// Finds the model and says what was found; the precision that was asked for becomes the one that it came to.
    ///
    /// # Errors
    /// No such model or precision, and what this model cannot do: rows so long, parts to freeze that it does not have.
    pub fn of(resolved: &mut Resolved) -> Result<Start, Failure> {
        let device = device(resolved.device, resolved.precision)?;
        if resolved.precision != Precision::F32 {
            say!("precision  {} in matrix products", shown(device.precision()));
        }
        let model = find_model(&resolved.model)?;
        say!("model      {} ({})", model.folder.display(), model.source);
        let config = EncoderConfig::from_folder(&model.folder)?;
        let start = Start { device, model, config, frozen: Vec::new() }.fitted(resolved)?;
        if !resolved.rate_was_said {
            let (rate, width) = (resolved.numbers.learning_rate, start.config.hidden_size);
            say!("rate       --lr {rate:e}, the default for an encoder of width {width}");
        }
        Ok(start)
    }

    /// The same ground for other settings of the same model and device.
    ///
    /// # Errors
    /// What this model cannot do: rows so long, parts to freeze that it does not have.
    pub fn fitted(mut self, resolved: &mut Resolved) -> Result<Start, Failure> {
        resolved.settings.precision = Some(self.device.precision());
        let most = self.config.longest_sequence();
        if resolved.max_length > most && !resolved.length_was_said {
            (resolved.max_length, resolved.settings.max_length) = (most, Some(most));
        }
        if !resolved.rate_was_said {
            resolved.follow_rate(default_rate(self.config.hidden_size));
        }
        if resolved.max_length > most {
            let asked = resolved.max_length;
            return Err(usage(format!("--max-length is {asked}; this model reads at most {most} tokens")));
        }
        let frozen =
            resolved.settings.freeze.as_deref().map(|spec| freeze::prefixes(spec, &self.config)).transpose()?;
        self.frozen = frozen.unwrap_or_default();
        Ok(self)
    }
}
