//! What is said of names of labels, before training and by the command: rows whose names have something wrong, and rows whose names look like it.

use super::lines;
use ferrotune_data::{Need, Row, Table};

/// A table with each label in three rows.
fn table(labels: &[&str]) -> Table {
    let of = |(n, label): (usize, &&str)| Row {
        text: char::from(b'a' + n as u8).to_string().repeat(12),
        text_b: None,
        words: None,
        label: Some(label.to_string()),
        line: n as u64 + 2,
    };
    let rows =
        labels.iter().enumerate().flat_map(|(n, label)| (0..3).map(move |k| (3 * n + k, label))).map(of).collect();
    Table { path: "t.csv".into(), pair: false, rows }
}

#[track_caller]
fn check(labels: &[&str], need: Need, expected: &[&str]) {
    let said = lines(&table(labels), None, None, need).unwrap();
    assert_eq!(said, expected, "{labels:?}");
}

#[test]
fn lists_are_said_with_the_flags_that_read_them() {
    let sets = Need::LabelSets { separator: '|' };
    for (labels, need, says) in [
        (
            &["a", "b", "a;b"][..],
            Need::Labels,
            "1 label looks like a list of labels, such as \"a;b\"; if they are, say --task multi-label --label-separator ';'",
        ),
        (
            &["a,b", "b,c", "a,c"],
            sets,
            "3 labels look like lists of labels, such as \"a,b\"; if they are, say --task multi-label --label-separator ','",
        ),
        (
            &["a", "b", "a|b"],
            Need::Labels,
            "1 label looks like a list of labels, such as \"a|b\"; if they are, say --task multi-label",
        ),
        (
            &["[]", "['a']", "['a', 'b']"],
            sets,
            "3 labels look like lists of labels, such as \"['a', 'b']\"; if they are, write the rows as JSON Lines with an array of labels in each, \
             or join the labels by |, and say --task multi-label",
        ),
    ] {
        check(labels, need, &[says]);
    }
}

#[test]
fn values_that_a_program_wrote_are_said() {
    check(
        &["0", "0.0", "1", "1.0", "x"],
        Need::Labels,
        &[
            "labels that are one number count as different ones: \"0\" (3 rows) and \"0.0\" (3 rows); \"1\" (3 rows) and \"1.0\" (3 rows); write each number in one way",
        ],
    );
    check(
        &["NaN", "bad", "good"],
        Need::Labels,
        &[
            "the label \"NaN\" (3 rows) says that a label is missing, and counts as one; leave out rows without a label, or label them",
        ],
    );
}

#[test]
fn honest_names_are_not_warned_of() {
    for labels in [
        &["Trinidad, Tobago", "Trinidad", "Cuba"][..],
        &["none", "NA", "anger"],
        &["-1", "0", "1", "10", "1.5", "15"],
        &["1.1", "1.10", "2.0"],
    ] {
        check(labels, Need::Labels, &[]);
    }
}
