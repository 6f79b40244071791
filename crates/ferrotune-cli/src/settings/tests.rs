//! What settings become, and every mistake with its message.

use super::*;
use crate::args::RecipeName;
use crate::settings::recipes;
use ferrotune_optim::schedule::Kind;

fn parse(text: &str, file: &str) -> Result<TrainSettings, Failure> {
    parse_with_search(text, file).map(|(settings, _)| settings)
}

fn base() -> TrainSettings {
    parse("model = 'm'\ntrain = 't.csv'\noutput = 'o'", "f").map_err(|f| f.message).unwrap()
}

fn error(text: &str) -> String {
    let parsed = parse(text, "f.toml").and_then(|file| resolve(merge(file, base()), TrainSettings::default()));
    parsed.map(|_| ()).unwrap_err().message
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let file = parse("lr = 1e-4\nepochs = 5\nschedule = 'cosine'", "f").map_err(|f| f.message).unwrap();
    let typed = TrainSettings { epochs: Some(7), ..base() };
    let run = check(merge(typed, file)).map_err(|f| f.message).unwrap();
    let numbers = run.numbers;
    assert_eq!((numbers.learning_rate, numbers.epochs, numbers.batch_size), (1e-4, 7, 32));
    assert_eq!(numbers.schedule, Kind::Cosine { minimum: 0.0, cycles: 1 });
}

#[test]
fn a_recipe_lies_between_what_is_said_and_the_defaults() {
    let file = parse("recipe = 'stable'\nepochs = 4", "f").map_err(|f| f.message).unwrap();
    let stable = || recipes::settings(RecipeName::Stable);
    let run = resolve(merge(file, base()), stable()).map_err(|f| f.message).unwrap();
    assert_eq!((run.numbers.epochs, run.numbers.batch_size, run.max_length), (4, 16, 128));
    // The file of a finished run names the recipe and every value; reading it again gives the same run.
    let written = toml::to_string(&run.settings).unwrap();
    let again = parse(&written, "f").map_err(|f| f.message).unwrap();
    assert_eq!(with_defaults(merge(again, stable())), run.settings);
}

#[test]
fn a_share_is_held_out_where_no_validation_is_named() {
    let of = |text: &str| {
        let file = parse(text, "f").map_err(|f| f.message).unwrap();
        let run = resolve(merge(file, base()), TrainSettings::default()).map_err(|f| f.message).unwrap();
        (run.held_out.map(|held_out| (held_out.share, held_out.seed)), run.settings)
    };
    for (text, expected) in [
        ("", Some((0.1, 0))),
        ("seed = 7", Some((0.1, 7))),
        ("seed = 7\nvalidation-seed = 3\nvalidation-share = 0.25\npatience = 1", Some((0.25, 3))),
        ("validation-share = 0", None),
        ("validation = 'v'\npatience = 1", None),
    ] {
        let (held_out, settings) = of(text);
        assert_eq!(held_out, expected, "{text}");
        // The file of a finished run gives the same run again.
        assert_eq!(of(&toml::to_string(&settings).unwrap()), (expected, settings), "{text}");
    }
}

#[test]
fn learning_from_all_rows_passes_over_what_a_file_says_of_those_held_out() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "lr = 1e-4\nmetric = 'mcc'\nvalidation-share = 0.1\nvalidation-seed = 3").unwrap();
    let typed = TrainSettings { validation_share: Some(0.0), ..base() };
    let said = said(typed, Some(file.path())).map_err(|f| f.message).unwrap();
    let run = resolve(said, TrainSettings::default()).map_err(|f| f.message).unwrap();
    assert_eq!((run.held_out, run.numbers.learning_rate), (None, 1e-4));
}

#[test]
fn mistakes_are_named() {
    for (text, expected) in [
        ("lerning-rate = 1", "f.toml: unknown key `lerning-rate`; did you mean"),
        ("batch_size = 3", "f.toml: unknown key `batch_size`; did you mean `batch-size`?"),
        ("lr = 0", "--lr is 0; it must be above 0"),
        ("lr = nan", "--lr is NaN"),
        ("layer-lr-decay = 1.1", "--layer-lr-decay is 1.1; it must be above 0 and at most 1"),
        ("head-lr = 0", "--head-lr is 0; it must be above 0"),
        ("minimum-lr = 0.1\nschedule = 'one-cycle'", "--minimum-lr belongs to --schedule cosine or polynomial"),
        ("lora-alpha = 2", "--lora-alpha, --lora-dropout and --lora-targets belong to --lora-rank"),
        ("lora-dropout = 0.1", "--lora-alpha, --lora-dropout and --lora-targets belong to --lora-rank"),
        ("lora-rank = 4\nlora-dropout = 1.0", "--lora-dropout is 1; it must be at least 0 and below 1"),
        ("lora-rank = 4\nlora-dropout = nan", "--lora-dropout is NaN; it must be at least 0 and below 1"),
        ("lora-rank = 0", "--lora-rank is 0; it must be between 1 and 1024"),
        ("lora-rank = 4\nlora-targets = 'query,keys'", "--lora-targets: `keys` is none of query, key,"),
        ("lora-rank = 4\nbitfit = 'on'", "--lora-rank trains adapters and --bitfit biases"),
        ("ema = 1", "--ema is 1; it must be above 0 and below 1"),
        ("ema = 0", "--ema is 0; it must be above 0 and below 1"),
        ("ema = nan", "--ema is NaN; it must be above 0 and below 1"),
        ("average-best = 1\nvalidation = 'v'", "--average-best is 1; it must be at least 2"),
        ("average-best = 4\nvalidation = 'v'", "--average-best is 4, and --epochs 3: no more epochs than there are"),
        ("average-best = 2\nvalidation-share = 0", "--average-best needs validation rows"),
        ("on-degenerate = 'stop'", "f.toml: unknown variant"),
        ("seeds = 1", "--seeds is 1; it must be between 2 and 1000"),
        ("seeds = 3\non-degenerate = 'restart'", "--on-degenerate restart goes on with the next seed"),
        ("train-share = 0", "--train-share is 0; it must be above 0 and at most 1"),
        ("train-share = nan", "--train-share is NaN"),
        ("train-share-seed = 1", "--train-share-seed belongs to --train-share"),
        ("learning-curve = '50,100'\ntrain-share = 0.5", "--learning-curve trains with several shares of the rows"),
        ("learning-curve = '50,100'\nseeds = 2", "--learning-curve trains with several shares of the rows"),
        ("l2-sp = -1", "--l2-sp is -1; it must be between 0 and 1000"),
        ("l2-sp = 0.1\nlora-rank = 4", "--l2-sp pulls pretrained weights back, and with --lora-rank"),
        ("l2-sp = 0.1\nbitfit = 'on'", "--l2-sp pulls pretrained weights back, and with --bitfit"),
        ("dropout = 1.0", "--dropout is 1; it must be at least 0 and below 1"),
        ("warmup = 1.5", "--warmup is 1.5; it must be a share"),
        ("epochs = 0", "--epochs is 0; it must be a whole number of at least 1"),
        ("max-tokens = 0", "--max-tokens is 0; it must be a whole number of at least 1"),
        ("micro-batch = 64", "--micro-batch is 64; it must be at most --batch-size"),
        ("cycles = 2", "--cycles belongs to --schedule cosine"),
        ("momentum = 0.5", "--momentum belongs to --optimizer sgd"),
        ("metric = 'mcc'\nvalidation-share = 0", "--metric chooses the best epoch by validation rows"),
        ("text-b-column = 'b'", "--text-b-column names the second text of a pair"),
        ("momentum = 1\noptimizer = 'sgd'", "--momentum is 1; it must be at least 0 and below 1"),
        ("validation-share = 0\nvalidation-seed = 4", "--validation-seed belongs to --validation-share"),
        ("patience = 2\nvalidation-share = 0", "--patience needs validation rows"),
        ("validation-share = 0.6", "--validation-share is 0.6; it must be between 0 (none) and 0.5"),
        ("validation-share = nan", "--validation-share is NaN"),
        ("validation = 'v'\nvalidation-share = 0.1", "--validation-share and --validation both"),
        ("validation = 'v'\nvalidation-seed = 1", "--validation-seed belongs to --validation-share"),
        ("prefix-cache = 'off'\nprefix-cache-dir = 'd'", "--prefix-cache-dir names a folder"),
        ("lr = 'fast'", "f.toml: invalid type"),
        (
            "balanced-sampling = true",
            "f.toml: `balanced-sampling` is true; write \"on\" or \"off\", with quotation marks",
        ),
        ("report = false", "f.toml: `report` is false; write \"on\" or \"off\""),
        ("lr = true", "f.toml: invalid type"),
        ("lr = ", "f.toml is not valid TOML"),
    ] {
        let message = error(text);
        assert!(message.starts_with(expected), "{text}: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}
