//! From numbers to places on a chart: ranges, ticks and how they are written. It must not draw.

/// How values become lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm; for values above 0.
    Log,
}

/// One direction of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    /// Where a number stands.
    pub ticks: Vec<f64>,
}

impl Axis {
    /// An axis that holds these values, from tick to tick, with about `count` ticks. Values that are no numbers are left out; without any it goes
    /// from 0 to 1.
    pub fn over(values: impl IntoIterator<Item = f64>, scale: Scale, count: usize) -> Axis {
        let positive = |value: &f64| scale == Scale::Linear || *value > 0.0;
        let ends = values.into_iter().filter(|value| value.is_finite()).filter(positive);
        let ends = ends.fold(None, |ends: Option<(f64, f64)>, value| {
            Some(ends.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
        });
        let (low, high) = ends.unwrap_or((if scale == Scale::Log { 0.1 } else { 0.0 }, 1.0));
        match scale {
            Scale::Linear => Axis::linear(low, high, count),
            Scale::Log => Axis::log(low, high),
        }
    }

    /// From `low` to `high` as they are, whatever the values.
    pub fn exactly(low: f64, high: f64, count: usize) -> Axis {
        let step = nice_step((high - low) / count.max(1) as f64);
        let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
        Axis { scale: Scale::Linear, low, high, ticks: (first..=last).map(|n| n as f64 * step).collect() }
    }

    fn linear(low: f64, high: f64, count: usize) -> Axis {
        // One value alone stands in the middle.
        let pad = if high > low { 0.0 } else { if low == 0.0 { 0.5 } else { low.abs() * 0.5 } };
        let (low, high) = (low - pad, high + pad);
        let step = nice_step((high - low) / count.max(1) as f64);
        let (first, last) = ((low / step + 1e-9).floor() as i64, (high / step - 1e-9).ceil() as i64);
        let ticks: Vec<f64> = (first..=last).map(|n| n as f64 * step).collect();
        Axis { scale: Scale::Linear, low: ticks[0], high: ticks[ticks.len() - 1], ticks }
    }

    fn log(low: f64, high: f64) -> Axis {
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let last = last.max(first + 1);
        let every = ((last - first) / 6 + 1) as usize;
        let ticks = (first..=last).step_by(every).map(|n| 10f64.powi(n)).collect();
        Axis { scale: Scale::Log, low: 10f64.powi(first), high: 10f64.powi(last), ticks }
    }

    /// Where a value lies: 0 at the lower end, 1 at the upper.
    pub fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value / self.low).log10() / (self.high / self.low).log10(),
        }
    }

    /// A tick as it is written: all with the same digits after the point, and no more than they need.
    pub fn label(&self, tick: f64) -> String {
        let largest = self.ticks.iter().fold(0f64, |most, tick| most.max(tick.abs()));
        if tick == 0.0 {
            return "0".to_string();
        }
        if self.scale == Scale::Log || !(1e-3..1e7).contains(&largest) {
            let text = format!("{tick:.2e}");
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            return if exponent == "0" { digits.to_string() } else { format!("{digits}e{exponent}") };
        }
        let step = self.ticks.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
        let digits = if step.is_finite() { (-step.log10() - 1e-9).ceil().clamp(0.0, 6.0) as usize } else { 2 };
        format!("{tick:.digits$}")
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is no smaller than this.
fn nice_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= step * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[f64], scale: Scale, labels: &[&str]) {
        let axis = Axis::over(values.iter().copied(), scale, 4);
        let found: Vec<String> = axis.ticks.iter().map(|&tick| axis.label(tick)).collect();
        assert_eq!(found, labels, "{values:?}");
        for value in values.iter().filter(|value| value.is_finite() && (scale == Scale::Linear || **value > 0.0)) {
            assert!((-1e-9..=1.0 + 1e-9).contains(&axis.place(*value)), "{value} lies outside of {axis:?}");
        }
    }

    #[test]
    fn ticks_are_round_and_hold_all_values() {
        check(&[0.0, 1.0], Scale::Linear, &["0", "0.5", "1.0"]);
        check(&[0.031, 0.69, f64::NAN, f64::INFINITY], Scale::Linear, &["0", "0.2", "0.4", "0.6", "0.8"]);
        check(&[1.0, 250.0], Scale::Linear, &["0", "100", "200", "300"]);
        check(&[0.0, 2e-5], Scale::Linear, &["0", "5e-6", "1e-5", "1.5e-5", "2e-5"]);
        check(&[0.912, 0.947], Scale::Linear, &["0.91", "0.92", "0.93", "0.94", "0.95"]);
        check(&[-3.0, 4.0], Scale::Linear, &["-4", "-2", "0", "2", "4"]);
        check(&[0.5], Scale::Linear, &["0.2", "0.4", "0.6", "0.8"]);
        check(&[0.0], Scale::Linear, &["-0.5", "0", "0.5"]);
        check(&[], Scale::Linear, &["0", "0.5", "1.0"]);
        check(&[0.3, 40.0, 0.0], Scale::Log, &["1e-1", "1", "1e1", "1e2"]);
        check(&[1.0], Scale::Log, &["1", "1e1"]);
    }

    #[test]
    fn an_exact_axis_keeps_its_ends() {
        let axis = Axis::exactly(0.0, 1.0, 5);
        assert_eq!((axis.place(0.0), axis.place(1.0), axis.ticks.len()), (0.0, 1.0, 6));
        let axis = Axis::exactly(1.0, 87.0, 4);
        assert_eq!((axis.ticks, axis.high), (vec![50.0], 87.0));
    }
}
