//! The picture of a search: value over trials and over each parameter, one SVG file without anything from elsewhere. It must not know files.

use super::table::{Mark, Point, by_parameter, by_trial, ends, state};
use ferrotune_train::metrics::MetricName;
use ferrotune_train::search::space::{Domain, Space, shown};
use ferrotune_train::search::study::Trial;
use std::fmt::Write;

/// Width and height of a panel, and what is left for its labels.
const PANEL: (f64, f64) = (360.0, 240.0);
const LEFT: f64 = 60.0;
const BELOW: f64 = 40.0;
const ABOVE: f64 = 30.0;
const RIGHT: f64 = 16.0;

/// The whole file.
pub fn svg(space: &Space, trials: &[Trial], best: Option<usize>, metric: MetricName) -> String {
    let last = trials.len().saturating_sub(1).to_string();
    let mut panels = vec![("trial".to_string(), vec!["0".to_string(), last], by_trial(trials, best))];
    for parameter in space.parameters() {
        let log = if parameter.domain.is_log() { " (log)" } else { "" };
        panels.push((format!("{}{log}", parameter.name), ends(parameter), by_parameter(trials, best, parameter)));
    }
    let values = panels[0].2.iter().map(|point| point.y);
    let (low, high) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
    let (width, rows) = (2.0 * PANEL.0, panels.len().div_ceil(2));
    let height = rows as f64 * PANEL.1 + 24.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (n, (name, ends, points)) in panels.iter().enumerate() {
        let (x, y) = ((n % 2) as f64 * PANEL.0, (n / 2) as f64 * PANEL.1);
        let _ = writeln!(svg, "<g transform=\"translate({x} {y})\">");
        let choices = n > 0 && matches!(space.parameters()[n - 1].domain, Domain::Choice(_));
        panel(&mut svg, name, ends, choices, points, (low, high), metric, trials);
        svg.push_str("</g>\n");
    }
    let legend = [
        (Mark::Pruned(0), "pruned at the first rung"),
        (Mark::Pruned(1), "at a later one"),
        (Mark::Done, "done"),
        (Mark::Best, "the best"),
    ];
    for (n, (mark, text)) in legend.into_iter().enumerate() {
        let (x, y) = (LEFT + n as f64 * 160.0, height - 10.0);
        let _ = writeln!(
            svg,
            "<circle cx=\"{x}\" cy=\"{}\" r=\"4\" fill=\"{}\"/><text x=\"{}\" y=\"{y}\">{text}</text>",
            y - 4.0,
            colour(mark),
            x + 8.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(
    svg: &mut String,
    name: &str,
    ends: &[String],
    choices: bool,
    points: &[Point],
    (low, high): (f64, f64),
    metric: MetricName,
    trials: &[Trial],
) {
    let (right, bottom) = (PANEL.0 - RIGHT, PANEL.1 - BELOW);
    let across = |x: f64| LEFT + x * (right - LEFT);
    let up =
        |y: f64| if high > low { bottom - (y - low) / (high - low) * (bottom - ABOVE) } else { (bottom + ABOVE) / 2.0 };
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{} by {}</text>",
        ABOVE - 12.0,
        metric.name(),
        escaped(name)
    );
    let _ = writeln!(svg, "<path d=\"M{LEFT} {ABOVE}V{bottom}H{right}\" fill=\"none\" stroke=\"#888888\"/>");
    if !points.is_empty() {
        for value in [low, (low + high) / 2.0, high] {
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value:.4}</text>",
                LEFT - 6.0,
                up(value) + 4.0
            );
        }
    }
    for (n, end) in ends.iter().enumerate() {
        let x = if choices { (n as f64 + 0.5) / ends.len() as f64 } else { n as f64 / (ends.len() - 1).max(1) as f64 };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            across(x),
            bottom + 16.0,
            escaped(end)
        );
    }
    let mut drawn: Vec<&Point> = points.iter().collect();
    drawn.sort_by_key(|point| point.mark);
    for point in drawn {
        let trial = &trials[point.trial];
        let title = format!("trial {}: {:.4}, {}; {}", point.trial, point.y, state(trial), shown(&trial.settings));
        let radius = if point.mark == Mark::Best { 6 } else { 4 };
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius}\" fill=\"{}\" fill-opacity=\"0.8\"><title>{}</title></circle>",
            across(point.x),
            up(point.y),
            colour(point.mark),
            escaped(&title)
        );
    }
}

fn colour(mark: Mark) -> &'static str {
    match mark {
        Mark::Pruned(0) => "#bbbbbb",
        Mark::Pruned(_) => "#7d7d7d",
        Mark::Done => "#3b78b5",
        Mark::Best => "#d9541e",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrotune_train::search::halving::Standing;
    use ferrotune_train::search::space::{Parameter, Settings, Value};
    use ferrotune_train::search::study::{Origin, State};

    #[test]
    fn every_trial_with_a_value_is_a_circle_in_each_panel_and_names_are_escaped() {
        let text = |value: &str| Value::Text(value.to_string());
        let domain = Domain::Choice(vec![text("a<b"), text("c")]);
        let space = Space::new(vec![Parameter { name: "freeze".to_string(), domain, when: Vec::new(), points: 3 }]);
        let trial = |value: &str, reached: &[f64], finished| Trial {
            origin: Origin::Random,
            settings: Settings::from([("freeze".to_string(), text(value))]),
            standing: Standing { reached: reached.to_vec(), finished, ..Standing::default() },
            state: State::Pruned,
            steps: (1, 2),
            seconds: 1.0,
        };
        let trials = [trial("a<b", &[0.5], None), trial("c", &[0.6], Some(0.7)), trial("c", &[f64::NAN], None)];
        let svg = svg(&space.unwrap(), &trials, Some(1), MetricName::Accuracy);
        assert_eq!(svg.matches("<title>").count(), 4, "two panels of two trials");
        assert!(svg.contains("freeze a&lt;b") && !svg.contains("a<b"));
        assert!(svg.contains("cy=\"200.0\"") && svg.contains("cy=\"30.0\""), "from the lowest to the highest");
        assert!(!svg.contains("NaN") && svg.matches("http").count() == 1, "nothing comes from elsewhere");
    }
}
