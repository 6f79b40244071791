//! Well-formed data: rows, lines and original records; and the differential against the csv crate.

use super::{row, rows_of};
use crate::{Format, Need, Row, Wanted, read_table, read_table_with, stream, stream_with};
use proptest::prelude::*;

fn check(format: Format, need: Need, text: &str, expected: &[Row]) {
    for converted in [text.to_owned(), text.replace('\n', "\r\n"), text.replace('\n', "\r"), format!("\u{feff}{text}")]
    {
        let rows = rows_of(converted.as_bytes(), format, need).unwrap_or_else(|error| panic!("{converted:?}: {error}"));
        assert_eq!(rows, expected, "{converted:?}");
    }
}

#[test]
fn rows_and_lines() {
    use Format::{Csv, JsonLines, Tsv};
    let good = |line| row("good", None, Some("pos"), line);
    check(Csv, Need::Labels, "text,label\ngood,pos\n", &[good(2)]);
    check(Csv, Need::Labels, "\n\n text , label\n\ngood, pos ", &[good(5)]);
    check(Csv, Need::Labels, "id,label,text,\n1,pos,good,x\n", &[good(2)]);
    check(
        Csv,
        Need::Labels,
        "text,label\n\"a \"\"b\"\", c\n\n d\",pos\ngood,pos\n",
        &[row("a \"b\", c\n\n d", None, Some("pos"), 2), good(5)],
    );
    check(
        Csv,
        Need::Labels,
        "text,label\n,pos\n\"\",\"pos\"\n",
        &[row("", None, Some("pos"), 2), row("", None, Some("pos"), 3)],
    );
    // As spreadsheets write it where the comma is for decimals.
    check(Csv, Need::Labels, "\ntext;label\n\"a; b\";pos\ngood;pos\n", &[row("a; b", None, Some("pos"), 3), good(4)]);
    check(Csv, Need::Scores, "\"text\";\"score\"\na, b;1.5\n", &[row("a, b", None, Some("1.5"), 2)]);
    check(Csv, Need::Labels, "\"a;b\",text,label\n1,good,pos\n", &[good(2)]);
    check(
        Csv,
        Need::Labels,
        "text_a,text_b,label\np,h,0\n\"\",\"\"\"\",1\n",
        &[row("p", Some("h"), Some("0"), 2), row("", Some("\""), Some("1"), 3)],
    );
    check(Csv, Need::TextOnly, "text\ngood\n\" \"\n", &[row("good", None, None, 2), row(" ", None, None, 3)]);
    check(Csv, Need::TextOnly, "text,label\ngood,pos\nx,\n", &[good(2), row("x", None, None, 3)]);
    check(
        Tsv,
        Need::Labels,
        "text\tlabel\n5\" disk, a\tpos\n\"x\ty\"\tneg\n",
        &[row("5\" disk, a", None, Some("pos"), 2), row("x\ty", None, Some("neg"), 3)],
    );
    check(
        JsonLines,
        Need::Labels,
        "{\"text\":\"a\\nb\",\"label\":3}\n\n {\"label\":true,\"more\":[1],\"text\":\"\"}\n{\"text\":\"c\",\"label\":\" x \"}",
        &[row("a\nb", None, Some("3"), 1), row("", None, Some("true"), 3), row("c", None, Some("x"), 4)],
    );
    check(
        JsonLines,
        Need::TextOnly,
        "{\"text_a\":\"a\",\"text_b\":\"b\",\"label\":null}\n{\"text_b\":\"b\",\"text_a\":\"a\"}\n",
        &[row("a", Some("b"), None, 1), row("a", Some("b"), None, 2)],
    );
}

#[test]
fn original_records_are_kept() {
    let csv = "id,text,note\n7,a,\n8,\"b,c\",\"x\"\n";
    let mut reader = stream(csv.as_bytes(), "f", Format::Csv, Need::TextOnly).unwrap();
    assert_eq!(reader.headers(), ["id", "text", "note"]);
    assert!(!reader.pair());
    reader.next().unwrap().unwrap();
    assert_eq!(reader.fields(), ["7", "a", ""]);
    reader.next().unwrap().unwrap();
    assert_eq!(reader.fields(), ["8", "b,c", "x"]);
    assert!(reader.next().is_none());

    let json = "{\"z\":{\"k\":[1,null]},\"text\":\"a\",\"n\":0.1}\n{\"new\":1,\"n\":null,\"text\":\"b\"}\n";
    let mut reader = stream(json.as_bytes(), "f", Format::JsonLines, Need::TextOnly).unwrap();
    assert_eq!(reader.headers(), ["z", "text", "n"]);
    reader.next().unwrap().unwrap();
    assert_eq!(reader.fields(), ["{\"k\":[1,null]}", "a", "0.1"]);
    reader.next().unwrap().unwrap();
    assert_eq!(reader.fields(), ["", "b", ""]);
}

#[test]
fn explicit_columns_and_format() {
    let columns =
        |label: Option<&str>| Wanted { text: Some("sentence".into()), text_b: None, label: label.map(Into::into) };
    let read = |columns: &Wanted, need| -> Vec<Row> {
        let tsv = "sentence\tclass\ttext\nquick\tgood\tx\n";
        stream_with(tsv.as_bytes(), "f", Format::Tsv, Some(columns), need).unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(read(&columns(Some("class")), Need::Labels), [row("quick", None, Some("good"), 2)]);
    assert_eq!(read(&columns(None), Need::TextOnly), [row("quick", None, None, 2)]);
    assert_eq!(read(&columns(Some("absent")), Need::TextOnly), [row("quick", None, None, 2)]);

    // Where the label alone is named, texts are those of the usual names.
    let class = Wanted { label: Some("class".into()), ..Wanted::default() };
    let of = |csv: &str| {
        let reader = stream_with(csv.as_bytes(), "f", Format::Csv, Some(&class), Need::Labels);
        reader.and_then(|mut rows| rows.next().unwrap()).map_err(|error| error.to_string())
    };
    assert_eq!(of("text_a,text_b,class\na,b,c\n"), Ok(row("a", Some("b"), Some("c"), 2)));
    assert_eq!(of("label,class,text\na,b,c\n"), Ok(row("c", None, Some("b"), 2)));
    let error = of("text,text_b,class\na,b,c\n").unwrap_err();
    assert!(error.contains("text_b"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.txt");
    std::fs::write(&path, "text_a,text_b,label\na,b,c\n").unwrap();
    let table = read_table_with(&path, Some(Format::Csv), None, Need::Labels).unwrap();
    assert!(table.pair && table.path == path && table.rows == [row("a", Some("b"), Some("c"), 2)]);
    let upper = folder.path().join("DATA.CSV");
    std::fs::rename(&path, &upper).unwrap();
    assert_eq!(read_table(&upper, Need::Labels).unwrap().rows, table.rows);
}

/// A stream hands each row out as soon as its line is there, and never asks for input beyond it.
#[test]
fn streaming_does_not_wait_for_more() {
    struct OneByteThenPanic(&'static [u8]);
    impl std::io::Read for OneByteThenPanic {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let (first, rest) = self.0.split_first().expect("read beyond the row that was asked for");
            (buffer[0], self.0) = (*first, rest);
            Ok(1)
        }
    }
    let input = std::io::BufReader::new(OneByteThenPanic(b"text\r\nfirst\r\nsecond\r"));
    let mut reader = stream(input, "f", Format::Csv, Need::TextOnly).unwrap();
    assert_eq!(reader.next().unwrap().unwrap(), row("first", None, None, 2));
    assert_eq!(reader.next().unwrap().unwrap(), row("second", None, None, 3));
}

/// All records as the csv crate sees them, line ends inside fields folded as ours are.
fn csv_crate(bytes: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let fold = |field: &str| field.replace("\r\n", "\n").replace('\r', "\n");
    reader.records().map(|record| record.unwrap().iter().map(fold).collect()).collect()
}

/// All records as ours.
fn strict(bytes: &[u8]) -> Result<Vec<Vec<String>>, crate::DataError> {
    let mut records = crate::files::delimited::Delimited::csv(crate::files::lines::Lines::new(bytes, "f"))?;
    let mut all = Vec::new();
    let mut fields = Vec::new();
    while records.read(&mut fields)?.is_some() {
        all.push(fields.clone());
    }
    Ok(all)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// What the csv crate writes, we read, and read as it does.
    #[test]
    fn reads_what_the_csv_crate_writes(
        records in prop::collection::vec(prop::collection::vec("[a\u{e9}\u{1f600},\" \t\n\r]{0,6}", 3), 1..6),
        always in any::<bool>(),
        ends in prop::sample::select(vec![csv::Terminator::CRLF, csv::Terminator::Any(b'\n'), csv::Terminator::Any(b'\r')]),
    ) {
        let style = if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
        let mut writer = csv::WriterBuilder::new().quote_style(style).terminator(ends).from_writer(Vec::new());
        for record in &records {
            writer.write_record(record).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        prop_assert_eq!(strict(&bytes).unwrap(), csv_crate(&bytes));
    }

    /// Whatever we accept, the csv crate reads alike; and no input panics.
    #[test]
    fn accepts_nothing_that_the_csv_crate_reads_otherwise(soup in "[a,\"\n\r]{0,24}") {
        if let Ok(records) = strict(soup.as_bytes()) {
            prop_assert_eq!(records, csv_crate(soup.as_bytes()));
        }
    }

    /// LF, CRLF and CR give the same rows and lines, or the same error.
    #[test]
    fn line_ends_are_alike(soup in "[ab,\"\n]{0,24}") {
        let read = |ends: &str| {
            let text = format!("text,label\n{soup}").replace('\n', ends);
            rows_of(text.as_bytes(), Format::Csv, Need::Labels).map_err(|error| error.to_string())
        };
        prop_assert_eq!(read("\n"), read("\r\n"));
        prop_assert_eq!(read("\n"), read("\r"));
    }

    /// No bytes at all make a reader panic.
    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for format in [Format::Csv, Format::Tsv, Format::JsonLines] {
            for header in [&b""[..], b"text\n", b"{\"text\":\""] {
                let _ = rows_of(&[header, &bytes].concat(), format, Need::TextOnly);
            }
        }
    }
}
