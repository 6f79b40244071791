//! `ferrotune predict`: labels rows as a stream. Memory does not grow with the input.

use crate::args::{InputFormat, OutputFormat, PredictArgs};
use crate::device::threads::use_threads;
use crate::device::{Machine, Work, device};
use crate::exit::{DATA, Failure, io, usage};
use crate::model::calibrated::ABSTAINS;
use crate::model::find::find_model;
use crate::model::fine_tuned::{Cutter, FineTuned};
use crate::rows::data::kept;
use crate::run::replaced::{check_replaced, stands_for_open_file};
use ferrotune_data::{Format, Need, Opened, Row, RowReader, unpacked};
use ferrotune_train::evaluate::answers;
use ferrotune_train::tasks::{Answer, Prediction, Unit};
use serde_json::Value;
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write, stdin, stdout};
use std::path::{Path, PathBuf};

/// Rows that are labelled at a time.
const BLOCK: usize = 256;

/// Runs the command.
pub fn run(args: &PredictArgs) -> Result<(), Failure> {
    use_threads(args.threads)?;
    device(args.device.device(), args.device.precision)?.run(args)
}

impl Work for &PredictArgs {
    type Output = Result<(), Failure>;

    fn on<B: Machine>(self, backend: B) -> Result<(), Failure> {
        run_on(&backend, self)
    }
}

fn run_on<B: Machine>(backend: &B, args: &PredictArgs) -> Result<(), Failure> {
    let format = args.format.map_or_else(|| format_of(&args.output), Ok)?;
    for (flag, said) in [("logits", args.logits), ("with-input", args.with_input)] {
        if said && format != OutputFormat::Jsonl {
            return Err(usage(format!("--{flag} needs --format jsonl")));
        }
    }
    if args.output != "-" {
        check_replaced(Path::new(&args.output), args.overwrite)?;
    }
    let mut model = FineTuned::read(backend, find_model(&args.model)?.folder)?;
    let Cutter { tokenizer, limit, long_texts } = model.cutter(args.max_length)?;
    let abstention = model.notes.calibration.as_ref().and_then(|calibration| calibration.abstention);

    let (opened, name) = open(args)?;
    let need = if model.task.unit() == Unit::Word { Need::WordsOnly } else { Need::TextOnly };
    let columns = model.columns(args.columns.with_label(&None), false);
    let mut rows = opened.rows(&name, columns.as_ref(), need)?;
    model.check_pair(rows.pair(), &name)?;
    let own: Vec<String> = model.task.columns().into_iter().chain(abstention.map(|_| ABSTAINS.to_string())).collect();
    if format == OutputFormat::Csv
        && let Some(column) = own.iter().find(|column| rows.headers().contains(column))
    {
        return Err(Failure {
            message: format!(
                "{name} has a column `{column}` already, and predict would write a second one; take it out, or say --format jsonl"
            ),
            code: DATA,
        });
    }
    let mut writer = Output::new(&args.output, format)?;
    // As the input has it, for the program that wrote that.
    writer.delimiter = if rows.delimiter() == ';' { ';' } else { ',' };
    if format == OutputFormat::Csv {
        writer.header(rows.headers(), own)?;
    }
    let (mut done, mut cut, mut windowed, mut silent) = (0, 0, 0, 0);
    while !writer.gone {
        let (mut block, mut fields, mut inputs) = (Vec::new(), Vec::new(), VecDeque::new());
        while block.len() < BLOCK
            && let Some(row) = rows.next()
        {
            let row = row?;
            if let (OutputFormat::Csv, Some(key)) = (format, rows.unlisted()) {
                return Err(Failure {
                    message: format!(
                        "{name}, line {}: the first row has no key `{key}`, and the columns of the predictions are its keys: give it all of them (null where \
                         nothing is known), or say --format jsonl",
                        row.line
                    ),
                    code: DATA,
                });
            }
            block.push(row);
            fields.push(rows.fields().to_vec());
            inputs.extend(args.with_input.then(|| input(&rows)));
        }
        if block.is_empty() {
            break;
        }
        let encoded = tokenizer.encode(&block)?;
        let scores = model.logits(backend, &encoded)?;
        let outputs = model.loaded.labels.len();
        for ((row, fields), answer) in block.iter().zip(&fields).zip(answers(&scores, &encoded, outputs)) {
            let logits = args.logits.then(|| raw_scores(row, answer, outputs));
            let prediction = model.predict(row, answer);
            let more = [("logits", logits), ("input", inputs.pop_front())];
            writer.row(fields, more, prediction)?;
        }
        done += block.len();
        cut += encoded.truncated.len();
        windowed += encoded.windowed_rows();
        silent += encoded.words.as_ref().map_or(0, |words| words.silent_words);
    }
    writer.finish()?;
    if cut > 0 {
        eprintln!("{cut} of {done} rows were cut to {}", kept(limit, long_texts));
    }
    if windowed > 0 {
        eprintln!("{windowed} of {done} rows were read in overlapping windows of {limit} tokens");
    }
    if silent > 0 {
        eprintln!("{silent} words give no token: their answer is O, or none where tags are classes");
    }
    Ok(())
}

/// What a file of this name holds.
///
/// # Errors
/// The name of another kind of file.
fn format_of(output: &str) -> Result<OutputFormat, Failure> {
    let extension = Path::new(output).extension().map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("jsonl" | "ndjson") => Ok(OutputFormat::Jsonl),
        Some(other @ ("tsv" | "json" | "parquet" | "gz" | "zst" | "xlsx")) => Err(usage(format!(
            "--output {output}: predict writes .csv or .jsonl, and no .{other}; name one of these, or say --format"
        ))),
        _ => Ok(OutputFormat::Csv),
    }
}

/// The logits of a row, or an array for each of its words; null for those without a token.
fn raw_scores(row: &Row, answer: Answer<'_>, outputs: usize) -> Value {
    let Some(words) = &row.words else { return Value::from(answer.logits) };
    let mut scores = vec![Value::Null; words.len()];
    for (&word, logits) in answer.words.iter().zip(answer.logits.chunks(outputs)) {
        scores[word as usize] = Value::from(logits);
    }
    Value::from(scores)
}

/// The row that was read last, as an object: with the types of its own, or of a table as texts.
fn input<R: BufRead>(rows: &RowReader<R>) -> Value {
    match rows.object() {
        Some(object) => Value::from_iter(object.iter().cloned()),
        None => Value::from_iter(rows.headers().iter().cloned().zip(rows.fields().iter().cloned())),
    }
}

fn open(args: &PredictArgs) -> Result<(Opened, String), Failure> {
    let asked = args.input_format.map(|format| match format {
        InputFormat::Csv => Format::Csv,
        InputFormat::Tsv => Format::Tsv,
        InputFormat::Jsonl => Format::JsonLines,
    });
    if args.input == "-" {
        let name = "standard input";
        let (reader, format) = (unpacked(BufReader::new(stdin()), name)?, asked.unwrap_or(Format::Csv));
        return Ok((Opened { reader, format, left_out: Vec::new() }, name.to_string()));
    }
    Ok((ferrotune_data::open(Path::new(&args.input), asked)?, args.input.clone()))
}

/// Where predictions go. A file is written aside and takes its name when it is complete; what is no file, such as a device or a named pipe, takes them as
/// they come.
struct Output {
    writer: Box<dyn Write>,
    format: OutputFormat,
    /// What stands between two fields of CSV.
    delimiter: char,
    staged: Option<(tempfile::TempPath, PathBuf)>,
    /// Nobody reads it any more.
    gone: bool,
}

impl Output {
    fn new(path: &str, format: OutputFormat) -> Result<Output, Failure> {
        if path == "-" {
            return Ok(Output {
                writer: Box::new(BufWriter::new(stdout())),
                format,
                delimiter: ',',
                staged: None,
                gone: false,
            });
        }
        let cannot = || io(format!("cannot write {path}"));
        let earlier = match fs::metadata(path) {
            Ok(earlier) => Some(earlier),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(cannot()(error)),
        };
        if stands_for_open_file(Path::new(path)) || earlier.as_ref().is_some_and(|earlier| !earlier.is_file()) {
            let file = OpenOptions::new().append(true).open(path).map_err(cannot())?;
            return Ok(Output {
                writer: Box::new(BufWriter::new(file)),
                format,
                delimiter: ',',
                staged: None,
                gone: false,
            });
        }
        let place = behind_links(path);
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let staged = tempfile::Builder::new()
            .prefix(".ferrotune-")
            .make_in(folder, |aside| File::create_new(aside))
            .map_err(io(format!("cannot write in {}", folder.display())))?;
        let (file, aside) = staged.into_parts();
        if let Some(earlier) = earlier {
            // Who may read the file that is there may read the new one, and nobody else.
            file.set_permissions(earlier.permissions()).map_err(cannot())?;
        }
        Ok(Output {
            writer: Box::new(BufWriter::new(file)),
            format,
            delimiter: ',',
            staged: Some((aside, place)),
            gone: false,
        })
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        let written = writeln!(self.writer, "{line}");
        self.unless_gone(written)
    }

    /// A reader that went away wants no more of it, and that is no fault.
    fn unless_gone(&mut self, written: std::io::Result<()>) -> Result<(), Failure> {
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            other => other.map_err(io("cannot write predictions")),
        }
    }

    fn header(&mut self, headers: &[String], own: Vec<String>) -> Result<(), Failure> {
        let all: Vec<String> = headers.iter().cloned().chain(own).collect();
        self.line(&csv_line(&all, self.delimiter))
    }

    /// The input's fields, what JSON may have besides, and what is predicted.
    fn row(
        &mut self,
        fields: &[String],
        more: [(&str, Option<Value>); 2],
        prediction: Prediction,
    ) -> Result<(), Failure> {
        let line = match self.format {
            OutputFormat::Csv => {
                csv_line(&fields.iter().cloned().chain(prediction.fields).collect::<Vec<_>>(), self.delimiter)
            }
            OutputFormat::Jsonl => {
                let mut json = prediction.json;
                json.extend(more.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))));
                Value::from(json).to_string()
            }
        };
        self.line(&line)
    }

    fn finish(mut self) -> Result<(), Failure> {
        let written = self.writer.flush();
        self.unless_gone(written)?;
        if let Some((aside, place)) = self.staged {
            aside.persist(&place).map_err(|error| io(format!("cannot write {}", place.display()))(error.error))?;
        }
        Ok(())
    }
}

/// Where the file of a path lies, or is to lie: behind symbolic links, of which the last may lead to what is not there yet. They lead in no circle, or
/// nothing could have been learned of the path.
fn behind_links(path: &str) -> PathBuf {
    let mut place = PathBuf::from(path);
    while let Ok(next) = fs::read_link(&place) {
        place = place.parent().unwrap_or(Path::new("")).join(next);
    }
    place
}

/// One line of CSV: fields that need it are quoted, quotes in them doubled.
fn csv_line(fields: &[String], delimiter: char) -> String {
    let quoted = |field: &String| {
        // By commas a header is read that has one outside of quotes.
        let plain = !field.contains([delimiter, ',', '"', '\n', '\r']);
        if plain { field.clone() } else { format!("\"{}\"", field.replace('"', "\"\"")) }
    };
    fields.iter().map(quoted).collect::<Vec<_>>().join(&delimiter.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_fields_are_quoted_where_they_must_be() {
        let fields = ["plain", "a,b", "say \"hi\"", "two\nlines", ""].map(str::to_string);
        assert_eq!(csv_line(&fields, ','), "plain,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",");
        assert_eq!(csv_line(&fields[..2], ';'), "plain;\"a,b\"");
    }

    /// The line that is written, and beside it nothing that was staged.
    #[cfg(unix)]
    #[test]
    fn what_is_there_stays_what_it_is() {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let write = |name: &str, line: &str| {
            let mut output = Output::new(at(name).to_str().unwrap(), OutputFormat::Jsonl).unwrap();
            output.line(line).unwrap();
            output.finish().unwrap();
        };
        let is_link = |name: &str| at(name).symlink_metadata().unwrap().is_symlink();

        fs::write(at("private"), "before\n").unwrap();
        fs::set_permissions(at("private"), fs::Permissions::from_mode(0o600)).unwrap();
        symlink("private", at("link")).unwrap();
        symlink("link", at("link-to-it")).unwrap();
        symlink("later", at("ahead")).unwrap();
        for (name, file, mode) in
            [("private", "private", Some(0o600)), ("link-to-it", "private", Some(0o600)), ("ahead", "later", None)]
        {
            write(name, name);
            assert_eq!(fs::read_to_string(at(file)).unwrap(), format!("{name}\n"));
            let got = at(file).metadata().unwrap().permissions().mode() & 0o777;
            assert!(mode.is_none_or(|mode| mode == got), "{name}: {got:o}");
        }
        assert!(is_link("link") && is_link("link-to-it") && is_link("ahead") && !is_link("private"));

        assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        let pipe = at("pipe");
        let reader = std::thread::spawn(move || fs::read_to_string(pipe).unwrap());
        write("pipe", "through");
        assert!(at("pipe").symlink_metadata().unwrap().file_type().is_fifo(), "it was replaced");
        assert_eq!(reader.join().unwrap(), "through\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 6, "something is left beside them");

        symlink("circle", at("circle")).unwrap();
        for name in ["circle", "."] {
            let refused = Output::new(at(name).to_str().unwrap(), OutputFormat::Jsonl).map(drop).unwrap_err();
            assert!(refused.code == crate::exit::IO && refused.message.contains("cannot write "), "{refused:?}");
        }
    }
}
