//! The other drawings: reliability of probabilities, predicted against true numbers, values with intervals. They must not know runs.

use super::axis::{Axis, Scale};
use super::chart::{Frame, at, figure};
use super::{number, percent};
use ferrotune_train::metrics::ReliabilityBin;
use maud::{Markup, html};

/// Square drawings, near enough.
const TALL: f64 = 320.0;

/// The share of right rows against their mean probability, by bin, beside the diagonal of a model that says what it knows; bars are bins.
pub fn reliability(bins: &[ReliabilityBin]) -> Markup {
    let frame = Frame { x: Axis::exactly(0.0, 1.0, 5), y: Axis::exactly(0.0, 1.0, 5), height: TALL };
    let most = bins.iter().map(|bin| bin.rows).max().unwrap_or(0).max(1) as f64;
    let filled = bins.iter().filter_map(|bin| Some((bin, bin.confidence?, bin.accuracy?)));
    let inside = html! {
        line.diagonal x1=(at(frame.left(0.0))) y1=(at(frame.top(0.0))) x2=(at(frame.left(1.0))) y2=(at(frame.top(1.0))) {}
        @for (bin, confidence, accuracy) in filled {
            @let name = format!(
                "probability {:.3} to {:.3}: {} rows, mean probability {confidence:.3}, {} right", bin.above, bin.up_to, bin.rows, percent(accuracy)
            );
            @let (left, right) = (frame.left(bin.above) + 1.0, frame.left(bin.up_to) - 1.0);
            rect.bar.c0 x=(at(left)) width=(at(right - left)) y=(at(frame.top(accuracy))) height=(at(frame.top(0.0) - frame.top(accuracy))) {
                title { (name) }
            }
            circle.dot.c1 cx=(at(frame.left(confidence))) cy=(at(frame.top(accuracy))) r=(at(2.5 + 4.5 * (bin.rows as f64 / most).sqrt())) {
                title { (name) }
            }
        }
    };
    let legend = [("share that is right", 0), ("at the mean probability; larger is more rows", 1)];
    figure("Reliability", &legend, &frame.draw("Reliability diagram", "probability of the prediction", &inside))
}

/// Predicted against true numbers, on the same scale, beside the diagonal.
pub fn scatter(points: &[[f64; 2]]) -> Markup {
    let axis = Axis::over(points.iter().flatten().copied(), Scale::Linear, 5);
    let ends = [axis.ticks[0], axis.ticks[axis.ticks.len() - 1]];
    let frame = Frame { x: axis.clone(), y: axis, height: TALL };
    let inside = html! {
        line.diagonal x1=(at(frame.left(ends[0]))) y1=(at(frame.top(ends[0]))) x2=(at(frame.left(ends[1]))) y2=(at(frame.top(ends[1]))) {}
        @for &[score, said] in points {
            circle.point.c0 cx=(at(frame.left(score))) cy=(at(frame.top(said))) r="2.5" {
                title { "true " (number(Some(score))) ", predicted " (number(Some(said))) }
            }
        }
    };
    figure("Predicted against true", &[], &frame.draw("Predicted against true numbers", "true", &inside))
}

/// A value with an interval.
pub struct Estimate {
    /// What it is of.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Its ends, where there are some.
    pub interval: Option<(f64, f64)>,
    /// What the tooltip says.
    pub told: String,
    /// The number of its colour.
    pub colour: usize,
}

/// How values are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Bars from 0, whose lengths can be compared.
    Bars,
    /// Dots, on an axis that shows small differences.
    Dots,
}

/// Values one beside the other, with their names below and their intervals.
pub fn estimates(title: &str, x: &str, values: &[Estimate], shape: Shape) -> Markup {
    let ends =
        values.iter().flat_map(|v| [v.value, v.interval.map_or(v.value, |i| i.0), v.interval.map_or(v.value, |i| i.1)]);
    let y = Axis::over(ends.chain((shape == Shape::Bars).then_some(0.0)), Scale::Linear, 4);
    let (low, count) = (y.ticks[0], values.len() as f64);
    let mut x_axis = Axis::exactly(0.0, count, 1);
    x_axis.ticks.clear();
    let frame = Frame { x: x_axis, y, height: 230.0 };
    let shown = values.iter().enumerate().filter(|(_, value)| value.value.is_finite());
    let inside = html! {
        @for (n, value) in shown {
            @let middle = frame.left(n as f64 + 0.5);
            @let half = 0.32 * (frame.left(1.0) - frame.left(0.0)).min(80.0);
            @if shape == Shape::Bars {
                rect.bar.{ "c" (value.colour) } x=(at(middle - half)) width=(at(2.0 * half))
                    y=(at(frame.top(value.value))) height=(at(frame.top(low) - frame.top(value.value))) { title { (value.told) } }
            }
            @if let Some((from, to)) = value.interval {
                line.whisker x1=(at(middle)) x2=(at(middle)) y1=(at(frame.top(from))) y2=(at(frame.top(to))) { title { (value.told) } }
            }
            @if shape == Shape::Dots {
                circle.dot.{ "c" (value.colour) } cx=(at(middle)) cy=(at(frame.top(value.value))) r="5" { title { (value.told) } }
            }
            text.tick x=(at(middle)) y=(at(frame.top(low) + 16.0)) text-anchor="middle" { (value.name) }
        }
    };
    figure(title, &[], &frame.draw(title, x, &inside))
}
