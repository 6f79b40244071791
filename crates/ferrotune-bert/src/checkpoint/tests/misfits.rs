//! Sound files that do not make the wanted model, and folders without readable weights: one row, one exact line.

use super::malformed::{check, check_folder};
use super::*;
use expect_test::{Expect, expect};

/// The same for an index beside one good shard `a.safetensors` that holds `w`.
fn check_index(index: &str, expected: Expect) {
    let shard = stored(&[sample("w", "F32", &[2])]);
    check_folder(&[("model.safetensors.index.json", index.into()), ("a.safetensors", shard)], expected);
}

#[test]
fn tensors_that_the_model_cannot_use() {
    check(
        stored(&[sample("w", "F32", &[3])]),
        expect![
            "model folder DIR: 1 tensor does not fit: w (stored as [3], the model needs [2]); config.json and the weights must be of the same model"
        ],
    );
    check(
        stored(&[sample("w", "F32", &[2, 1])]),
        expect![
            "model folder DIR: 1 tensor does not fit: w (stored as [2, 1], the model needs [2]); config.json and the weights must be of the same model"
        ],
    );
    check(
        stored(&[sample("w", "I64", &[2])]),
        expect![
            "model folder DIR: 1 tensor does not fit: w (stored as I64, only F32, F16 and BF16 are read); config.json and the weights must be of the same model"
        ],
    );
    check(
        stored(&[sample("v", "F32", &[2])]),
        expect![
            "model folder DIR: 1 tensor is missing: w; 1 tensor is not part of the model: v; this does not look like the model that config.json describes"
        ],
    );
    check(
        stored(&[sample("w", "F32", &[2]), sample("roberta.x", "F32", &[1])]),
        expect![
            "model folder DIR: 1 tensor is not part of the model: roberta.x; config.json and the weights must be of the same model"
        ],
    );
    let many: Vec<Sample> = (0..7).map(|at| sample(&format!("extra.{at}"), "F32", &[1])).collect();
    check(
        stored(&many),
        expect![
            "model folder DIR: 1 tensor is missing: w; 7 tensors are not part of the model: extra.0, extra.1, extra.2, extra.3, extra.4 and 2 more; this does not look like the model that config.json describes"
        ],
    );
    let with = |values: [f32; 2], dtype| Sample { values: values.to_vec(), ..sample("w", dtype, &[2]) };
    check(
        stored(&[with([0.0, f32::NAN], "F32")]),
        expect![
            "DIR/model.safetensors: tensor w has 1 non-finite values (NaN or infinity) out of 2, the first at index 1; the weights come from a run that diverged: use an earlier checkpoint"
        ],
    );
    check(
        stored(&[with([f32::INFINITY, f32::NEG_INFINITY], "F32")]),
        expect![
            "DIR/model.safetensors: tensor w has 2 non-finite values (NaN or infinity) out of 2, the first at index 0; the weights come from a run that diverged: use an earlier checkpoint"
        ],
    );
    check(
        stored(&[with([0.0, f32::NAN], "F16")]),
        expect![
            "DIR/model.safetensors: tensor w has 1 non-finite values (NaN or infinity) out of 2, the first at index 1; the weights come from a run that diverged: use an earlier checkpoint"
        ],
    );
    check(
        stored(&[with([f32::INFINITY, 0.0], "BF16")]),
        expect![
            "DIR/model.safetensors: tensor w has 1 non-finite values (NaN or infinity) out of 2, the first at index 0; the weights come from a run that diverged: use an earlier checkpoint"
        ],
    );
}

#[test]
fn folders_without_readable_weights() {
    check_folder(
        &[],
        expect![
            "model folder DIR: has neither model.safetensors nor pytorch_model.bin, nor the index of either; give a Hugging Face folder of an encoder"
        ],
    );
    check_folder(
        &[("tf_model.h5", vec![])],
        expect![
            "model folder DIR: has its weights only as tf_model.h5, which is not read; convert them with transformers, save_pretrained(folder, safe_serialization=True)"
        ],
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("file"), "").unwrap();
    fs::create_dir_all(path.join("model/model.safetensors")).unwrap();
    for (name, expected) in [
        ("nowhere", expect!["io: true; cannot open DIR/nowhere: No such file or directory (os error 2)"]),
        (
            "file",
            expect![
                "io: false; model folder DIR/file: is not a folder; give the folder that holds config.json and model.safetensors"
            ],
        ),
        ("model", expect!["io: true; cannot read DIR/model/model.safetensors: not a regular file"]),
    ] {
        let error = load_all(&path.join(name), &[], &nothing_optional).unwrap_err();
        expected.assert_eq(&format!("io: {}; {}", error.is_io(), told(&error, path)));
    }
}

#[cfg(unix)]
#[test]
fn a_dangling_link_is_reported_as_itself() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("../../blobs/abc", folder.path().join("model.safetensors")).unwrap();
    let error = load_all(folder.path(), &[], &nothing_optional).unwrap_err();
    expect!["cannot open DIR/model.safetensors: No such file or directory (os error 2)"]
        .assert_eq(&told(&error, folder.path()));
}

#[test]
fn shard_indexes_that_lead_elsewhere() {
    check_index(
        "",
        expect![
            "DIR/model.safetensors.index.json: is not valid JSON: EOF while parsing a value at line 1 column 0; fetch or write the file again"
        ],
    );
    check_index(
        "version https://git-lfs.github.com/spec/v1\n",
        expect![
            "DIR/model.safetensors.index.json: this is a git-LFS pointer, not the file itself: run `git lfs pull` in the model folder"
        ],
    );
    check_index(
        "[]",
        expect!["DIR/model.safetensors.index.json: is JSON, but not an object; fetch or write the file again"],
    );
    check_index(
        "{}",
        expect![
            "DIR/model.safetensors.index.json: has no object weight_map, which says which shard holds which tensor"
        ],
    );
    check_index(
        r#"{"weight_map": {}}"#,
        expect!["DIR/model.safetensors.index.json: names 0 shards, 1 to 1000 are allowed"],
    );
    check_index(
        r#"{"weight_map": {"w": 1}}"#,
        expect![[r#"DIR/model.safetensors.index.json: tensor "w" is mapped to something that is not a file name"#]],
    );
    check_index(
        r#"{"weight_map": {"w": "a.safetensors", "w": "a.safetensors"}}"#,
        expect![[
            r#"DIR/model.safetensors.index.json: is not valid JSON: the key "w" occurs twice at line 1 column 41; fetch or write the file again"#
        ]],
    );
    check_index(
        r#"{"weight_map": {"w": "../a.safetensors"}}"#,
        expect![[
            r#"DIR/model.safetensors.index.json: tensor "w": "../a.safetensors" is not the plain name of a .safetensors file in this folder"#
        ]],
    );
    check_index(
        r#"{"weight_map": {"w": "/tmp/a.safetensors"}}"#,
        expect![[
            r#"DIR/model.safetensors.index.json: tensor "w": "/tmp/a.safetensors" is not the plain name of a .safetensors file in this folder"#
        ]],
    );
    check_index(
        r#"{"weight_map": {"w": "sub\\a.safetensors"}}"#,
        expect![[
            r#"DIR/model.safetensors.index.json: tensor "w": "sub\a.safetensors" is not the plain name of a .safetensors file in this folder"#
        ]],
    );
    check_index(
        r#"{"weight_map": {"w": ".a.safetensors"}}"#,
        expect![[
            r#"DIR/model.safetensors.index.json: tensor "w": ".a.safetensors" is not the plain name of a .safetensors file in this folder"#
        ]],
    );
    check_index(
        r#"{"weight_map": {"w": "a\u0000.safetensors"}}"#,
        expect![[
            r#"DIR/model.safetensors.index.json: tensor "w": "a\u{0}.safetensors" is not the plain name of a .safetensors file in this folder"#
        ]],
    );
    check_index(
        r#"{"weight_map": {"w": "pytorch_model.bin"}}"#,
        expect![[
            r#"DIR/model.safetensors.index.json: tensor "w": "pytorch_model.bin" is not the plain name of a .safetensors file in this folder"#
        ]],
    );
    check_index(
        r#"{"weight_map": {"w": "b.safetensors"}}"#,
        expect![[
            r#"DIR/model.safetensors.index.json: names the shard "b.safetensors", which is not in the folder; download it"#
        ]],
    );
    check_index(
        r#"{"weight_map": {"w": "a.safetensors", "v": "a.safetensors"}}"#,
        expect![[
            r#"DIR/model.safetensors.index.json: says that "a.safetensors" holds tensor "v", which it does not; the shards are of different downloads, fetch them again"#
        ]],
    );
    let lone = stored(&[sample("w", "F32", &[2]), sample("v", "F32", &[2])]);
    let index = br#"{"weight_map": {"w": "a.safetensors"}}"#.to_vec();
    check_folder(
        &[("model.safetensors.index.json", index), ("a.safetensors", lone)],
        expect![[
            r#"DIR/model.safetensors.index.json: does not say that "a.safetensors" holds tensor "v"; the shards are of different downloads, fetch them again"#
        ]],
    );
    let many: Vec<String> = (0..1001).map(|at| format!(r#""t{at}": "s{at}.safetensors""#)).collect();
    check_index(
        &format!(r#"{{"weight_map": {{{}}}}}"#, many.join(",")),
        expect!["DIR/model.safetensors.index.json: names 1001 shards, 1 to 1000 are allowed"],
    );
}
