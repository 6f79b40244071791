//! Hostile, damaged and strange files of PyTorch's kind, made by hand: each is one row, refused with one exact line.

use super::*;
use std::io::{Cursor, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Loads a folder of these files for a model of one tensor `w` [2]; it must be refused with this message, in which DIR, DAMAGED and
/// CONVERT stand for what many messages share.
fn check_folder(files: &[(&str, Vec<u8>)], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path(), files);
    let outcome = catch_unwind(AssertUnwindSafe(|| load_all(folder.path(), &specs(&[("w", &[2])]), &nothing_optional)));
    let error = outcome.expect("loading must not panic").expect_err("loading must fail");
    let text = told(&error, folder.path())
        .replace("the file is damaged or was not fully downloaded, fetch it again", "DAMAGED")
        .replace("convert it with transformers, save_pretrained(folder, safe_serialization=True)", "CONVERT");
    assert_eq!(text.strip_prefix("DIR/pytorch_model.bin: ").unwrap_or(&text), expected);
}

/// The same for the bytes of pytorch_model.bin.
fn check(bytes: impl Into<Vec<u8>>, expected: &str) {
    check_folder(&[("pytorch_model.bin", bytes.into())], expected);
}

/// The same for an archive of this pickle and a storage "0" of 8 bytes.
fn check_pickle(body: &[u8], expected: &str) {
    check(archive(body), expected);
}

/// The same for a state dictionary with one entry `w`.
fn check_entry(value: &[u8], expected: &str) {
    check_pickle(&dict(&[("w", value)]), expected);
}

fn text(text: &str) -> Vec<u8> {
    [b"X", (text.len() as u32).to_le_bytes().as_slice(), text.as_bytes()].concat()
}

fn int(number: i32) -> Vec<u8> {
    [b"J".as_slice(), &number.to_le_bytes()].concat()
}

fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(".as_slice(), &items.concat(), b"t"].concat()
}

fn ints(numbers: &[i32]) -> Vec<u8> {
    tuple(&numbers.iter().map(|&number| int(number)).collect::<Vec<_>>())
}

fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

fn dict(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let entries: Vec<u8> = entries.iter().flat_map(|(key, value)| [text(key), value.to_vec()].concat()).collect();
    [b"}(".as_slice(), &entries, b"u"].concat()
}

fn storage(kind: &str, key: &str, count: i32) -> Vec<u8> {
    let id = tuple(&[text("storage"), global("torch", kind), text(key), text("cpu"), int(count)]);
    [id.as_slice(), b"Q"].concat()
}

fn view(storage: Vec<u8>, offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    let hooks = [global("collections", "OrderedDict").as_slice(), b")R"].concat();
    let arguments = tuple(&[storage, int(offset), ints(shape), ints(strides), vec![0x89], hooks]);
    [global("torch._utils", "_rebuild_tensor_v2"), arguments, b"R".to_vec()].concat()
}

/// Two floats.
fn two() -> Vec<u8> {
    storage("FloatStorage", "0", 2)
}

fn good() -> Vec<u8> {
    dict(&[("w", &view(two(), 0, &[2], &[1]))])
}

fn pickle(body: &[u8]) -> Vec<u8> {
    [b"\x80\x02".as_slice(), body, b"."].concat()
}

fn zipped(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        archive.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

pub(super) fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    zipped(entries, CompressionMethod::Stored)
}

fn archive(body: &[u8]) -> Vec<u8> {
    zip_of(&[("x/data.pkl", &pickle(body)), ("x/data/0", &[0; 8])])
}

fn magic() -> Vec<u8> {
    pickle(b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")
}

fn system(little_endian: bool) -> Vec<u8> {
    pickle(&dict(&[("little_endian", if little_endian { b"\x88" } else { b"\x89" })]))
}

/// The old layout with this pickle as its object, these keys and this behind them.
pub(super) fn behind_the_magic(object: &[u8], keys: &[&str], data: &[u8]) -> Vec<u8> {
    let keys: Vec<u8> = keys.iter().flat_map(|key| text(key)).collect();
    let list = pickle(&[b"](".as_slice(), &keys, b"e"].concat());
    [magic(), pickle(&int(1001)), system(true), object.to_vec(), list, data.to_vec()].concat()
}

/// A storage of the old layout that claims to have `count` elements.
fn counted(count: u64) -> Vec<u8> {
    [count.to_le_bytes(), [0; 8]].concat()
}

#[test]
fn the_unspoilt_files_load() {
    let old = behind_the_magic(&pickle(&good()), &["0"], &counted(2));
    // Protocol 4: a frame, short texts, names from the stack, a memo without numbers.
    let [torch, rebuild] = [("torch", "FloatStorage"), ("torch._utils", "_rebuild_tensor_v2")].map(|(module, name)| {
        let short = |text: &str| [&[0x8c, text.len() as u8], text.as_bytes()].concat();
        [short(module), short(name), b"\x93\x94".to_vec()].concat()
    });
    let storage = [tuple(&[text("storage"), torch, text("0"), text("cpu"), b"K\x02".to_vec()]), b"Q\x94".to_vec()];
    let arguments =
        [storage.concat(), b"K\0".to_vec(), b"K\x02\x85".to_vec(), b"K\x01\x85".to_vec(), b"\x89N".to_vec()];
    let tensor = [rebuild, tuple(&arguments), b"R".to_vec()].concat();
    let entries = [b"}".to_vec(), text("w"), tensor, b"s".to_vec()].concat();
    let modern = [b"\x80\x04\x95\0\0\0\0\0\0\0\0".as_slice(), &entries, b"."].concat();
    let modern = zip_of(&[("x/data.pkl", &modern), ("x/data/0", &[0; 8]), ("x/byteorder", b"little")]);
    for bytes in [archive(&good()), old, modern] {
        let folder = tempfile::tempdir().unwrap();
        write_files(folder.path(), &[("pytorch_model.bin", bytes)]);
        let (_, values) = load_all(folder.path(), &specs(&[("w", &[2])]), &nothing_optional).unwrap();
        assert_eq!(values, [Some(vec![0.0, 0.0])]);
    }
}

#[test]
fn wrong_kinds_of_file() {
    check("", "the file is empty; DAMAGED");
    check("abc", "is neither a zip archive nor a pickle, as files of PyTorch are; DAMAGED");
    check(
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 438\n",
        "this is a git-LFS pointer, not the file itself: run `git lfs pull` in the model folder",
    );
    check(
        "<!DOCTYPE html><html><body>Not found</body></html>",
        "this is an HTML or XML page, so the download went wrong: fetch the file again",
    );
    check(
        framed(r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, &[0; 8]),
        "this is a safetensors file, not one of PyTorch: name it model.safetensors",
    );
    check(*b"PK\x03\x04", "its zip archive does not hold together (invalid Zip archive: Could not find EOCD); DAMAGED");
    check(zip_of(&[("x/weights", b"abc")]), "is a zip archive without data.pkl, not one of PyTorch; CONVERT");
    check(zip_of(&[("x/data.pkl", b"abc"), ("y/data.pkl", b"abc")]), "its zip archive has several data.pkl; CONVERT");
    check(pickle(b"N"), "is a Python pickle, but none of PyTorch's weights; CONVERT");
    check([magic(), pickle(&int(1002))].concat(), "is of another version of PyTorch's protocol than 1001; CONVERT");
    check(
        [magic(), pickle(&int(1001)), system(false)].concat(),
        "has its numbers in another order than little-endian; CONVERT",
    );
    check(
        zip_of(&[("x/data.pkl", &pickle(&good())), ("x/data/0", &[0; 8]), ("x/byteorder", b"big")]),
        "has its numbers in another order than little-endian; CONVERT",
    );
}

#[test]
fn objects_that_are_no_tensors() {
    let refused = |name: &str| {
        format!(
            "holds a Python object, \"{name}\"; only tensors under their names are read, and nothing of it was run: CONVERT"
        )
    };
    // What a pickle that runs a program looks like.
    let call = [global("os", "system"), tuple(&[text("touch pwned")]), b"R".to_vec()].concat();
    check_entry(&call, &refused("os.system"));
    check_pickle(&call, &refused("os.system"));
    check(pickle(&call), &refused("os.system"));
    check_pickle(&[text("builtins"), text("eval"), vec![0x93]].concat(), &refused("builtins.eval"));
    check_pickle(&global("torch.nn.modules.linear", "Linear"), &refused("torch.nn.modules.linear.Linear"));
    check_pickle(&global("__torch__.Model", "Model"), &refused("__torch__.Model.Model"));
    check_entry(&storage("QInt8Storage", "0", 2), &refused("torch.QInt8Storage"));
    check_entry(&global("evil\x1b[2J", "a"), &refused(r"evil\u{1b}[2J.a"));
    check_pickle(
        &dict(&[("state_dict", &good())]),
        r#"has a dictionary of its own as "state_dict", as checkpoints of training do; save its tensors alone with PyTorch, torch.save(torch.load(file)["state_dict"], file)"#,
    );
    check_pickle(&dict(&[("epoch", &int(3))]), r#"has a number as "epoch", where only tensors are read; CONVERT"#);
    check_entry(b"N", r#"has None as "w", where only tensors are read; CONVERT"#);
    check_entry(&two(), r#"has a storage without shape as "w", where only tensors are read; CONVERT"#);
    check_pickle(&view(two(), 0, &[2], &[1]), "holds a tensor and no dictionary of tensors; CONVERT");
    check_pickle(b"]", "holds a list and no dictionary of tensors; CONVERT");
    check_pickle(
        &[b"}".to_vec(), int(1), view(two(), 0, &[2], &[1]), b"s".to_vec()].concat(),
        "has an entry under a number instead of a tensor's name; CONVERT",
    );
}

#[test]
fn pickles_that_make_no_sense() {
    check_pickle(b"", "the pickle makes no sense before byte 3: the stack is empty; DAMAGED");
    check_pickle(b"(", "the pickle makes no sense before byte 4: the stack is empty; DAMAGED");
    check_pickle(b"N(0", "the pickle makes no sense before byte 5: the stack is empty; DAMAGED");
    check_pickle(b"t", "the pickle makes no sense before byte 3: a sequence ends that did not begin; DAMAGED");
    check_pickle(b"N\x86", "the pickle makes no sense before byte 4: the stack is empty; DAMAGED");
    check_pickle(b"h\x07", "the pickle makes no sense before byte 4: a value is recalled that was not kept; DAMAGED");
    check_pickle(b"q\x07", "the pickle makes no sense before byte 4: the stack is empty; DAMAGED");
    check_pickle(b"NNa", "the pickle makes no sense before byte 5: something is appended to what is no list; DAMAGED");
    check_pickle(
        b"NNNs",
        "the pickle makes no sense before byte 6: an entry is made in what is no dictionary; DAMAGED",
    );
    check_pickle(b"}(Nu", "the pickle makes no sense before byte 6: a key has no value; DAMAGED");
    check_pickle(b"NN\x93", "the pickle makes no sense before byte 5: a name is no text; DAMAGED");
    check_pickle(b"NNR", "the pickle is not one of weights, before byte 5: None is called with None; CONVERT");
    check_pickle(b"NNb", "the pickle is not one of weights, before byte 5: None is given attributes; CONVERT");
    check_pickle(b"NQ", "the pickle is not one of weights, before byte 4: a storage is said by None; CONVERT");
    check_pickle(
        b"\x81",
        "the pickle is not one of weights, before byte 3: the instruction 0x81 is not one that weights need; CONVERT",
    );
    check_pickle(b"\x80\x09", "the pickle makes no sense before byte 4: there is no protocol 9; DAMAGED");
    check_pickle(b"\x8a\xff", "the pickle does not end within 5 bytes; DAMAGED");
    check_pickle(
        &[b"\x8a\x11".as_slice(), &[1; 17]].concat(),
        "the pickle is not one of weights, before byte 21: there is a number of 17 bytes; CONVERT",
    );
    check_pickle(b"X\xff\xff\xff\xff", "the pickle does not end within 8 bytes; DAMAGED");
    check_pickle(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "the pickle does not end within 12 bytes; DAMAGED");
    check_pickle(b"U\x02\xff\xfe", "the pickle makes no sense before byte 6: a text is not UTF-8; DAMAGED");
    check_pickle(b"ctorch", "the pickle does not end within 9 bytes; DAMAGED");
    check_pickle(&vec![b'N'; 1 << 20], "has more than 1048576 instructions in its pickle; CONVERT");
    check(
        zip_of(&[("x/data.pkl", &b"\x80\x02".repeat(1 << 23)), ("x/data/0", &[0])]),
        "has more than 1048576 instructions in its pickle; CONVERT",
    );
    check(
        zip_of(&[("x/data.pkl", &vec![b'N'; (16 << 20) + 1])]),
        r#"its entry "x/data.pkl" has 16777217 bytes, the limit is 16777216; CONVERT"#,
    );
}

#[test]
fn tensors_that_contradict_their_storage() {
    check_entry(
        &view(two(), 1, &[2], &[1]),
        r#"tensor "w": reaches beyond the 2 elements of its storage: offset 1, shape [2], strides [1]; DAMAGED"#,
    );
    check_entry(
        &view(two(), 0, &[3], &[1]),
        r#"tensor "w": reaches beyond the 2 elements of its storage: offset 0, shape [3], strides [1]; DAMAGED"#,
    );
    check_entry(
        &view(two(), 0, &[2], &[2]),
        r#"tensor "w": reaches beyond the 2 elements of its storage: offset 0, shape [2], strides [2]; DAMAGED"#,
    );
    check_entry(
        &view(two(), 0, &[4], &[0]),
        r#"tensor "w": repeats the 2 elements of its storage in a shape [4] (an expanded view); save it as .contiguous()"#,
    );
    check_entry(&view(two(), -1, &[2], &[1]), r#"tensor "w": has no offset; DAMAGED"#);
    check_entry(&view(two(), 0, &[-2], &[1]), r#"tensor "w": has a dimension that is no size; DAMAGED"#);
    check_entry(&view(two(), 0, &[2], &[-1]), r#"tensor "w": has a stride that is no size; DAMAGED"#);
    check_entry(&view(two(), 0, &[2, 1], &[1]), r#"tensor "w": has 2 dimensions and 1 strides; DAMAGED"#);
    check_entry(
        &view(two(), 0, &[1; 9], &[1; 9]),
        r#"tensor "w": has more than 8 dimensions, which are the most that are allowed; DAMAGED"#,
    );
    check_entry(
        &view(two(), 0, &[i32::MAX; 3], &[0; 3]),
        r#"tensor "w": repeats the 2 elements of its storage in a shape [2147483647, 2147483647, 2147483647] (an expanded view); save it as .contiguous()"#,
    );
    check_entry(
        &view(two(), 0, &[i32::MAX; 3], &[i32::MAX; 3]),
        r#"tensor "w": reaches beyond the 2 elements of its storage: offset 0, shape [2147483647, 2147483647, 2147483647], strides [2147483647, 2147483647, 2147483647]; DAMAGED"#,
    );
    check_entry(
        &view(storage("FloatStorage", "0", 3), 0, &[2], &[1]),
        r#"its entry "x/data/0" has 8 bytes, 3 of F32 need 12; DAMAGED"#,
    );
    check_entry(
        &view(storage("FloatStorage", "0", -2), 0, &[2], &[1]),
        r#"the pickle is not one of weights, before byte 98: storage "0" has no count; CONVERT"#,
    );
    check_entry(
        &view(storage("FloatStorage", "../1", 2), 0, &[2], &[1]),
        r#"its zip archive lacks the entry "x/data/../1"; DAMAGED"#,
    );
    let whole = tuple(&[
        text("storage"),
        global("torch", "FloatStorage"),
        text("0"),
        text("cpu"),
        b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec(),
    ]);
    check_entry(
        &view([whole, b"Q".to_vec()].concat(), 0, &[2], &[1]),
        r#"the pickle is not one of weights, before byte 103: storage "0" is larger than any file; CONVERT"#,
    );
    let (one, other) = (view(two(), 0, &[2], &[1]), view(storage("LongStorage", "0", 1), 0, &[1], &[1]));
    check_pickle(
        &dict(&[("w", &one), ("v", &other)]),
        r#"the pickle is not one of weights, before byte 240: storage "0" has two types or sizes; CONVERT"#,
    );
    check_pickle(&dict(&[("w", &one), ("w", &one)]), r#"tensor "w": occurs twice; DAMAGED"#);
    check_pickle(
        &dict(&[("../w", &one)]),
        r#"tensor "../w": the name has characters other than letters, digits, _ . - / or has two dots in a row; CONVERT"#,
    );
    // What fits and is not what the model wants is said as of any folder.
    check_entry(
        &view(storage("LongStorage", "0", 1), 0, &[1], &[1]),
        "model folder DIR: 1 tensor does not fit: w (stored as [1], the model needs [2]); config.json and the weights must be of the same model",
    );
    check_entry(
        &view(storage("ShortStorage", "0", 4), 0, &[2], &[2]),
        "model folder DIR: 1 tensor does not fit: w (stored as I16, only F32, F16 and BF16 are read); config.json and the weights must be of the same model",
    );
}

#[test]
fn archives_that_do_not_hold_together() {
    let pickle = pickle(&good());
    check(zip_of(&[("x/data.pkl", &pickle)]), r#"its zip archive lacks the entry "x/data/0"; DAMAGED"#);
    check(
        zip_of(&[("x/data.pkl", &pickle), ("x/data/0", &[0; 7])]),
        r#"its entry "x/data/0" has 7 bytes, 2 of F32 need 8; DAMAGED"#,
    );
    let good = archive(&good());
    check(
        &good[..good.len() - 1],
        "its zip archive does not hold together (invalid Zip archive: Unexpected end of zip::format::blocks::Zip32CDEBlock); DAMAGED",
    );
    // The directory's record of the method of the first entry says deflate.
    let directory = good.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    let mut deflated = good.clone();
    deflated[directory + 10] = 8;
    check(deflated, r#"its entry "x/data.pkl" is compressed or encrypted, which PyTorch does not do; CONVERT"#);
    // Sizes of the second entry, in the directory, that go beyond the file.
    let second = good.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    let mut long = good.clone();
    long[second + 22] = 1;
    long[second + 26] = 1;
    check(long, r#"its entry "x/data/0" reaches beyond the file; DAMAGED"#);
}

#[test]
fn old_layouts_that_do_not_hold_together() {
    let object = pickle(&good());
    check(behind_the_magic(&object, &["0"], &counted(3)), r#"storage "0" has 3 elements, expected 2; DAMAGED"#);
    check(
        behind_the_magic(&object, &["0"], &counted(u64::MAX)),
        r#"storage "0" has 18446744073709551615 elements, expected 2; DAMAGED"#,
    );
    check(behind_the_magic(&object, &["0"], &counted(2)[..15]), r#"ends inside or before storage "0"; DAMAGED"#);
    check(behind_the_magic(&object, &["0"], &[2, 0, 0]), r#"ends inside or before storage "0"; DAMAGED"#);
    check(
        behind_the_magic(&object, &["0"], &[counted(2), vec![0]].concat()),
        "has bytes after its last storage: that ends at 225, the file has 226; DAMAGED",
    );
    check(
        behind_the_magic(&object, &["0", "0"], &[counted(2), counted(2)].concat()),
        r#"has the storage "0" twice; DAMAGED"#,
    );
    check(behind_the_magic(&object, &["1"], &counted(2)), r#"has a storage "1" that no tensor is of; DAMAGED"#);
    check(behind_the_magic(&object, &[], &[]), r#"lacks the storage "0"; DAMAGED"#);
    let keys = |list: &[u8]| [magic(), pickle(&int(1001)), system(true), object.clone(), pickle(list)].concat();
    check(keys(b"N"), "does not list its storages; DAMAGED");
    check(keys(b"]Na"), "has a storage without a key; DAMAGED");
    check([magic(), pickle(&int(1001)), system(true)].concat(), "the pickle does not end within 0 bytes; DAMAGED");
}

#[test]
fn shards_of_pytorch_are_its_files_alone() {
    let index = |shard: &str| format!(r#"{{"weight_map": {{"w": "{shard}"}}}}"#).into_bytes();
    for (shard, expected) in [
        (
            "a.safetensors",
            r#"DIR/pytorch_model.bin.index.json: tensor "w": "a.safetensors" is not the plain name of a .bin file in this folder"#,
        ),
        (
            "../a.bin",
            r#"DIR/pytorch_model.bin.index.json: tensor "w": "../a.bin" is not the plain name of a .bin file in this folder"#,
        ),
        (
            "b.bin",
            r#"DIR/pytorch_model.bin.index.json: names the shard "b.bin", which is not in the folder; download it"#,
        ),
    ] {
        let files = [("pytorch_model.bin.index.json", index(shard)), ("a.bin", archive(&good()))];
        check_folder(&files, expected);
    }
}
