//! Tables in boxes of their own, which scroll where the screen is narrow. They must not know what is in them.

use maud::{Markup, html};

/// A cell.
pub enum Cell {
    /// Words.
    Text(String),
    /// A number as shown, and by which it is sorted.
    Number(String, f64),
    /// A share with a bar behind it, of the same.
    Bar(String, f64),
}

impl Cell {
    /// A whole number.
    pub fn count(number: u64) -> Cell {
        Cell::Number(super::grouped(number), number as f64)
    }

    /// A figure with four digits; a dash, before all others, where there is none.
    pub fn figure(value: Option<f64>) -> Cell {
        Cell::Number(super::number(value), value.unwrap_or(f64::NEG_INFINITY))
    }
}

/// More rows than this scroll inside the box.
const TALL: usize = 60;

/// A table whose first column names the rows. `caption` says what it shows; with `sortable` the page's script sorts by a click on a heading.
pub fn table(caption: &str, headings: &[&str], rows: &[Vec<Cell>], sortable: bool) -> Markup {
    let is_number = |cell: Option<&Cell>| matches!(cell, Some(Cell::Number(..) | Cell::Bar(..)));
    let numbers = |column: usize| column > 0 && rows.iter().any(|row| is_number(row.get(column)));
    html! {
        div.scroll.tall[rows.len() > TALL] tabindex="0" role="region" aria-label=(caption) {
            table.sortable[sortable] {
                caption { (caption) }
                thead { tr { @for (column, heading) in headings.iter().enumerate() { th.number[numbers(column)] scope="col" { (heading) } } } }
                tbody { @for row in rows { tr { @for (column, cell) in row.iter().enumerate() { (shown(column, cell)) } } } }
            }
        }
    }
}

fn shown(column: usize, cell: &Cell) -> Markup {
    html! {
        @match (column, cell) {
            (0, Cell::Text(text)) => th scope="row" { (text) },
            (_, Cell::Text(text)) => td { (text) },
            (0, Cell::Number(text, value) | Cell::Bar(text, value)) => th scope="row" data-value=(key(*value)) { (text) },
            (_, Cell::Number(text, value)) => td.number data-value=(key(*value)) { (text) },
            (_, Cell::Bar(text, value)) => td.number.bar data-value=(key(*value)) style={ "--share:" (format_args!("{:.4}", value.clamp(0.0, 1.0))) } { (text) },
        }
    }
}

/// Names and what they are, in two columns.
pub fn facts(caption: &str, rows: &[(&str, String)]) -> Markup {
    html! {
        dl.facts aria-label=(caption) { @for (name, value) in rows { div { dt { (name) } dd { (value) } } } }
    }
}

/// A number as the script reads it; what is none comes before all others.
fn key(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { "-Infinity".to_string() }
}
