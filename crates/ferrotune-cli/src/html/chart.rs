//! Line charts as inline SVG: axes with ticks, a legend, tooltips. It must not know runs.

use super::axis::{Axis, Scale};
use maud::{Markup, html};

/// Units of the drawing: near CSS pixels on a telephone, so that letters stay readable there.
pub const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 230.0;
/// Room for the numbers at the left, and for numbers and name below.
pub const LEFT: f64 = 44.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 36.0;
/// A line is drawn through at most twice so many points.
const DRAWN: usize = 300;
/// So many places of a line say their value.
const TOLD: usize = 60;
/// Colours of the style sheet.
pub const COLOURS: usize = 8;

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A line.
    Line,
    /// A thin pale line, without a legend.
    Faint,
    /// A line with a mark at each point.
    Marks,
}

/// Points in the order of x.
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// Places and values; those that are no numbers are left out.
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub look: Look,
    /// The number of its colour; beyond [`COLOURS`] lines are dashed.
    pub colour: usize,
}

/// A chart of lines.
pub struct Chart<'a> {
    /// Its heading.
    pub title: &'a str,
    /// What the x axis counts.
    pub x: &'a str,
    /// Of the y axis.
    pub scale: Scale,
    /// What is drawn, later ones above.
    pub series: Vec<Series>,
    /// Where the x axis ends at least, so that charts beside each other have the same.
    pub end: f64,
    /// A place on the x axis that is marked, and what it is.
    pub mark: Option<(f64, String)>,
}

/// Where a point of the data stands on a drawing.
pub struct Frame {
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// The height of the drawing.
    pub height: f64,
}

impl Frame {
    /// The place of an x value.
    pub fn left(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    /// The place of a y value.
    pub fn top(&self, value: f64) -> f64 {
        self.height - BOTTOM - self.y.place(value) * (self.height - BOTTOM - TOP)
    }

    /// A drawing with grid, ticks and the name of the x axis, and `inside` above them.
    pub fn draw(&self, title: &str, x: &str, inside: &Markup) -> Markup {
        let (bottom, middle) = (self.height - BOTTOM, 0.5 * (LEFT + WIDTH - RIGHT));
        html! {
            svg viewBox={ "0 0 " (WIDTH) " " (self.height) } role="img" aria-label=(title) {
                g.grid {
                    @for &tick in &self.y.ticks {
                        line x1=(LEFT) x2=(WIDTH - RIGHT) y1=(at(self.top(tick))) y2=(at(self.top(tick))) {}
                        text.tick x=(LEFT - 6.0) y=(at(self.top(tick) + 4.0)) text-anchor="end" { (self.y.label(tick)) }
                    }
                    @for &tick in &self.x.ticks {
                        line x1=(at(self.left(tick))) x2=(at(self.left(tick))) y1=(bottom) y2=(bottom + 4.0) {}
                        text.tick x=(at(self.left(tick))) y=(bottom + 16.0) text-anchor="middle" { (self.x.label(tick)) }
                    }
                    text.name x=(middle) y=(self.height - 5.0) text-anchor="middle" { (x) }
                }
                (inside)
            }
        }
    }
}

/// A figure: heading, legend of names and colours, drawing.
pub fn figure(title: &str, legend: &[(&str, usize)], drawing: &Markup) -> Markup {
    html! {
        figure.chart {
            figcaption { (title) }
            @if legend.len() > 1 { ul.legend {
                @for (name, colour) in legend { li { span.swatch.{ "c" (colour % COLOURS) }.dashed[*colour >= COLOURS] {} (name) } }
            } }
            (drawing)
        }
    }
}

/// The chart; nothing if it has no points.
pub fn line_chart(chart: &Chart<'_>) -> Markup {
    let usable = |&(x, y): &(f64, f64)| x.is_finite() && y.is_finite() && (chart.scale == Scale::Linear || y > 0.0);
    let series: Vec<(&Series, Vec<(f64, f64)>)> = chart
        .series
        .iter()
        .map(|series| (series, series.points.iter().copied().filter(usable).collect::<Vec<_>>()))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    if series.is_empty() {
        return html! {};
    }
    let all = || series.iter().flat_map(|(_, points)| points.iter().copied());
    let (first, last) = all().fold((f64::INFINITY, chart.end), |(first, last), (x, _)| (first.min(x), last.max(x)));
    let x = if first < last { Axis::exactly(first.min(0.0), last, 5) } else { Axis::over([last], Scale::Linear, 4) };
    let frame = Frame { x, y: Axis::over(all().map(|(_, y)| y), chart.scale, 4), height: HEIGHT };
    let legend: Vec<(&str, usize)> = series
        .iter()
        .filter(|(series, _)| series.look != Look::Faint)
        .map(|(series, _)| (&*series.name, series.colour))
        .collect();
    let inside = html! {
        @if let Some((x, name)) = &chart.mark {
            line.mark x1=(at(frame.left(*x))) x2=(at(frame.left(*x))) y1=(TOP) y2=(HEIGHT - BOTTOM) { title { (name) } }
        }
        @for (series, points) in &series { (line(&frame, chart.x, series, points)) }
    };
    figure(chart.title, &legend, &frame.draw(chart.title, chart.x, &inside))
}

fn line(frame: &Frame, x_name: &str, series: &Series, points: &[(f64, f64)]) -> Markup {
    let place = |&(x, y): &(f64, f64)| format!("{},{}", at(frame.left(x)), at(frame.top(y)));
    let path: Vec<String> = thinned(points).iter().map(place).collect();
    let told: Vec<&(f64, f64)> = match series.look {
        Look::Faint => Vec::new(),
        Look::Marks => points.iter().collect(),
        // A line of one point would not be seen.
        Look::Line => points.iter().step_by(points.len().div_ceil(TOLD)).collect(),
    };
    let marked = series.look == Look::Marks || points.len() == 1;
    html! {
        polyline.line.{ "c" (series.colour % COLOURS) }.faint[series.look == Look::Faint].dashed[series.colour >= COLOURS]
            points=(path.join(" ")) {}
        @for &&(x, y) in &told {
            circle.{ (if marked { "dot" } else { "spot" }) }.{ "c" (series.colour % COLOURS) }
                cx=(at(frame.left(x))) cy=(at(frame.top(y))) r=(if marked { 3.0 } else { 6.0 }) {
                title { (series.name) ": " (told_number(y)) " (" (x_name) " " (told_number(x)) ")" }
            }
        }
    }
}

/// Four significant digits, or all of a whole number.
fn told_number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e9 {
        return format!("{value}");
    }
    if value != 0.0 && (value.abs() < 1e-3 || value.abs() >= 1e6) {
        format!("{value:.3e}")
    } else {
        format!("{value:.4}")
    }
}

/// The same line with fewer points: of each of [`DRAWN`] stretches the lowest and the highest, so that no spike is lost.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= 2 * DRAWN {
        return points.to_vec();
    }
    let mut kept = Vec::new();
    for stretch in points.chunks(points.len().div_ceil(DRAWN)) {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let (Some(&low), Some(&high)) = (stretch.iter().min_by(by_value), stretch.iter().max_by(by_value)) else {
            continue;
        };
        kept.extend(if low.0 <= high.0 { [low, high] } else { [high, low] });
    }
    kept
}

/// A moving average that begins with the first value: each counts `1 - keep` as much as all before it (as TensorBoard smooths, with its correction for the
/// start).
pub fn smoothed(points: &[(f64, f64)], keep: f64) -> Vec<(f64, f64)> {
    let (mut sum, mut weight) = (0.0, 0.0);
    let mut next = |&(x, y): &(f64, f64)| {
        if y.is_finite() {
            (sum, weight) = (keep * sum + (1.0 - keep) * y, keep * weight + (1.0 - keep));
        }
        (x, sum / weight)
    };
    points.iter().map(&mut next).collect()
}

/// A place with one digit after the point: more are not seen.
pub fn at(place: f64) -> String {
    let text = format!("{place:.1}");
    text.strip_suffix(".0").map(str::to_string).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>, scale: Scale) -> String {
        let series = Series { name: "<loss>".to_string(), points, look: Look::Line, colour: 9 };
        let mark = Some((1.0, "kept".to_string()));
        line_chart(&Chart { title: "Loss & more", x: "step", scale, series: vec![series], end: 10.0, mark })
            .into_string()
    }

    #[test]
    fn points_stand_where_the_ticks_say() {
        let drawn = chart(vec![(0.0, 0.0), (10.0, 1.0), (20.0, f64::NAN)], Scale::Linear);
        // The axes go from 0 to 10 and from 0 to 1: left below, right above.
        assert!(drawn.contains("points=\"44,194 350,8\""), "{drawn}");
        assert!(drawn.contains("&lt;loss&gt;: 1 (step 10)") && drawn.contains("aria-label=\"Loss &amp; more\""));
        assert!(
            drawn.contains("c1 dashed") && !drawn.contains("NaN") && !drawn.contains("class=\"legend\""),
            "{drawn}"
        );
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(chart(vec![], Scale::Linear), "");
        assert_eq!(chart(vec![(0.0, f64::NAN)], Scale::Linear), "");
        assert_eq!(chart(vec![(0.0, 0.0), (1.0, -1.0)], Scale::Log), "");
        assert!(chart(vec![(3.0, 0.5)], Scale::Linear).contains("r=\"3\""), "one point is a dot");
    }

    #[test]
    fn long_lines_keep_their_spikes() {
        let mut points: Vec<(f64, f64)> = (0..5000).map(|n| (f64::from(n), f64::from(n % 7))).collect();
        points[2500].1 = 99.0;
        points[2600].1 = -99.0;
        let kept = thinned(&points);
        assert!(kept.len() <= 2 * DRAWN && kept.contains(&(2500.0, 99.0)) && kept.contains(&(2600.0, -99.0)));
        assert!(kept.windows(2).all(|pair| pair[0].0 <= pair[1].0), "in order");
    }

    #[test]
    fn smoothing_begins_with_the_first_value() {
        let points = [(0.0, 4.0), (1.0, 1.0), (2.0, f64::NAN)];
        let found = smoothed(&points, 0.5);
        assert_eq!((found[0], found[2]), ((0.0, 4.0), (2.0, 2.0)));
        assert_eq!(found[1], (1.0, 2.0), "(0.25 · 4 + 0.5 · 1) / 0.75");
    }
}
