//! Labels that are no classes: sets of names, and numbers.

use super::rows_of;
use crate::{DataError, Format, Labels, Need, Row, Table, encode_label_sets, encode_scores};
use expect_test::{Expect, expect};

const SETS: Need = Need::LabelSets { separator: '|' };

fn read(text: &str, need: Need) -> Result<Table, DataError> {
    let format = if text.starts_with('{') { Format::JsonLines } else { Format::Csv };
    Ok(Table { path: "f".into(), pair: false, rows: rows_of(text.as_bytes(), format, need)? })
}

#[track_caller]
fn check_sets(text: &str, names: &[&str], ids: &[&[u32]]) {
    let table = read(text, SETS).unwrap();
    let labels = Labels::from_sets(&table, '|').unwrap();
    assert_eq!(labels.names(), names, "{text}");
    assert_eq!(encode_label_sets(&table, &labels, '|').unwrap(), ids, "{text}");
}

#[test]
fn sets_from_a_field_or_an_array() {
    check_sets(
        "text,labels\na,joy\nb,love|anger\nc,\nd, joy | love \n",
        &["anger", "joy", "love"],
        &[&[1], &[0, 2], &[], &[1, 2]],
    );
    // Another order of names is the same set; `label` stands for `labels` where that is missing.
    check_sets("text,label\na,b|a\n", &["a", "b"], &[&[0, 1]]);
    let lines =
        [r#"{"text":"a","labels":["x","y, z"]}"#, r#"{"text":"b","labels":[]}"#, r#"{"text":"c","labels":null}"#];
    check_sets(&lines.join("\n"), &["x", "y, z"], &[&[0, 1], &[], &[]]);
    check_sets(r#"{"text":"a","labels":[3,true,"3x"]}"#, &["3", "3x", "true"], &[&[0, 1, 2]]);
    check_sets(r#"{"text":"a","labels":"x|y"}"#, &["x", "y"], &[&[0, 1]]);
}

#[test]
fn scores_are_numbers() {
    for (text, scores) in [
        ("text,score\na,3.800\nb,-1e-3\nc, 5 \n", vec![3.8, -1e-3, 5.0]),
        ("text,label\na,1\n", vec![1.0]),
        (
            "{\"text\":\"a\",\"score\":0.1}\n{\"text\":\"b\",\"score\":2}\n{\"text\":\"c\",\"score\":\"2.5\"}",
            vec![0.1, 2.0, 2.5],
        ),
    ] {
        assert_eq!(encode_scores(&read(text, Need::Scores).unwrap()).unwrap(), scores, "{text}");
    }
}

#[track_caller]
fn fault(text: &str, need: Need, expected: Expect) {
    let error = read(text, need).and_then(|table| match need {
        Need::Scores => encode_scores(&table).map(|_| ()),
        _ => Labels::from_sets(&table, '|').map(|_| ()),
    });
    expected.assert_eq(&error.unwrap_err().to_string());
}

#[test]
fn faults() {
    fault(
        "text,labels\na,x\nb,x||y\n",
        SETS,
        expect![
            "empty name among the labels in f, line 3: put one '|' between two names (or give an array of them), and leave the whole field empty for a row without labels"
        ],
    );
    fault("text,labels\na,x|y|x\n", SETS, expect![[r#"label "x" twice in one row of f, line 2: keep one"#]]);
    fault("text,labels\na,\n", SETS, expect!["no row of f has any label: nothing can be learned from it"]);
    fault(
        r#"{"text":"a","labels":["x|y"]}"#,
        SETS,
        expect![[r#"label "x|y" in f, line 1 holds the separator '|': choose another separator"#]],
    );
    fault(
        r#"{"text":"a","labels":["x",""]}"#,
        SETS,
        expect![
            "empty name among the labels in f, line 1: put one '|' between two names (or give an array of them), and leave the whole field empty for a row without labels"
        ],
    );
    fault(
        r#"{"text":"a","labels":[["x"]]}"#,
        SETS,
        expect![[r#"wrong type of "labels" in f, line 1: got an array, expected a string, an integer or a boolean"#]],
    );
    fault(
        r#"{"text":"a","label_s":["x"]}"#,
        SETS,
        expect![[
            r#"no column "labels" in f: rename the right one of its columns "text", "label_s", or name it with --label-column; did you mean "label_s"?"#
        ]],
    );
    fault(
        "text,score\na,1\nb,NaN\nc,high\n",
        Need::Scores,
        expect![[r#""NaN" is no number in f, line 3 (such rows: 2): write a finite number such as 3.5, with a point"#]],
    );
    fault(
        "text,score\na,inf\n",
        Need::Scores,
        expect![[r#""inf" is no number in f, line 2 (such rows: 1): write a finite number such as 3.5, with a point"#]],
    );
    fault(
        "text,score\na,1e39\n",
        Need::Scores,
        expect![[
            r#""1e39" is no number in f, line 2 (such rows: 1): write a finite number such as 3.5, with a point"#
        ]],
    );
    fault(
        "text,score\na,\"3,5\"\n",
        Need::Scores,
        expect![[r#""3,5" is no number in f, line 2 (such rows: 1): write a finite number such as 3.5, with a point"#]],
    );
    fault("text,score\na,\n", Need::Scores, expect!["empty label in f, line 2: give the row a label or delete it"]);
    fault(
        r#"{"text":"a","score":[1]}"#,
        Need::Scores,
        expect![[r#"wrong type of "score" in f, line 1: got an array, expected a string, an integer or a boolean"#]],
    );
    let labels = Labels::from_names(vec!["anger".into(), "joy".into()]).unwrap();
    let table = read("text,labels\na,joy\nb,joi|anger|no\nc,no\n", SETS).unwrap();
    expect![[r#"unknown label "joi" in f, line 3 (rows with unknown labels: 2): correct it to one of "anger", "joy", or train with it; did you mean "joy"?"#]].assert_eq(&encode_label_sets(&table, &labels, '|').unwrap_err().to_string());
}

/// A reader that needs no labels must not stumble over those of another task.
#[test]
fn a_reader_of_texts_takes_any_label() {
    for label in ["[\"x\"]", "1.5", "{}", "null"] {
        let line = format!("{{\"text\":\"a\",\"label\":{label}}}");
        let rows: Vec<Row> = rows_of(line.as_bytes(), Format::JsonLines, Need::TextOnly).unwrap();
        assert_eq!(rows[0].text, "a");
    }
}
