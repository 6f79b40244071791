//! Tables `[search]` that are read, and what is said of those that are not.

use super::*;

fn base(text: &str) -> Base {
    let text = format!("model = 'm'\ntrain = 't.csv'\noutput = 'o'\n{text}");
    let table: toml::Table = text.parse().unwrap();
    Base::new(from_table(table, "f").map_err(|f| f.message).unwrap(), TrainSettings::default())
}

/// Reads a table and looks at its values over settings.
fn read(said: &str, text: &str) -> Result<(Base, Space), String> {
    let base = base(said);
    let table: toml::Table = text.parse().unwrap();
    let space = space(&table, "f.toml").map_err(|failure| failure.message)?;
    let baseline = base.baseline(&space).map_err(|failure| failure.message)?;
    check(&space, &baseline, |chosen| base.with(&space, chosen).map(drop)).map_err(|failure| failure.message)?;
    Ok((base, space))
}

#[test]
fn every_kind_of_parameter_is_read() {
    let (base, space) = read(
        "",
        "lr = { low = 1e-5, high = 5e-4, log = true }
         epochs = { low = 2, high = 5, points = 2 }
         freeze = ['none', 'layers.4']
         momentum = { low = 0, high = 0.9, when = { optimizer = 'sgd' } }
         optimizer = ['adamw', 'sgd']
         weight-decay = [0, 0.01]
         lora-rank = ['none', 4, 8]
         lora-dropout = { values = [0.0, 0.1], when = { lora-rank = [4, 8] } }",
    )
    .unwrap();
    let lines: Vec<String> = space.parameters().iter().map(|it| format!("{}: {}", it.name, shown(it))).collect();
    assert_eq!(
        lines,
        [
            "epochs: 2 to 5",
            "freeze: none | layers.4",
            "lora-rank: none | 4 | 8",
            "lora-dropout: 0 | 0.1, when lora-rank is 4 or 8",
            "lr: 1e-5 to 5e-4, log",
            "optimizer: adamw | sgd",
            "momentum: 0 to 0.9, when optimizer is sgd",
            "weight-decay: 0 | 0.01",
        ]
    );
    let baseline = base.baseline(&space).map_err(|f| f.message).unwrap();
    assert_eq!(
        ferrotune_train::search::space::shown(&baseline),
        "epochs 3, freeze none, lora-rank none, lr 2e-5, optimizer adamw, weight-decay 0.01"
    );
    assert_eq!(
        base.with(&space, &baseline).map_err(|f| f.message).unwrap().settings,
        base.alone().map_err(|f| f.message).unwrap().settings,
        "the first trial is the run as it was said"
    );
}

#[test]
fn a_trial_has_what_was_chosen_and_nothing_that_was_not() {
    let table = "optimizer = ['adamw', 'sgd']\nmomentum = { low = 0.5, high = 0.9, when = { optimizer = 'sgd' } }";
    let (base, space) = read("optimizer = 'sgd'\nmomentum = 0.6\nlr = 0.01", table).unwrap();
    let chosen = |optimizer: &str| Settings::from([("optimizer".to_string(), Value::Text(optimizer.to_string()))]);
    // The momentum that was said would not go with adamw.
    let adamw = base.with(&space, &chosen("adamw")).map_err(|f| f.message).unwrap();
    assert_eq!((adamw.settings.momentum, adamw.settings.lr), (None, Some(0.01)));
    let baseline = base.baseline(&space).map_err(|f| f.message).unwrap();
    assert_eq!(base.with(&space, &baseline).map_err(|f| f.message).unwrap().settings.momentum, Some(0.6));
}

#[test]
fn the_usual_space_leaves_out_what_was_said() {
    let names = |said: &str| -> Vec<String> {
        let base = base(said);
        let space = usual_space(&base.said, trains_few(&base)).map_err(|f| f.message).unwrap();
        space.parameters().iter().map(|parameter| parameter.name.clone()).collect()
    };
    assert_eq!(names(""), ["batch-size", "epochs", "lr", "warmup", "weight-decay"]);
    assert_eq!(names("lr = 1e-4\nbatch-size = 8"), ["epochs", "warmup", "weight-decay"]);
    let few = usual_space(&base("bitfit = 'on'").said, trains_few(&base("bitfit = 'on'"))).map_err(|f| f.message);
    assert_eq!(shown(&few.unwrap().parameters()[2]), "1e-4 to 0.005, log");
    let all = base("lr = 1e-4\nbatch-size = 8\nepochs = 2\nwarmup = 0.0\nweight-decay = 0.0");
    assert!(usual_space(&all.said, false).unwrap_err().message.starts_with("all settings that are searched"));
}

/// Settings that may differ between the trials of a study: how is learned, not of what rows.
const SEARCHED: &[&str] = &[
    "max-length",
    "long-texts",
    "lr",
    "batch-size",
    "micro-batch",
    "max-tokens",
    "epochs",
    "max-steps",
    "optimizer",
    "momentum",
    "loss",
    "focal-gamma",
    "huber-delta",
    "schedule",
    "warmup",
    "layer-lr-decay",
    "head-lr",
    "minimum-lr",
    "cycles",
    "power",
    "weight-decay",
    "l1",
    "l2",
    "l2-sp",
    "clip",
    "label-smoothing",
    "class-weights",
    "ema",
    "average-best",
    "balanced-sampling",
    "freeze",
    "dropout",
    "attention-dropout",
    "classifier-dropout",
    "lora-rank",
    "lora-alpha",
    "lora-dropout",
    "lora-targets",
    "bitfit",
    "gradual-unfreezing",
    "reinit-layers",
    "patience",
];

#[test]
fn every_setting_is_searched_or_the_same_in_all_trials() {
    for key in TrainSettings::keys() {
        let [fixed, searched] = [FIXED, SEARCHED].map(|keys| keys.contains(&key.as_str()));
        assert!(fixed != searched, "{key}: list it in FIXED of parse.rs, or, if a trial heeds it, in SEARCHED here");
    }
}

#[test]
fn mistakes_are_named() {
    for (said, table, expected) in [
        ("", "", "f.toml: [search] is empty"),
        ("", "lerning-rate = [1]", "f.toml: [search]: unknown key `lerning-rate`; did you mean"),
        ("", "model = ['a', 'b']", "f.toml: [search] model: it is the same in all trials of a study"),
        ("", "seed = [1, 2]", "f.toml: [search] seed: it is the same in all trials"),
        ("", "train-share = [0.5, 1.0]", "f.toml: [search] train-share: it is the same in all trials"),
        ("", "lr = 1e-4", "f.toml: [search] lr: 0.0001 is one value; write a list of values, or { low = .., high"),
        ("", "lr = { low = 1e-4 }", "f.toml: [search] lr: `high` is missing"),
        (
            "",
            "lr = { low = 1e-4, hihg = 1 }",
            "f.toml: [search] lr: its table: unknown key `hihg`; did you mean `high`?",
        ),
        ("", "lr = { low = 1e-3, high = 1e-4 }", "f.toml: [search] lr: low is 0.001 and high 1e-4; low must be below"),
        ("", "lr = { low = 0, high = 1e-4, log = true }", "f.toml: [search] lr: low is 0; with log = true it must be"),
        ("", "lr = { low = 0.1, high = inf }", "f.toml: [search] lr: high is inf, no number"),
        ("", "lr = { low = 0.1, high = 0.2, log = 1 }", "f.toml: [search] lr: log is 1; write true or false"),
        ("", "lr = ['fast']", "f.toml: [search] lr: \"fast\": invalid type: string \"fast\", expected f64"),
        ("", "lr = [0.1, 0.1]", "f.toml: [search] lr: 0.1 is there twice"),
        ("", "lr = []", "f.toml: [search] lr: the list is empty"),
        ("", "lr = [[0.1]]", "f.toml: [search] lr: [0.1]: invalid type"),
        ("", "epochs = { low = 1, high = 2.5 }", "f.toml: [search] epochs: high is 2.5; it takes whole numbers"),
        ("", "epochs = { low = -1, high = 2 }", "f.toml: [search] epochs: low: invalid value: integer `-1`"),
        ("", "epochs = { low = 1, high = 2, points = 0 }", "f.toml: [search] epochs: points is 0; it must be"),
        (
            "",
            "epochs = { values = [1, 2], low = 1 }",
            "f.toml: [search] epochs: `values` lists what it may be; leave `low`",
        ),
        ("", "freeze = { low = 1, high = 2 }", "f.toml: [search] freeze: its values are names; write a list"),
        ("", "optimizer = ['adam']", "f.toml: [search] optimizer: \"adam\": unknown variant `adam`, expected"),
        ("", "momentum = { low = 0, high = 0.9, when = 'sgd' }", "f.toml: [search] momentum: when is \"sgd\"; write"),
        (
            "",
            "momentum = { low = 0, high = 0.9, when = { optimizer = 'sgd' } }",
            "f.toml: [search] momentum: when names optimizer, which is not searched",
        ),
        ("", "momentum = [0.5, 0.9]", "[search] momentum = 0.5: --momentum belongs to --optimizer sgd"),
        ("", "dropout = { low = 0, high = 1.5 }", "[search] dropout = 1.5: --dropout is 1.5; it must be at least 0"),
        (
            "",
            "max-length = { low = 1, high = 64 }",
            "[search] max-length = 1: --max-length is 1; it must be at least 3",
        ),
        ("lora-rank = 4", "bitfit = ['on', 'off']", "[search] bitfit = on: --lora-rank trains adapters and --bitfit"),
    ] {
        let message = read(said, table).map(drop).unwrap_err();
        assert!(message.starts_with(expected) && !message.contains('\n'), "{table}: {message}");
    }
    // Alone the highest would not fit; with as many epochs it does.
    assert!(read("", "epochs = { low = 3, high = 6 }\naverage-best = { low = 2, high = 5 }").is_ok());
}
