//! `ferrotune split`: one file becomes training, validation and test rows, or folds. Which row goes where is the data crate's affair.

mod files;
mod says;
#[cfg(test)]
mod tests;

use crate::args::{SplitArgs, Switch, TaskName, TrainSettings};
use crate::exit::{DATA, Failure, usage};
use crate::rows::task;
use ferrotune_data::{
    Need, Records, Row, SplitError, Table, headers, joined, normalised, open, part_sizes, split, wording,
};
use files::{File, Files};
use says::Classes;
use std::collections::{HashMap, HashSet};

/// More folds than this are a mistake: each writes all rows once more.
const MOST_FOLDS: usize = 100;

/// Runs the command.
pub fn run(args: &SplitArgs) -> Result<(), Failure> {
    let plan = Plan::of(args)?;
    let extension = open(&args.data, None)?.extension(&args.data);
    let files = Files::check(args, &plan.files(&extension))?;

    let (need, stratified) = choose(args, &headers(&args.data)?)?;
    let columns = args.columns.with_label(&args.label_column);
    let records = Records::read(&args.data, columns.as_ref(), need, args.group_by.as_deref())?;
    let table = &records.table;
    let kept = match args.deduplicate {
        Switch::On => without_duplicates(&table.rows),
        Switch::Off => (0..table.rows.len()).collect(),
    };
    let groups = groups(&records, &kept);
    let classes = Classes::of(table, &kept, need);
    says::findings(table, &kept, need, args.group_by.as_deref(), &groups)?;

    let sizes = part_sizes(kept.len(), &plan.shares);
    let same = vec![0; kept.len()];
    let of_rows = if stratified { &classes.of_rows } else { &same };
    let failed = |error| plan.failure(error, table, &kept);
    let parts = split(&sizes, of_rows, &groups.numbers, plan.home(), args.seed).map_err(failed)?;
    classes.warn(&parts, &plan.names);

    // Of each file its rows, by their place in the input, and how many it should have.
    let chosen = |wanted: &dyn Fn(usize) -> bool| -> Vec<usize> {
        kept.iter().zip(&parts).filter(|&(_, &part)| wanted(part)).map(|(&row, _)| row).collect()
    };
    let mut written = Vec::new();
    for (part, &size) in sizes.iter().enumerate() {
        if plan.folds {
            written.push((chosen(&|other| other != part), kept.len() - size));
        }
        written.push((chosen(&|other| other == part), size));
    }
    files.write(&records, written.iter().map(|(rows, _)| rows.as_slice()))?;
    for (path, (rows, wanted)) in files.paths().zip(&written) {
        println!("{}", says::file(path, table, rows, *wanted, need));
    }
    Ok(())
}

/// The parts that were asked for.
struct Plan {
    /// Their names.
    names: Vec<String>,
    /// Their shares of the rows, which add up to 1.
    shares: Vec<f64>,
    /// Whether each part is the validation of a fold, whose training rows are all others.
    folds: bool,
}

impl Plan {
    fn of(args: &SplitArgs) -> Result<Plan, Failure> {
        if let Some(folds) = args.folds {
            if !(2..=MOST_FOLDS).contains(&folds) {
                return Err(usage(format!("--folds is {folds}; it must be between 2 and {MOST_FOLDS}")));
            }
            let names = (0..folds).map(|fold| format!("fold-{fold}")).collect();
            return Ok(Plan { names, shares: vec![1.0 / folds as f64; folds], folds: true });
        }
        let (validation, test) = (args.validation.unwrap_or(0.1), args.test.unwrap_or(0.1));
        for (flag, share) in [("validation", validation), ("test", test)] {
            if !(0.0..1.0).contains(&share) {
                return Err(usage(format!("--{flag} is {share}; it must be a share of at least 0 and below 1")));
            }
        }
        // Rounding must not leave a training part of 1e-17.
        let train = 1.0 - validation - test;
        if train < 1e-9 {
            return Err(usage(format!("--validation {validation} and --test {test} leave no rows to learn from")));
        }
        let parts = [("train", train), ("validation", validation), ("test", test)];
        let asked = parts.into_iter().filter(|&(_, share)| share > 0.0);
        let (names, shares): (Vec<String>, Vec<f64>) = asked.map(|(name, share)| (name.to_string(), share)).unzip();
        if names.len() < 2 {
            return Err(usage("--validation and --test are both 0: there is nothing to split"));
        }
        Ok(Plan { names, shares, folds: false })
    }

    /// The files in the order in which they are written and said, relative to the output folder.
    fn files(&self, extension: &str) -> Vec<File> {
        let file = |folder: &str, name: &str| File { folder: folder.into(), name: format!("{name}.{extension}") };
        let of = |part: &String| match self.folds {
            true => vec![file(part, "train"), file(part, "validation")],
            false => vec![file("", part)],
        };
        self.names.iter().flat_map(of).collect()
    }

    /// The part that must have every class.
    fn home(&self) -> Option<usize> {
        (!self.folds).then_some(0)
    }

    fn failure(&self, error: SplitError, table: &Table, kept: &[usize]) -> Failure {
        let file = table.path.display();
        let message = match error {
            SplitError::EmptyPart { part, rows } => format!(
                "{file}: {} gets no row of {rows}: rows or groups are too few for these parts; ask for larger or fewer ones",
                self.names[part]
            ),
            SplitError::GroupTooLarge { first, rows, largest } => format!(
                "{file}, line {}: {rows} rows belong together (by --group-by, or because their texts are the same), and the largest part \
                 has {largest}; ask for a larger one, or drop duplicates with --deduplicate on",
                table.rows[kept[first]].line
            ),
        };
        Failure { message, code: DATA }
    }
}

/// How the rows are read, and whether parts get their share of every class.
fn choose(args: &SplitArgs, headers: &[String]) -> Result<(Need, bool), Failure> {
    let asked = TrainSettings {
        text_column: args.columns.text_column.clone(),
        label_column: args.label_column.clone(),
        ..TrainSettings::default()
    };
    let has = |name: &str| headers.iter().any(|header| header == name);
    let task = match task::choose(&asked, headers).0 {
        TaskName::Tokens => TaskName::Tokens,
        // A column that is named has one name a row here, whatever it is called.
        _ if args.label_column.is_some() => TaskName::Classification,
        task => task,
    };
    let need = task::need(task, &asked);
    let labelled = args.label_column.is_some() || need.label_columns().iter().any(|name| has(name));
    let one_label = need == Need::Labels;
    let stratified = args.stratify.unwrap_or(if one_label && labelled { Switch::On } else { Switch::Off });
    if stratified == Switch::On && !one_label {
        let column = need.label_columns()[0];
        return Err(usage(format!(
            "--stratify on needs one name a row in the column label, and the data has {column}"
        )));
    }
    Ok(match (one_label, stratified) {
        (true, Switch::On) => (Need::Labels, true),
        (true, Switch::Off) if has("tokens") && !has("text") && args.columns.text_column.is_none() => {
            (Need::WordsOnly, false)
        }
        (true, Switch::Off) => (Need::TextOnly, false),
        (false, _) => (need, false),
    })
}

/// The rows whose texts and label do not stand in an earlier row; of blank texts all.
fn without_duplicates<'rows>(rows: &'rows [Row]) -> Vec<usize> {
    let mut seen = HashSet::new();
    let mut is_new = |row: &'rows Row| {
        let key = (&row.text, &row.text_b, &row.words, &row.label);
        seen.insert(key) || normalised(row).is_none()
    };
    (0..rows.len()).filter(|&row| is_new(&rows[row])).collect()
}

/// Which rows stay together.
struct Groups {
    /// Of each row its group.
    numbers: Vec<usize>,
    /// Rows that have the text of an earlier one, but for case, blanks and punctuation.
    repeated: usize,
    /// Rows without a value in the column of --group-by.
    without_value: usize,
    /// Groups by the column alone, and those after same texts have joined some of them.
    by_column: usize,
}

/// Rows with the same text (but for case, blanks and punctuation) stay together, and so do rows with the same value of the column.
fn groups(records: &Records, kept: &[usize]) -> Groups {
    let texts: Vec<Option<String>> = kept.iter().map(|&row| wording(&records.table.rows[row])).collect();
    let mut counts: HashMap<&String, usize> = HashMap::new();
    texts.iter().flatten().for_each(|text| *counts.entry(text).or_insert(0) += 1);
    let repeated = counts.values().map(|count| count - 1).sum();
    let Some(column) = records.column() else {
        return Groups { numbers: joined(kept.len(), &[&texts]), repeated, without_value: 0, by_column: 0 };
    };
    let values: Vec<Option<String>> =
        kept.iter().map(|&row| Some(column[row].clone()).filter(|value| !value.trim().is_empty())).collect();
    let without_value = values.iter().filter(|value| value.is_none()).count();
    let by_column = joined(kept.len(), &[&values]).into_iter().max().map_or(0, |last| last + 1);
    Groups { numbers: joined(kept.len(), &[&texts, &values]), repeated, without_value, by_column }
}
