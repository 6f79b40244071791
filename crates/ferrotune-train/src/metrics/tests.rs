//! Names, directions and values of metrics.

use super::*;

#[test]
fn metric_names_directions_and_values() {
    for (n, metric) in MetricName::ALL.into_iter().enumerate() {
        let summary = Summary { values: vec![(MetricName::Loss, -1.0), (metric, n as f64)], rows: 5 };
        let name = metric.name();
        assert_eq!(name.parse::<MetricName>().unwrap(), metric);
        assert_eq!(metric.to_string(), name);
        assert_eq!(serde_json::to_string(&metric).unwrap(), format!("\"{name}\""));
        let value = if metric == MetricName::Loss { -1.0 } else { n as f64 };
        assert_eq!(summary.value(metric), value);
        let higher = !["loss", "perplexity", "mse", "mae"].contains(&name);
        assert_eq!(metric.better(0.9, 0.8), higher);
        assert_eq!(metric.better(0.8, 0.9), !higher);
        assert!(!metric.better(0.8, 0.8));
        assert!(!metric.better(f64::NAN, 0.8));
        assert!(!metric.better(f64::NAN, f64::NAN));
        assert!(metric.better(0.8, f64::NAN));
    }
    let unknown = "f2".parse::<MetricName>().unwrap_err().to_string();
    assert!(unknown.starts_with("unknown metric \"f2\"; use loss, perplexity, accuracy, f1_macro, mcc"), "{unknown}");
}

#[test]
#[should_panic(expected = "no mcc among")]
fn a_metric_that_the_task_does_not_have_is_named() {
    Summary { values: vec![(MetricName::Loss, 1.0)], rows: 1 }.value(MetricName::Mcc);
}
