//! Schedules against transformers' lambdas and against the properties every schedule must have.

use super::*;

/// Steps at which the golden rows with 10 warm-up and 100 total steps were taken.
const STEPS: [u64; 12] = [0, 1, 4, 9, 10, 11, 20, 37, 55, 82, 99, 100];

/// Both sides evaluate the same formula in f64; a few roundings of values up to 1 may differ.
const TOLERANCE: f64 = 4.0 * f64::EPSILON;

#[track_caller]
fn check(kind: Kind, warmup_steps: u64, total_steps: u64, steps: &[u64], expected: &[f64]) {
    let schedule = Schedule { kind, warmup_steps, total_steps };
    assert_eq!(steps.len(), expected.len());
    for (&step, &want) in steps.iter().zip(expected) {
        let got = schedule.factor(step);
        assert!((got - want).abs() <= TOLERANCE, "{kind:?} step {step}: got {got}, expected {want}");
    }
}

/// Numbers from transformers 5.23.0, `optimization._get_*_lr_lambda` with 10 warm-up steps of 100.
#[test]
fn agrees_with_transformers() {
    let cosine = |minimum, cycles| Kind::Cosine { minimum, cycles };
    let rows: [(Kind, [f64; 12]); 6] = [
        (Kind::Constant, [0.0, 0.1, 0.4, 0.9, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        (
            Kind::Linear,
            [0.0, 0.1, 0.4, 0.9, 1.0, 0.9888888888888889, 0.8888888888888888, 0.7, 0.5, 0.2, 0.011111111111111112, 0.0],
        ),
        (
            cosine(0.0, 1),
            [
                0.0,
                0.1,
                0.4,
                0.9,
                1.0,
                0.9996954135095479,
                0.9698463103929542,
                0.7938926261462366,
                0.5,
                0.09549150281252633,
                0.00030458649045211894,
                0.0,
            ],
        ),
        (
            cosine(0.1, 1),
            [
                0.0,
                0.1,
                0.4,
                0.9,
                1.0,
                0.9997258721585931,
                0.9728616793536587,
                0.8145033635316129,
                0.55,
                0.18594235253127372,
                0.10027412784140691,
                0.1,
            ],
        ),
        (
            cosine(0.0, 3),
            [
                0.0,
                0.1,
                0.4,
                0.9,
                1.0,
                0.9972609476841366,
                0.75,
                0.02447174185242329,
                0.5,
                0.6545084971874732,
                0.0027390523158632996,
                0.0,
            ],
        ),
        (
            // lr_init 2e-5, lr_end 1e-6
            Kind::Polynomial { power: 2.0, minimum: 0.05 },
            [
                0.0,
                0.1,
                0.4,
                0.9,
                1.0,
                0.9790061728395063,
                0.8006172839506173,
                0.5155,
                0.2875,
                0.08799999999999998,
                0.05011728395061728,
                0.049999999999999996,
            ],
        ),
    ];
    for (kind, expected) in rows {
        check(kind, 10, 100, &STEPS, &expected);
    }
}

#[test]
fn agrees_with_transformers_without_warmup_and_with_nothing_else() {
    let steps = [0, 1, 2, 3, 4, 5, 6, 7];
    let linear = [
        1.0,
        0.8571428571428571,
        0.7142857142857143,
        0.5714285714285714,
        0.42857142857142855,
        0.2857142857142857,
        0.14285714285714285,
        0.0,
    ];
    check(Kind::Linear, 0, 7, &steps, &linear);
    let cosine = [
        1.0,
        0.9504844339512095,
        0.8117449009293668,
        0.6112604669781572,
        0.38873953302184283,
        0.18825509907063326,
        0.04951556604879048,
        0.0,
    ];
    check(Kind::Cosine { minimum: 0.0, cycles: 1 }, 0, 7, &steps, &cosine);
    check(Kind::Linear, 3, 3, &[0, 1, 2, 3, 4], &[0.0, 0.3333333333333333, 0.6666666666666666, 0.0, 0.0]);
}

fn kinds() -> Vec<(Kind, f64)> {
    vec![
        (Kind::Constant, 1.0),
        (Kind::Linear, 0.0),
        (Kind::Cosine { minimum: 0.0, cycles: 1 }, 0.0),
        (Kind::Cosine { minimum: 0.25, cycles: 4 }, 0.25),
        (Kind::Polynomial { power: 1.0, minimum: 0.0 }, 0.0),
        (Kind::Polynomial { power: 0.5, minimum: 0.3 }, 0.3),
        (Kind::Polynomial { power: 3.0, minimum: 1.0 }, 1.0),
    ]
}

#[test]
fn every_factor_is_within_bounds_and_ends_where_it_should() {
    for (kind, end) in kinds() {
        for (warmup_steps, total_steps) in [(0, 0), (0, 1), (1, 1), (3, 17), (17, 17), (20, 17), (100, 1000)] {
            let schedule = Schedule { kind, warmup_steps, total_steps };
            let last = total_steps.max(warmup_steps);
            for step in 0..last + 5 {
                let factor = schedule.factor(step);
                assert!((0.0..=1.0).contains(&factor), "{schedule:?} step {step}: {factor}");
            }
            for step in [last, last + 1, last + 1_000_000, u64::MAX] {
                assert_eq!(schedule.factor(step), end, "{schedule:?} step {step}");
            }
        }
    }
}

#[test]
fn warmup_meets_the_curve_at_the_peak_and_never_falls() {
    for (kind, _) in kinds() {
        let schedule = Schedule { kind, warmup_steps: 50, total_steps: 500 };
        for step in 0..50 {
            assert!(schedule.factor(step) < schedule.factor(step + 1), "{schedule:?} step {step}");
        }
        assert_eq!(schedule.factor(50), 1.0, "{schedule:?}");
        assert!((schedule.factor(49) - 1.0).abs() <= 1.0 / 50.0 + TOLERANCE, "{schedule:?}");
    }
}

#[test]
fn curves_without_restarts_never_rise_after_warmup() {
    for (kind, _) in kinds() {
        if matches!(kind, Kind::Cosine { cycles, .. } if cycles > 1) {
            continue;
        }
        let schedule = Schedule { kind, warmup_steps: 10, total_steps: 200 };
        for step in 10..220 {
            assert!(schedule.factor(step + 1) <= schedule.factor(step), "{schedule:?} step {step}");
        }
    }
}

#[test]
fn restarts_return_to_the_peak() {
    let schedule = Schedule { kind: Kind::Cosine { minimum: 0.2, cycles: 4 }, warmup_steps: 0, total_steps: 400 };
    for restart in [0, 100, 200, 300] {
        assert_eq!(schedule.factor(restart), 1.0);
    }
    assert!(schedule.factor(99) < 0.201);
}

/// Numbers from Python's `int(ratio * total)`.
#[test]
fn warmup_ratio_rounds_towards_zero() {
    let cases = [(0.1, 30, 3), (0.29, 100, 28), (0.06, 1234, 74), (0.1, 9, 0), (0.0, 50, 0), (1.0, 50, 50)];
    for (ratio, total, expected) in cases {
        assert_eq!(warmup_steps(ratio, total), expected, "{ratio} of {total}");
    }
    assert_eq!(warmup_steps(f64::NAN, 50), 0);
    assert_eq!(warmup_steps(-1.0, 50), 0);
}

#[test]
fn names_and_files_round_trip() {
    for name in ["constant", "linear", "cosine", "polynomial", "slanted-triangular", "one-cycle"] {
        let kind: Kind = name.parse().unwrap();
        assert_eq!(kind.name(), name);
        assert_eq!(kind.check(), Ok(()));
        let bare: Kind = serde_json::from_str(&format!("{{\"kind\":\"{name}\"}}")).unwrap();
        assert_eq!(bare, kind);
        let written = serde_json::to_string(&kind).unwrap();
        assert_eq!(serde_json::from_str::<Kind>(&written).unwrap(), kind);
    }
    let error = "cosinus".parse::<Kind>().unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown schedule \"cosinus\"; use constant, linear, cosine, polynomial, slanted-triangular or one-cycle"
    );
    assert!(serde_json::from_str::<Kind>("{\"kind\":\"cosine\",\"cycle\":2}").is_err());
}

#[test]
fn bad_numbers_are_refused() {
    let refused = [
        Kind::Cosine { minimum: -0.1, cycles: 1 },
        Kind::Cosine { minimum: f64::NAN, cycles: 1 },
        Kind::Cosine { minimum: 0.0, cycles: 0 },
        Kind::Polynomial { power: 0.0, minimum: 0.0 },
        Kind::Polynomial { power: f64::INFINITY, minimum: 0.0 },
        Kind::Polynomial { power: 1.0, minimum: 1.5 },
        Kind::SlantedTriangular { ratio: 1.0 },
        Kind::OneCycle { divisor: 0.5, final_divisor: 1.0 },
        Kind::OneCycle { divisor: 2.0, final_divisor: f64::NAN },
    ];
    for kind in refused {
        assert!(kind.check().is_err(), "{kind:?}");
    }
    let message = refused[2].check().unwrap_err().to_string();
    assert_eq!(message, "schedule cosine: cycles is 0; it must be at least 1");
}

/// Numbers from torch 2.9 `OneCycleLR(max_lr=1, total_steps=20, pct_start=0.3, cycle_momentum=False)`; 0.3 · 20 is 6 steps of rise.
#[test]
fn one_cycle_agrees_with_pytorch() {
    let steps: Vec<u64> = (0..20).collect();
    let expected = [
        0.040000000000000036,
        0.1316718427000253,
        0.3716718427000253,
        0.6683281572999747,
        0.9083281572999747,
        1.0,
        0.9874640062350873,
        0.9504846320134737,
        0.89091617757105,
        0.8117456539497631,
        0.7169430017913008,
        0.6112620219362893,
        0.500002,
        0.38874197806371075,
        0.28306099820869923,
        0.18825834605023697,
        0.10908782242895004,
        0.049519367986526286,
        0.012539993764912554,
        4e-06,
    ];
    check("one-cycle".parse().unwrap(), 6, 20, &steps, &expected);
    check("one-cycle".parse().unwrap(), 6, 20, &[20, 1000], &[4e-6, 4e-6]);
}

/// The formula of the paper by hand: cut 10 of 100 steps, ratio 32.
#[test]
fn slanted_triangular_follows_the_paper() {
    let at = |p: f64| (1.0 + p * 31.0) / 32.0;
    let expected =
        [1.0 / 32.0, at(0.1), at(0.9), 1.0, at(1.0 - 1.0 / 90.0), at(0.5), at(1.0 / 90.0), 1.0 / 32.0, 1.0 / 32.0];
    check("slanted-triangular".parse().unwrap(), 10, 100, &[0, 1, 9, 10, 11, 55, 99, 100, 500], &expected);
}

#[test]
fn curves_with_their_own_rise_stay_within_0_and_1_for_any_lengths() {
    for kind in ["slanted-triangular", "one-cycle"] {
        let kind: Kind = kind.parse().unwrap();
        for total in [0, 1, 2, 3, 10] {
            for warmup in 0..=total {
                let schedule = Schedule { kind, warmup_steps: warmup, total_steps: total };
                for step in 0..total + 2 {
                    let factor = schedule.factor(step);
                    assert!((0.0..=1.0).contains(&factor), "{kind:?} {warmup} of {total}, step {step}: {factor}");
                }
            }
        }
    }
}
