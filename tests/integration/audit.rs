//! The audit on the bundled tickets, damaged in known ways: what was put in is found, and what is not there is not said. The same on public sets,
//! with flipped labels, is `benches/audit.py`.

use ferrotune_data::{
    Audit, AuditRows, AuditSettings, Likeness, Need, Oddity, Place, Row, Table, audit, normalised, read_table,
};
use std::collections::HashSet;
use std::path::Path;

fn tickets(name: &str) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../datasets/support-tickets").join(name);
    read_table(&path, Need::Labels).unwrap()
}

fn audited(tables: &[(&'static str, &Table)]) -> Audit {
    let splits: Vec<_> = tables.iter().map(|&(name, table)| (name, AuditRows::Table(table))).collect();
    audit(&splits, AuditSettings { need: Need::Labels, tokenizer: None, near: true, languages: true }).unwrap()
}

/// One light edit of a text, another for each number: case, punctuation, a letter, a word.
fn edited(text: &str, number: usize) -> String {
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    let longest = (0..words.len()).max_by_key(|&n| words[n].len()).unwrap();
    match number % 4 {
        0 => return text.to_uppercase(),
        1 => return format!("{}!!", text.trim_end_matches(['.', '?', '!'])),
        2 => drop(words[longest].remove(2)),
        _ => words[longest] = "something".to_owned(),
    }
    words.join(" ")
}

#[test]
fn copied_rows_are_found_and_no_others() {
    let (mut train, test) = (tickets("train.csv"), tickets("test.csv"));
    let clean = audited(&[("train", &train), ("test", &test)]);
    let texts: HashSet<_> = train.rows.iter().map(normalised).collect();
    let there = test.rows.iter().filter(|row| texts.contains(&normalised(row))).count();
    let overlap = clean.overlap("train", "test");
    assert_eq!((overlap.count(Likeness::Exact), overlap.copies()), (there, there));

    // Every fifth row of the test goes to train: in turn as it is, and with a light edit.
    let copied: Vec<usize> = (0..test.rows.len()).step_by(5).collect();
    for (n, &row) in copied.iter().enumerate() {
        let text = if n % 2 == 0 { test.rows[row].text.clone() } else { edited(&test.rows[row].text, n / 2) };
        train.rows.insert(n * 17, Row { text, ..test.rows[row].clone() });
    }
    let damaged = audited(&[("train", &train), ("test", &test)]);
    let overlap = damaged.overlap("train", "test");
    let found: Vec<usize> = overlap.later_rows.iter().map(|found| found.row.row).collect();
    let missed: Vec<&usize> = copied.iter().filter(|row| !found.contains(row)).collect();
    assert!(missed.is_empty(), "missed {missed:?}");
    for found in &overlap.later_rows {
        let place = copied.iter().position(|&row| row == found.row.row);
        assert!(place.is_none_or(|n| n % 2 == 1 || found.likeness == Likeness::Exact), "{found:?}");
        assert!(place.is_some() || !found.likeness.is_copy(), "{found:?}");
    }
}

#[test]
fn contradicting_and_damaged_rows_are_found() {
    let mut train = tickets("train.csv");
    let clean = audited(&[("train", &train)]);
    assert!(clean.conflicts.is_empty() && clean.look_alike_labels.is_empty());
    assert!(clean.splits[0].blank.is_empty() && clean.splits[0].wordless.is_empty());
    // A ticket quotes what an export made of a name: "José becomes JosÃ©".
    let odd = |audit: &Audit| -> Vec<(Oddity, Vec<usize>)> {
        let rows = |places: &[Place]| places.iter().map(|place| place.row).collect();
        audit.splits[0].oddities.iter().map(|(oddity, places)| (*oddity, rows(places))).collect()
    };
    assert_eq!(odd(&clean), [(Oddity::Mojibake, vec![427])]);
    let other = Some("someone_elses_label".to_owned());
    let repeated = Row { label: other, ..train.rows[100].clone() };
    train.rows.push(repeated);
    train.rows[7].text = " ".to_owned();
    train.rows[8].text = "?!".to_owned();
    train.rows[9].text.push('\u{200b}');
    let found = audited(&[("train", &train)]);
    let rows: Vec<usize> =
        found.conflicts.iter().flat_map(|conflict| &conflict.rows).map(|(place, _)| place.row).collect();
    assert_eq!(rows, [100, train.rows.len() - 1]);
    let split = &found.splits[0];
    let row = |places: &[Place]| places.iter().map(|place| place.row).collect::<Vec<_>>();
    assert_eq!((row(&split.blank), row(&split.wordless)), (vec![7], vec![8]));
    assert_eq!(odd(&found), [(Oddity::Mojibake, vec![427]), (Oddity::Invisible, vec![9])]);
}
