//! The audit of splits.

use super::table;
use crate::{Conflict, Finding, Need, Overlap, Place, SplitAudit, audit};

fn finding(first_lines: &[u64]) -> Finding {
    Finding { count: first_lines.len(), first_lines: first_lines.to_vec() }
}

fn counts(labels: &[(&str, usize)]) -> Vec<(String, usize)> {
    labels.iter().map(|&(label, count)| (label.to_owned(), count)).collect()
}

#[test]
fn findings_of_three_splits() {
    let train = table("a", "text,label\nGood film,pos\n good\tFILM ,pos\n,neg\nbad film,neg\nodd,mid\nBAD film,pos\n");
    let validation = table("b", "text,label\nbad  film,neg\nnew,pos\ngood film,neg\n");
    let test = table("c", "text,label\nnew,pos\n\"  \",neg\nfresh,other\nodd,mid\n");
    let found = audit(&train, Some(&validation), Some(&test), Need::Labels);
    let expected =
        |split, rows, empty: &[u64], duplicates: &[u64], label_counts, missing: &[&str], unseen: &[&str]| SplitAudit {
            split,
            rows,
            empty_texts: finding(empty),
            duplicates: finding(duplicates),
            label_counts: counts(label_counts),
            missing_labels: missing.iter().map(|&name| name.into()).collect(),
            unseen_labels: unseen.iter().map(|&name| name.into()).collect(),
        };
    assert_eq!(
        found.splits,
        [
            expected("train", 6, &[4], &[3, 7], &[("mid", 1), ("neg", 2), ("pos", 3)], &[], &[]),
            expected("validation", 3, &[], &[], &[("neg", 2), ("pos", 1)], &["mid"], &[]),
            expected("test", 4, &[3], &[], &[("mid", 1), ("neg", 1), ("other", 1), ("pos", 1)], &[], &["other"]),
        ]
    );
    let overlap = |earlier, later, lines: &[(u64, u64)]| Overlap {
        earlier,
        later,
        count: lines.len(),
        first_lines: lines.to_vec(),
    };
    assert_eq!(
        found.overlaps,
        [
            overlap("train", "validation", &[(5, 2), (2, 4)]),
            overlap("train", "test", &[(6, 5)]),
            overlap("validation", "test", &[(3, 2)]),
        ]
    );
    let place = |split, line, label: &str| Place { split, line, label: label.to_owned() };
    assert_eq!(found.conflicting_texts, 2);
    assert_eq!(
        found.conflicts,
        [
            Conflict { first: place("train", 5, "neg"), second: place("train", 7, "pos") },
            Conflict { first: place("train", 2, "pos"), second: place("validation", 4, "neg") },
        ]
    );
}

#[test]
fn pairs_agree_in_both_texts() {
    let train = table("a", "text_a,text_b,label\na b,c,x\na,b c,y\na b,C,x\n,c,y\nc,,y\n");
    let found = audit(&train, None, None, Need::Labels);
    assert_eq!(found.splits[0].duplicates, finding(&[4]));
    assert_eq!(found.splits[0].empty_texts, finding(&[5, 6]));
    assert_eq!((found.overlaps.len(), found.conflicting_texts), (0, 0));
}

#[test]
fn only_the_first_lines_are_kept() {
    let train = table("a", &format!("text,label\n{}", "same,x\n".repeat(9)));
    let found = audit(&train, Some(&train), None, Need::Labels);
    assert_eq!(found.splits[0].duplicates, Finding { count: 8, first_lines: vec![3, 4, 5, 6, 7] });
    assert_eq!((found.overlaps[0].count, found.overlaps[0].first_lines.len()), (9, 5));
}

/// Sets are the same in any order and numbers if they are equal; only names are counted.
#[test]
fn labels_of_other_kinds_are_compared_by_what_they_say() {
    let sets = "text,labels\na,joy|love\nA,love|joy\nb,joy\nB,\nc,joy\nC,anger\n";
    let scores = "text,labels\na,2.5\nA,2.50\nb,2\nB,2.0\nc,1\nC,3\n";
    for (csv, need, conflicts, counted) in [
        (sets, Need::LabelSets { separator: '|' }, 1, counts(&[("anger", 1), ("joy", 4), ("love", 2)])),
        (scores, Need::Scores, 1, vec![]),
    ] {
        let columns = crate::Columns { text: "text".into(), text_b: None, label: Some("labels".into()) };
        let reader = crate::stream_with(csv.as_bytes(), "f", crate::Format::Csv, Some(&columns), need).unwrap();
        let rows = reader.collect::<Result<_, _>>().unwrap();
        let found = audit(&crate::Table { path: "f".into(), pair: false, rows }, None, None, need);
        assert_eq!((found.conflicting_texts, found.conflicts[0].second.line), (conflicts, 7), "{need:?}");
        assert_eq!(found.splits[0].label_counts, counted);
    }
}
