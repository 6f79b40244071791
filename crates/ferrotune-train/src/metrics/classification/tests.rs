//! Metrics against scikit-learn 1.9.1: `accuracy_score`, `f1_score(average="macro", zero_division=0)`,
//! `matthews_corrcoef`, `precision_recall_fscore_support(labels=range(n), zero_division=0)`.

use super::*;

/// Both sides divide the same whole numbers and add a few quotients up to 1.
const TOLERANCE: f64 = 8.0 * f64::EPSILON;

#[derive(Default)]
struct Golden {
    accuracy: f64,
    f1_macro: f64,
    mcc: f64,
    precision: Vec<f64>,
    recall: Vec<f64>,
    f1: Vec<f64>,
    support: Vec<u64>,
}

#[track_caller]
fn near(name: &str, got: f64, want: f64) {
    assert!((got - want).abs() <= TOLERANCE, "{name}: got {got}, expected {want}");
}

#[track_caller]
fn check_confusion(confusion: &Confusion, golden: &Golden) {
    let names: Vec<String> = (0..confusion.classes()).map(|class| format!("class {class}")).collect();
    let report = confusion.report(0.5, &names);
    near("accuracy", report.accuracy, golden.accuracy);
    near("f1_macro", report.f1_macro, golden.f1_macro);
    near("mcc", report.mcc, golden.mcc);
    assert_eq!(report.per_class.len(), golden.support.len());
    for (class, metrics) in report.per_class.iter().enumerate() {
        assert_eq!(metrics.name, names[class]);
        near("precision", metrics.precision, golden.precision[class]);
        near("recall", metrics.recall, golden.recall[class]);
        near("f1", metrics.f1, golden.f1[class]);
        assert_eq!(metrics.support, golden.support[class]);
    }
    assert_eq!(report.rows, golden.support.iter().sum::<u64>());
    assert_eq!(report.confusion.iter().flatten().sum::<u64>(), report.rows);
}

#[track_caller]
fn check(labels: &[usize], predictions: &[usize], golden: Golden) {
    let mut confusion = Confusion::new(golden.support.len());
    assert_eq!(labels.len(), predictions.len());
    labels.iter().zip(predictions).for_each(|(&label, &prediction)| confusion.add(label, prediction));
    check_confusion(&confusion, &golden);
}

#[test]
fn two_classes() {
    let each = vec![0.5, 0.6666666666666666];
    check(
        &[1, 0, 1, 1, 0, 1, 0, 0, 1, 1],
        &[1, 0, 0, 1, 1, 1, 0, 1, 1, 0],
        Golden {
            accuracy: 0.6,
            f1_macro: 0.5833333333333333,
            mcc: 0.16666666666666666,
            precision: each.clone(),
            recall: each.clone(),
            f1: each,
            support: vec![4, 6],
        },
    );
}

#[test]
fn many_classes() {
    let matrix = [
        [127, 11, 6, 6, 14, 8],
        [7, 124, 14, 4, 12, 4],
        [10, 4, 128, 11, 11, 8],
        [8, 5, 10, 132, 7, 9],
        [17, 11, 9, 6, 124, 2],
        [5, 8, 4, 10, 8, 116],
    ];
    let mut confusion = Confusion::new(6);
    for (label, row) in matrix.iter().enumerate() {
        for (prediction, &count) in row.iter().enumerate() {
            (0..count).for_each(|_| confusion.add(label, prediction));
        }
    }
    assert_eq!(confusion.matrix(), matrix.map(Vec::from).to_vec());
    let golden = Golden {
        accuracy: 0.751,
        f1_macro: 0.7517319917046508,
        mcc: 0.7010863501851413,
        precision: vec![
            0.7298850574712644,
            0.7607361963190185,
            0.7485380116959064,
            0.7810650887573964,
            0.7045454545454546,
            0.7891156462585034,
        ],
        recall: vec![
            0.7383720930232558,
            0.7515151515151515,
            0.7441860465116279,
            0.7719298245614035,
            0.7337278106508875,
            0.7682119205298014,
        ],
        f1: vec![
            0.7341040462427746,
            0.7560975609756098,
            0.7463556851311953,
            0.7764705882352941,
            0.7188405797101449,
            0.7785234899328859,
        ],
        support: vec![172, 165, 172, 171, 169, 151],
    };
    check_confusion(&confusion, &golden);
}

/// A class in neither labels nor predictions does not count for macro F1; one in either does.
#[test]
fn absent_classes() {
    let two_of_four = vec![0.6666666666666666, 0.6666666666666666, 0.0, 0.0];
    check(
        &[0, 0, 1, 1, 1, 0],
        &[0, 1, 1, 1, 0, 0],
        Golden {
            accuracy: 0.6666666666666666,
            f1_macro: 0.6666666666666666,
            mcc: 0.3333333333333333,
            precision: two_of_four.clone(),
            recall: two_of_four.clone(),
            f1: two_of_four,
            support: vec![3, 3, 0, 0],
        },
    );
    let predicted_only = Golden {
        accuracy: 0.75,
        f1_macro: 0.5555555555555555,
        mcc: 0.6708203932499369,
        precision: vec![1.0, 1.0, 0.0],
        recall: vec![0.5, 1.0, 0.0],
        f1: vec![0.6666666666666666, 1.0, 0.0],
        support: vec![2, 2, 0],
    };
    check(&[0, 0, 1, 1], &[0, 2, 1, 1], predicted_only);
    let labelled_only = Golden {
        accuracy: 0.75,
        f1_macro: 0.5555555555555555,
        mcc: 0.6708203932499369,
        precision: vec![1.0, 0.5, 0.0],
        recall: vec![1.0, 1.0, 0.0],
        f1: vec![1.0, 0.6666666666666666, 0.0],
        support: vec![2, 1, 1],
    };
    check(&[0, 0, 1, 2], &[0, 0, 1, 1], labelled_only);
}

#[test]
fn degenerate_cases() {
    let one_class = Golden {
        accuracy: 1.0,
        f1_macro: 1.0,
        mcc: 0.0,
        precision: vec![0.0, 1.0],
        recall: vec![0.0, 1.0],
        f1: vec![0.0, 1.0],
        support: vec![0, 3],
    };
    check(&[1, 1, 1], &[1, 1, 1], one_class);
    let constant_answer = Golden {
        accuracy: 0.5,
        f1_macro: 0.3333333333333333,
        mcc: 0.0,
        precision: vec![0.0, 0.5],
        recall: vec![0.0, 1.0],
        f1: vec![0.0, 0.6666666666666666],
        support: vec![2, 2],
    };
    check(&[1, 0, 1, 0], &[1, 1, 1, 1], constant_answer);
    let none = vec![0.0, 0.0];
    let all_wrong = Golden {
        mcc: -1.0,
        precision: none.clone(),
        recall: none.clone(),
        f1: none.clone(),
        support: vec![2, 2],
        ..Golden::default()
    };
    check(&[1, 0, 1, 0], &[0, 1, 0, 1], all_wrong);
    let all = vec![1.0, 1.0, 1.0];
    let all_right = Golden {
        accuracy: 1.0,
        f1_macro: 1.0,
        mcc: 1.0,
        precision: all.clone(),
        recall: all.clone(),
        f1: all,
        support: vec![1, 2, 1],
    };
    check(&[0, 1, 2, 1], &[0, 1, 2, 1], all_right);
    // No rows: scikit-learn refuses or answers NaN; here every number is 0 by our own definition.
    check(
        &[],
        &[],
        Golden { precision: none.clone(), recall: none.clone(), f1: none, support: vec![0, 0], ..Golden::default() },
    );
}

#[test]
#[should_panic(expected = "prediction 2, expected both below 2")]
fn a_class_number_out_of_range_is_named() {
    Confusion::new(2).add(1, 2);
}

#[test]
fn the_report_has_exactly_these_keys_and_reads_back() {
    let mut confusion = Confusion::new(2);
    confusion.add(0, 1);
    let names = ["no".to_string(), "yes".to_string()];
    let report = confusion.report(0.1 + 0.2, &names);
    let text = serde_json::to_string(&report).unwrap();
    let expected = "{\"accuracy\":0.0,\"f1_macro\":0.0,\"mcc\":0.0,\"loss\":0.30000000000000004,\"per_class\":[\
        {\"name\":\"no\",\"precision\":0.0,\"recall\":0.0,\"f1\":0.0,\"support\":1},\
        {\"name\":\"yes\",\"precision\":0.0,\"recall\":0.0,\"f1\":0.0,\"support\":0}],\
        \"confusion\":[[0,1],[0,0]],\"rows\":1}";
    assert_eq!(text, expected);
    assert_eq!(serde_json::from_str::<ClassificationReport>(&text).unwrap(), report);
    let not_finite = serde_json::to_string(&confusion.report(f64::NAN, &names)).unwrap();
    assert!(not_finite.contains("\"loss\":null"));
    assert!(serde_json::from_str::<ClassificationReport>(&not_finite).unwrap().loss.is_nan());
}
