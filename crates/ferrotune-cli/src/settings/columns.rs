//! The columns that a person named, in settings or as flags of a command. It must not know which columns a file has.

use crate::args::TextColumns;
use ferrotune_data::Wanted;

/// The columns that were named; `None` if none was.
pub fn columns(text: &Option<String>, text_b: &Option<String>, label: &Option<String>) -> Option<Wanted> {
    let named = text.is_some() || text_b.is_some() || label.is_some();
    named.then(|| Wanted { text: text.clone(), text_b: text_b.clone(), label: label.clone() })
}

impl TextColumns {
    /// These columns and that of the label, where they were named.
    pub fn with_label(&self, label: &Option<String>) -> Option<Wanted> {
        columns(&self.text_column, &self.text_b_column, label)
    }
}
