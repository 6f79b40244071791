//! The page of one run: which sections it has, in which order. A section that does not apply to the run is left out. It must not read files.

mod baselines;
mod classes;
mod curves;
mod mistakes;
mod run;
mod summary;

pub use curves::{measured, smooth_loss, steps};

use super::page::{Section, page};
use crate::run::files::RunFiles;
use maud::{Markup, html};

#[cfg(test)]
mod tests;

/// The page.
pub fn report(run: &RunFiles) -> String {
    let sections: [(&'static str, &'static str, Option<Markup>); 15] = [
        ("summary", "Summary", Some(summary::summary(run))),
        ("baselines", "Beside simple models", baselines::baselines(run)),
        ("advice", "Advice", run::advice(run)),
        ("audit", "What the audit found", run::audit(run)),
        ("curves", "Curves", curves::curves(run)),
        ("confusion", "Confusion matrix", classes::confusion(run)),
        ("classes", classes::title(run), classes::per_class(run)),
        ("numbers", "Predicted against true", classes::numbers(run)),
        ("calibration", "Calibration", classes::calibration(run)),
        ("lengths", "By length of the text", mistakes::by_length(run)),
        ("mistakes", mistakes::title(run), mistakes::mistakes(run)),
        ("timings", "Timings", Some(run::timings(run))),
        ("environment", "Environment", run::environment(run)),
        ("settings", "Settings", run::settings(run)),
        ("files", "Files", Some(run::files(run))),
    ];
    let sections: Vec<Section> =
        sections.into_iter().filter_map(|(id, title, body)| Some(Section { id, title, body: body? })).collect();
    let subtitle = html! { p.subtitle { (summary::subtitle(run)) } };
    page(&format!("{} · ferrotune", run.name()), &subtitle, &sections)
}
