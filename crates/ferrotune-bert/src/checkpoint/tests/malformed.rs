//! Hostile and damaged weights files: each is one row, refused with one exact line and without a panic.

use super::*;
use expect_test::{Expect, expect};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Loads a folder of these files for a model of one tensor `w` [2]; it must be refused with this message.
pub(super) fn check_folder(files: &[(&str, Vec<u8>)], expected: Expect) {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path(), files);
    let wanted = specs(&[("w", &[2])]);
    let outcome = catch_unwind(AssertUnwindSafe(|| load_all(folder.path(), &wanted, &nothing_optional)));
    let error = outcome.expect("loading must not panic").expect_err("loading must fail");
    expected.assert_eq(&told(&error, folder.path()));
}

/// The same for the bytes of model.safetensors.
pub(super) fn check(bytes: impl Into<Vec<u8>>, expected: Expect) {
    check_folder(&[("model.safetensors", bytes.into())], expected);
}

/// The same for a header and 8 bytes of data, which would be right for `w`.
fn check_header(header: &str, expected: Expect) {
    check(framed(header, &[0; 8]), expected);
}

const GOOD: &str = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;

#[test]
fn the_unspoilt_file_loads() {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path(), &[("model.safetensors", framed(GOOD, &[0; 8]))]);
    let (_, values) = load_all(folder.path(), &specs(&[("w", &[2])]), &nothing_optional).unwrap();
    assert_eq!(values, [Some(vec![0.0, 0.0])]);
    // Padding with spaces is part of the format.
    write_files(folder.path(), &[("model.safetensors", framed(&format!("{GOOD}   "), &[0; 8]))]);
    load_all(folder.path(), &specs(&[("w", &[2])]), &nothing_optional).unwrap();
}

#[test]
fn wrong_kinds_of_file() {
    check(
        "",
        expect![
            "DIR/model.safetensors: the file is empty; the file is damaged or was not fully downloaded, fetch it again"
        ],
    );
    check(
        "abc",
        expect![
            "DIR/model.safetensors: has 3 bytes, too few for a safetensors header; the file is damaged or was not fully downloaded, fetch it again"
        ],
    );
    check(
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 438\n",
        expect![
            "DIR/model.safetensors: this is a git-LFS pointer, not the file itself: run `git lfs pull` in the model folder"
        ],
    );
    check(
        "<!DOCTYPE html><html><body>Not found</body></html>",
        expect!["DIR/model.safetensors: this is an HTML or XML page, so the download went wrong: fetch the file again"],
    );
    check(
        "\n <HTML>429</HTML>",
        expect!["DIR/model.safetensors: this is an HTML or XML page, so the download went wrong: fetch the file again"],
    );
    check(
        "<?xml version=\"1.0\"?><Error/>",
        expect!["DIR/model.safetensors: this is an HTML or XML page, so the download went wrong: fetch the file again"],
    );
    check(
        "{\"error\": \"Repository not found\"}",
        expect![
            "DIR/model.safetensors: this is JSON text, not a safetensors file (the 8-byte header length is missing): fetch it again"
        ],
    );
    check(
        *b"PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00archive/data.pkl",
        expect![
            "DIR/model.safetensors: this is a zip archive, most likely weights that PyTorch wrote: those are read under the name pytorch_model.bin"
        ],
    );
    check(
        [b"\x80\x02}q\x00".as_slice(), &[0; 700]].concat(),
        expect![
            "DIR/model.safetensors: this is a Python pickle, most likely weights that PyTorch wrote: those are read under the name pytorch_model.bin"
        ],
    );
    check(
        *b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
        expect!["DIR/model.safetensors: this is a gzip file: unpack it first"],
    );
    check(
        *b"\x89HDF\r\n\x1a\n\x00\x00",
        expect![
            "DIR/model.safetensors: this is an HDF5 file (Keras or TensorFlow weights): convert it to safetensors with transformers"
        ],
    );
    check(
        *b"GGUF\x03\x00\x00\x00\x00\x00",
        expect![
            "DIR/model.safetensors: this is a GGUF file (llama.cpp), which is not a format of training: use the original model"
        ],
    );
}

#[test]
fn header_lengths_that_lie() {
    check(
        u64::MAX.to_le_bytes(),
        expect![
            "DIR/model.safetensors: claims a header of 18446744073709551615 bytes, but 0 bytes follow; the file is damaged or was not fully downloaded, fetch it again"
        ],
    );
    check(
        [&u64::MAX.to_le_bytes(), GOOD.as_bytes()].concat(),
        expect![
            "DIR/model.safetensors: claims a header of 18446744073709551615 bytes, but 54 bytes follow; the file is damaged or was not fully downloaded, fetch it again"
        ],
    );
    check(
        [&(GOOD.len() as u64 + 9).to_le_bytes(), GOOD.as_bytes(), &[0; 8]].concat(),
        expect![
            "DIR/model.safetensors: claims a header of 63 bytes, but 62 bytes follow; the file is damaged or was not fully downloaded, fetch it again"
        ],
    );
    check(
        [0u64.to_le_bytes(), [0; 8]].concat(),
        expect![
            "DIR/model.safetensors: claims a header of 0 bytes, too few for a JSON object; the file is damaged or was not fully downloaded, fetch it again"
        ],
    );
    check(
        [1u64.to_le_bytes(), *b"{       "].concat(),
        expect![
            "DIR/model.safetensors: claims a header of 1 bytes, too few for a JSON object; the file is damaged or was not fully downloaded, fetch it again"
        ],
    );
    check(
        [&(GOOD.len() as u64 - 1).to_le_bytes(), GOOD.as_bytes(), &[0; 8]].concat(),
        expect![
            "DIR/model.safetensors: the header is not valid: EOF while parsing an object at line 1 column 53; the file is damaged or was not fully downloaded, fetch it again"
        ],
    );
    let long = (16u64 << 20) + 1;
    check(
        [&long.to_le_bytes()[..], &vec![b' '; long as usize]].concat(),
        expect![
            "DIR/model.safetensors: claims a header of 16777217 bytes, the limit is 16777216; the file is damaged or was not fully downloaded, fetch it again"
        ],
    );
}

#[test]
fn headers_that_are_not_what_they_should_be() {
    check_header(
        &format!(" {GOOD}"),
        expect![
            "DIR/model.safetensors: the header does not begin with { and end with }; the file is damaged or was not fully downloaded, fetch it again"
        ],
    );
    check_header(
        &format!("{GOOD}\n"),
        expect![
            "DIR/model.safetensors: the header does not begin with { and end with }; the file is damaged or was not fully downloaded, fetch it again"
        ],
    );
    check_header(
        &format!("{GOOD}{{}}"),
        expect![
            "DIR/model.safetensors: the header is not valid: trailing characters at line 1 column 55; the file is damaged or was not fully downloaded, fetch it again"
        ],
    );
    check_header(
        "[]",
        expect![
            "DIR/model.safetensors: the header does not begin with { and end with }; the file is damaged or was not fully downloaded, fetch it again"
        ],
    );
    check_header(
        "{\"w\": }",
        expect![[
            r#"DIR/model.safetensors: the header is not valid: tensor "w": expected value at line 1 column 7; the file is damaged or was not fully downloaded, fetch it again"#
        ]],
    );
    check(
        framed_bytes(b"{\"\xff\xfe\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"),
        expect![
            "DIR/model.safetensors: the header is not valid: invalid unicode code point at line 1 column 3; the file is damaged or was not fully downloaded, fetch it again"
        ],
    );
    check_header(
        &format!("{{\"w\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000)),
        expect![[
            r#"DIR/model.safetensors: the header is not valid: tensor "w": invalid type: sequence, expected an object with dtype, shape and data_offsets at line 1 column 5; the file is damaged or was not fully downloaded, fetch it again"#
        ]],
    );
    check_header(
        r#"{"w":["F32",[2],[0,8]]}"#,
        expect![[
            r#"DIR/model.safetensors: the header is not valid: tensor "w": invalid type: sequence, expected an object with dtype, shape and data_offsets at line 1 column 5; the file is damaged or was not fully downloaded, fetch it again"#
        ]],
    );
    check_header(
        r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"order":"C"}}"#,
        expect![[
            r#"DIR/model.safetensors: the header is not valid: tensor "w": unknown field `order`, expected one of `dtype`, `shape`, `data_offsets` at line 1 column 60; the file is damaged or was not fully downloaded, fetch it again"#
        ]],
    );
    check_header(
        r#"{"w":{"dtype":"F32","shape":[2]}}"#,
        expect![[
            r#"DIR/model.safetensors: the header is not valid: tensor "w": missing field `data_offsets` at line 1 column 32; the file is damaged or was not fully downloaded, fetch it again"#
        ]],
    );
    check_header(
        r#"{"w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
        expect![[
            r#"DIR/model.safetensors: the header is not valid: tensor "w": duplicate field `dtype` at line 1 column 27; the file is damaged or was not fully downloaded, fetch it again"#
        ]],
    );
    check_header(
        r#"{"w":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#,
        expect![[
            r#"DIR/model.safetensors: the header is not valid: tensor "w": invalid value: integer `-2`, expected u64 at line 1 column 31; the file is damaged or was not fully downloaded, fetch it again"#
        ]],
    );
    check_header(
        r#"{"w":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}"#,
        expect![[
            r#"DIR/model.safetensors: the header is not valid: tensor "w": invalid type: floating point `2.0`, expected u64 at line 1 column 32; the file is damaged or was not fully downloaded, fetch it again"#
        ]],
    );
    check_header(
        r#"{"w":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8]}}"#,
        expect![[
            r#"DIR/model.safetensors: the header is not valid: tensor "w": invalid type: floating point `1.8446744073709552e+19`, expected u64 at line 1 column 49; the file is damaged or was not fully downloaded, fetch it again"#
        ]],
    );
    check_header(
        r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}"#,
        expect![[
            r#"DIR/model.safetensors: the header is not valid: tensor "w": trailing characters at line 1 column 53; the file is damaged or was not fully downloaded, fetch it again"#
        ]],
    );
    check_header(
        r#"{"__metadata__":{"format":1},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
        expect![
            "DIR/model.safetensors: the header is not valid: invalid type: integer `1`, expected a string at line 1 column 27; the file is damaged or was not fully downloaded, fetch it again"
        ],
    );
    check_header(
        r#"{"__metadata__":{"a":"1","a":"2"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
        expect![[
            r#"DIR/model.safetensors: the header is not valid: "a" occurs twice in __metadata__ at line 1 column 33; the file is damaged or was not fully downloaded, fetch it again"#
        ]],
    );
    check_header(
        r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
        expect![[
            r#"DIR/model.safetensors: the header is not valid: "w" occurs twice at line 1 column 57; the file is damaged or was not fully downloaded, fetch it again"#
        ]],
    );
    check_header(
        "{}",
        expect![
            "DIR/model.safetensors: has bytes after its last tensor: its header describes 10 bytes, the file has 18; fetch it again"
        ],
    );
}

fn framed_bytes(header: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header, &[0; 8]].concat()
}

#[test]
fn tensor_names_that_mean_something_elsewhere() {
    let named = |name: &str| format!(r#"{{"{name}":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}}}"#);
    check_header(
        &named(""),
        expect![[
            r#"DIR/model.safetensors: tensor "": the name has 0 bytes, 1 to 512 are allowed; the file is damaged or was made by a faulty writer, fetch it again or save it anew"#
        ]],
    );
    check_header(
        &named("../../etc/passwd"),
        expect![[
            r#"DIR/model.safetensors: tensor "../../etc/passwd": the name has characters other than letters, digits, _ . - / or has two dots in a row; the file is damaged or was made by a faulty writer, fetch it again or save it anew"#
        ]],
    );
    check_header(
        &named(r"w\u0000"),
        expect![[
            r#"DIR/model.safetensors: tensor "w\u{0}": the name has characters other than letters, digits, _ . - / or has two dots in a row; the file is damaged or was made by a faulty writer, fetch it again or save it anew"#
        ]],
    );
    check_header(
        &named(r"w\u001b[31mred\nline"),
        expect![[
            r#"DIR/model.safetensors: tensor "w\u{1b}[31mred\nline": the name has characters other than letters, digits, _ . - / or has two dots in a row; the file is damaged or was made by a faulty writer, fetch it again or save it anew"#
        ]],
    );
    check_header(
        &named("gewicht ü"),
        expect![[
            r#"DIR/model.safetensors: tensor "gewicht ü": the name has characters other than letters, digits, _ . - / or has two dots in a row; the file is damaged or was made by a faulty writer, fetch it again or save it anew"#
        ]],
    );
    check_header(
        &named(&"w".repeat(513)),
        expect![[
            r#"DIR/model.safetensors: tensor "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww...": the name has 513 bytes, 1 to 512 are allowed; the file is damaged or was made by a faulty writer, fetch it again or save it anew"#
        ]],
    );
}

#[test]
fn shapes_and_offsets_that_do_not_add_up() {
    let one = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    check_header(
        &one("F4", "[2]", "[0,8]"),
        expect![[
            r#"DIR/model.safetensors: tensor "w": element type "F4" is not known; convert the model to F32, F16 or BF16"#
        ]],
    );
    check_header(
        &one("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]"),
        expect![[
            r#"DIR/model.safetensors: tensor "w": has more than 8 dimensions, which are the most that are allowed; the file is damaged or was made by a faulty writer, fetch it again or save it anew"#
        ]],
    );
    check_header(
        &one("F32", "[0,18446744073709551615]", "[0,0]"),
        expect![[
            r#"DIR/model.safetensors: tensor "w": has a dimension of 18446744073709551615, at most 2147483648 is allowed; the file is damaged or was made by a faulty writer, fetch it again or save it anew"#
        ]],
    );
    check_header(
        &one("F32", "[2147483648,2147483648,2147483648]", "[0,8]"),
        expect![[
            r#"DIR/model.safetensors: tensor "w": shape [2147483648, 2147483648, 2147483648] is larger than any file; the file is damaged or was made by a faulty writer, fetch it again or save it anew"#
        ]],
    );
    check_header(
        &one("F32", "[2]", "[8,0]"),
        expect![[
            r#"DIR/model.safetensors: tensor "w": ends at 0 before it begins at 8; the file is damaged or was made by a faulty writer, fetch it again or save it anew"#
        ]],
    );
    check_header(
        &one("F32", "[3]", "[0,8]"),
        expect![[
            r#"DIR/model.safetensors: tensor "w": occupies 8 bytes, but its shape [3] of F32 needs 12; the file is damaged or was made by a faulty writer, fetch it again or save it anew"#
        ]],
    );
    check_header(
        &one("F32", "[2]", "[18446744073709551607,18446744073709551615]"),
        expect![[
            r#"DIR/model.safetensors: tensor "w": lies beyond the end of any file; the file is damaged or was made by a faulty writer, fetch it again or save it anew"#
        ]],
    );
    check_header(
        &one("F32", "[2]", "[4,12]"),
        expect![[
            r#"DIR/model.safetensors: tensor "w" leaves a gap before it: it begins at byte 67, expected 63; the file is damaged or was made by a faulty writer, fetch it again or save it anew"#
        ]],
    );
    check_header(
        &one("F32", "[1]", "[0,4]"),
        expect![
            "DIR/model.safetensors: has bytes after its last tensor: its header describes 66 bytes, the file has 70; fetch it again"
        ],
    );
    check_header(
        &one("F32", "[4]", "[0,16]"),
        expect!["DIR/model.safetensors: is truncated: its header describes 79 bytes, the file has 71; fetch it again"],
    );
    let two = |first: &str, second: &str| {
        format!(
            r#"{{"v":{{"dtype":"F32","shape":[1],"data_offsets":{first}}},"w":{{"dtype":"F32","shape":[1],"data_offsets":{second}}}}}"#
        )
    };
    check_header(
        &two("[0,4]", "[0,4]"),
        expect![[
            r#"DIR/model.safetensors: tensor "w" overlaps the tensor before it: it begins at byte 115, expected 119; the file is damaged or was made by a faulty writer, fetch it again or save it anew"#
        ]],
    );
    check_header(
        &two("[0,4]", "[5,9]"),
        expect![[
            r#"DIR/model.safetensors: tensor "w" leaves a gap before it: it begins at byte 120, expected 119; the file is damaged or was made by a faulty writer, fetch it again or save it anew"#
        ]],
    );
    // Each of these is legal alone and they follow one another; with the header they end beyond 64 bits.
    let shapes = [[1u64 << 31, 1 << 30]; 7].into_iter().chain([[1 << 31, (1 << 30) - 1], [(1 << 31) - 10, 1]]);
    let mut begin = 0;
    let huge: Vec<String> = shapes
        .enumerate()
        .map(|(at, [rows, columns])| {
            let end = begin + rows * columns;
            let entry =
                format!(r#""t{at}":{{"dtype":"U8","shape":[{rows},{columns}],"data_offsets":[{begin},{end}]}}"#);
            begin = end;
            entry
        })
        .collect();
    check_header(
        &format!("{{{}}}", huge.join(",")),
        expect![[
            r#"DIR/model.safetensors: tensor "t8": lies beyond the end of any file; the file is damaged or was made by a faulty writer, fetch it again or save it anew"#
        ]],
    );
}
