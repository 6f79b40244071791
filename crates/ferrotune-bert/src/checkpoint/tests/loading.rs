//! Well-formed folders in every layout that is accepted, and the report about them.

use super::*;
use crate::checkpoint::{inspect, plan};
use expect_test::{Expect, expect};
use std::time::{Duration, SystemTime};

const MODEL: [(&str, &[usize]); 6] = [
    ("bert.embeddings.word_embeddings.weight", &[8, 4]),
    ("bert.embeddings.LayerNorm.weight", &[4]),
    ("bert.embeddings.LayerNorm.bias", &[4]),
    ("bert.encoder.layer.0.output.dense.weight", &[4, 8]),
    ("classifier.weight", &[2, 4]),
    ("classifier.bias", &[2]),
];

fn classifier_is_optional(name: &str) -> bool {
    name.starts_with("classifier.")
}

/// The tensors of `MODEL` under names changed by `rename`, each holding the values of its own name in the model.
fn renamed(dtype: &'static str, rename: impl Fn(&str) -> String) -> Vec<Sample> {
    MODEL.iter().map(|(name, shape)| Sample { name: rename(name), ..sample(name, dtype, shape) }).collect()
}

/// Loads `MODEL` from these files; every value must arrive at its place. Returns the report.
fn check_loads(files: &[(&str, Vec<u8>)], expected: Expect) {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path(), files);
    let (report, values) = load_all(folder.path(), &specs(&MODEL), &classifier_is_optional).unwrap();
    let new: Vec<&str> = report.newly_initialised.iter().map(|new| new.name.as_str()).collect();
    for ((name, shape), values) in MODEL.iter().zip(values) {
        let right = (!new.contains(name)).then(|| sample(name, "F32", shape).values);
        assert_eq!(values, right, "{name}");
    }
    assert_eq!(report.loaded.len() + new.len(), MODEL.len());
    expected.assert_eq(&report.summary());
}

fn single(samples: &[Sample]) -> Vec<(&'static str, Vec<u8>)> {
    vec![("model.safetensors", stored(samples))]
}

#[test]
fn every_stored_type_and_every_spelling_of_names() {
    let same = |name: &str| name.to_string();
    let bare = |name: &str| name.trim_start_matches("bert.").to_string();
    let legacy = |name: &str| name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta");
    check_loads(
        &single(&renamed("F32", same)),
        expect!["Loaded 6 tensors with 82 values from 1 file (6 stored as F32)."],
    );
    check_loads(
        &single(&renamed("F16", same)),
        expect!["Loaded 6 tensors with 82 values from 1 file (6 stored as F16)."],
    );
    check_loads(
        &single(&renamed("BF16", bare)),
        expect![
            "Loaded 6 tensors with 82 values from 1 file (6 stored as BF16). 4 are stored under another name, for example embeddings.word_embeddings.weight for bert.embeddings.word_embeddings.weight."
        ],
    );
    check_loads(
        &single(&renamed("F32", legacy)),
        expect![
            "Loaded 6 tensors with 82 values from 1 file (6 stored as F32). 2 are stored under another name, for example bert.embeddings.LayerNorm.gamma for bert.embeddings.LayerNorm.weight."
        ],
    );
    check_loads(
        &single(&renamed("F32", |name| bare(&legacy(name)))),
        expect![
            "Loaded 6 tensors with 82 values from 1 file (6 stored as F32). 4 are stored under another name, for example embeddings.word_embeddings.weight for bert.embeddings.word_embeddings.weight."
        ],
    );
}

#[test]
fn shards_of_different_types() {
    let (mut first, mut second) = (renamed("F32", str::to_string), Vec::new());
    second.extend(first.drain(3..));
    let second: Vec<Sample> = second.into_iter().map(|sample| Sample { dtype: "BF16", ..sample }).collect();
    let (a, b) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    let map: Map<String, Value> = first
        .iter()
        .map(|sample| (sample.name.clone(), json!(a)))
        .chain(second.iter().map(|sample| (sample.name.clone(), json!(b))))
        .collect();
    let index = json!({"metadata": {"total_size": 1}, "weight_map": map}).to_string();
    let files = [(a, stored(&first)), (b, stored(&second)), ("model.safetensors.index.json", index.into_bytes())];
    check_loads(&files, expect!["Loaded 6 tensors with 82 values from 2 files (3 stored as BF16, 3 stored as F32)."]);
}

#[test]
fn heads_that_are_missing_or_of_another_task() {
    let encoder = || renamed("F32", str::to_string).into_iter().take(4);
    let with = |more: Vec<Sample>| single(&encoder().chain(more).collect::<Vec<_>>());
    check_loads(
        &with(vec![]),
        expect![
            "Loaded 4 tensors with 72 values from 1 file (4 stored as F32). Newly initialised: classifier.weight (not in the folder), classifier.bias (not in the folder)."
        ],
    );
    let pretraining = ["cls.predictions.bias", "cls.seq_relationship.weight"].map(|name| sample(name, "F32", &[3]));
    let positions = [sample("bert.embeddings.position_ids", "I64", &[1, 16])];
    check_loads(
        &with(pretraining.into_iter().chain(positions).collect()),
        expect![
            "Loaded 4 tensors with 72 values from 1 file (4 stored as F32). Newly initialised: classifier.weight (not in the folder), classifier.bias (not in the folder). Left behind: bert.embeddings.position_ids, cls.predictions.bias, cls.seq_relationship.weight."
        ],
    );
    check_loads(
        &with(vec![sample("qa_outputs.weight", "F32", &[2, 4])]),
        expect![
            "Loaded 4 tensors with 72 values from 1 file (4 stored as F32). Newly initialised: classifier.weight (not in the folder), classifier.bias (not in the folder). Left behind: qa_outputs.weight."
        ],
    );
    let other = vec![sample("classifier.weight", "F32", &[5, 4]), sample("classifier.bias", "F32", &[5])];
    check_loads(
        &with(other),
        expect![
            "Loaded 4 tensors with 72 values from 1 file (4 stored as F32). Newly initialised: classifier.weight (stored as [5, 4], the model needs [2, 4]), classifier.bias (stored as [5], the model needs [2])."
        ],
    );
    // A bias that would fit is not kept without its weight.
    check_loads(
        &with(vec![sample("classifier.bias", "F32", &[2])]),
        expect![
            "Loaded 4 tensors with 72 values from 1 file (4 stored as F32). Newly initialised: classifier.weight (not in the folder), classifier.bias (goes with the rest of classifier)."
        ],
    );
}

/// What strict loading (nothing optional) of `MODEL` says about these tensors.
fn check_refused(samples: &[Sample], expected: Expect) {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path(), &single(samples));
    let error = load_all(folder.path(), &specs(&MODEL), &nothing_optional).unwrap_err();
    expected.assert_eq(&told(&error, folder.path()));
}

#[test]
fn strict_by_default() {
    let all = || renamed("F32", str::to_string);
    let encoder = || all().into_iter().take(4);
    check_refused(
        &encoder().collect::<Vec<_>>(),
        expect![
            "model folder DIR: 2 tensors are missing: classifier.weight, classifier.bias; the classifier is for other labels or not there: train a new one"
        ],
    );
    let other = [sample("classifier.weight", "F32", &[5, 4]), sample("classifier.bias", "F32", &[5])];
    check_refused(
        &encoder().chain(other).collect::<Vec<_>>(),
        expect![
            "model folder DIR: 2 tensors do not fit: classifier.weight (stored as [5, 4], the model needs [2, 4]), classifier.bias (stored as [5], the model needs [2]); the classifier is for other labels or not there: train a new one"
        ],
    );
    check_refused(
        &all().into_iter().chain([sample("qa_outputs.bias", "F32", &[2])]).collect::<Vec<_>>(),
        expect![
            "model folder DIR: 1 tensor is not part of the model: qa_outputs.bias; config.json and the weights must be of the same model"
        ],
    );
    check_refused(
        &all().into_iter().skip(1).collect::<Vec<_>>(),
        expect![
            "model folder DIR: 1 tensor is missing: bert.embeddings.word_embeddings.weight; config.json and the weights must be of the same model"
        ],
    );
    let twice = sample("embeddings.LayerNorm.gamma", "F32", &[4]);
    check_refused(
        &all().into_iter().chain([twice]).collect::<Vec<_>>(),
        expect![
            "model folder DIR: holds bert.embeddings.LayerNorm.weight twice, as bert.embeddings.LayerNorm.weight and as embeddings.LayerNorm.gamma; remove one"
        ],
    );
}

#[test]
fn a_bare_encoder_takes_prefixed_weights_and_leaves_a_head_behind_when_told() {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path(), &single(&renamed("F32", str::to_string)));
    let wanted = specs(&MODEL.map(|(name, shape)| (name.trim_start_matches("bert."), shape))[..4]);
    let error = load_all(folder.path(), &wanted, &nothing_optional).unwrap_err();
    expect!["model folder DIR: 2 tensors are not part of the model: classifier.bias, classifier.weight; config.json and the weights must be of the same model"].assert_eq(&told(&error, folder.path()));
    let (report, values) = load_all(folder.path(), &wanted, &classifier_is_optional).unwrap();
    assert!(values.iter().all(Option::is_some));
    assert_eq!(report.ignored, ["classifier.bias", "classifier.weight"]);
}

#[test]
fn tensors_larger_than_a_block_and_empty_ones() {
    let folder = tempfile::tempdir().unwrap();
    for dtype in ["F32", "F16", "BF16"] {
        let samples = [sample("a", dtype, &[3]), sample("b", dtype, &[1031, 701]), sample("c", dtype, &[0, 7])];
        write_files(folder.path(), &single(&samples));
        let wanted = specs(&[("c", &[0, 7]), ("b", &[1031, 701]), ("a", &[3])]);
        let (_, values) = load_all(folder.path(), &wanted, &nothing_optional).unwrap();
        for (values, sample) in values.iter().rev().zip([&samples[0], &samples[1], &samples[2]]) {
            assert_eq!(values.as_ref(), Some(&sample.values), "{dtype} {}", sample.name);
        }
    }
}

#[test]
fn a_file_that_changes_after_the_plan_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let wanted = specs(&[("w", &[2])]);
    let changes: [(&str, &dyn Fn()); 2] = [
        ("cut", &|| fs::File::options().write(true).open(&path).unwrap().set_len(70).unwrap()),
        ("rewritten", &|| {
            let later = SystemTime::now() + Duration::from_secs(60);
            fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        }),
    ];
    for (what, change) in changes {
        fs::write(&path, stored(&[sample("w", "F32", &[2])])).unwrap();
        let plan = plan(folder.path(), &wanted, &nothing_optional).unwrap();
        change();
        let error = plan.read(&mut |_, _| panic!("{what}: nothing may be sent")).unwrap_err();
        assert!(error.to_string().contains("changed while it was being read"), "{what}: {error}");
    }
}

#[test]
#[should_panic(expected = "wanted twice")]
fn wanting_a_tensor_twice_is_a_mistake_of_the_caller() {
    let _ = plan(Path::new("unused"), &specs(&[("w", &[2]), ("w", &[2])]), &nothing_optional);
}

#[test]
fn inspection_lists_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path(), &single(&[sample("b", "BF16", &[2, 3]), sample("a", "I64", &[4])]));
    let inspection = inspect(folder.path()).unwrap();
    let listed: Vec<String> = inspection
        .tensors
        .iter()
        .map(|tensor| format!("{} {:?} {} {} bytes", tensor.name, tensor.shape, tensor.dtype.name(), tensor.bytes))
        .collect();
    assert_eq!(listed, ["a [4] I64 32 bytes", "b [2, 3] BF16 12 bytes"]);
    assert_eq!(inspection.parameters(), 10);
    assert_eq!(inspection.files[0].name, "model.safetensors");
    assert_eq!(inspection.files[0].bytes, fs::metadata(folder.path().join("model.safetensors")).unwrap().len());
}
