//! A tiny model on rows of a file: what is said of slices, of another model and of neighbours, and what is refused.

use super::*;
use crate::args::{DeviceArgs, FurtherArgs, Precision, TextColumns};
use crate::exit::{DATA, USAGE};
use ferrotune_bert::pretrained::{self, Head};
use ferrotune_data::{Need, Part, Source};
use ferrotune_tensor::{Cpu, Pool};
use ferrotune_train::evaluate::logits;
use ferrotune_train::tasks::{SingleLabel, Task};
use serde_json::Value;
use std::path::PathBuf;
use tempfile::TempDir;

/// The classes of the model.
const CLASSES: [&str; 3] = ["negative", "neutral", "positive"];
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/tiny-single/model");

fn args(further: FurtherArgs) -> EvaluateArgs {
    EvaluateArgs {
        model: MODEL.to_string(),
        data: PathBuf::new(),
        json: false,
        mistakes: Some(2),
        further,
        max_length: None,
        columns: TextColumns::default(),
        label_column: None,
        threads: None,
        device: DeviceArgs {
            #[cfg(feature = "cuda")]
            device: Default::default(),
            precision: Precision::F32,
        },
    }
}

/// 24 rows, of which the model has those of `topic` odd wrong and all others right; their texts, and what it says of them.
struct Rows {
    folder: TempDir,
    texts: Vec<String>,
    said: Vec<String>,
}

/// What the model says of texts.
fn model_says(texts: &[String]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let rows: String = texts.iter().map(|text| format!("{text},{}\n", CLASSES[0])).collect();
    std::fs::write(&path, format!("text,label\n{rows}")).unwrap();
    let args = args(FurtherArgs::default());
    measured(&args, &path, &[], |_, classified| {
        classified.predictions.iter().map(|&class| classified.names[class].clone()).collect()
    })
}

/// Measures the model on a file and hands what was measured to `then`.
fn measured<T>(
    args: &EvaluateArgs,
    path: &Path,
    slice_by: &[String],
    then: impl FnOnce(&Evaluated<'_>, &Classified) -> T,
) -> T {
    let folder = Path::new(MODEL);
    let loaded = pretrained::load(&Cpu, folder, Head::Stored).unwrap();
    let source = Source::find(path, Part::Test).unwrap();
    let (table, fields) = source.read_keeping(None, Need::Labels, slice_by).unwrap();
    let tokenizer = Tokenizer::from_folder(folder, 32).unwrap();
    let encoded = tokenizer.encode(&table.rows).unwrap();
    let task = SingleLabel::new(ferrotune_data::Labels::from_names(loaded.labels.clone()).unwrap());
    let task: &dyn Task<Cpu> = &task;
    let targets = task.targets(&table, &encoded).unwrap();
    let model =
        crate::model::classifier::BertClassifier { model: &loaded.model, config: &loaded.config, frozen_layers: None };
    let scores = logits(&Cpu, &model, &loaded.params, &mut Pool::new(Cpu), &encoded, None).unwrap();
    let classified = task.classified(&scores, &targets).unwrap();
    let evaluated = Evaluated {
        args,
        folder,
        tokenizer: &tokenizer,
        table: &table,
        columns: None,
        fields: &fields,
        classified: &classified,
    };
    then(&evaluated, &classified)
}

fn rows() -> Rows {
    let folder = tempfile::tempdir().unwrap();
    let words = ["a", "b", "c", "d", "e", "f"];
    let texts: Vec<String> =
        (0..24).map(|n| (0..1 + n % 4).map(|k| words[(n + k) % 6]).collect::<Vec<_>>().join(" ")).collect();
    let said = model_says(&texts);
    let other = |name: &String| CLASSES.into_iter().find(|class| class != name).unwrap();
    let line = |(n, (text, said)): (usize, (&String, &String))| {
        let odd = n % 2 == 1;
        format!(
            "{text},{},{},{}\n",
            if odd { other(said) } else { said.as_str() },
            if odd { "odd" } else { "even" },
            n * 10
        )
    };
    let lines: String = texts.iter().zip(&said).enumerate().map(line).collect();
    std::fs::write(folder.path().join("data.csv"), format!("text,label,topic,age\n{lines}")).unwrap();
    Rows { folder, texts, said }
}

impl Rows {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file as `predict` writes it, with these predictions.
    fn predictions(&self, said: &[&str]) -> String {
        let lines: String = self.texts.iter().zip(said).map(|(text, said)| format!("{text},{said},0.5\n")).collect();
        let path = self.path("said.csv");
        std::fs::write(&path, format!("text,predicted_label,score\n{lines}")).unwrap();
        path.display().to_string()
    }

    fn further(&self, further: FurtherArgs) -> Result<(Value, String), (String, u8)> {
        let slice_by = further.slice_by.clone();
        measured(&args(further), &self.path("data.csv"), &slice_by, |evaluated, _| {
            let further = Further::of(&Cpu, evaluated).map_err(|failure| (failure.message, failure.code))?;
            Ok((serde_json::to_value(&further).unwrap(), further.text()))
        })
    }
}

#[test]
fn slices_come_worst_first_with_all_their_rows() {
    let rows = rows();
    let slice_by = vec!["topic".to_string(), "age".to_string()];
    let (json, text) =
        rows.further(FurtherArgs { slice_by, slice_by_length: Some(2), ..FurtherArgs::default() }).unwrap();
    let slices = |slicing: usize| json["slices"][slicing]["slices"].as_array().unwrap().clone();
    let [odd, even] = &slices(0)[..] else { panic!("{json}") };
    assert_eq!((&odd["value"], &odd["accuracy"], &odd["against_rest"]), (&"odd".into(), &0.0.into(), &"worse".into()));
    assert_eq!((&even["value"], &even["accuracy"], &even["rest"]), (&"even".into(), &1.0.into(), &0.0.into()));
    // 24 different ages are cut into five ranges, texts of 3 to 6 tokens into two.
    assert_eq!((slices(1).len(), slices(2).len()), (5, 2));
    for slicing in 0..3 {
        let sum: u64 = slices(slicing).iter().map(|slice| slice["rows"].as_u64().unwrap()).sum();
        assert_eq!(sum, 24, "{json}");
    }
    let mut ranges: Vec<String> = slices(2).iter().map(|slice| slice["range"].to_string()).collect();
    ranges.sort();
    assert_eq!(ranges, ["[3.0,4.0]", "[5.0,6.0]"]);
    for part in [
        "slices by topic, the worst first",
        "odd    12      0.00 %",
        "slices by age",
        "3 to 4",
        "adjusted for all slices (Holm)",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn another_model_is_compared_row_by_row() {
    let rows = rows();
    let said: Vec<&str> = rows.said.iter().map(String::as_str).collect();
    let against = |other: String| rows.further(FurtherArgs { against: Some(other), ..FurtherArgs::default() });
    // Itself, from its folder and from a file.
    for other in [MODEL.to_string(), rows.predictions(&said)] {
        let (json, text) = against(other).unwrap();
        let json = &json["against"];
        assert_eq!((&json["both_right"], &json["neither"], &json["mcnemar_p"]), (&12.into(), &12.into(), &1.0.into()));
        assert_eq!(json["accuracy"]["difference"], 0.0);
        assert!(text.contains("both right 12   this model alone 0   the other alone 0   neither 12"), "{text}");
    }
    // One that says a class of its own in all rows that this model has right.
    let unknown: Vec<&str> =
        said.iter().enumerate().map(|(n, said)| if n.is_multiple_of(2) { "new" } else { said }).collect();
    let (json, text) = against(rows.predictions(&unknown)).unwrap();
    let json = &json["against"];
    assert_eq!((&json["first_only"], &json["accuracy"]["second"]), (&12.into(), &0.0.into()));
    // The two signs of 2^12; all exchanges are tried.
    let p = json["mcnemar_p"].as_f64().unwrap();
    assert!((p - 2.0 / 4096.0).abs() < 1e-12, "{p}");
    assert_eq!(
        (&json["accuracy"]["permutation_p"], &json["all_permutations"]),
        (&Value::from(2.0 / 4096.0), &true.into())
    );
    assert!(text.contains("accuracy: this model is better"), "{text}");
}

#[test]
fn predictions_of_other_rows_are_refused() {
    let rows = rows();
    let said: Vec<&str> = rows.said.iter().map(String::as_str).collect();
    let whole = std::fs::read_to_string(rows.predictions(&said)).unwrap();
    let path = rows.path("said.csv").display().to_string();
    let mut swapped: Vec<&str> = whole.lines().collect();
    swapped.swap(3, 4);
    let first = said[0];
    for (file, says, code) in [
        (
            whole.replace("predicted_label", "label"),
            "it has no column predicted_label; name a model folder, or a .csv",
            USAGE,
        ),
        (whole.lines().take(20).collect::<Vec<_>>().join("\n"), ": 19 rows, and ", DATA),
        (swapped.join("\n"), ", line 4: another text than in ", DATA),
        (whole.replacen(&format!(",{first},"), ",,", 1), ", line 2: predicted_label is empty", DATA),
    ] {
        std::fs::write(&path, file).unwrap();
        let failed = rows.further(FurtherArgs { against: Some(path.clone()), ..FurtherArgs::default() });
        let (message, found) = failed.unwrap_err();
        assert!(message.contains(says) && message.contains(&path) && found == code, "{message} ({found})");
    }
}

#[test]
fn neighbours_are_the_training_rows_with_the_same_text_first() {
    let rows = rows();
    let train = rows.path("train.csv");
    std::fs::write(&train, "text,label\nf e d c b a,x\nb c,here\nd,wrong\nb c,again\n").unwrap();
    let near = measured(&args(FurtherArgs::default()), &rows.path("data.csv"), &[], |evaluated, _| {
        assert_eq!(evaluated.table.rows[1].text, "b c");
        assert!(nearest(&Cpu, evaluated, &train, &[]).map_err(|f| f.message).unwrap().is_empty());
        let mut found = nearest(&Cpu, evaluated, &train, &[4, 1]).map_err(|f| f.message).unwrap();
        assert_eq!((found.len(), found[0].len()), (2, 3));
        found.remove(1)
    });
    let lines: Vec<(u64, &str)> = near.iter().map(|neighbour| (neighbour.line, neighbour.label.as_str())).collect();
    assert_eq!(lines[..2], [(3, "here"), (5, "again")]);
    assert!((near[0].similarity - 1.0).abs() < 1e-6 && near[2].similarity < 0.999, "{near:?}");
    assert!(near[2].label == "wrong" || near[2].label == "x");
}

#[test]
fn flags_of_one_class_a_row_are_refused_for_other_tasks() {
    let none = EvaluateArgs { mistakes: None, ..args(FurtherArgs::default()) };
    assert!(check(&none, "regression").is_ok());
    let of = |further| EvaluateArgs { mistakes: None, ..args(further) };
    let path = || Some(PathBuf::from("t.csv"));
    for (args, flag) in [
        (args(FurtherArgs::default()), "--mistakes"),
        (of(FurtherArgs { slice_by: vec!["a".into()], ..FurtherArgs::default() }), "--slice-by is for"),
        (of(FurtherArgs { slice_by_length: Some(3), ..FurtherArgs::default() }), "--slice-by-length"),
        (of(FurtherArgs { against: Some("m".into()), ..FurtherArgs::default() }), "--against"),
        (of(FurtherArgs { nearest: path(), ..FurtherArgs::default() }), "--nearest"),
    ] {
        let failure = check(&args, "multi-label").unwrap_err();
        assert!(
            failure.message.starts_with(flag) && failure.message.contains("of this model is multi-label"),
            "{}",
            failure.message
        );
        assert!(check(&args, "binary").is_ok());
    }
    let zero = of(FurtherArgs { slice_by_length: Some(0), ..FurtherArgs::default() });
    assert!(check(&zero, "classification").unwrap_err().message.starts_with("--slice-by-length is 0"));
}

#[test]
fn exchanged_names_are_said() {
    let swapped = |number: usize| ferrotune_train::metrics::Renamed {
        label: format!("a{number}"),
        predicted: format!("b{number}"),
        rows: 30,
        right: 1,
    };
    let renamed: Vec<_> = (0..14).map(swapped).collect();
    let names = SwappedNames { renamed, accuracy: 0.025, accuracy_if_renamed: 0.975 };
    let mut further = Further { swapped_names: None, slices: None, against: None };
    assert_eq!((further.warning(), further.text()), (None, String::new()));
    further.swapped_names = Some(names);
    let warning = further.warning().unwrap();
    assert!(
        warning.contains("rows labelled a0 are predicted b0 (30 of them; 1 right), rows") && !warning.contains("a12")
    );
    assert!(warning.contains(", and 2 more classes. With these names exchanged the accuracy is 97.50 %"), "{warning}");
    assert_eq!(serde_json::to_value(&further).unwrap()["swapped_names"]["renamed"][13]["label"], "a13");
}
