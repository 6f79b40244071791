//! The page of runs of every task: its sections, and that nothing from outside becomes an element.

use super::report;
use crate::run_files::RunFiles;
use crate::run_files::example::{HOSTILE, Kind, write};

fn page(kind: Kind) -> String {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), kind, "lr = 1e-4\nmax-length = 128");
    report(&RunFiles::read(folder.path()).map_err(|failure| failure.message).unwrap())
}

/// The sections of a page, by their anchors.
fn sections(page: &str) -> Vec<&str> {
    page.match_indices("<section id=\"").map(|(at, tag)| page[at + tag.len()..].split('"').next().unwrap()).collect()
}

#[test]
fn a_task_has_the_sections_that_apply_to_it() {
    let always = ["timings", "environment", "settings", "files"];
    for (kind, own) in [
        (Kind::Classes(2), &["confusion", "classes", "calibration", "lengths", "mistakes"][..]),
        (Kind::Classes(151), &["confusion", "classes", "calibration", "lengths", "mistakes"]),
        (Kind::Sets, &["classes", "lengths", "mistakes"]),
        (Kind::Numbers, &["numbers", "lengths", "mistakes"]),
        (Kind::Words, &["classes"]),
    ] {
        let baselines: &[&str] = if matches!(kind, Kind::Classes(_)) { &["baselines"] } else { &[] };
        let expected = [&["summary"], baselines, &["advice", "audit", "curves"], own, &always].concat();
        assert_eq!(sections(&page(kind)), expected);
    }
}

/// Names, texts, advice, audit and settings of the example would all begin a script.
#[test]
fn nothing_from_outside_becomes_an_element() {
    for kind in [Kind::Classes(2), Kind::Classes(30), Kind::Classes(151), Kind::Sets, Kind::Numbers, Kind::Words] {
        let page = page(kind);
        assert!(!page.contains(HOSTILE) && page.contains("&lt;script&gt;alert(1)"));
        assert_eq!(page.matches("<script").count(), 1, "our own alone");
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        for fetched in ["src=", "url(", "@import", "<link", "http-equiv=\"refresh\""] {
            assert!(!page.contains(fetched), "{fetched}");
        }
        for no_number in ["=\"NaN", "=\"inf", "=\"-inf", ":NaN", ",NaN"] {
            assert!(!page.contains(no_number), "{no_number} is drawn by no browser");
        }
    }
}

#[test]
fn figures_are_those_of_the_files() {
    let page = page(Kind::Classes(3));
    // Ten of the 40 rows are wrong.
    for shown in ["75.00 %", "1 235", "56 789", "512 MiB", "12 345 parameters", "epoch 2 was kept", "95 %: "] {
        let shown = shown.replace(' ', "\u{202f}");
        assert!(page.replace(' ', "\u{202f}").contains(&shown), "no {shown}");
    }
    assert!(page.contains("max-length</th><td>128</td><td>default</td>"), "what is the default is marked");
    assert!(page.contains("lr</th><td>0.0001</td><td></td>"));
    assert!(
        !page.contains("/secret/&lt;/td&gt;&lt;/svg&gt;&lt;script&gt;alert(1)&lt;/script&gt;.csv</p>"),
        "folders stay out of the heading"
    );
}

#[test]
fn a_run_of_an_earlier_version_has_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Kind::Classes(3), "");
    std::fs::remove_file(folder.path().join(crate::evaluation::FILE)).unwrap();
    std::fs::remove_file(folder.path().join(crate::run_folder::SETTINGS)).unwrap();
    let page = report(&RunFiles::read(folder.path()).map_err(|failure| failure.message).unwrap());
    assert_eq!(
        sections(&page),
        ["summary", "baselines", "advice", "curves", "confusion", "classes", "timings", "files"]
    );
}
