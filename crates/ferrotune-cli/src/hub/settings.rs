//! Where the caches lie, which hub to ask and with which token: the variables that Hugging Face's own tools read.
//!
//! It must not touch the network; the one file it reads is the token.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that decides how a hub id is resolved.
#[derive(Clone)]
pub struct HubSettings {
    /// The hub cache: `HF_HUB_CACHE`, or `HF_HOME/hub`, or `~/.cache/huggingface/hub`.
    pub cache: PathBuf,
    /// The place for files of other libraries: `HF_ASSETS_CACHE`, or `assets` beside the hub cache's default.
    pub assets: PathBuf,
    /// The hub's address, without a slash at its end (`HF_ENDPOINT`).
    pub endpoint: String,
    /// The access token (`HF_TOKEN`, or the file that `hf auth login` writes). Sent to the hub, shown nowhere.
    pub token: Option<String>,
    /// Whether downloads are forbidden (`HF_HUB_OFFLINE`).
    pub offline: bool,
    /// The Python that runs pip for the mirror.
    pub python: PathBuf,
    /// How long the hub may take for its first answer.
    pub answer_limit: Duration,
    /// How long a download from the hub may stand still.
    pub stall_limit: Duration,
    /// How long pip may take altogether.
    pub pip_limit: Duration,
}

impl HubSettings {
    /// The settings that the environment asks for.
    pub fn from_env() -> HubSettings {
        HubSettings::from_lookup(|name| std::env::var_os(name))
    }

    /// As [`HubSettings::from_env`], with the variables given by a function. An empty variable counts as unset.
    pub(super) fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> HubSettings {
        let path = |name: &str| lookup(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let text = |name: &str| {
            let value = lookup(name)?.into_string().ok()?;
            let value = value.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        let home = path("HF_HOME").unwrap_or_else(|| {
            path("XDG_CACHE_HOME")
                .or_else(|| path("HOME").or_else(|| path("USERPROFILE")).map(|home| home.join(".cache")))
                .unwrap_or_else(|| PathBuf::from(".cache"))
                .join("huggingface")
        });
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let token = text("HF_TOKEN").or_else(|| {
            let token = std::fs::read_to_string(token_file).ok()?;
            let token = token.trim();
            (!token.is_empty()).then(|| token.to_owned())
        });
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        HubSettings {
            cache: path("HF_HUB_CACHE").unwrap_or_else(|| home.join("hub")),
            assets: path("HF_ASSETS_CACHE").unwrap_or_else(|| home.join("assets")),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token,
            offline: text("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
            python: PathBuf::from("python3"),
            answer_limit: Duration::from_secs(8),
            stall_limit: Duration::from_secs(30),
            pip_limit: Duration::from_secs(900),
        }
    }
}

/// The words that `huggingface_hub` takes for true.
fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> HubSettings {
        HubSettings::from_lookup(|name| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_cache_follows_the_variables_in_order() {
        for (variables, cache, assets) in [
            (&[("HOME", "/h")][..], "/h/.cache/huggingface/hub", "/h/.cache/huggingface/assets"),
            (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub", "/x/huggingface/assets"),
            (&[("HOME", "/h"), ("HF_HOME", "/f"), ("XDG_CACHE_HOME", "/x")], "/f/hub", "/f/assets"),
            (&[("HF_HOME", "/f"), ("HF_HUB_CACHE", "/c")], "/c", "/f/assets"),
            (&[("HF_HOME", "/f"), ("HF_HUB_CACHE", ""), ("HF_ASSETS_CACHE", "/a")], "/f/hub", "/a"),
        ] {
            let settings = settings(variables);
            assert_eq!(settings.cache, PathBuf::from(cache), "{variables:?}");
            assert_eq!(settings.assets, PathBuf::from(assets), "{variables:?}");
        }
    }

    #[test]
    fn endpoint_and_offline() {
        assert_eq!(settings(&[]).endpoint, "https://huggingface.co");
        assert_eq!(settings(&[("HF_ENDPOINT", "http://here:1/")]).endpoint, "http://here:1");
        for (value, offline) in [("1", true), ("true", true), ("YES", true), ("0", false), ("", false), ("no", false)] {
            assert_eq!(settings(&[("HF_HUB_OFFLINE", value)]).offline, offline, "{value:?}");
        }
        assert!(!settings(&[]).offline);
    }

    #[test]
    fn the_token_comes_from_the_variable_before_the_file() {
        let home = tempfile::tempdir().unwrap();
        let home_text = home.path().to_str().unwrap();
        assert_eq!(settings(&[("HF_HOME", home_text)]).token, None);
        std::fs::write(home.path().join("token"), "from-file\n").unwrap();
        assert_eq!(settings(&[("HF_HOME", home_text)]).token.as_deref(), Some("from-file"));
        let both = settings(&[("HF_HOME", home_text), ("HF_TOKEN", " from-variable ")]);
        assert_eq!(both.token.as_deref(), Some("from-variable"));
    }
}
