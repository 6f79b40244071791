//! Malformed data: each input with the exact message that it must give.

use super::rows_of;
use crate::{DataError, ErrorKind, Format, MAX_FIELD_BYTES, MAX_FILE_BYTES, MAX_RECORD_BYTES, Need, read_table};
use expect_test::{Expect, expect};
use std::fs;

/// Checks the message of the data error that a stream named "f" of these bytes gives.
fn check(format: Format, need: Need, bytes: impl AsRef<[u8]>, expected: Expect) {
    let error = rows_of(bytes.as_ref(), format, need).expect_err("the input is malformed");
    assert_eq!(error.kind(), ErrorKind::Data);
    let message = error.to_string();
    assert!(!message.contains(char::is_control), "{message:?} must be one line");
    expected.assert_eq(&message);
}

#[test]
fn encoding_faults() {
    let check = |bytes: &[u8], expected| check(Format::Csv, Need::Labels, bytes, expected);
    check(b"", expect!["f is empty: it needs a header (or JSON objects) and at least one row"]);
    check(b"\xEF\xBB\xBF", expect!["f is empty: it needs a header (or JSON objects) and at least one row"]);
    check(b"\n\r\n\n", expect!["f is empty: it needs a header (or JSON objects) and at least one row"]);
    check(
        b"\xFF\xFEt\0e\0x\0t\0\n\0",
        expect!["f is encoded as UTF-16LE: convert it, for example with `iconv -f UTF-16LE -t UTF-8`"],
    );
    check(
        b"\xFE\xFF\0t\0e\0x\0t\0\n",
        expect!["f is encoded as UTF-16BE: convert it, for example with `iconv -f UTF-16BE -t UTF-8`"],
    );
    check(
        b"\xFF\xFE\0\0t\0\0\0",
        expect!["f is encoded as UTF-32LE: convert it, for example with `iconv -f UTF-32LE -t UTF-8`"],
    );
    check(
        b"\0\0\xFE\xFF\0\0\0t",
        expect!["f is encoded as UTF-32BE: convert it, for example with `iconv -f UTF-32BE -t UTF-8`"],
    );
    check(
        b"t\0e\0x\0t\0,\0",
        expect!["NUL byte in f, line 1, column 2: remove it, or convert the file if it is UTF-16"],
    );
    check(
        b"text,label\ngood,pos\ncaf\xE9,neg\n",
        expect![
            "invalid UTF-8 in f, line 3, column 4: convert the file to UTF-8 (of Excel and Western Windows: `iconv -f WINDOWS-1252 -t UTF-8`)"
        ],
    );
    check(
        "text,label\r\ngr\u{fc}n,pos\r\n\u{e9}\0t\u{e9},neg\r\n".as_bytes(),
        expect!["NUL byte in f, line 3, column 2: remove it, or convert the file if it is UTF-16"],
    );
}

#[test]
fn quoting_faults() {
    let csv = |text: &str, expected| check(Format::Csv, Need::Labels, text, expected);
    csv(
        "text,label\ngood,pos\nbad,\"neg\nx,pos\ny,neg\n",
        expect![
            "unclosed quote in f, line 3: the field that opens there never ends; close it, and write a quote inside a quoted field twice"
        ],
    );
    csv(
        "text,label\n\"never closed,pos\n",
        expect![
            "unclosed quote in f, line 2: the field that opens there never ends; close it, and write a quote inside a quoted field twice"
        ],
    );
    csv(
        "\"text,label\ngood,pos\n",
        expect![
            "unclosed quote in f, line 1: the field that opens there never ends; close it, and write a quote inside a quoted field twice"
        ],
    );
    csv(
        "text,label\n\"a\"\"\n",
        expect![
            "unclosed quote in f, line 2: the field that opens there never ends; close it, and write a quote inside a quoted field twice"
        ],
    );
    csv(
        "text,label\nthe 5\" disk,pos\n",
        expect!["stray quote in f, line 2, column 6: put the whole field in quotes and write the quote twice"],
    );
    csv(
        "text,label\n \"a\",pos\n",
        expect!["stray quote in f, line 2, column 2: put the whole field in quotes and write the quote twice"],
    );
    csv(
        "text,label\n\"good \"movie\"\",pos\n",
        expect![
            "text after a closing quote in f, line 2, column 8 (the quote opened in line 2): write a quote inside a quoted field twice, or close the quote that was left open"
        ],
    );
    csv(
        "text,label\n\"a\" ,pos\n",
        expect![
            "text after a closing quote in f, line 2, column 4 (the quote opened in line 2): write a quote inside a quoted field twice, or close the quote that was left open"
        ],
    );
    csv(
        "text,label\n\"left open,pos\nfine,neg\n\"next\",pos\n",
        expect![
            "text after a closing quote in f, line 4, column 2 (the quote opened in line 2): write a quote inside a quoted field twice, or close the quote that was left open"
        ],
    );
    csv("text,label\na,\"po\ns\"\n", expect!["label over several lines in f, line 2: look for an unclosed quote"]);
    let tsv = |text: &str, expected| check(Format::Tsv, Need::Labels, text, expected);
    tsv(
        "text\tlabel\n\"Hello,\" he said\tpos\n",
        expect![
            "text after a closing quote in f, line 2, column 9 (the quote opened in line 2): write a quote inside a quoted field twice, or close the quote that was left open"
        ],
    );
    tsv(
        "text\tlabel\nok\tpos\n\"Hello\tpos\n",
        expect![
            "unclosed quote in f, line 3: the field that opens there never ends; close it, and write a quote inside a quoted field twice"
        ],
    );
}

#[test]
fn shape_faults() {
    let csv = |text: &str, expected| check(Format::Csv, Need::Labels, text, expected);
    csv(
        "text,label\ngood,pos\nyes, but,neg\n",
        expect![
            "wrong number of fields in f, line 3: got 3, the header has 2; put a field that holds the delimiter in quotes"
        ],
    );
    csv(
        "text,label\n\"two\nlines\",pos\n\nshort\n",
        expect![
            "wrong number of fields in f, line 5: got 1, the header has 2; put a field that holds the delimiter in quotes"
        ],
    );
    // Two columns without a name, as spreadsheets write them, are no fault.
    assert_eq!(rows_of(b"text,label,,\na,b,,\n", Format::Csv, Need::Labels).unwrap().len(), 1);
    csv("text,label,text\na,b,c\n", expect![[r#"duplicate column "text" in f: give each column its own name"#]]);
    csv(
        "Text,label\na,b\n",
        expect![[
            r#"no column "text" in f: rename the right one of its columns "Text", "label", or name it with --text-column; did you mean "Text"?"#
        ]],
    );
    csv(
        "text,labels\na,b\n",
        expect![[
            r#"no column "label" in f: rename the right one of its columns "text", "labels", or name it with --label-column; did you mean "labels"?"#
        ]],
    );
    csv(
        "text_a,text_c,label\na,b,c\n",
        expect![[
            r#"no column "text_b" in f: rename the right one of its columns "text_a", "text_c", "label", or name both texts with --text-column and --text-b-column; did you mean "text_c"?"#
        ]],
    );
    csv(
        "text_b,label\na,b\n",
        expect![[
            r#"no column "text_a" in f: rename the right one of its columns "text_b", "label", or name both texts with --text-column and --text-b-column"#
        ]],
    );
    csv(
        "text,text_a,text_b,label\na,b,c,d\n",
        expect![[r#"f has both "text" and "text_a", "text_b": name the columns to read, or rename one"#]],
    );
    csv(
        "a,b,c,d,e,f,g,h,i,j\n",
        expect![[
            r#"no column "text" in f: rename the right one of its columns "a", "b", "c", "d", "e", "f", "g", "h" and 2 more, or name it with --text-column"#
        ]],
    );
    csv("text,label\ngood,pos\nbad,  \n", expect!["empty label in f, line 3: give the row a label or delete it"]);
    csv(
        "te\u{1b}[31mxt\u{7},label\na,b\n",
        expect![[
            r#"no column "text" in f: rename the right one of its columns "te\u{1b}[31mxt\u{7}", "label", or name it with --text-column"#
        ]],
    );
}

/// A header that is not what the reader takes it for is named, and not the column that is missing for that reason.
#[test]
fn header_faults() {
    let csv = |text: &str, expected| check(Format::Csv, Need::Labels, text, expected);
    csv(
        "id,text;label\n1,a;b\n",
        expect![[
            r#"f seems to be separated by semicolons, for it has a column "text;label": a .csv file is read by commas (or semicolons, if its header has no comma), a .tsv file by tabs; convert it"#
        ]],
    );
    csv(
        "text\ta\n",
        expect![[
            r#"f seems to be separated by tabs, for it has a column "text\ta": a .csv file is read by commas (or semicolons, if its header has no comma), a .tsv file by tabs; name it .tsv"#
        ]],
    );
    csv(
        "id|label|text,more\n",
        expect![[
            r#"f seems to be separated by bars, for it has a column "id|label|text": a .csv file is read by commas (or semicolons, if its header has no comma), a .tsv file by tabs; convert it"#
        ]],
    );
    csv(
        "what; why,who\n",
        expect![[
            r#"no column "text" in f: rename the right one of its columns "what; why", "who", or name it with --text-column"#
        ]],
    );
    for line in ["sep=,", "SEP=;", "sep=\t", "\"sep=,\""] {
        csv(
            &format!("{line}\ntext,label\na,b\n"),
            expect!["f begins with a line sep=…, which is for spreadsheets alone: remove this line"],
        );
    }
    check(
        Format::Tsv,
        Need::Labels,
        "text,label\na,b\n",
        expect![[
            r#"f seems to be separated by commas, for it has a column "text,label": a .csv file is read by commas (or semicolons, if its header has no comma), a .tsv file by tabs; name it .csv"#
        ]],
    );
    check(
        Format::JsonLines,
        Need::Labels,
        "{}\n{\"text\":\"a\",\"label\":\"b\"}\n",
        expect![
            "the first object of f has no keys: every object needs those of the columns; remove it, or give it some"
        ],
    );
    csv(
        "text,text_b,label\na,b,c\n",
        expect![[
            r#"f has "text" and "text_b" and no "text_a": name a pair with --text-column text --text-b-column text_b, or text alone with --text-column text; or rename or remove one"#
        ]],
    );
}

#[test]
fn size_faults() {
    let long = "x".repeat(MAX_FIELD_BYTES + 1);
    let header = "text,label\n";
    check(
        Format::Csv,
        Need::Labels,
        format!("{header}a,b\n{long},b\n"),
        expect!["field over 1048576 bytes in f, line 3: shorten it, or look for an unclosed quote"],
    );
    check(
        Format::Csv,
        Need::Labels,
        format!("{header}\"{}\n", "line\n".repeat(MAX_FIELD_BYTES / 4)),
        expect!["field over 1048576 bytes in f, line 2: shorten it, or look for an unclosed quote"],
    );
    check(
        Format::Csv,
        Need::Labels,
        "x".repeat(MAX_RECORD_BYTES + 1),
        expect!["record over 8388608 bytes in f, line 1: shorten it, or look for an unclosed quote"],
    );
    let many_fields = format!("\"{}\n\",", "y".repeat(1 << 19)).repeat(17);
    check(
        Format::Csv,
        Need::Labels,
        format!("{header}{many_fields}z\n"),
        expect!["record over 8388608 bytes in f, line 2: shorten it, or look for an unclosed quote"],
    );
    check(
        Format::JsonLines,
        Need::Labels,
        format!("{{\"text\":\"{long}\",\"label\":\"a\"}}"),
        expect!["field over 1048576 bytes in f, line 1: shorten it, or look for an unclosed quote"],
    );
}

#[test]
fn json_faults() {
    let json = |text: &str, expected| check(Format::JsonLines, Need::Labels, text, expected);
    let first = |line: &str| format!("{{\"text\":\"a\",\"label\":\"b\"}}\n\n{line}\n");
    json("\n  \n", expect!["f is empty: it needs a header (or JSON objects) and at least one row"]);
    json(
        "hello\n",
        expect!["malformed JSON in f, line 1, column 1: expected value; each line must be one JSON object"],
    );
    json(
        &first("{\"text\":\"a\",\"label\":"),
        expect!["malformed JSON in f, line 3, column 20: EOF while parsing a value; each line must be one JSON object"],
    );
    json(
        &first("{\"text\":\"a\",\"label\":\"b\"} {}"),
        expect!["malformed JSON in f, line 3, column 26: trailing characters; each line must be one JSON object"],
    );
    json(
        &first("{\"text\":\"\\ud800\",\"label\":\"b\"}"),
        expect![
            "malformed JSON in f, line 3, column 16: unexpected end of hex escape; each line must be one JSON object"
        ],
    );
    json(
        &first("{\"text\":1e999,\"label\":\"b\"}"),
        expect!["malformed JSON in f, line 3, column 13: number out of range; each line must be one JSON object"],
    );
    json(
        &first(&"[".repeat(5000)),
        expect!["malformed JSON in f, line 3, column 128: recursion limit exceeded; each line must be one JSON object"],
    );
    json(
        &first(&format!("{{\"text\":{}", "[".repeat(5000))),
        expect!["malformed JSON in f, line 3, column 135: recursion limit exceeded; each line must be one JSON object"],
    );
    json("[1, 2]\n", expect!["an array instead of a JSON object in f, line 1: each line must be one object"]);
    json("\"text\"\n", expect!["a string instead of a JSON object in f, line 1: each line must be one object"]);
    json(
        &first("{\"text\":7,\"label\":\"b\"}"),
        expect![[r#"wrong type of "text" in f, line 3: got an integer, expected a string"#]],
    );
    json(
        &first("{\"text\":null,\"label\":\"b\"}"),
        expect![[r#"wrong type of "text" in f, line 3: got null, expected a string"#]],
    );
    json(
        &first("{\"text\":\"a\",\"label\":0.5}"),
        expect![[
            r#"wrong type of "label" in f, line 3: got a fractional or huge number, expected a string, an integer or a boolean"#
        ]],
    );
    json(
        &first("{\"text\":\"a\",\"label\":[\"b\"]}"),
        expect![[r#"wrong type of "label" in f, line 3: got an array, expected a string, an integer or a boolean"#]],
    );
    json(
        &first("{\"text\":\"a\",\"label\":null}"),
        expect!["empty label in f, line 3: give the row a label or delete it"],
    );
    json(&first("{\"text\":\"a\"}"), expect![[r#"missing key "label" in f, line 3: every object needs it"#]]);
    json(
        &first("{\"text\":\"a\",\"label\":\"b\",\"text\":\"c\"}"),
        expect![[r#"duplicate key "text" in f, line 3: keep one"#]],
    );
    json(
        &first("{\"text\":\"a\\u0000b\",\"label\":\"b\"}"),
        expect![[r#"NUL character (\u0000) in "text" in f, line 3: remove it"#]],
    );
    json(
        &first("{\"text\":\"a\",\"label\":\"b\\nc\"}"),
        expect!["label over several lines in f, line 3: look for an unclosed quote"],
    );
    json(
        "{\"txt\":\"a\",\"label\":\"b\"}\n",
        expect![[
            r#"no column "text" in f: rename the right one of its columns "txt", "label", or name it with --text-column; did you mean "txt"?"#
        ]],
    );
}

#[test]
fn file_faults() {
    let folder = tempfile::tempdir().unwrap();
    let check_file = |name: &str, kind: ErrorKind, expected: Expect| {
        let error = read_table(&folder.path().join(name), Need::Labels).unwrap_err();
        assert_eq!(error.kind(), kind);
        expected.assert_eq(&error.to_string().replace(&folder.path().display().to_string(), "DIR"));
    };
    fs::create_dir(folder.path().join("folder.csv")).unwrap();
    fs::write(folder.path().join("a.txt"), "text,label\na,b\n").unwrap();
    fs::write(folder.path().join("none"), "text,label\na,b\n").unwrap();
    fs::write(folder.path().join("header.csv"), "text,label\n\n").unwrap();
    fs::write(folder.path().join("bad.tsv"), "text\tlabel\na\tb\nc\n").unwrap();
    // Sparse: it takes no room on the disk.
    fs::File::create(folder.path().join("huge.csv")).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    check_file(
        "missing.csv",
        ErrorKind::Io,
        expect!["cannot read DIR/missing.csv: No such file or directory (os error 2)"],
    );
    check_file(
        "folder.csv",
        ErrorKind::Data,
        expect!["DIR/folder.csv is not a regular file: a table cannot be read from a folder or a pipe"],
    );
    check_file(
        "a.txt",
        ErrorKind::Data,
        expect![
            "DIR/a.txt has no extension of a format that is read, which are .csv, .tsv, .jsonl and .ndjson (with .gz or .zst where it is compressed) and .parquet: rename or convert it"
        ],
    );
    check_file(
        "none",
        ErrorKind::Data,
        expect![
            "DIR/none has no extension of a format that is read, which are .csv, .tsv, .jsonl and .ndjson (with .gz or .zst where it is compressed) and .parquet: rename or convert it"
        ],
    );
    check_file("header.csv", ErrorKind::Data, expect!["DIR/header.csv has a header but no rows: add some"]);
    check_file(
        "bad.tsv",
        ErrorKind::Data,
        expect![
            "wrong number of fields in DIR/bad.tsv, line 3: got 1, the header has 2; put a field that holds the delimiter in quotes"
        ],
    );
    check_file(
        "huge.csv",
        ErrorKind::Data,
        expect!["DIR/huge.csv has 4294967297 bytes, more than the limit of 4294967296: split it"],
    );
}

/// A stream that fails in the middle is an input error, not the end of the data.
#[test]
fn failing_stream() {
    struct Failing;
    impl std::io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("cable pulled"))
        }
    }
    let stream = std::io::Read::chain(&b"text\na\nhalf a ro"[..], std::io::BufReader::new(Failing));
    let mut reader = crate::stream(stream, "standard input", Format::Csv, Need::TextOnly).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().text, "a");
    let error = reader.next().unwrap().unwrap_err();
    assert!(matches!(error, DataError::Io { .. }));
    expect!["cannot read standard input: cable pulled"].assert_eq(&error.to_string());
    assert!(reader.next().is_none(), "after an error the iterator ends");
}
