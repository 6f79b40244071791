//! all-MiniLM-L6-v2 itself against transformers, where its weights are on this machine (the fine-tune that CI runs fetches them).

use ferrotune_bert::pretrained::{self, Head};
use ferrotune_bert::{Dropouts, HeadKind};
use ferrotune_data::{Row, Tokenizer};
use ferrotune_optim::losses::CrossEntropy;
use ferrotune_tensor::{Cpu, Grads, Pool, Tape};
use ferrotune_tests::{assert_close, golden, sequences};
use serde_json::Value;
use std::path::PathBuf;

/// The folder named by FERROTUNE_TEST_MINILM: `cargo xtask ci` sets it to the fetched model.
fn folder() -> Option<PathBuf> {
    std::env::var_os("FERROTUNE_TEST_MINILM").map(PathBuf::from)
}

#[test]
fn logits_and_gradient_norms_of_sixteen_sentences() {
    let Some(folder) = folder() else {
        eprintln!("not run: FERROTUNE_TEST_MINILM does not name a folder with all-MiniLM-L6-v2");
        return;
    };
    let text = std::fs::read_to_string(golden("minilm.json")).unwrap();
    let wanted: Value = serde_json::from_str(&text).unwrap();
    let list = |key: &str| wanted[key].as_array().unwrap().clone();
    let names = ["zero".to_string(), "one".to_string()];
    let mut loaded =
        pretrained::load(&Cpu, &folder, Head::For { labels: &names, kind: HeadKind::Sequence, seed: 0 }).unwrap();
    let find = |name: &str| loaded.params.layout().find(name).unwrap();
    let (weight, bias) = (find("classifier.weight"), find("classifier.bias"));
    let w: Vec<f32> = (0..2 * 384).map(|n| ((n * 7919 + 13) % 1000) as f32 / 10000.0 - 0.05).collect();
    loaded.params.set(&Cpu, weight, &w);
    loaded.params.set(&Cpu, bias, &[0.01, -0.02]);

    let row =
        |text: &Value| Row { text: text.as_str().unwrap().into(), text_b: None, words: None, label: None, line: 1 };
    let rows: Vec<Row> = list("texts").iter().map(row).collect();
    let encoded = Tokenizer::from_folder(&folder, 128).unwrap().encode(&rows).unwrap();
    for (n, ids) in list("ids").iter().enumerate() {
        let ids: Vec<u32> = ids.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
        assert_eq!(encoded.row(n).0, ids, "ids of sentence {n}");
    }
    let input = sequences(encoded.ids, encoded.type_ids, encoded.offsets);
    let labels: Vec<u32> = list("labels").iter().map(|label| label.as_u64().unwrap() as u32).collect();

    let mut pool = Pool::new(Cpu);
    let mut grads = Grads::new(&Cpu, &loaded.params);
    let mut tape = Tape::new(&Cpu, &loaded.params, &mut pool);
    let logits = loaded.model.forward(&mut tape, &input, &Dropouts::off()).logits;
    let floats =
        |value: &Value| -> Vec<f32> { value.as_array().unwrap().iter().map(|n| n.as_f64().unwrap() as f32).collect() };
    let expected: Vec<f32> = list("logits").iter().flat_map(floats).collect();
    assert_close("logits", tape.get(logits).data, &expected, 1e-5, 1.0);
    let loss = tape.apply(CrossEntropy::new(labels, 1.0 / 16.0), &[logits]);
    assert_close("loss", tape.get(loss).data, &[wanted["loss"].as_f64().unwrap() as f32], 5e-6, 1.0);
    tape.backward(loss, 1.0, &mut grads);
    let norms = wanted["grad_norms"].as_object().unwrap();
    assert_eq!(norms.len(), loaded.params.layout().entries().len());
    for (name, norm) in norms {
        let id = loaded.params.layout().find(name).unwrap_or_else(|| panic!("{name} is no parameter"));
        let got = grads.get(id).data.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        let norm = norm.as_f64().unwrap();
        if name.ends_with("attention.self.key.bias") {
            assert!(got <= 1e-6, "{name}: {got}");
        } else {
            assert!((got - norm).abs() <= 1e-4 * norm, "{name}: {got}, expected {norm}");
        }
    }
}
