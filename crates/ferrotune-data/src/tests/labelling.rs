//! Label maps and their errors.

use super::table;
use crate::{DataError, Labels, encode_labels, real_numbers};
use expect_test::{Expect, expect};

#[test]
fn names_and_ids() {
    let train = table("train.csv", "text,label\na,pos\nb,neg\nc,mid\nd,neg\n");
    let labels = Labels::from_table(&train).unwrap();
    assert_eq!(labels.names(), ["mid", "neg", "pos"]);
    assert_eq!((labels.len(), labels.is_empty()), (3, false));
    assert_eq!((labels.id("neg"), labels.id("Neg"), labels.name(2)), (Some(1), None, "pos"));
    assert_eq!(encode_labels(&train, &labels).unwrap(), [2, 1, 0, 1]);
    let given = Labels::from_names(vec!["pos".into(), "neg".into(), "mid".into()]).unwrap();
    assert_eq!(encode_labels(&train, &given).unwrap(), [0, 1, 2, 1]);
}

#[test]
fn labels_that_are_whole_numbers_have_the_order_of_numbers() {
    for (labels, expected) in [
        (&["10", "2", "0", "11", "1"][..], &["0", "1", "2", "10", "11"][..]),
        (&["-1", "-10", "1", "0"], &["-10", "-1", "0", "1"]),
        // As a program would not write them, or not all numbers.
        (&["02", "1", "10"], &["02", "1", "10"]),
        (&["10", "2", "x"], &["10", "2", "x"]),
        (&["1.0", "10.0", "2.0"], &["1.0", "10.0", "2.0"]),
    ] {
        let csv = format!("text,label\n{}", labels.iter().map(|label| format!("a,{label}\n")).collect::<String>());
        assert_eq!(Labels::from_table(&table("f", &csv)).unwrap().names(), expected);
        assert_eq!(Labels::from_sets(&table("f", &csv), '|').unwrap().names(), expected);
    }
}

#[test]
fn real_numbers_are_no_names() {
    for (labels, expected) in [
        (&["0.5", "1", "2.25"][..], Some("0.5")),
        (&["1", "-3.5"], Some("-3.5")),
        // Classes of a program whose column had gaps; sections beside a name; names.
        (&["1.0", "2.0"], None),
        (&["1.1", "1.2", "appendix"], None),
        (&["a", "b"], None),
    ] {
        let csv = format!("text,label\n{}", labels.iter().map(|label| format!("a,{label}\n")).collect::<String>());
        assert_eq!(real_numbers(&table("f", &csv)), expected);
    }
}

fn check(result: Result<Vec<u32>, DataError>, expected: Expect) {
    expected.assert_eq(&result.unwrap_err().to_string());
}

#[test]
fn faults() {
    let labels = Labels::from_names(vec!["negative".into(), "positive".into()]).unwrap();
    let encode = |csv: &str| encode_labels(&table("validation.csv", csv), &labels);
    check(
        encode("text,label\na,positive\nb,postive\nc,negative\nd,meh\n"),
        expect![[
            r#"unknown label "postive" in validation.csv, line 3 (rows with unknown labels: 2): correct it to one of "negative", "positive", or train with it; did you mean "positive"?"#
        ]],
    );
    check(
        encode("text,label\na,positive\nb,Negative\n"),
        expect![[
            r#"unknown label "Negative" in validation.csv, line 3 (rows with unknown labels: 1): correct it to one of "negative", "positive", or train with it; did you mean "negative"?"#
        ]],
    );
    check(
        encode("text,label\na,something else\n"),
        expect![[
            r#"unknown label "something else" in validation.csv, line 2 (rows with unknown labels: 1): correct it to one of "negative", "positive", or train with it"#
        ]],
    );
    check(
        encode("text,label\na,positive\nb,\n"),
        expect!["empty label in validation.csv, line 3: give the row a label or delete it"],
    );
    let from_table = |csv: &str| Labels::from_table(&table("train.csv", csv)).map(|_| vec![]);
    check(
        from_table("text,label\na,x\nb,x\n"),
        expect![[r#"every row of train.csv has the label "x": a classifier needs at least two classes"#]],
    );
    check(
        from_table("text,label\na,x\nb,\n"),
        expect!["empty label in train.csv, line 3: give the row a label or delete it"],
    );
    check(from_table("text\na\n"), expect!["empty label in train.csv, line 2: give the row a label or delete it"]);
    let from_names =
        |names: &[&str]| Labels::from_names(names.iter().map(|&name| name.into()).collect()).map(|_| vec![]);
    check(
        from_names(&["a", "b", "a"]),
        expect![[r#"label "a" is in the label list twice, or is empty: labels need distinct names"#]],
    );
    check(
        from_names(&["a", ""]),
        expect![[r#"label "" is in the label list twice, or is empty: labels need distinct names"#]],
    );
    let many = Labels::from_names((0..151).map(|n| format!("intent {n}")).collect()).unwrap();
    let long = "word ".repeat(100);
    check(
        encode_labels(&table("v.csv", &format!("text,label\na,{long}\n")), &many),
        expect![[
            r#"unknown label "word word word word word word word word word word word word "... in v.csv, line 2 (rows with unknown labels: 1): correct it to one of "intent 0", "intent 1", "intent 2", "intent 3", "intent 4", "intent 5", "intent 6", "intent 7" and 143 more, or train with it"#
        ]],
    );
}
