//! The page of runs of every task: its sections, and that nothing from outside becomes an element.

use super::report;
use crate::results::evaluation;
use crate::run::files::RunFiles;
use crate::run::files::example::{HOSTILE, Kind, write};
use crate::run::folder::{RESULTS, SETTINGS};
use serde_json::{Value, json};
use std::path::Path;

fn page(kind: Kind) -> String {
    changed(kind, |_| {})
}

/// The page of a run whose folder was changed.
fn changed(kind: Kind, change: impl Fn(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let settings = "model = 'm'\noutput = 'o'\nlr = 1e-4\nmax-length = 128\nvalidation-share = 0.14";
    write(folder.path(), kind, settings);
    change(folder.path());
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
        (Kind::WordClasses, &["confusion", "classes"]),
    ] {
        let baselines: &[&str] = if matches!(kind, Kind::Classes(_)) { &["baselines"] } else { &[] };
        let expected = [&["summary"], baselines, &["advice", "audit", "curves"], own, &always].concat();
        assert_eq!(sections(&page(kind)), expected);
    }
}

/// Names, texts, advice, audit and settings of the example would all begin a script.
#[test]
fn nothing_from_outside_becomes_an_element() {
    let classes = [2, 30, 151].map(Kind::Classes);
    for kind in classes.into_iter().chain([Kind::Sets, Kind::Numbers, Kind::Words, Kind::WordClasses]) {
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
    for shown in
        ["75.00 %", "1 235", "56 789", "512 MiB", "12 345 parameters", "epoch 2 was kept", "95 %: ", "rows are 14 % of"]
    {
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

/// Which settings are marked as defaults, by name.
#[track_caller]
fn check_defaults(settings: &str, expected: &[&str]) {
    let put = |folder: &Path| {
        std::fs::write(folder.join(SETTINGS), format!("model = 'm'\noutput = 'o'\n{settings}\n")).unwrap();
    };
    let page = changed(Kind::Words, put);
    let rows = page.split("<tr><th scope=\"row\">").filter_map(|row| row.split("</tr>").next());
    let mut marked: Vec<&str> =
        rows.filter_map(|row| row.strip_suffix("<td>default</td>")?.split("</th>").next()).collect();
    marked.sort();
    assert_eq!(marked, expected, "{settings}");
}

#[test]
fn defaults_are_those_of_the_command_the_optimizer_and_the_schedule() {
    check_defaults("text = 't.txt'\nlr = 2e-5\nheld-out = 0.05\nepochs = 3", &["epochs", "held-out"]);
    check_defaults("text = 't.txt'\nlr = 1e-4\nheld-out = 0.1\nwhole-word-masking = 'on'", &["lr"]);
    let train = |settings: &str| format!("train = 't.csv'\n{settings}");
    check_defaults(&train("lr = 2e-5\noptimizer = 'sgd'\nmomentum = 0.9"), &["momentum"]);
    check_defaults(&train("optimizer = 'sgd'\nmomentum = 0.5"), &[]);
    check_defaults(&train("schedule = 'one-cycle'\nwarmup = 0.3"), &["warmup"]);
    check_defaults(&train("schedule = 'one-cycle'\nwarmup = 0.1"), &[]);
    check_defaults(&train("schedule = 'linear'\nwarmup = 0.1"), &["schedule", "warmup"]);
    check_defaults(&train("schedule = 'cosine'\ncycles = 1\nminimum-lr = 0.0"), &["cycles", "minimum-lr"]);
    check_defaults(
        &train("seed = 7\nvalidation-seed = 7\nvalidation-share = 0.1"),
        &["validation-seed", "validation-share"],
    );
    check_defaults(&train("metric = 'loss'\nvalidation-share = 0.0\nepochs = 3"), &["epochs"]);
}

#[test]
fn a_calibration_says_its_temperature_and_where_it_was_fitted() {
    let put = |path: &Path, change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        change(&mut value);
        std::fs::write(path, value.to_string()).unwrap();
    };
    let on = |calibration: Option<Value>, split: &str| {
        changed(Kind::Classes(3), |folder| {
            put(&folder.join(evaluation::FILE), &|value| value["measured"]["split"] = json!(split));
            if let Some(calibration) = &calibration {
                put(&folder.join(RESULTS), &|value| value["calibration"] = calibration.clone());
            }
        })
    };
    let fitted = |page: &str| page.contains("The logits are divided by the temperature ");
    let test = on(None, "test");
    assert!(fitted(&test) && test.contains("which was fitted on the 40 validation rows, and measured here on others."));
    let validation = on(None, "validation");
    assert!(fitted(&validation) && validation.contains("These are the rows that are measured here"));
    let known = json!({ "temperature": 1.625, "standard_error": 0.125, "rows": 3000, "validation": {}, "test": null });
    assert!(on(Some(known), "test").contains("the temperature 1.625 ± 0.125, which was fitted on the 3\u{202f}000"));
    let at_bound = json!({ "temperature": 20.0, "standard_error": null, "rows": 30 });
    assert!(on(Some(at_bound), "test").contains("the temperature 20.000, which"));
    let none = on(Some(json!({ "none": "29 rows are fewer than 30" })), "test");
    assert!(!fitted(&none) && none.contains("No temperature was fitted: 29 rows are fewer than 30."));
    assert!(!on(Some(Value::Null), "test").contains("temperature"), "runs of earlier versions say nothing");
}

#[test]
fn a_run_of_an_earlier_version_has_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Kind::Classes(3), "");
    std::fs::remove_file(folder.path().join(evaluation::FILE)).unwrap();
    std::fs::remove_file(folder.path().join(SETTINGS)).unwrap();
    let page = report(&RunFiles::read(folder.path()).map_err(|failure| failure.message).unwrap());
    assert_eq!(
        sections(&page),
        ["summary", "baselines", "advice", "curves", "confusion", "classes", "timings", "files"]
    );
}
