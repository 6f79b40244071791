//! What the server counts, and how Prometheus reads it. Labels have few values, whatever is sent. It must not know requests or the model.

use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// The paths that are told apart; the last stands for all others.
const PATHS: [&str; 6] = ["/predict", "/livez", "/readyz", "/info", "/metrics", "other"];
/// The statuses that are told apart; the last stands for all others.
const STATUSES: [u16; 14] = [200, 400, 401, 404, 405, 408, 413, 415, 422, 429, 500, 503, 504, 0];
/// Upper ends of the histogram of latencies, in milliseconds.
const ENDS: [u64; 14] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000];

/// The counters.
#[derive(Default)]
pub struct Metrics {
    responses: [[AtomicU64; STATUSES.len()]; PATHS.len()],
    latency: [AtomicU64; ENDS.len() + 1],
    latency_micros: AtomicU64,
    /// Rows that were answered.
    pub rows: AtomicU64,
    /// Tokens that went through the model.
    pub tokens: AtomicU64,
    /// Times that rows went through the model together.
    pub batches: AtomicU64,
    /// Requests that nobody waited for any more, so that nothing more was computed for them.
    pub dropped: AtomicU64,
    /// Computations that failed.
    pub failures: AtomicU64,
    /// Open connections.
    pub connections: AtomicI64,
}

/// Adds to a counter.
pub fn add(counter: &AtomicU64, number: usize) {
    counter.fetch_add(number as u64, Ordering::Relaxed);
}

impl Metrics {
    /// Counts a response.
    pub fn response(&self, path: &str, status: u16) {
        let path = PATHS.iter().position(|&known| known == path).unwrap_or(PATHS.len() - 1);
        let status = STATUSES.iter().position(|&known| known == status).unwrap_or(STATUSES.len() - 1);
        add(&self.responses[path][status], 1);
    }

    /// Counts the time that an answer with predictions took.
    pub fn answered_within(&self, time: Duration) {
        let millis = time.as_secs_f64() * 1000.0;
        let bucket = ENDS.iter().position(|&end| millis <= end as f64).unwrap_or(ENDS.len());
        add(&self.latency[bucket], 1);
        add(&self.latency_micros, time.as_micros() as usize);
    }

    /// All of it, in the text format 0.0.4 of Prometheus.
    pub fn text(&self, waiting: usize, version: &str) -> String {
        let mut text = String::new();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let head = |text: &mut String, name: &str, kind: &str, help: &str| {
            let _ = write!(text, "# HELP ferrotune_{name} {help}\n# TYPE ferrotune_{name} {kind}\n");
        };
        head(&mut text, "build_info", "gauge", "The version that serves.");
        let _ = writeln!(text, "ferrotune_build_info{{version=\"{version}\"}} 1");
        head(&mut text, "responses_total", "counter", "Responses by path and status.");
        for (path, by_status) in PATHS.iter().zip(&self.responses) {
            for (status, counter) in STATUSES.iter().zip(by_status).filter(|(_, counter)| count(counter) > 0) {
                let status = if *status == 0 { "other".to_string() } else { status.to_string() };
                let responses = count(counter);
                let _ = writeln!(text, "ferrotune_responses_total{{path=\"{path}\",status=\"{status}\"}} {responses}");
            }
        }
        for (name, counter, help) in [
            ("rows_total", &self.rows, "Rows that were answered."),
            ("tokens_total", &self.tokens, "Tokens that went through the model."),
            ("batches_total", &self.batches, "Times that rows went through the model together."),
            ("dropped_total", &self.dropped, "Requests that were given up because nobody waited for them any more."),
            ("failures_total", &self.failures, "Computations that failed."),
        ] {
            head(&mut text, name, "counter", help);
            let _ = writeln!(text, "ferrotune_{name} {}", count(counter));
        }
        let connections = self.connections.load(Ordering::Relaxed);
        for (name, number, help) in [
            ("waiting_requests", waiting as i64, "Requests that wait for the model."),
            ("connections", connections, "Open connections."),
        ] {
            head(&mut text, name, "gauge", help);
            let _ = writeln!(text, "ferrotune_{name} {number}");
        }
        let name = "predict_seconds";
        head(&mut text, name, "histogram", "Time from the header of a request to its predictions.");
        let mut sum = 0;
        for (end, bucket) in ENDS.iter().zip(&self.latency) {
            sum += count(bucket);
            let _ = writeln!(text, "ferrotune_{name}_bucket{{le=\"{}\"}} {sum}", *end as f64 / 1000.0);
        }
        sum += count(&self.latency[ENDS.len()]);
        let _ = writeln!(text, "ferrotune_{name}_bucket{{le=\"+Inf\"}} {sum}");
        let _ = writeln!(text, "ferrotune_{name}_sum {}", count(&self.latency_micros) as f64 / 1e6);
        let _ = writeln!(text, "ferrotune_{name}_count {sum}");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_few_and_buckets_add_up() {
        let metrics = Metrics::default();
        for n in 0..1000 {
            metrics.response(&format!("/{n}"), 200 + n);
        }
        metrics.response("/predict", 200);
        for millis in [0, 1, 3, 40_000] {
            metrics.answered_within(Duration::from_millis(millis));
        }
        let text = metrics.text(7, "1.2.3");
        assert!(
            text.lines().filter(|line| line.starts_with("ferrotune_responses_total")).count() <= STATUSES.len() + 1,
            "{text}"
        );
        for line in [
            "ferrotune_responses_total{path=\"/predict\",status=\"200\"} 1",
            "ferrotune_waiting_requests 7",
            "ferrotune_predict_seconds_bucket{le=\"0.001\"} 2",
            "ferrotune_predict_seconds_bucket{le=\"0.005\"} 3",
            "ferrotune_predict_seconds_bucket{le=\"30\"} 3",
            "ferrotune_predict_seconds_bucket{le=\"+Inf\"} 4",
            "ferrotune_predict_seconds_sum 40.004",
            "ferrotune_predict_seconds_count 4",
        ] {
            assert!(text.lines().any(|own| own == line), "no {line} in {text}");
        }
    }
}
