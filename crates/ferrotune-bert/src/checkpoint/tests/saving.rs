//! Saving: the bytes are those of the `safetensors` crate, twice the same, durable under any umask, and read back.

use super::*;
use crate::checkpoint::{COMPANION_FILES, Companions, SaveRequest, TensorToSave, save_model};
use crate::config::EncoderConfig;
use safetensors::tensor::TensorView;
use std::collections::HashMap;
use std::path::PathBuf;

const TENSORS: [(&str, &[usize]); 4] =
    [("classifier.weight", &[3, 4]), ("bert.z", &[0]), ("bert.a.weight", &[513, 129]), ("bert.scalar", &[])];

fn samples() -> Vec<Sample> {
    TENSORS.iter().map(|(name, shape)| sample(name, "F32", shape)).collect()
}

fn views(samples: &[Sample]) -> Vec<TensorToSave<'_>> {
    samples
        .iter()
        .map(|sample| TensorToSave { name: &sample.name, shape: &sample.shape, values: &sample.values })
        .collect()
}

fn config_text() -> String {
    let config: EncoderConfig = CONFIG.parse().unwrap();
    config.to_json("BertForSequenceClassification", Some(&["a", "b", "c"].map(String::from)))
}

fn save(folder: &Path, samples: &[Sample], from: Option<&Path>, replace: bool) -> Result<(), BertError> {
    let config_json = &config_text();
    save_model(
        folder,
        &SaveRequest {
            config_json,
            tensors: &views(samples),
            companions: from.map(Companions::of),
            scores_words: false,
            replace,
        },
    )
}

fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().into(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn the_bytes_are_those_of_the_reference_writer() {
    let root = tempfile::tempdir().unwrap();
    let samples = samples();
    save(&root.path().join("out"), &samples, None, false).unwrap();
    let data: Vec<Vec<u8>> =
        samples.iter().map(|sample| sample.values.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
    let views = samples.iter().zip(&data).map(|(sample, bytes)| {
        (&sample.name, TensorView::new(safetensors::Dtype::F32, sample.shape.clone(), bytes).unwrap())
    });
    let format = HashMap::from([("format".to_string(), "pt".to_string())]);
    let reference = safetensors::serialize(views, Some(format)).unwrap();
    assert!(fs::read(root.path().join("out/model.safetensors")).unwrap() == reference);
}

#[test]
fn save_load_save_gives_the_same_files() {
    let root = tempfile::tempdir().unwrap();
    let (source, first, second) = (root.path().join("source"), root.path().join("first"), root.path().join("second"));
    fs::create_dir(&source).unwrap();
    write_files(&source, &[("tokenizer.json", b"{}".to_vec()), ("vocab.txt", b"[PAD]\r\n".to_vec()), ("x", vec![1])]);
    save(&first, &samples(), Some(&source), false).unwrap();
    let (_, values) = load_all(&first, &specs(&TENSORS), &nothing_optional).unwrap();
    let mut reloaded = samples();
    for (sample, values) in reloaded.iter_mut().zip(values) {
        sample.values = values.unwrap();
    }
    reloaded.reverse();
    let config = EncoderConfig::from_folder(&first).unwrap();
    let config_json = &config.to_json("BertForSequenceClassification", config.id2label.as_deref());
    let tensors = &views(&reloaded);
    let request = SaveRequest {
        config_json,
        tensors,
        companions: Some(Companions::of(&first)),
        scores_words: false,
        replace: false,
    };
    save_model(&second, &request).unwrap();
    let names: Vec<_> = contents(&first).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.json", "vocab.txt"].map(PathBuf::from));
    assert!(contents(&first) == contents(&second));
}

/// Words come without the blank that a byte-level tokenizer writes into its tokens.
#[test]
fn a_model_of_words_says_how_they_are_read() {
    let root = tempfile::tempdir().unwrap();
    let (source, saved) = (root.path().join("source"), root.path().join("saved"));
    fs::create_dir(&source).unwrap();
    let config_json = &config_text();
    let pre = |kind: &str, prefix: &str| {
        format!(r#"{{"model":{{"b":1,"a":2}},"pre_tokenizer":{{"type":"{kind}"{prefix}}}}}"#)
    };
    let told = r#","add_prefix_space":true"#;
    for (tokenizer, scores_words, is_changed) in [
        (pre("ByteLevel", r#","add_prefix_space":false"#), true, true),
        (pre("ByteLevel", ""), true, true),
        (pre("ByteLevel", ""), false, false),
        (pre("ByteLevel", told), true, false),
        (pre("Metaspace", r#","add_prefix_space":false"#), true, false),
        ("{}".to_string(), true, false),
    ] {
        let config = r#"{"add_prefix_space":false,"z":[1]}"#;
        let files = [
            ("tokenizer.json", tokenizer.clone().into_bytes()),
            ("tokenizer_config.json", config.into()),
            ("vocab.txt", vec![1]),
        ];
        write_files(&source, &files);
        let samples = samples();
        let tensors = &views(&samples);
        save_model(
            &saved,
            &SaveRequest {
                config_json,
                tensors,
                companions: Some(Companions::of(&source)),
                scores_words,
                replace: true,
            },
        )
        .unwrap();
        let is_byte_level = tokenizer.contains("ByteLevel") && scores_words;
        for (name, before) in [("tokenizer.json", tokenizer.as_str()), ("tokenizer_config.json", config)] {
            let after = fs::read_to_string(saved.join(name)).unwrap();
            let mut wanted: Value = serde_json::from_str(before).unwrap();
            let changed = if name == "tokenizer.json" { is_changed } else { is_byte_level };
            if changed {
                let says = if name == "tokenizer.json" { &mut wanted["pre_tokenizer"] } else { &mut wanted };
                says["add_prefix_space"] = true.into();
                assert_eq!(serde_json::from_str::<Value>(&after).unwrap(), wanted, "{tokenizer}");
            } else {
                assert_eq!(after, before, "{tokenizer}");
            }
        }
    }
    // A file that is missing is written, and one that is no JSON stays: it was not read in training either.
    let config = || fs::read(saved.join("tokenizer_config.json")).unwrap();
    let samples = samples();
    let request = SaveRequest {
        config_json,
        tensors: &views(&samples),
        companions: Some(Companions::of(&source)),
        scores_words: true,
        replace: true,
    };
    write_files(&source, &[("tokenizer.json", pre("ByteLevel", "").into_bytes())]);
    for before in [None, Some(b"{".to_vec())] {
        fs::remove_file(source.join("tokenizer_config.json")).unwrap();
        before.iter().for_each(|before| fs::write(source.join("tokenizer_config.json"), before).unwrap());
        save_model(&saved, &request).unwrap();
        match before {
            None => assert_eq!(serde_json::from_slice::<Value>(&config()).unwrap(), json!({"add_prefix_space": true})),
            Some(before) => assert_eq!(config(), before),
        }
        fs::write(source.join("tokenizer_config.json"), "").unwrap();
    }
}

/// What was made is written in place of what would be copied, and is changed for words like any other.
#[test]
fn made_files_go_before_copied_ones() {
    let root = tempfile::tempdir().unwrap();
    let (source, saved) = (root.path().join("source"), root.path().join("saved"));
    fs::create_dir(&source).unwrap();
    let file = |name, content: &str| (name, content.as_bytes().to_vec());
    write_files(&source, &[file("spm.model", "pieces"), file("tokenizer_config.json", "{}")]);
    let pre = r#"{"pre_tokenizer": {"type": "ByteLevel"}}"#;
    let samples = samples();
    for (made, scores_words, expected) in [
        (vec![], false, "{}"),
        (vec![file("tokenizer.json", pre), file("tokenizer_config.json", r#"{"x": 1}"#)], false, r#"{"x": 1}"#),
        (vec![file("tokenizer.json", pre)], true, "{\n  \"add_prefix_space\": true\n}"),
    ] {
        let request = SaveRequest {
            config_json: &config_text(),
            tensors: &views(&samples),
            companions: Some(Companions { from: &source, made: &made }),
            scores_words,
            replace: true,
        };
        save_model(&saved, &request).unwrap();
        assert_eq!(saved.join("tokenizer.json").exists(), !made.is_empty());
        assert_eq!(fs::read_to_string(saved.join("spm.model")).unwrap(), "pieces");
        assert_eq!(fs::read_to_string(saved.join("tokenizer_config.json")).unwrap(), expected);
    }
}

#[test]
fn replacing_is_asked_for_and_may_copy_from_itself() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("best");
    save(&folder, &samples(), None, false).unwrap();
    for name in COMPANION_FILES {
        fs::write(folder.join(name), name).unwrap();
    }
    let before = contents(&folder);
    let error = save(&folder, &samples(), None, false).unwrap_err();
    assert!(error.to_string().contains("exists and is not empty") && !error.is_io(), "{error}");
    assert!(contents(&folder) == before);
    save(&folder, &samples(), Some(&folder), true).unwrap();
    assert!(contents(&folder) == before);
    save(&folder, &samples(), None, true).unwrap();
    assert_eq!(contents(&folder).len(), 2);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "no temporary folder stays");
}

#[test]
fn a_refused_save_leaves_nothing_and_replaces_nothing() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("best");
    save(&folder, &samples(), None, false).unwrap();
    let before = contents(&folder);
    let mut diverged = samples();
    diverged[0].values[5] = f32::NAN;
    let error = save(&folder, &diverged, None, true).unwrap_err();
    assert!(error.to_string().contains("best/model.safetensors: tensor classifier.weight has 1 non-finite"), "{error}");
    let samples = samples();
    let tensors = &views(&samples);
    let request = SaveRequest { config_json: "{}", tensors, companions: None, scores_words: false, replace: true };
    let error = save_model(&folder, &request).unwrap_err();
    assert!(error.to_string().contains("has no vocab_size"), "{error}");
    let source = root.path().join("source");
    fs::create_dir_all(source.join("vocab.txt")).unwrap();
    let error = save(&folder, &samples, Some(&source), true).unwrap_err();
    assert!(error.to_string().contains("not a regular file") && error.is_io(), "{error}");
    assert!(contents(&folder) == before);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2, "no temporary folder stays");
}

#[cfg(unix)]
#[test]
fn files_have_the_mode_that_the_umask_gives() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    save(&root.path().join("out"), &samples(), None, false).unwrap();
    fs::write(root.path().join("plain"), "").unwrap();
    fs::create_dir(root.path().join("folder")).unwrap();
    assert_eq!(mode(&root.path().join("out")), mode(&root.path().join("folder")));
    for name in ["config.json", "model.safetensors"] {
        assert_eq!(mode(&root.path().join("out").join(name)), mode(&root.path().join("plain")), "{name}");
    }
}

#[test]
fn a_flipped_bit_is_found_when_reading_back() {
    use crate::checkpoint::write::{verify_weights, write_weights};
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("model.safetensors");
    let samples = samples();
    write_weights(&path, &views(&samples)).unwrap();
    verify_weights(&path, &views(&samples)).unwrap();
    let good = fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(*good.first_chunk().unwrap()) as usize;
    for at in [header, header + 4 * 513 * 64 + 2, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = verify_weights(&path, &views(&samples)).unwrap_err();
        assert!(matches!(error, BertError::Unfaithful { .. }) && error.is_io(), "byte {at}: {error}");
    }
}
