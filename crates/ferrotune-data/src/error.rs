//! [`DataError`]: every way in which data or a tokenizer from outside can be refused, with file, line and column.
//! It knows nothing of how the checks are made.

use crate::files::compressed::Refusal;
use crate::names::{did_you_mean, quoted};
use std::io;

/// Which part of the outside world is at fault; the command line maps it to an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The operating system refused: the file is missing, unreadable, or the disk failed.
    Io,
    /// The contents of a data file, or its labels, are wrong.
    Data,
    /// The tokenizer is missing, malformed, or does not fit the request.
    Tokenizer,
}

/// A refusal of data or of a tokenizer. Lines and columns count from 1; columns count characters.
/// Each message is one line: what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message above each variant says what its fields are")]
pub enum DataError {
    #[error("cannot read {file}: {source}")]
    Io { file: String, source: io::Error },
    #[error("{file} is not a regular file: a table cannot be read from a folder or a pipe")]
    NotAFile { file: String },
    #[error(
        "{file} has no extension of a format that is read, which are .csv, .tsv, .jsonl and .ndjson (with .gz or .zst where it is compressed) and \
         .parquet: rename or convert it"
    )]
    UnknownFormat { file: String },
    #[error("{file} has {bytes} bytes, more than the limit of {limit}: split it")]
    FileTooLarge { file: String, bytes: u64, limit: u64 },
    #[error("damaged {what} data in {file}, after line {line}: {detail}; fetch or write the file again")]
    Damaged { file: String, line: u64, what: &'static str, detail: String },
    #[error(
        "the {what} data in {file} become too large, after line {line}: unpack them yourself if you trust them, and split them"
    )]
    Inflated { file: String, line: u64, what: &'static str },
    #[error("{file} is a {what} archive: unpack it (what is read is gzip, Zstandard and Parquet)")]
    Foreign { file: String, what: &'static str },
    #[error(
        "no file for {part} in {folder} (such as {part}.csv or data/{part}-00000-of-00001.parquet): {holds}; name a file"
    )]
    NoPart { folder: String, part: &'static str, holds: String },
    #[error(
        "{folder} has several files for {part}, and they are not the shards of a Parquet data set: {files}; name one"
    )]
    SeveralFiles { folder: String, part: &'static str, files: String },
    #[error(
        "{folder} was written by save_to_disk, in the Arrow format: load it in Python and write each split with to_parquet"
    )]
    ArrowFolder { folder: String },
    #[error(
        "{file} has the columns {columns}, which hold neither texts nor numbers nor lists of these, and would be lost: leave them out"
    )]
    ColumnsLeftOut { file: String, columns: String },
    #[error(
        "column {} of {file} has the type {kind}, which is not read: write it as texts, whole or real numbers, booleans, or lists of these",
        quoted(.column)
    )]
    UnreadType { file: String, column: String, kind: &'static str },
    #[error("{file} is Parquet of a kind that is not read: {detail}")]
    NotRead { file: String, detail: String },
    #[error("{file} is no Parquet file, though its name says so: rename it, or fetch it again")]
    NotParquet { file: String },
    #[error("{file} is empty: it needs a header (or JSON objects) and at least one row")]
    EmptyFile { file: String },
    #[error("{file} has a header but no rows: add some")]
    NoRows { file: String },
    #[error("{file} is encoded as {encoding}: convert it, for example with `iconv -f {encoding} -t UTF-8`")]
    Encoding { file: String, encoding: &'static str },
    #[error(
        "invalid UTF-8 in {file}, line {line}, column {column}: convert the file to UTF-8 \
         (of Excel and Western Windows: `iconv -f WINDOWS-1252 -t UTF-8`)"
    )]
    InvalidUtf8 { file: String, line: u64, column: u64 },
    #[error("NUL byte in {file}, line {line}, column {column}: remove it, or convert the file if it is UTF-16")]
    Nul { file: String, line: u64, column: u64 },
    #[error(
        "unclosed quote in {file}, line {line}: the field that opens there never ends; \
         close it, and write a quote inside a quoted field twice"
    )]
    UnclosedQuote { file: String, line: u64 },
    #[error(
        "stray quote in {file}, line {line}, column {column}: put the whole field in quotes and write the quote twice"
    )]
    StrayQuote { file: String, line: u64, column: u64 },
    #[error(
        "text after a closing quote in {file}, line {line}, column {column} (the quote opened in line {opened}): \
         write a quote inside a quoted field twice, or close the quote that was left open"
    )]
    TextAfterQuote { file: String, line: u64, column: u64, opened: u64 },
    #[error(
        "wrong number of fields in {file}, line {line}: got {got}, the header has {expected}; \
         put a field that holds the delimiter in quotes"
    )]
    FieldCount { file: String, line: u64, got: usize, expected: usize },
    #[error("column {} of {file} would be read twice, as two of text, second text and label: name another", quoted(.column))]
    ColumnTwice { file: String, column: String },
    #[error("duplicate column {} in {file}: give each column its own name", quoted(.column))]
    DuplicateColumn { file: String, column: String },
    #[error("no column {} in {file}: rename the right one of its columns {columns}{flag}{}", quoted(.column), did_you_mean(.nearest))]
    MissingColumn { file: String, column: String, columns: String, flag: &'static str, nearest: Option<String> },
    #[error(
        "the first object of {file} has no keys: every object needs those of the columns; remove it, or give it some"
    )]
    EmptyObject { file: String },
    #[error("{file} begins with a line sep=…, which is for spreadsheets alone: remove this line")]
    SeparatorLine { file: String },
    #[error(
        "{file} seems to be separated by {found}, for it has a column {}: a .csv file is read by commas (or semicolons, if its header has no comma), a .tsv file by tabs; {advice}",
        quoted(.column)
    )]
    OtherDelimiter { file: String, column: String, found: &'static str, advice: &'static str },
    #[error(
        "{file} has \"text\" and \"text_b\" and no \"text_a\": name a pair with --text-column text --text-b-column text_b, or text alone with \
         --text-column text; or rename or remove one"
    )]
    HalfPair { file: String },
    #[error("{file} has both \"text\" and \"text_a\", \"text_b\": name the columns to read, or rename one")]
    AmbiguousColumns { file: String },
    #[error("empty label in {file}, line {line}: give the row a label or delete it")]
    EmptyLabel { file: String, line: u64 },
    #[error(
        "empty name among the labels in {file}, line {line}: put one {separator:?} between two names (or give an array of them), \
         and leave the whole field empty for a row without labels"
    )]
    EmptyLabelInSet { file: String, line: u64, separator: char },
    #[error("label {} twice in one row of {file}, line {line}: keep one", quoted(.label))]
    RepeatedLabel { file: String, line: u64, label: String },
    #[error("label {} in {file}, line {line} holds the separator {separator:?}: choose another separator", quoted(.label))]
    SeparatorInLabel { file: String, line: u64, label: String, separator: char },
    #[error("no row of {file} has any label: nothing can be learned from it")]
    NoLabels { file: String },
    #[error("{} is no number in {file}, line {line} (such rows: {rows}): write a finite number such as 3.5, with a point", quoted(.value))]
    NotANumber { file: String, line: u64, value: String, rows: usize },
    #[error("{file} has the classes {classes}: a binary task has exactly two")]
    NotBinary { file: String, classes: String },
    #[error("no row of {file} has the positive label {}: its classes are {classes}", quoted(.label))]
    UnknownPositive { file: String, label: String, classes: String },
    #[error("label over several lines in {file}, line {line}: look for an unclosed quote")]
    LabelSpansLines { file: String, line: u64 },
    #[error("{what} over {limit} bytes in {file}, line {line}: shorten it, or look for an unclosed quote")]
    TooLarge { file: String, line: u64, what: &'static str, limit: usize },
    #[error("malformed JSON in {file}, line {line}, column {column}: {detail}; each line must be one JSON object")]
    Json { file: String, line: u64, column: u64, detail: String },
    #[error("{found} instead of a JSON object in {file}, line {line}: each line must be one object")]
    JsonNotObject { file: String, line: u64, found: &'static str },
    #[error("wrong type of {} in {file}, line {line}: got {found}, expected {expected}", quoted(.key))]
    JsonType { file: String, line: u64, key: String, found: &'static str, expected: &'static str },
    #[error("duplicate key {} in {file}, line {line}: keep one", quoted(.key))]
    JsonDuplicateKey { file: String, line: u64, key: String },
    #[error("missing key {} in {file}, line {line}: every object needs it", quoted(.key))]
    JsonMissingKey { file: String, line: u64, key: String },
    #[error("NUL character (\\u0000) in {} in {file}, line {line}: remove it", quoted(.key))]
    JsonNul { file: String, line: u64, key: String },
    #[error("{file} is a table, and a table has no arrays of words: give words and tags as JSON Lines (.jsonl)")]
    WordsNeedJson { file: String },
    #[error("{words} words and {tags} tags in {file}, line {line}: each word has one tag")]
    TagCount { file: String, line: u64, words: usize, tags: usize },
    #[error("tag {} in {file}, line {line}: a tag is a name without white space", quoted(.tag))]
    BadTag { file: String, line: u64, tag: String },
    #[error(
        "tag {} in {file}, line {line}: the tags spell entities, and such a tag is O (outside), or B, I, E or S with a type, such as B-person \
         (of BILOU write E for L and S for U); tags that are classes of words (NOUN) must not be mixed with these",
        quoted(.tag)
    )]
    MixedTags { file: String, line: u64, tag: String },
    #[error("every word of {file} has the tag {}: nothing can be learned from it", quoted(.tag))]
    SingleTag { file: String, tag: String },
    #[error("no word of {file} gives the tokenizer anything: nothing can be learned or measured")]
    NoWords { file: String },
    #[error("every row of {file} has the label {}: a classifier needs at least two classes", quoted(.label))]
    SingleClass { file: String, label: String },
    #[error(
        "unknown label {} in {file}, line {line} (rows with unknown labels: {rows}): \
         correct it to one of {known}, or train with it{}",
        quoted(.label), did_you_mean(.nearest)
    )]
    UnknownLabel { file: String, line: u64, label: String, rows: usize, known: String, nearest: Option<String> },
    #[error("label {} is in the label list twice, or is empty: labels need distinct names", quoted(.label))]
    BadLabelName { label: String },
    #[error(
        "{} among the model's labels is no tag of an entity, as others are: these are O, or B, I, E or S with a type, such as B-person",
        quoted(.label)
    )]
    NoTag { label: String },
    #[error(
        "no tokenizer.json in {folder}, and no SentencePiece model to make it of: save the model's fast tokenizer there"
    )]
    TokenizerMissing { folder: String },
    #[error("no tokenizer can be made of {file}: {detail}; save the model's fast tokenizer, tokenizer.json, beside it")]
    TokenizerNotConverted { file: String, detail: String },
    #[error("{file} has {bytes} bytes, more than the limit of {limit}: it is no tokenizer of a BERT model")]
    TokenizerTooLarge { file: String, bytes: u64, limit: u64 },
    #[error("cannot use {file}: {detail}; take the file from the model's original folder")]
    TokenizerMalformed { file: String, detail: String },
    #[error("the tokenizers library panicked on {file} while {doing}: the file is malformed; take the original one")]
    TokenizerPanicked { file: String, doing: String },
    #[error("the tokenizer failed on the row of line {line}: {detail}")]
    TokenizerFailed { line: u64, detail: String },
    #[error("max length {max_length} is too short: this input needs {needed} ({special} special tokens and the text)")]
    MaxLength { max_length: usize, special: usize, needed: usize },
    #[error("the row of line {line} has no tokens: the text is empty and the tokenizer adds none of its own")]
    EmptySequence { line: u64 },
    #[error(
        "line {line} has a pair of texts; windows are cut from single texts, long pairs can be read by head or head-tail"
    )]
    PairInWindows { line: u64 },
    #[error("{file} has no special token [MASK] or <mask>: a model without it cannot learn what is masked")]
    NoMaskToken { file: String },
    #[error(
        "{file} does not say where words begin (no ##, no byte-level blanks, no \u{2581}): leave whole-word masking off"
    )]
    UnknownWordStarts { file: String },
    #[error("{file} holds no text that the tokenizer knows: nothing can be learned from it")]
    NoText { file: String },
    #[error("{file} is plain text and has no column {}: leave the column out", quoted(.column))]
    NoColumns { file: String, column: String },
    #[error("more than {limit} rows in all splits: audit a part of them")]
    TooManyRows { limit: u64 },
    #[error("more than {limit} tokens in one data set: split it")]
    TooManyTokens { limit: u64 },
}

impl DataError {
    /// What a stream said after so many lines.
    pub(crate) fn of_stream(file: &str, line: u64, source: io::Error) -> DataError {
        let file = file.to_owned();
        match source.downcast::<Refusal>() {
            Ok(Refusal::Damaged { what, detail }) => DataError::Damaged { file, line, what, detail },
            Ok(Refusal::Inflated { what }) => DataError::Inflated { file, line, what },
            Ok(Refusal::NotRead { detail }) => DataError::NotRead { file, detail },
            Ok(Refusal::Foreign { what }) => DataError::Foreign { file, what },
            Err(source) => DataError::Io { file, source },
        }
    }

    /// Which part of the outside world is at fault.
    pub fn kind(&self) -> ErrorKind {
        use DataError as E;
        match self {
            E::Io { .. } => ErrorKind::Io,
            E::TokenizerMissing { .. }
            | E::TokenizerNotConverted { .. }
            | E::TokenizerTooLarge { .. }
            | E::TokenizerMalformed { .. }
            | E::TokenizerPanicked { .. }
            | E::TokenizerFailed { .. }
            | E::NoMaskToken { .. }
            | E::UnknownWordStarts { .. }
            | E::MaxLength { .. } => ErrorKind::Tokenizer,
            _ => ErrorKind::Data,
        }
    }
}
