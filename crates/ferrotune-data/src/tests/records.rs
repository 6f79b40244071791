//! Files that are written again in parts: every byte of a row stays.

use crate::{Need, Records};
use proptest::prelude::*;

/// Writes all rows of `file` again, in two parts, which must be these bytes.
#[track_caller]
fn check(name: &str, need: Need, file: &str, first: &str, rest: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, file).unwrap();
    let records = Records::read(&path, None, need, None).unwrap();
    let rows = records.table.rows.len();
    for (range, expected) in [(0..1, first), (1..rows, rest)] {
        let mut written = Vec::new();
        records.write(range, &mut written).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), expected, "{file:?}");
    }
}

#[test]
fn rows_keep_their_bytes() {
    let labels = Need::Labels;
    check("a.csv", labels, "text,label\na,x\nb,y\n", "text,label\na,x\n", "text,label\nb,y\n");
    // The byte order mark, blanks, needless quotes, quotes in quotes, line ends in fields, more columns, no line end at the end.
    check(
        "a.csv",
        labels,
        "\u{feff}id, text ,label\r\n7,\"a \"\"b\"\",\r\nc\nd\", x \r\n\r\n\"8\",é,y",
        "\u{feff}id, text ,label\r\n7,\"a \"\"b\"\",\r\nc\nd\", x \r\n",
        "\u{feff}id, text ,label\r\n\"8\",é,y\r\n",
    );
    check("a.csv", labels, "text,label\ra,x\r\"b\rc\",y\r", "text,label\ra,x\r", "text,label\r\"b\rc\",y\r");
    check(
        "a.tsv",
        labels,
        "text\tlabel\n5\" disk\tx\n\"a\tb\"\ty\n",
        "text\tlabel\n5\" disk\tx\n",
        "text\tlabel\n\"a\tb\"\ty\n",
    );
    check("a.csv", Need::TextOnly, "text\n\"\"\n\nb\n", "text\n\"\"\n", "text\nb\n");
    // Of JSON the whole line, also keys that the first object does not have and numbers that no float holds.
    check(
        "a.jsonl",
        Need::TextOnly,
        "\u{feff} {\"text\": \"a\\u00e9\" , \"n\":1.10} \r\n\r\n{\"more\":[1,null],\"text\":\"b\",\"n\":12345678901234567890123}",
        " {\"text\": \"a\\u00e9\" , \"n\":1.10} \r\n",
        "{\"more\":[1,null],\"text\":\"b\",\"n\":12345678901234567890123}\r\n",
    );
}

#[test]
fn a_column_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str, text: &str, column| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Records::read(&path, None, Need::TextOnly, column).map_err(|error| error.to_string())
    };
    let columns = |records: Records| records.column().map(<[String]>::to_vec);
    let csv = "text,user\na,u1\nb,\n";
    assert_eq!(columns(read("a.csv", csv, Some("user")).unwrap()).unwrap(), ["u1", ""]);
    assert_eq!(columns(read("a.csv", csv, None).unwrap()), None);
    let json = "{\"text\":\"a\",\"user\":7}\n{\"text\":\"b\"}\n{\"text\":\"c\",\"user\":null}\n";
    assert_eq!(columns(read("a.jsonl", json, Some("user")).unwrap()).unwrap(), ["7", "", ""]);
    let message = read("a.csv", csv, Some("usr")).err().unwrap();
    assert!(message.contains("no column \"usr\"") && message.contains("did you mean \"user\"?"), "{message}");
    assert!(read("a.csv", "text\n", None).err().unwrap().contains("no rows"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// The parts of whatever file we read, one row each, read alone as the row that they are.
    #[test]
    fn parts_read_as_the_rows_of_the_whole(soup in "[ab,\"\n\r]{0,30}", bom in any::<bool>(), end in "\n|\r\n|\r") {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mark = if bom { "\u{feff}" } else { "" };
        std::fs::write(&path, format!("{mark}text,label{end}{soup}")).unwrap();
        if let Ok(records) = Records::read(&path, None, Need::TextOnly, None) {
            for (n, row) in records.table.rows.iter().enumerate() {
                let part = folder.path().join("part.csv");
                let mut written = Vec::new();
                records.write([n], &mut written).unwrap();
                std::fs::write(&part, written).unwrap();
                let again = Records::read(&part, None, Need::TextOnly, None).unwrap();
                let expected = crate::Row { line: 2, ..row.clone() };
                prop_assert_eq!(again.table.rows, [expected]);
            }
        }
    }
}

#[test]
fn fields_of_other_columns_can_be_read_with_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let kept = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<String>>();
    let read = |name: &str, file: &str, names: &[&str]| {
        let path = folder.path().join(name);
        std::fs::write(&path, file).unwrap();
        let source = crate::Source::find(&path, crate::Part::Test).unwrap();
        source.read_keeping(None, Need::Labels, &kept(names)).map_err(|error| error.to_string())
    };
    let csv = "id,text,label,kind\n7,a,x,\n8,\"b,c\",y,\"p, q\"\n";
    let (table, fields) = read("a.csv", csv, &["kind", "id", "label"]).unwrap();
    assert_eq!((table.rows.len(), table.rows[1].text.as_str(), table.rows[1].line), (2, "b,c", 3));
    assert_eq!(fields, [["", "p, q"], ["7", "8"], ["x", "y"]]);
    let json = "{\"text\":\"a\",\"label\":\"x\",\"n\":1.5}\n{\"label\":\"y\",\"text\":\"b\"}\n{\"text\":\"c\",\"n\":null,\"label\":\"x\"}\n";
    assert_eq!(read("a.jsonl", json, &["n"]).unwrap().1, [["1.5", "", ""]]);
    assert_eq!(read("a.csv", csv, &[]).unwrap().1, Vec::<Vec<String>>::new());
    let error = read("a.csv", csv, &["kinds"]).unwrap_err();
    assert!(error.contains("kinds") && error.contains("did you mean") && error.contains("kind"), "{error}");
}
