//! What the audit says of single texts and of names of labels: lengths, texts that are none, odd characters, languages, look-alikes.

use super::auditing::{audited, lines};
use super::tokenizing::{fixture, load};
use super::{row, table};
use crate::{Audit, AuditRows, AuditSettings, Lengths, Need, Oddity, Table, audit, repaired};

fn texts(texts: &[&str]) -> Table {
    let rows = texts.iter().enumerate().map(|(n, text)| row(text, None, Some("x"), n as u64 + 1)).collect();
    Table { path: "f".into(), pair: false, rows }
}

#[test]
fn lengths_are_counted_in_words_and_tokens() {
    let long = ["word"; 40].join(" ");
    let rows: Vec<&str> = std::iter::repeat_n("two words", 97).chain(["", &long, &long]).collect();
    let table = texts(&rows);
    let tokenizer = load(&fixture(), 16).unwrap();
    let settings = AuditSettings { need: Need::Labels, tokenizer: Some(&tokenizer), near: false, languages: false };
    let found = audit(&[("train", AuditRows::Table(&table))], settings).unwrap();
    let split = &found.splits[0];
    let mean = (97.0 * 2.0 + 80.0) / 99.0;
    assert_eq!(split.words, Some(Lengths { mean, median: 2, p95: 2, p99: 40, longest: 40 }));
    let tokens = split.tokens.as_ref().unwrap();
    let encoded = tokenizer.encode(&table.rows).unwrap();
    assert_eq!((tokens.lengths.longest, tokens.limit), (encoded.longest_untruncated, 16));
    assert_eq!((lines(&tokens.cut), encoded.truncated), (vec![99, 100], vec![98, 99]));
    // Blank texts have no length.
    let blank = audit(&[("train", AuditRows::Table(&texts(&["", " "])))], settings).unwrap();
    assert_eq!((blank.splits[0].words, &blank.splits[0].tokens), (None, &None));
}

#[test]
fn texts_that_say_nothing() {
    let table = texts(&["", " \t", "nan", "N/A", "???", "12.50", "ok", "null and void", "\u{1f600}", "да"]);
    let found = audited(&[&table], Need::Labels);
    assert_eq!(lines(&found.splits[0].blank), [1, 2]);
    assert_eq!(lines(&found.splits[0].wordless), [3, 4, 5, 6]);
    let mut table = texts(&["a", "b"]);
    table.rows[1].label = None;
    assert_eq!(lines(&audited(&[&table], Need::TextOnly).splits[0].unlabelled), [2]);
}

#[test]
fn odd_characters_are_named() {
    use Oddity::*;
    for (text, oddities) in [
        ("plain, with a tab\tand a line\nend", vec![]),
        ("naïve café, “quotes” – dashes… 20 €, Ångström, Привет, αβγ, 10kΩ, 日本語", vec![]),
        ("« voilà\u{a0}» et déjà\u{a0}!", vec![]),
        ("emoji \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} and نمی\u{200c}خواهم", vec![]),
        ("cafÃ© crÃ¨me", vec![Mojibake]),
        ("itâ€™s fine", vec![Mojibake]),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚", vec![Mojibake]),
        ("lost \u{fffd} letter", vec![Replacement]),
        ("bell \u{7} rings", vec![Control]),
        ("high control \u{9f}", vec![Control]),
        ("zero\u{200b}width", vec![Invisible]),
        ("vi\u{200d}agra", vec![Invisible]),
        ("turned \u{202e}txet", vec![Invisible]),
        ("pаypal", vec![Confusable]),
        ("bell \u{7} and \u{fffd}", vec![Replacement, Control]),
    ] {
        let found = audited(&[&texts(&[text])], Need::Labels);
        assert_eq!(found.splits[0].oddities.keys().copied().collect::<Vec<_>>(), oddities, "{text}");
        assert!(found.splits[0].oddities.values().all(|rows| lines(rows) == [1]), "{text}");
    }
    // Both texts of a pair have both: the row counts once for each.
    let mut pair = texts(&["a \u{fffd} and\u{200b} b"]);
    pair.rows[0].text_b = Some("c\u{200b} and \u{fffd} d".into());
    let found = audited(&[&pair], Need::Labels);
    assert!(found.splits[0].oddities.len() == 2 && found.splits[0].oddities.values().all(|rows| lines(rows) == [1]));
    for (text, was) in
        [("cafÃ© crÃ¨me", "café crème"), ("itâ€™s", "it’s"), ("ÐŸÑ€Ð¸Ð²ÐµÑ‚", "Привет"), ("ðŸ˜€!", "😀!")]
    {
        assert_eq!(repaired(text).as_deref(), Some(was));
    }
}

#[test]
fn languages_of_long_texts_are_guessed() {
    let english = "Where can I find the invoice for my last order, please? I have looked everywhere.";
    let german = "Wo finde ich bitte die Rechnung für meine letzte Bestellung? Ich habe überall gesucht.";
    let found = audited(&[&texts(&[english, english, german, "Hallo"])], Need::Labels);
    let split = &found.splits[0];
    assert_eq!(
        split.languages.iter().map(|(name, count)| (*name, *count)).collect::<Vec<_>>(),
        [("English", 2), ("German", 1)]
    );
    let foreign: Vec<_> = split.foreign.iter().map(|(place, language)| (place.line, *language)).collect();
    assert_eq!(foreign, [(3, "German")]);
}

#[test]
fn names_of_labels_that_look_alike() {
    let csv = "text,label\na,spam\nb,Spam\nc,spam\nd,not_spam\ne,not spam\nf,refund\ng,refunds\nh,refnud\ni,level 1\nj,level 2\nk,a\nl,b\n";
    let found = audited(&[&table("f", csv)], Need::Labels);
    let said: Vec<_> = found
        .look_alike_labels
        .iter()
        .map(|pair| (pair.frequent.as_str(), pair.frequent_rows, pair.rare.as_str(), pair.same_letters))
        .collect();
    assert_eq!(
        said,
        [
            ("spam", 2, "Spam", true),
            ("not spam", 1, "not_spam", true),
            ("refnud", 1, "refund", false),
            ("refund", 1, "refunds", false),
        ]
    );
}

#[test]
fn names_of_labels_that_unicode_spells_in_two_ways() {
    for (one, other, same) in [
        ("caf\u{e9}", "cafe\u{301}", true),
        ("\u{ff46}\u{ff55}\u{ff4c}\u{ff4c}", "full", true),
        ("\u{fb01}ne", "fine", true),
        // Cyrillic letters.
        ("\u{41e}\u{41a}", "OK", true),
        ("p\u{43e}sitiv\u{435}", "positive", true),
        // Capitals that look Latin, and small letters that do not.
        ("\u{41a}\u{41e}\u{422}", "\u{43a}\u{43e}\u{442}", true),
        ("\u{39d}\u{391}\u{399}", "\u{3bd}\u{3b1}\u{3b9}", true),
        // An accent is a letter of its own.
        ("r\u{e9}sum\u{e9}", "resum\u{e9}", false),
    ] {
        let found = labelled(&[one, one, other]).look_alike_labels;
        assert_eq!(found.iter().map(|pair| pair.same_letters).collect::<Vec<_>>(), [same], "{one:?} {other:?}");
    }
    assert!(labelled(&["\u{434}\u{430}", "no"]).look_alike_labels.is_empty());
}

/// What is found of rows with these labels.
fn labelled(labels: &[&str]) -> Audit {
    let mut table = texts(labels);
    table.rows.iter_mut().for_each(|row| row.label = Some(row.text.clone()));
    audited(&[&table], Need::Labels)
}

#[test]
fn names_of_labels_that_are_lists() {
    for (labels, expected) in [
        (&["a", "b", "a;b"][..], Some((1, Some(';')))),
        (&["a", "b; ", "a ; b; "], Some((1, Some(';')))),
        (&["a,b", "a,c", "b,c"], Some((3, Some(',')))),
        (&["0", "1", "2", "0,1,2", "1,2"], Some((1, Some(',')))),
        (&["joy", "love", "joy|love"], Some((1, Some('|')))),
        (&["['a']", "['a', 'b']", "[]"], Some((3, None))),
        (&["[\"a\"]", "[\"b\"]"], Some((2, None))),
        (&["[a, b]", "[c]"], Some((2, None))),
        (&["Trinidad, Tobago", "Cuba", "Korea, South", "Korea, North"], None),
        (&["Dakota, North", "Dakota, South", "Carolina, North", "Carolina, South"], None),
        (&["New York, New York", "New York"], None),
        (&["Atlanta, Georgia", "Athens, Georgia", "Georgia"], None),
        (&["1", "1,5", "2", "2,5", "5"], None),
        (&["[deleted]", "[removed]", "kept"], None),
        (&["a b", "a", "b"], None),
        (&[";", "|", ","], None),
    ] {
        let found = labelled(labels).label_lists.map(|found| (found.lists, found.separator));
        assert_eq!(found, expected, "{labels:?}");
    }
}

#[test]
fn names_of_labels_that_are_values() {
    let numbers = |labels: &[&str]| -> Vec<String> {
        let names =
            |names: &[(String, usize)]| names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ");
        labelled(labels)
            .same_number_labels
            .iter()
            .map(|same| format!("{}{}", names(&same.names), if same.whole { "" } else { "?" }))
            .collect()
    };
    assert_eq!(numbers(&["0", "0.0", "-0", "1", "1.0", "01", "2"]), ["-0 0 0.0", "01 1 1.0"]);
    assert_eq!(numbers(&["1.1", "1.10", "-.5", "-0.5"]), ["-.5 -0.5?", "1.1 1.10?"]);
    let others = ["1", "-1", "10", "1e1", ".", "1.2.0", "1.2", "12345678901234567890", "12345678901234567891"];
    assert!(numbers(&others).is_empty());
    // A sign or a point is no blank: these are numbers of their own.
    assert!(labelled(&["1", "-1", "10", "1.0"]).look_alike_labels.is_empty());

    let missing = |labels: &[&str]| -> Vec<(String, bool)> {
        labelled(labels).missing_word_labels.into_iter().map(|word| (word.name, word.sure)).collect()
    };
    let said = |words: &[(&str, bool)]| words.iter().map(|&(word, sure)| (word.to_owned(), sure)).collect::<Vec<_>>();
    assert_eq!(missing(&["NaN", "pos"]), said(&[("NaN", true)]));
    assert_eq!(
        missing(&["N/A", "null", "None", "na", "x"]),
        said(&[("N/A", true), ("None", false), ("na", false), ("null", true)])
    );
    assert_eq!(
        missing(&["-", "<NA>", "[]", "(empty)", "x"]),
        said(&[("(empty)", true), ("-", true), ("<NA>", true), ("[]", true)])
    );
    for honest in [&["+", "-"][..], &["empty", "full"], &["[]", "['a']"], &["nan"], &["nancy", "nanny goat", "O"]] {
        assert!(missing(honest).is_empty(), "{honest:?}");
    }
}
