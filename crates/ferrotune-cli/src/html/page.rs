//! The frame of a page: head, style sheet, script, list of sections. It must not know what the sections show.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("sort.js");

/// A part of a page under a heading of its own.
pub struct Section {
    /// Its anchor.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What it shows.
    pub body: Markup,
}

/// A whole page. `subtitle` stands below its heading.
pub fn page(title: &str, subtitle: &Markup, sections: &[Section]) -> String {
    // Nothing is fetched, and no script runs but our own, whatever the data says.
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{}'",
        BASE64_STANDARD.encode(Sha256::digest(SCRIPT))
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    (subtitle)
                    nav aria-label="Sections" { ul {
                        @for section in sections { li { a href={ "#" (section.id) } { (section.title) } } }
                    } }
                }
                main {
                    @for section in sections {
                        section id=(section.id) aria-labelledby={ (section.id) "-heading" } {
                            h2 id={ (section.id) "-heading" } { (section.title) }
                            (section.body)
                        }
                    }
                }
                footer { p { "Written by ferrotune " (env!("CARGO_PKG_VERSION")) ". This file needs no network." } }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_escaped_everywhere() {
        let body = html! { p title=("\"><script>x") { ("<script>alert(1)</script>") } };
        let page = page("<script>t", &html! {}, &[Section { id: "a", title: "A & B", body }]);
        assert_eq!(page.matches("<script>").count(), 1, "our own alone");
        assert!(page.contains("&lt;script&gt;alert(1)") && page.contains("title=\"&quot;&gt;&lt;script&gt;x\""));
        assert!(page.contains("<title>&lt;script&gt;t</title>") && page.contains("A &amp; B"));
    }

    /// `</script` or `</style` would end the elements early.
    #[test]
    fn style_and_script_stay_inside_their_elements() {
        assert!(!SCRIPT.contains("</") && !STYLE.contains("</"));
        for source in [SCRIPT, STYLE] {
            assert!(
                !source.contains("http:") && !source.contains("https:") && !source.contains("@import"),
                "no network"
            );
        }
    }
}
