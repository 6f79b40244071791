//! Choices that can be checked by hand: costs are made up, and the choice is the one that gives up least.

use super::*;

const FULL: Costs =
    Costs { load: 1.0, first_step: 1.0, later_step: 1.0, first_row: 0.0, later_row: 0.0, checkpoint: 0.0 };

fn amounts() -> Amounts {
    Amounts {
        epoch_steps: 100,
        epochs: 3,
        max_steps: None,
        checkpoint_every: None,
        validation: 0,
        test: 0,
        reading: 2.0,
        layers: 6,
        labels: 2,
    }
}

fn open() -> Open {
    let kept = |max_length, kept| Length { max_length, kept };
    Open { depths: depths(6), lengths: vec![kept(128, 1.0), kept(64, 0.9)], fewest_epochs: 0 }
}

/// What a step of a shape takes on a machine that is as fast as guessed.
fn as_guessed(shape: Shape) -> Costs {
    guessed(FULL, shape.depth, if shape.max_length == 64 { 0.9 } else { 1.0 }, 6)
}

fn ask(seconds: f64, open: &Open, measured: &mut Vec<Shape>) -> Result<Way, DoesNotFit> {
    let measure = |shape: Shape| {
        measured.push(shape);
        Ok::<_, ()>(as_guessed(shape))
    };
    choose(&amounts(), open, || seconds, measure).unwrap()
}

#[test]
fn what_fits_gives_up_nothing_and_is_measured_once() {
    let mut measured = Vec::new();
    // 3 + 300 seconds, in nine tenths of the time.
    let way = ask(303.0 / 0.9 + 0.1, &open(), &mut measured).unwrap();
    assert_eq!((way.shape.depth, way.shape.max_length, way.passes), (Depth::AsSaid, 128, Passes::Epochs(3)));
    assert_eq!((measured.len(), way.seconds), (1, 303.0));
}

#[test]
fn less_time_gives_up_more_and_always_fits() {
    let mut last = 0.0;
    for seconds in [330.0, 250.0, 150.0, 100.0, 60.0, 40.0, 20.0] {
        let mut measured = Vec::new();
        let way = ask(seconds, &open(), &mut measured).unwrap();
        let given_up = sacrifice(&amounts(), &way);
        assert!(way.seconds <= 0.9 * seconds, "{seconds}: {way:?}");
        println!("{seconds}: {way:?} gives up {given_up}");
        assert!(given_up >= last && given_up > 0.0, "more time gave up {last}");
        assert!(measured.contains(&way.shape), "what is chosen was measured");
        last = given_up;
    }
}

#[test]
fn what_was_said_stays() {
    let only = |depths: Vec<Depth>, lengths: Vec<Length>, fewest_epochs| Open { depths, lengths, fewest_epochs };
    let Open { depths, lengths, .. } = open();
    let none = only(depths[..1].to_vec(), lengths[..1].to_vec(), 3);
    assert_eq!(ask(100.0, &none, &mut Vec::new()).unwrap_err().seconds, 303.0);
    let fewer_epochs = only(depths[..1].to_vec(), lengths[..1].to_vec(), 0);
    let way = ask(150.0, &fewer_epochs, &mut Vec::new()).unwrap();
    assert_eq!((way.shape.depth, way.passes), (Depth::AsSaid, Passes::Epochs(1)));
    let way = ask(100.0, &fewer_epochs, &mut Vec::new()).unwrap();
    assert_eq!(way.passes, Passes::Part(50));
    let two_at_least = only(depths[..1].to_vec(), lengths[..1].to_vec(), 2);
    assert_eq!(ask(230.0, &two_at_least, &mut Vec::new()).unwrap().passes, Passes::Epochs(2));
    assert_eq!(ask(220.0, &two_at_least, &mut Vec::new()).unwrap_err().seconds, 203.0);
    let less_depth = only(depths, lengths[..1].to_vec(), 3);
    let way = ask(250.0, &less_depth, &mut Vec::new()).unwrap();
    assert_eq!((way.shape.depth, way.passes), (Depth::Top(3), Passes::Epochs(3)));
}

#[test]
fn a_guess_that_was_wrong_is_left() {
    // Freezing helps less than guessed: half the layers moving takes as long as all.
    let mut measured = Vec::new();
    let measure = |shape: Shape| {
        measured.push(shape);
        let slow = matches!(shape.depth, Depth::Top(3));
        Ok::<_, ()>(if slow { FULL } else { as_guessed(shape) })
    };
    let Open { depths, lengths, .. } = open();
    let open = Open { depths, lengths: lengths[..1].to_vec(), fewest_epochs: 3 };
    let way = choose(&amounts(), &open, || 250.0, measure).unwrap().unwrap();
    assert_eq!(way.shape.depth, Depth::Top(2));
    assert_eq!(
        measured.iter().map(|shape| shape.depth).collect::<Vec<_>>(),
        [Depth::AsSaid, Depth::Top(3), Depth::Top(2)]
    );
}

#[test]
fn time_that_measuring_took_is_gone() {
    let left = std::cell::Cell::new(400.0);
    let measure = |shape: Shape| {
        left.set(left.get() - 100.0);
        Ok::<_, ()>(as_guessed(shape))
    };
    // 303 of 0.9 · 400 would fit; of what is left after one measurement it does not.
    let way = choose(&amounts(), &open(), || left.get(), measure).unwrap().unwrap();
    assert!(sacrifice(&amounts(), &way) > 0.0 && way.seconds <= 0.9 * left.get(), "{way:?}");
}

#[test]
fn seconds_count_everything() {
    let costs = Costs { load: 1.0, first_step: 2.0, later_step: 0.5, first_row: 0.1, later_row: 0.01, checkpoint: 3.0 };
    let amounts = Amounts { validation: 10, test: 20, ..amounts() };
    // Reading 2, load 1, steps 200 + 2 · 50, validation 1 + 2 · 0.1, checkpoints 3 · 3, and at the end 3 of 30 rows and 3 to write.
    assert!((seconds(&amounts, &costs, Passes::Epochs(3)) - (3.0 + 300.0 + 1.2 + 9.0 + 6.0)).abs() < 1e-9);
    assert!((seconds(&amounts, &costs, Passes::Part(50)) - (3.0 + 100.0 + 1.0 + 3.0 + 6.0)).abs() < 1e-9);
    // Of 300 steps 4 have a checkpoint of their own.
    let often = Amounts { checkpoint_every: Some(70), ..amounts };
    let more = seconds(&often, &costs, Passes::Epochs(3)) - seconds(&amounts, &costs, Passes::Epochs(3));
    assert!((more - 4.0 * 3.0).abs() < 1e-9);
    let limited = Amounts { max_steps: Some(150), ..amounts };
    assert!((seconds(&limited, &costs, Passes::Epochs(3)) - (3.0 + 225.0 + 1.1 + 6.0 + 6.0)).abs() < 1e-9);
}

#[test]
fn limits_keep_their_share_of_the_tokens() {
    let found = |rows: &[usize], said| lengths(rows, said).iter().map(|length| length.max_length).collect::<Vec<_>>();
    assert_eq!(found(&[], 128), [128]);
    // Nothing is cut that is not there: 16 keeps all, and is no limit worth less time.
    let rows: Vec<usize> = (0..100).map(|row| if row < 90 { 10 } else { 100 }).collect();
    for length in &lengths(&rows, 128)[1..] {
        let tokens: usize = rows.iter().map(|row| row.min(&length.max_length)).sum();
        assert!(
            (length.kept - tokens as f64 / 1900.0).abs() < 1e-12 && length.kept >= 0.7 && length.max_length % 8 == 0
        );
    }
    assert_eq!(found(&rows, 128), [128, 96, 72, 48]);
    assert_eq!(found(&[100; 9], 32), [32, 24]);
}

#[test]
fn depths_are_those_a_model_has() {
    use Depth::{AsSaid, Head, Top};
    assert_eq!(depths(12), [AsSaid, Top(6), Top(2), Top(1), Head]);
    assert_eq!(depths(6), [AsSaid, Top(3), Top(2), Top(1), Head]);
    assert_eq!(depths(4), [AsSaid, Top(2), Top(1), Head]);
    assert_eq!(depths(2), [AsSaid, Top(1), Head]);
    assert_eq!(depths(1), [AsSaid, Head]);
}

#[test]
fn budgets_are_times() {
    for (text, seconds) in [("20m", 1200), ("90s", 90), ("1h 30m", 5400), ("1h30m", 5400)] {
        assert_eq!(parse(text).map_err(|failure| failure.message).unwrap().as_secs(), seconds);
    }
    for (text, says) in [
        ("20", "--budget is \"20\": time unit needed"),
        ("soon", "--budget is \"soon\":"),
        ("", "--budget is \"\":"),
        ("9s", "--budget is 9s; it must be at least 10s"),
    ] {
        let failure = parse(text).unwrap_err();
        assert!(failure.message.starts_with(says) && !failure.message.contains('\n'), "{}", failure.message);
    }
}
