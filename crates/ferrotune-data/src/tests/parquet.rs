//! Parquet files as pyarrow and `datasets` write them, against what pyarrow reads; and damaged ones, which give an error and nothing worse.
//! The files, with the script that wrote them, lie in `fixtures/parquet`.

use crate::{
    DataError, ErrorKind, Format, LeftOut, Need, Opened, Part, Records, Source, Wanted, headers, open, read_table,
    read_table_with,
};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/parquet").join(name)
}

/// All rows as JSON.
fn rows(path: &Path) -> Result<Vec<serde_json::Value>, String> {
    let mut opened = open(path, None).map_err(|error| error.to_string())?;
    assert_eq!(opened.format, Format::JsonLines);
    let mut text = String::new();
    opened.reader.read_to_string(&mut text).map_err(|error| error.to_string())?;
    text.lines().map(|line| serde_json::from_str(line).map_err(|error| error.to_string())).collect()
}

#[test]
fn files_of_pyarrow_are_read_as_pyarrow_reads_them() {
    for (file, expected) in [
        ("rows-snappy", "rows"),
        ("rows-zstd", "rows"),
        ("rows-gzip", "rows"),
        ("rows-plain", "rows"),
        ("rows-v2", "rows"),
        ("rows-lengths", "rows"),
        ("rows-datasets", "rows"),
        ("words", "words"),
        ("types", "types"),
    ] {
        let read = rows(&fixture(&format!("{file}.parquet"))).unwrap_or_else(|error| panic!("{file}: {error}"));
        let expected = rows(&fixture(&format!("{expected}.jsonl"))).unwrap();
        assert_eq!(read.len(), expected.len(), "{file}");
        for (row, (read, expected)) in read.iter().zip(&expected).enumerate() {
            assert_eq!(read, expected, "{file}, row {row}");
        }
    }
}

#[test]
fn columns_rows_and_errors_are_those_of_any_table() {
    assert_eq!(headers(&fixture("rows-snappy.parquet")).unwrap(), ["text", "label"]);
    let table = read_table(&fixture("rows-datasets.parquet"), Need::Labels).unwrap();
    let third = &table.rows[2];
    assert_eq!(
        (third.text.as_str(), third.label.as_deref(), third.line),
        ("zwölf Äpfel, drei Körbe 2", Some("bad"), 3)
    );
    let words = read_table(&fixture("words.parquet"), Need::Tags).unwrap();
    assert_eq!(words.rows[0].label.as_deref(), Some("O B-place I-place O"));
    assert_eq!(words.rows[0].words.as_ref().unwrap()[1], "New");
    let left_out = open(&fixture("types.parquet"), None).unwrap().left_out;
    let left_out: Vec<_> = left_out.iter().map(|left| (left.column.as_str(), left.kind)).collect();
    let nested = "struct, map or nested list";
    assert_eq!(
        left_out,
        [
            ("day", "date"),
            ("time", "timestamp"),
            ("bytes", "binary"),
            ("struct", nested),
            ("nested", nested),
            ("none", "null")
        ]
    );
    let error = read_table(&fixture("types.parquet"), Need::TextOnly).unwrap_err().to_string();
    assert!(
        error.starts_with("wrong type of \"text\"") && error.contains("line 2: got null, expected a string"),
        "{error}"
    );
    let records = Records::read(&fixture("rows-v2.parquet"), None, Need::Labels, Some("label")).unwrap();
    let mut written = Vec::new();
    records.write([1], &mut written).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), "{\"text\":\"she said \\\"no\\\" 1\",\"label\":\"good\"}\n");
    assert_eq!(records.column().unwrap()[1], "good");
    let error = Records::read(&fixture("types.parquet"), None, Need::TextOnly, None).map(|_| ()).unwrap_err();
    assert!(matches!(error, DataError::ColumnsLeftOut { .. }), "{error}");
}

#[test]
fn what_is_not_read_is_named() {
    use super::parquet_bytes::{compressed, page};
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(fixture("rows-snappy.parquet")).unwrap();
    let end = whole.len();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        bytes
    };
    let footer = |length: u32| with(&|bytes| bytes[end - 8..end - 4].copy_from_slice(&length.to_le_bytes()));
    for (name, bytes, says) in [
        ("cut.parquet", whole[..end - 20].to_vec(), "damaged Parquet data"),
        ("head.parquet", b"PAR1".to_vec(), "it does not end as a Parquet file does; was it cut short?"),
        ("csv.parquet", b"text,label\na,b\n".to_vec(), "is no Parquet file, though its name says so"),
        ("long.parquet", footer(u32::MAX), "a footer of 4294967295 bytes in a file of"),
        ("none.parquet", footer(0), "damaged Parquet data"),
        ("secret.parquet", with(&|bytes| bytes[end - 1] = b'E'), "it is encrypted"),
        (
            "brotli.parquet",
            fs::read(fixture("refused-brotli.parquet")).unwrap(),
            "brotli.parquet is Parquet of a kind that is not read: column \"text\" has the compression Brotli; write it with Snappy, gzip,",
        ),
        (
            "prefixes.parquet",
            fs::read(fixture("refused-prefixes.parquet")).unwrap(),
            "is not read: column \"text\" has the encoding DELTA_BYTE_ARRAY; write it as PLAIN, with a dictionary or as",
        ),
        (
            "lz4.parquet",
            compressed(&page(10, 10, 1), 7),
            "is not read: column \"text\" has the compression LZ4; write it",
        ),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = read_table(&path, Need::Labels).unwrap_err();
        assert!(error.to_string().contains(says) && error.kind() == ErrorKind::Data, "{name}: {error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    // By its first bytes and not by its name.
    let path = folder.path().join("rows.csv");
    fs::write(&path, &whole).unwrap();
    assert_eq!(read_table(&path, Need::Labels).unwrap().rows.len(), 300);
}

/// A column that is there and not read is not called missing.
#[test]
fn types_that_are_not_read_are_named() {
    let columns =
        |text: &str, label: &str| Wanted { text: Some(text.to_owned()), text_b: None, label: Some(label.to_owned()) };
    for (columns, says) in [
        (columns("bytes", "int8"), "column \"bytes\" of"),
        (
            columns("text", "day"),
            "has the type date, which is not read: write it as texts, whole or real numbers, booleans,",
        ),
    ] {
        let error = read_table_with(&fixture("types.parquet"), None, Some(&columns), Need::Labels).unwrap_err();
        assert!(matches!(error, DataError::UnreadType { .. }) && error.to_string().contains(says), "{error}");
    }
    // Without the column of scores the rows look as if they were to have labels.
    let opened = |column: &str| Opened {
        reader: Box::new(&b"{\"text\":\"a\"}\n"[..]),
        format: Format::JsonLines,
        left_out: vec![LeftOut { column: column.to_owned(), kind: "decimal" }],
    };
    let error = |column| opened(column).rows("f", None, Need::Labels).map(|_| ()).unwrap_err().to_string();
    assert!(
        error("score").starts_with("column \"score\" of f has the type decimal, which is not read"),
        "{}",
        error("score")
    );
    assert!(error("price").starts_with("no column \"label\" in f"), "{}", error("price"));
}

/// A small random generator of its own, so that a failure can be repeated.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Bytes changed, cut out and put in, half of them in the footer, where the sizes stand. Whatever comes of it, it comes as rows or as one error;
/// a size that is believed would end this process.
#[test]
fn damage_gives_an_error_or_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.parquet");
    let mut draw = Draw(1);
    let (mut refused, mut read) = (0, 0);
    // The library's own panics are expected here, and would fill the output.
    let before = Arc::new(std::panic::take_hook());
    let others = before.clone();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some("parquet") {
            others(panic);
        }
    }));
    for name in ["rows-snappy", "rows-gzip", "rows-v2", "rows-lengths", "rows-datasets", "words", "types"] {
        let whole = fs::read(fixture(&format!("{name}.parquet"))).unwrap();
        for _ in 0..300 {
            let mut bytes = whole.clone();
            for _ in 0..1 + draw.below(4) {
                let length = bytes.len();
                let tail = u32::from_le_bytes(bytes[length - 8..length - 4].try_into().unwrap()) as usize;
                let footer = length.saturating_sub(tail.saturating_add(8)).max(4);
                let from = if draw.below(2) == 0 { footer } else { 4 };
                let at = from + draw.below(length - from);
                match draw.below(5) {
                    0 => bytes[at] ^= 1 << draw.below(8),
                    1 => bytes[at] = draw.below(256) as u8,
                    2 => bytes[at] = [0, 0x7F, 0x80, 0xFF][draw.below(4)],
                    3 => drop(bytes.drain(at..(at + 1 + draw.below(8)).min(length - 8).max(at))),
                    // A number of many bytes: a huge size.
                    _ => drop(bytes.splice(at..at, [0xFF, 0xFF, 0xFF, 0xFF, 0x0F])),
                }
                if bytes.len() < 12 {
                    bytes = whole.clone();
                }
            }
            fs::write(&path, &bytes).unwrap();
            match rows(&path) {
                Ok(_) => read += 1,
                Err(error) => {
                    assert!(!error.contains('\n'), "{error}");
                    refused += 1;
                }
            }
        }
        for length in (0..whole.len()).step_by(whole.len() / 60) {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(length < 4 || rows(&path).is_err(), "{name} cut to {length} bytes");
        }
    }
    std::panic::set_hook(Box::new(move |panic| before(panic)));
    assert!(refused > 500 && read > 20, "{refused} refused, {read} read");
}

/// Little data may say that it is very much.
#[test]
fn claims_are_not_believed() {
    use super::parquet_bytes::{file, group, leaf, page, with_schema};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("claims.parquet");
    for (bytes, says) in [
        (file(&page(10, 1 << 30, 1), 1, 1), "a page of 1073741824 bytes, more than the limit"),
        (file(&page(10, 100 << 20, 1), 1, 1), "whose data say"),
        (file(&page(10, 10, 1 << 30), 1, 1), "pages with more values than their column"),
        (file(&page(1000, 10, 1), 1, 1), "a page that is longer than its column"),
        (file(&page(10, 10, 1), 5, 1), "has 1 values for 5 rows"),
        (with_schema(&[], 1, 1, &[group(1 << 30), leaf()]), "a group of 1073741824 columns in a schema of 2 elements"),
        (with_schema(&[], 1, 1, &[&vec![group(1); 100][..], &[leaf()]].concat()), "groups more than 16 deep"),
        (with_schema(&[], 1, 1, &[&[group(20_000)][..], &vec![leaf(); 20_000]].concat()), "a schema of 20001 elements"),
        (with_schema(&[], 1, 1, &[group(2), leaf()]), "a schema that does not end"),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = rows(&path).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn folders_of_data_sets() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let put = |name: &str| {
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        let from = if name.ends_with("parquet") { "rows-datasets.parquet" } else { "rows.jsonl" };
        fs::copy(fixture(from), at(name)).unwrap();
    };
    let find = |part| Source::find(folder.path(), part);
    let error = |part| find(part).unwrap_err().to_string();
    assert!(error(Part::Train).contains("no file for train in") && error(Part::Train).contains("it is empty"));
    put("README.md");
    put("data/train-00001-of-00002-a09b74b3ef9c3b56.parquet");
    put("data/train-00000-of-00002.parquet");
    put("data/trainer.parquet");
    put("dev.jsonl.gz");
    assert_eq!(
        find(Part::Train).unwrap().files,
        ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002-a09b74b3ef9c3b56.parquet"].map(at)
    );
    assert_eq!(find(Part::Validation).unwrap().files, [at("dev.jsonl.gz")]);
    assert!(error(Part::Test).contains("it holds \"README.md\", \"data\", \"dev.jsonl.gz\""), "{}", error(Part::Test));
    let table = find(Part::Train).unwrap().read(None, Need::Labels).unwrap();
    assert_eq!((table.rows.len(), table.rows[599].line), (600, 600));
    assert_eq!(table.path, folder.path());
    assert_eq!(find(Part::Train).unwrap().headers().unwrap(), ["text", "label"]);
    put("test/0.parquet");
    assert_eq!(find(Part::Test).unwrap().files, [at("test/0.parquet")]);
    put("test.csv");
    assert!(error(Part::Test).contains("several files for test"), "{}", error(Part::Test));
    let file = Source::find(&at("test.csv"), Part::Train).unwrap();
    assert_eq!(file.files, [at("test.csv")], "a file is what was named");
    let saved = tempfile::tempdir().unwrap();
    fs::write(saved.path().join("dataset_dict.json"), "{}").unwrap();
    let error = Source::find(saved.path(), Part::Train).unwrap_err();
    assert!(matches!(error, DataError::ArrowFolder { .. }), "{error}");
}
