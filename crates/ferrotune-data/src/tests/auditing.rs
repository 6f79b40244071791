//! The audit of splits: what stands twice, what contradicts itself, what labels say. The checks of single texts are in `audited_texts.rs`.

use super::table;
use crate::{
    Audit, AuditRows, AuditSettings, DataError, Format, Likeness, Need, Overlap, Place, Source, Table, Wanted, audit,
    rows_at, stream_with,
};
use std::collections::BTreeSet;

/// The audit of tables, near duplicates included.
pub(super) fn audited(tables: &[&Table], need: Need) -> Audit {
    let splits = ["train", "validation", "test"];
    let splits: Vec<_> = splits.into_iter().zip(tables.iter().map(|table| AuditRows::Table(table))).collect();
    audit(&splits, AuditSettings { need, tokenizer: None, near: true, languages: true }).unwrap()
}

/// The lines of places in one split.
pub(super) fn lines(places: &[Place]) -> Vec<u64> {
    places.iter().map(|place| place.line).collect()
}

/// Lines of the later split and of the earlier one that are this much alike.
fn alike(overlap: &Overlap, likeness: Likeness) -> Vec<(u64, u64)> {
    let wanted = overlap.later_rows.iter().filter(|found| found.likeness == likeness);
    wanted.map(|found| (found.row.line, found.of.line)).collect()
}

fn conflicts(audit: &Audit) -> Vec<Vec<(&str, u64, &str)>> {
    audit
        .conflicts
        .iter()
        .map(|conflict| conflict.rows.iter().map(|(place, label)| (place.split, place.line, label.as_str())).collect())
        .collect()
}

#[test]
fn findings_of_three_splits() {
    let train = table("a", "text,label\nGood film,pos\n good\tFILM ,pos\n,neg\nbad film,neg\nodd,mid\nBAD film,pos\n");
    let validation = table("b", "text,label\nbad  film,neg\nnew,pos\ngood film,neg\n");
    let test = table("c", "text,label\nnew,pos\n\"  \",neg\nfresh,other\nodd,mid\n");
    let found = audited(&[&train, &validation, &test], Need::Labels);
    let expected = [
        ("train", 6, vec![4], vec![("mid", 1), ("neg", 2), ("pos", 3)], vec![], vec![]),
        ("validation", 3, vec![], vec![("neg", 2), ("pos", 1)], vec!["mid"], vec![]),
        ("test", 4, vec![3], vec![("mid", 1), ("neg", 1), ("other", 1), ("pos", 1)], vec![], vec!["other"]),
    ];
    for (split, (name, rows, blank, counts, missing, unseen)) in found.splits.iter().zip(expected) {
        let said: Vec<_> = split.label_counts.iter().map(|(label, count)| (label.as_str(), *count)).collect();
        assert_eq!((split.split, split.rows, lines(&split.blank), said), (name, rows, blank, counts));
        assert_eq!(
            (&split.missing_labels[..], &split.unseen_labels[..]),
            (&to_strings(&missing)[..], &to_strings(&unseen)[..])
        );
    }
    for (earlier, later, rows) in [
        ("train", "train", vec![(3, 2), (7, 5)]),
        ("train", "validation", vec![(2, 5), (4, 2)]),
        ("train", "test", vec![(5, 6)]),
        ("validation", "validation", vec![]),
        ("validation", "test", vec![(2, 3)]),
        ("test", "test", vec![]),
    ] {
        let overlap = found.overlap(earlier, later);
        assert_eq!(alike(overlap, Likeness::Exact), rows, "{earlier} and {later}");
        assert_eq!(overlap.copies(), rows.len());
    }
    // The other way round all rows of the earlier split are named, repeats too.
    let other_way =
        |later| lines(&found.overlap("train", later).earlier_rows.iter().map(|found| found.row).collect::<Vec<_>>());
    assert_eq!((other_way("validation"), other_way("test")), (vec![2, 3, 5, 7], vec![6]));
    assert_eq!(
        conflicts(&found),
        [
            vec![("train", 2, "pos"), ("train", 3, "pos"), ("validation", 4, "neg")],
            vec![("train", 5, "neg"), ("train", 7, "pos"), ("validation", 2, "neg")],
        ]
    );
    assert!(found.overlap("train", "validation").later_rows[1].labels_differ);
}

fn to_strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn pairs_agree_in_both_texts() {
    let train = table("a", "text_a,text_b,label\na b,c,x\na,b c,y\na b,C,x\n,c,y\nc,,y\n");
    let found = audited(&[&train], Need::Labels);
    assert_eq!(alike(found.overlap("train", "train"), Likeness::Exact), [(4, 2)]);
    assert_eq!(found.overlap("train", "train").later_rows.len(), 1);
    assert_eq!(lines(&found.splits[0].blank), [5, 6]);
    assert!(found.conflicts.is_empty());
}

/// Sets are the same in any order and numbers if they are equal; only names are counted.
#[test]
fn labels_of_other_kinds_are_compared_by_what_they_say() {
    let sets = "text,labels\na,joy|love\nA,love|joy\nb,joy\nB,\nc,joy\nC,anger\n";
    let scores = "text,labels\na,2.5\nA,2.50\nb,2\nB,2.0\nc,1\nC,3\n";
    for (csv, need, lines, counted) in [
        (
            sets,
            Need::LabelSets { separator: '|' },
            [vec![4, 5], vec![6, 7]].to_vec(),
            vec![("anger", 1), ("joy", 4), ("love", 2)],
        ),
        (scores, Need::Scores, [vec![6, 7]].to_vec(), vec![]),
    ] {
        let columns = Wanted { label: Some("labels".into()), ..Wanted::default() };
        let reader = stream_with(csv.as_bytes(), "f", Format::Csv, Some(&columns), need).unwrap();
        let rows = reader.collect::<Result<_, _>>().unwrap();
        let found = audited(&[&Table { path: "f".into(), pair: false, rows }], need);
        let places: Vec<Vec<u64>> =
            conflicts(&found).iter().map(|rows| rows.iter().map(|(_, line, _)| *line).collect()).collect();
        assert_eq!(places, lines, "{need:?}");
        let counts: Vec<_> =
            found.splits[0].label_counts.iter().map(|(label, count)| (label.as_str(), *count)).collect();
        assert_eq!(counts, counted);
    }
}

/// What differs between a text and another, and whether it is found.
#[test]
fn light_edits_are_found_and_named() {
    let text = "please send the blue parcel to my new address in town";
    for (edited, likeness) in [
        ("Please SEND the blue  parcel to my new address in Town", Some(Likeness::Exact)),
        ("Please, send the blue parcel to my new address in town!", Some(Likeness::Punctuation)),
        ("please send the blue parcl to my new address in town", Some(Likeness::Spelling)),
        ("please send the bleu parcel to my new address in town", Some(Likeness::Spelling)),
        ("please send the blue parcel to my new address intown", Some(Likeness::Spelling)),
        ("please send the red parcel to my new address in town", Some(Likeness::OneWord)),
        ("please send the blue parcel to my address in town", Some(Likeness::OneWord)),
        ("please now send the blue parcel to my new address in town", Some(Likeness::OneWord)),
        ("please send the blue parcels to my new adress in town", Some(Likeness::Similar)),
        ("please send the green letter to my old flat in town", None),
        ("where is my parcel", None),
    ] {
        let train = table("a", &format!("text,label\nsomething else entirely,x\n\"{text}\",y\n"));
        let test = table("b", &format!("text,label\nnothing of the kind,x\n\"{edited}\",y\n"));
        let found = audited(&[&train, &test], Need::Labels);
        let overlap = found.overlap("train", "validation");
        let said: Vec<_> =
            overlap.later_rows.iter().map(|found| (found.likeness, found.row.line, found.of.line)).collect();
        assert_eq!(said, likeness.map(|likeness| (likeness, 3, 3)).into_iter().collect::<Vec<_>>(), "{edited}");
        let back: Vec<_> = overlap.earlier_rows.iter().map(|found| (found.likeness, found.row.line)).collect();
        assert_eq!(back, likeness.map(|likeness| (likeness, 3)).into_iter().collect::<Vec<_>>(), "{edited}");
    }
}

/// What is one letter apart may be another word: short words and numbers are.
#[test]
fn short_words_and_numbers_are_no_spelling() {
    for (a, b) in [
        ("set an alarm in 15 minutes", "set an alarm in 45 minutes"),
        ("turn the light on now", "turn the light in now"),
    ] {
        let rows = table("a", &format!("text,label\n{a},x\n{b},x\n"));
        let found = audited(&[&rows], Need::Labels);
        assert_eq!(alike(found.overlap("train", "train"), Likeness::OneWord), [(3, 2)], "{a}");
    }
}

/// A test row that stands twice leaks twice, also where it is only near.
#[test]
fn repeats_of_a_near_row_are_near_too() {
    let train = table("a", "text,label\nwhere can i find my last invoice,x\nWhere can I find my last invoice,x\n");
    let test = table("b", "text,label\nwhere can i find my lost invoice,x\nWhere can I find my LOST invoice,x\n");
    let found = audited(&[&train, &test], Need::Labels);
    let overlap = found.overlap("train", "validation");
    assert_eq!(alike(overlap, Likeness::Spelling), [(2, 2), (3, 2)]);
    assert_eq!(overlap.earlier_rows.iter().map(|found| found.row.line).collect::<Vec<_>>(), [2, 3]);
}

/// A thousand rows of one pattern are a bucket of a thousand: the pairs stay few, and every row is still found to be near to an earlier one.
#[test]
fn rows_of_one_pattern_do_not_make_a_pair_each() {
    let rows: String =
        (0..1000).map(|n| format!("how do you say number {n} in the language of the country,x\n")).collect();
    let found = audited(&[&table("a", &format!("text,label\n{rows}"))], Need::Labels);
    assert_eq!(found.overlap("train", "train").later_rows.len(), 999);
}

/// A file is read row by row, and gives what the table gives.
#[test]
fn a_file_is_audited_as_its_table_is() {
    let csv = "text,label\nsame here,x\n,y\nSAME here,y\nsame heres,y\n\"over\ntwo lines\",x\nlast,x\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    std::fs::write(&path, csv).unwrap();
    let source = Source::file(&path);
    let file = AuditRows::Files { source: &source, columns: None, need: Need::Labels };
    let settings = AuditSettings { need: Need::Labels, tokenizer: None, near: true, languages: true };
    let found = audit(&[("train", file)], settings).unwrap();
    assert_eq!(found, audited(&[&table("a", csv)], Need::Labels));
    let last = Place { split: "train", row: 5, line: 8 };
    let rows = rows_at(&[("train", file)], &BTreeSet::from([last, found.splits[0].blank[0]])).unwrap();
    assert_eq!(rows.values().map(|row| row.text.as_str()).collect::<Vec<_>>(), ["", "last"]);

    std::fs::write(&path, "text,label\n").unwrap();
    assert!(matches!(audit(&[("train", file)], settings), Err(DataError::NoRows { .. })));
    std::fs::write(&path, "text,label\na,b,c\n").unwrap();
    assert!(matches!(audit(&[("train", file)], settings), Err(DataError::FieldCount { line: 2, .. })));
}
