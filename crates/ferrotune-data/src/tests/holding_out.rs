//! Rows that are held out of training: by class, texts whole, the same for a seed, and never a class that is not learned.

use super::{row, table};
use crate::{Need, Row, SplitError, held_out_rows, hold_out, wording};
use std::collections::{BTreeMap, HashSet};

/// Rows of each label that are held out and that are not.
fn counted(rows: &[Row], held: &[bool]) -> BTreeMap<String, [usize; 2]> {
    let mut counts = BTreeMap::new();
    for (row, &held) in rows.iter().zip(held) {
        let label = row.label.clone().unwrap_or_default();
        counts.entry(label).or_insert([0; 2])[usize::from(!held)] += 1;
    }
    counts
}

fn labelled(labels: &[(&str, usize)]) -> Vec<Row> {
    let each = labels.iter().flat_map(|&(label, count)| (0..count).map(move |n| (label, n)));
    each.map(|(label, n)| row(&format!("{label} {n}"), None, Some(label), 1)).collect()
}

#[test]
fn each_class_has_its_share() {
    let rows = labelled(&[("a", 60), ("b", 30), ("c", 9), ("d", 1)]);
    for seed in 0..20 {
        let held = hold_out(&rows, Need::Labels, 0.1, seed).unwrap();
        let counts = counted(&rows, &held);
        assert_eq!(counts["a"], [6, 54], "{seed}");
        assert_eq!(counts["b"], [3, 27], "{seed}");
        assert_eq!((counts["c"], counts["d"]), ([1, 8], [0, 1]), "a class with one row is learned; {seed}");
        assert_eq!(held, hold_out(&rows, Need::Labels, 0.1, seed).unwrap(), "the same for a seed");
    }
    let of = |seed| hold_out(&rows, Need::Labels, 0.1, seed).unwrap();
    assert_ne!(of(0), of(1));
}

#[test]
fn the_same_text_is_on_one_side() {
    let mut rows = labelled(&[("a", 50), ("b", 50)]);
    for n in 0..20 {
        rows.push(row(&format!("A,  {n}! "), None, Some("b"), 1));
    }
    rows.extend((0..10).map(|_| row(" ", None, Some("a"), 1)));
    for seed in 0..20 {
        let held = hold_out(&rows, Need::Labels, 0.2, seed).unwrap();
        let texts = |side| -> HashSet<Option<String>> {
            let rows = rows.iter().zip(&held).filter(|&(_, &held)| held == side);
            rows.map(|(row, _)| wording(row)).filter(Option::is_some).collect()
        };
        assert!(texts(true).is_disjoint(&texts(false)), "{seed}");
        assert_eq!(held.iter().filter(|&&held| held).count(), 26, "{seed}");
    }
}

/// A row with several names counts as the rarest: without that, names that few rows have would often be held out altogether.
#[test]
fn rare_names_are_learned() {
    let sets: Vec<Row> = (0..200)
        .map(|n| row(&n.to_string(), None, Some(if n % 100 == 7 { "often|rare" } else { "often" }), 1))
        .collect();
    let mut tags = sets.clone();
    for row in &mut tags {
        row.label = row.label.take().map(|label| if label == "often" { "O O".into() } else { "O B-x".to_string() });
    }
    for (rows, need) in [(&sets, Need::LabelSets { separator: '|' }), (&tags, Need::Tags)] {
        for seed in 0..50 {
            let held = hold_out(rows, need, 0.5, seed).unwrap();
            assert!(!held[7] || !held[107], "{need:?} {seed}");
            assert!(held[7] || held[107], "its share is a whole row; {need:?} {seed}");
        }
    }
}

#[test]
fn rows_without_classes_and_few_rows() {
    let scores: Vec<Row> = (0..10).map(|n| row(&n.to_string(), None, Some(&n.to_string()), 1)).collect();
    let count = |rows: &[Row], share| hold_out(rows, Need::Scores, share, 3).unwrap().iter().filter(|&&h| h).count();
    assert_eq!([0.01, 0.25, 0.5].map(|share| count(&scores, share)), [1, 3, 5]);
    assert_eq!(count(&scores[..2], 0.1), 1);
    for (rows, share, expected) in [(2, 0.5, 1), (3, 0.9, 2), (1000, 0.1, 100), (1, 0.1, 1)] {
        assert_eq!(held_out_rows(rows, share), expected, "{rows} {share}");
    }
    let empty = |rows| Err(SplitError::EmptyPart { part: 1, rows });
    assert_eq!(hold_out(&scores[..1], Need::Scores, 0.1, 0), empty(1));
    assert_eq!(hold_out(&[], Need::Scores, 0.1, 0), empty(0));
    let same: Vec<Row> = (0..20).map(|_| row("same", None, Some("1"), 1)).collect();
    let large = Err(SplitError::GroupTooLarge { first: 0, rows: 20, largest: 18 });
    assert_eq!(hold_out(&same, Need::Scores, 0.1, 0), large);
}

#[test]
fn a_table_gives_up_its_marked_rows() {
    let mut table = table("f.csv", "text,label\na,x\nb,y\nc,x\n");
    let out = table.take_out(&[false, true, false]);
    assert_eq!((out.rows, out.path), (vec![row("b", None, Some("y"), 3)], table.path.clone()));
    assert_eq!(table.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 4]);
}
