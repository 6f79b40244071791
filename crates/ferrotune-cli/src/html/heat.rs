//! Confusion matrices: a table with numbers for few classes, a drawing for many. It must not know where the counts come from.

use super::chart::at;
use super::table::{Cell, table};
use super::{grouped, percent};
use maud::{Markup, html};

/// Up to so many classes each cell shows its number.
const NUMBERS: usize = 20;
/// Up to so many classes each row of the drawing shows its name.
const NAMED: usize = 80;
/// Pairs of classes that are listed.
const PAIRS: usize = 20;
/// Characters of a name beside the drawing.
const SHORT: usize = 24;

/// The matrix: true classes down, predictions across. Colours are shares of the rows of the true class, blue on the diagonal and red beside it.
pub fn confusion(names: &[&str], counts: &[Vec<u64>]) -> Markup {
    html! {
        @if names.len() <= NUMBERS { (numbers(names, counts)) } @else { (drawing(names, counts)) }
        (pairs(names, counts))
    }
}

/// How strong a colour is: one row among many is seen too.
fn strength(count: u64, of: u64) -> f64 {
    0.12 + 0.5 * count as f64 / of.max(1) as f64
}

fn numbers(names: &[&str], counts: &[Vec<u64>]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Confusion matrix" {
            table.matrix {
                caption { "Rows are true classes, columns predictions. The colour is the share of the row." }
                thead { tr { th scope="col" { "true ↓ predicted →" } @for name in names { th.across scope="col" { span title=(name) { (name) } } } } }
                tbody { @for (label, (name, row)) in names.iter().zip(counts).enumerate() {
                    @let of: u64 = row.iter().sum();
                    tr {
                        th scope="row" { (name) }
                        @for (predicted, &count) in row.iter().enumerate() {
                            @let style = (count > 0).then(|| format!("--a:{:.2}", strength(count, of)));
                            @let class = (count > 0).then_some(if label == predicted { "hit" } else { "miss" });
                            td class=[class] style=[style]
                                title=(told(name, names[predicted], count, of)) { @if count > 0 { (grouped(count)) } @else { "·" } }
                        }
                    }
                } }
            }
        }
    }
}

fn told(label: &str, predicted: &str, count: u64, of: u64) -> String {
    let share = if of == 0 { String::new() } else { format!(" ({} of {of})", percent(count as f64 / of as f64)) };
    format!("true {label}, predicted {predicted}: {count}{share}")
}

fn drawing(names: &[&str], counts: &[Vec<u64>]) -> Markup {
    let named = names.len() <= NAMED;
    let (cell, left, top) = if named { (13.0, 170.0, 18.0) } else { (5.0, 30.0, 18.0) };
    let size = cell * names.len() as f64;
    let (width, height) = (left + size + 2.0, top + size + 2.0);
    let short = |name: &str| match name.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_string(),
    };
    html! {
        div.scroll tabindex="0" role="region" aria-label="Confusion matrix" {
            svg.heat viewBox={ "0 0 " (width) " " (height) } style={ "width:" (width) "px" } role="img"
                aria-label="Confusion matrix: true classes down, predictions across" {
                rect.ground x=(left) y=(top) width=(size) height=(size) {}
                @for n in (9..names.len()).step_by(10) {
                    text.tick x=(left + cell * (n as f64 + 0.5)) y=(top - 5.0) text-anchor="middle" { (n + 1) }
                    @if !named { text.tick x=(left - 4.0) y=(top + cell * (n as f64 + 0.5) + 4.0) text-anchor="end" { (n + 1) } }
                }
                @for (label, row) in counts.iter().enumerate() {
                    @let of: u64 = row.iter().sum();
                    @if named {
                        text.tick x=(left - 4.0) y=(at(top + cell * (label as f64 + 0.5) + 4.0)) text-anchor="end" {
                            (label + 1) " " (short(names[label])) title { (names[label]) }
                        }
                    }
                    @for (predicted, &count) in row.iter().enumerate().filter(|(_, count)| **count > 0) {
                        rect.{ (if label == predicted { "hit" } else { "miss" }) }
                            x=(left + cell * predicted as f64) y=(top + cell * label as f64) width=(cell) height=(cell)
                            fill-opacity=(format_args!("{:.2}", (0.3 + 0.7 * count as f64 / of.max(1) as f64))) {
                            title { (told(names[label], names[predicted], count, of)) }
                        }
                    }
                }
            }
        }
        p.note { "True classes down, predictions across, numbered in the order of the table of classes. The colour is the share of the true class's rows: blue is right, red is wrong." }
    }
}

fn pairs(names: &[&str], counts: &[Vec<u64>]) -> Markup {
    let mut wrong: Vec<(u64, usize, usize)> = Vec::new();
    for (label, row) in counts.iter().enumerate() {
        wrong.extend(
            row.iter().enumerate().filter(|&(said, &n)| said != label && n > 0).map(|(said, &n)| (n, label, said)),
        );
    }
    if wrong.is_empty() || names.len() < 3 {
        return html! {};
    }
    wrong.sort_by_key(|&(count, label, said)| (std::cmp::Reverse(count), label, said));
    let row = |&(count, label, said): &(u64, usize, usize)| {
        let share = count as f64 / counts[label].iter().sum::<u64>() as f64;
        vec![
            Cell::Text(names[label].to_string()),
            Cell::Text(names[said].to_string()),
            Cell::count(count),
            Cell::Bar(percent(share), share),
        ]
    };
    let rows: Vec<Vec<Cell>> = wrong.iter().take(PAIRS).map(row).collect();
    let caption = format!("Most confused pairs, {} of {}", rows.len(), wrong.len());
    table(&caption, &["true", "predicted", "rows", "of the true class"], &rows, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(classes: usize) -> String {
        let names: Vec<String> = (0..classes).map(|n| format!("<b>{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut counts = vec![vec![0; classes]; classes];
        (0..classes).for_each(|n| counts[n][n] = 8);
        counts[0][classes - 1] = 2;
        confusion(&names, &counts).into_string()
    }

    #[test]
    fn few_classes_show_numbers_and_many_a_drawing() {
        let few = matrix(3);
        assert!(few.contains("<td class=\"miss\" style=\"--a:0.22\"") && !few.contains("<svg"), "{few}");
        assert!(few.contains("true &lt;b&gt;0, predicted &lt;b&gt;2: 2 (20.00 % of 10)") && !few.contains("<b>"));
        let many = matrix(151);
        // One cell for each class, the confused one, and the ground.
        assert_eq!(many.matches("<rect").count(), 153);
        assert!(many.contains("Most confused pairs, 1 of 1") && !many.contains("<b>"));
        assert!(matrix(60).contains("1 &lt;b&gt;0"), "rows have names while there is room");
    }

    #[test]
    fn two_classes_need_no_pairs() {
        assert!(!matrix(2).contains("Most confused"));
    }
}
