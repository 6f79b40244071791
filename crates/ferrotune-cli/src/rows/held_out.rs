//! Validation rows where none are named: a share of the training rows, taken out and said aloud. It must not know what they are used for.

use crate::exit::{DATA, Failure};
use crate::settings::HeldOut;
use ferrotune_data::{Need, SplitError, Table, hold_out, wording};
use std::collections::HashSet;

/// Fewer rows than this say little: the standard error of an accuracy of 95 % over 30 rows is 4 points.
const FEW: usize = 30;

/// Takes the rows out of `table`, and says how many.
///
/// # Errors
/// Too few rows, or too many with the same text.
pub fn take(table: &mut Table, need: Need, asked: HeldOut) -> Result<Table, Failure> {
    let HeldOut { share, seed, flag } = asked;
    let failed = |error| failure(error, table, flag);
    let marked = hold_out(&table.rows, need, share, seed).map_err(failed)?;
    let rows = marked.len();
    let taken = table.take_out(&marked);
    let count = taken.rows.len();
    let by_class = match need {
        Need::Labels => " by class,",
        Need::LabelSets { .. } => " by label,",
        Need::Tags => " by tag,",
        Need::Scores | Need::TextOnly | Need::WordsOnly => "",
    };
    eprintln!(
        "held out   {count} of {rows} training rows as validation rows,{by_class} the same texts together (--{flag} {share}, seed {seed}); \
         --{flag} 0 learns from all"
    );
    if count < FEW {
        let each = 100.0 / count as f64;
        eprintln!("warning: few validation rows ({count}): each is {each:.1} % of what is measured");
    }
    Ok(taken)
}

fn failure(error: SplitError, table: &Table, flag: &str) -> Failure {
    let file = table.path.display();
    let instead = format!("name --validation, or learn from all with --{flag} 0");
    let message = match error {
        SplitError::EmptyPart { rows, .. } if different(table) < rows => format!(
            "{file}: its {rows} rows have only {} different texts, too few to hold some out, since rows with the same text stay together; see \
             whether --text-column names the right column, or {instead}",
            different(table)
        ),
        SplitError::EmptyPart { rows, .. } => {
            format!(
                "{file}: {rows} {} too few to hold some out; {instead}",
                if rows == 1 { "row is" } else { "rows are" }
            )
        }
        SplitError::GroupTooLarge { first, rows, .. } => {
            let line = table.rows[first].line;
            format!("{file}, line {line}: {rows} rows have the same text, so that none can be held out; {instead}")
        }
    };
    Failure { message, code: DATA }
}

/// Texts that are different but for case, blanks and punctuation; those that are blank count as one.
fn different(table: &Table) -> usize {
    table.rows.iter().map(wording).collect::<HashSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrotune_data::Row;

    fn table(texts: &[&str]) -> Table {
        let row = |(n, text): (usize, &&str)| Row {
            text: text.to_string(),
            text_b: None,
            words: None,
            label: None,
            line: n as u64 + 2,
        };
        Table { path: "t.csv".into(), pair: false, rows: texts.iter().enumerate().map(row).collect() }
    }

    #[test]
    fn rows_are_taken_out_or_the_reason_is_named() {
        let asked = HeldOut { share: 0.25, seed: 1, flag: "held-out" };
        let mut four = table(&["a", "b", "c", "d"]);
        let taken = take(&mut four, Need::TextOnly, asked).map_err(|f| f.message).unwrap();
        assert_eq!((taken.rows.len(), four.rows.len()), (1, 3));
        assert!(!four.rows.contains(&taken.rows[0]));
        let two = ["x", "y"].repeat(30);
        for (texts, says) in [
            (&two[..], "t.csv: its 60 rows have only 2 different texts, too few to hold some out"),
            (
                &["a"][..],
                "t.csv: 1 row is too few to hold some out; name --validation, or learn from all with --held-out 0",
            ),
            (
                &["a", "A", " a", "a "],
                "t.csv, line 2: 4 rows have the same text, so that none can be held out; name --val",
            ),
        ] {
            let failure = take(&mut table(texts), Need::TextOnly, asked).map(|_| ()).unwrap_err();
            assert!(failure.message.starts_with(says) && failure.code == DATA, "{}", failure.message);
        }
    }
}
