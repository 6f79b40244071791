//! Compressed files and streams: the same rows and lines as plain ones, known by their bytes, and nothing worse than an error from a hostile one.

use crate::{DataError, ErrorKind, Format, Need, Records, open, read_table, read_texts, stream, unpacked};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::{Cursor, Read, Write};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstandard(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// 300 rows.
fn table() -> String {
    let rows: String = (0..300).map(|n| format!("\"text {n}, {}\",{}\n", n * n * 7919 % 1000, n % 3)).collect();
    format!("text,label\n{rows}")
}

#[test]
fn the_same_rows_whatever_the_name_says() {
    let folder = tempfile::tempdir().unwrap();
    let plain = table();
    let (first, second) = plain.split_at(2000);
    let parts = [gzip(first.as_bytes()), gzip(second.as_bytes())].concat();
    let frames = [zstandard(first.as_bytes()), zstandard(second.as_bytes())].concat();
    let path = folder.path().join("plain.csv");
    fs::write(&path, &plain).unwrap();
    let expected = read_table(&path, Need::Labels).unwrap().rows;
    assert_eq!(expected.len(), 300);
    for bytes in [gzip(plain.as_bytes()), zstandard(plain.as_bytes()), parts, frames, plain.clone().into_bytes()] {
        for name in ["a.csv", "a.csv.gz", "a.CSV.ZST", "a.csv.gzip"] {
            let path = folder.path().join(name);
            fs::write(&path, &bytes).unwrap();
            assert_eq!(read_table(&path, Need::Labels).unwrap().rows, expected, "{name}");
            assert_eq!(open(&path, None).unwrap().extension(&path), if name.contains("CSV") { "CSV" } else { "csv" });
            // A split writes the rows as text.
            let mut written = Vec::new();
            Records::read(&path, None, Need::Labels, None).unwrap().write(0..300, &mut written).unwrap();
            assert_eq!(written, plain.as_bytes());
        }
        let reader = unpacked(Cursor::new(bytes), "f").unwrap();
        let rows: Vec<_> = stream(reader, "f", Format::Csv, Need::Labels).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(rows, expected);
    }
    let path = folder.path().join("texts.txt.zst");
    fs::write(&path, zstandard(b"one\n\ntwo\n")).unwrap();
    assert_eq!(read_texts(&path, None).unwrap().rows.len(), 2);
    let path = folder.path().join("a.gz");
    fs::write(&path, gzip(plain.as_bytes())).unwrap();
    assert!(matches!(read_table(&path, Need::Labels), Err(DataError::UnknownFormat { .. })));
}

#[test]
fn damage_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.csv.gz");
    let error = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = read_table(&path, Need::Labels).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "{error}");
        error.to_string().replace(&path.display().to_string(), "f")
    };
    let plain = table();
    let (gzip, zstandard) = (gzip(plain.as_bytes()), zstandard(plain.as_bytes()));
    for (bytes, what) in [(&gzip, "gzip"), (&zstandard, "Zstandard")] {
        let begins = format!("damaged {what} data in f, after line ");
        for length in [10, bytes.len() / 2, bytes.len() - 1] {
            let said = error(&bytes[..length]);
            assert!(said.starts_with(&begins), "cut to {length} of {}: {said}", bytes.len());
        }
    }
    let mut flipped = gzip.clone();
    let checksum = flipped.len() - 8;
    flipped[checksum] ^= 1;
    let said = error(&flipped);
    assert!(said.starts_with("damaged gzip data in f, after line 301:"), "{said}");
    for (bytes, what) in [(&b"PK\x03\x04..."[..], "zip"), (b"BZh91AY", "bzip2"), (b"\xFD7zXZ\0", "xz")] {
        let said = error(bytes);
        assert_eq!(said, format!("f is a {what} archive: unpack it (what is read is gzip, Zstandard and Parquet)"));
    }
    // What begins like an archive and is text.
    fs::write(&path, "PK,text\n1,a\n").unwrap();
    assert_eq!(read_table(&path, Need::TextOnly).unwrap().rows[0].text, "a");
    fs::write(&path, "B").unwrap();
    assert!(matches!(read_table(&path, Need::TextOnly), Err(DataError::MissingColumn { .. })));
}

/// A gigabyte of the same row fits in a megabyte.
#[test]
fn bombs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.csv.zst");
    let head = "text\n".to_owned() + &"a\n".repeat(1 << 20);
    let mut encoder = zstd::Encoder::new(fs::File::create(&path).unwrap(), 1).unwrap();
    encoder.write_all(head.as_bytes()).unwrap();
    let zeros = vec![b'\n'; 1 << 20];
    (0..200).for_each(|_| encoder.write_all(&zeros).unwrap());
    encoder.finish().unwrap();
    let error = read_table(&path, Need::TextOnly).unwrap_err();
    assert!(matches!(error, DataError::Inflated { what: "Zstandard", .. }), "{error}");
    // The same bound does not stop what is only repetitive: 60 MB, a thousand times as large as its file.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    (0..60).for_each(|_| encoder.write_all(&vec![b' '; 1 << 20]).unwrap());
    let mut bytes = 0;
    let mut reader = unpacked(Cursor::new(encoder.finish().unwrap()), "f").unwrap();
    let mut piece = vec![0; 1 << 16];
    loop {
        match reader.read(&mut piece).unwrap() {
            0 => break,
            read => bytes += read,
        }
    }
    assert_eq!(bytes, 60 << 20);
}
