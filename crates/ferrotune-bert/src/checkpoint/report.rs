//! What a load did with every tensor, in lists for programs and in one paragraph for people.
//! It must not know files.

use super::stored::Dtype;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What became of every tensor of the model and of the folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadReport {
    /// Model tensors read from the folder, in the order of the model.
    pub loaded: Vec<String>,
    /// Model tensors that the folder does not have or has in another shape: the caller initialises them.
    pub newly_initialised: Vec<NewlyInitialised>,
    /// Tensors of the folder that the model has no use for, sorted: constant buffers and heads that are left behind.
    pub ignored: Vec<String>,
    /// (name in the folder, name in the model) where the two differ.
    pub renamed: Vec<(String, String)>,
    /// How many tensors were read of each stored element type.
    pub dtypes: BTreeMap<Dtype, usize>,
    /// Values read.
    pub parameters: u64,
    /// Number of weights files.
    pub files: usize,
}

/// A tensor that the caller has to initialise, and why it was not read.
#[derive(Clone, Debug, PartialEq)]
pub struct NewlyInitialised {
    /// The model's name of it.
    pub name: String,
    /// Why: missing, or stored in another shape.
    pub reason: String,
    /// Whether the folder has one of that name all the same.
    pub in_folder: bool,
}

impl LoadReport {
    /// Whether a tensor of the model was not in the folder, and starts from random values.
    pub fn is_new(&self, name: &str) -> bool {
        self.newly_initialised.iter().any(|new| new.name == name)
    }

    /// Of a folder that has all tensors but these.
    #[cfg(test)]
    pub(crate) fn without<'a>(names: impl IntoIterator<Item = &'a str>) -> LoadReport {
        let new =
            |name: &str| NewlyInitialised { name: name.to_string(), reason: "missing".to_string(), in_folder: false };
        LoadReport { newly_initialised: names.into_iter().map(new).collect(), ..LoadReport::default() }
    }

    /// The report as one paragraph of plain sentences, without a line break.
    pub fn summary(&self) -> String {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let types: Vec<String> =
            self.dtypes.iter().map(|(dtype, count)| format!("{count} stored as {}", dtype.name())).collect();
        let mut text = format!(
            "Loaded {} tensors with {} values from {} file{} ({}).",
            self.loaded.len(),
            self.parameters,
            self.files,
            plural(self.files),
            types.join(", ")
        );
        if let Some((stored, wanted)) = self.renamed.first() {
            let _ = write!(
                text,
                " {} are stored under another name, for example {stored} for {wanted}.",
                self.renamed.len()
            );
        }
        if !self.newly_initialised.is_empty() {
            let fresh: Vec<String> =
                self.newly_initialised.iter().map(|new| format!("{} ({})", new.name, new.reason)).collect();
            let _ = write!(text, " Newly initialised: {}.", fresh.join(", "));
        }
        if !self.ignored.is_empty() {
            let _ = write!(text, " Left behind: {}.", first_few(&self.ignored));
        }
        text
    }
}

/// The first five of a list, and how many more there are.
pub(crate) fn first_few(items: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = items[..items.len().min(SHOWN)].join(", ");
    if items.len() > SHOWN { format!("{shown} and {} more", items.len() - SHOWN) } else { shown }
}
