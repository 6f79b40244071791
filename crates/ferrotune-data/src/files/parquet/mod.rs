//! Parquet files as JSON Lines: one object a row, one key a column, so that the readers of JSON Lines say what is wrong with a row. It knows
//! nothing of texts or labels; levels, encodings and types are the `parquet` crate's affair.
//!
//! A hostile file must neither take the process down nor fill its memory. The crate gives up by an error, by a panic, or (in the schema and in
//! pages) by allocating what the file claims to need or by recursing as deep as it says. So the footer is walked before the crate sees it
//! ([`footer`]), pages are read and unpacked here with a bound on each size ([`pages`]), and all of it runs in a thread where a panic becomes
//! an error. What comes out is bounded as that of any compressed file.

mod class_names;
mod footer;
mod pages;
mod thrift;
mod values;

use crate::files::compressed::{Refusal, Stream, is_bomb};
use crate::files::open::LeftOut;
use footer::Footer;
use pages::Budget;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use values::Column;

/// What messages call the format.
const WHAT: &str = "Parquet";
/// Rows that are decoded at a time. Few, since the values of a hostile file may be large.
const ROWS: usize = 64;
/// JSON is handed over in pieces of about this many bytes.
const PIECE_BYTES: usize = 1 << 16;
/// Pieces that may wait to be read.
const WAITING: usize = 16;

/// What is wrong with a file, one line.
type Trouble = String;

/// The rows of a file of so many bytes, and the columns that are not read.
///
/// # Errors
/// A footer that is damaged or beyond the limits; what is wrong with a row comes when it is read.
pub(crate) fn open(mut file: File, bytes: u64) -> io::Result<(Stream, Vec<LeftOut>)> {
    let footer = guarded(|| Footer::read(&mut file, bytes)).map_err(refusal)?;
    let left_out = footer.left_out.clone();
    let (sender, receiver) = sync_channel(WAITING);
    let work = move || {
        let end = guarded(|| write_rows(&Arc::new(file), bytes, &footer, &sender));
        if let Err(stop) = end {
            // Nobody is there to hear of it if the reader was dropped.
            let _ = sender.send(Err(stop));
        }
    };
    std::thread::Builder::new().name("parquet".to_owned()).spawn(work)?;
    Ok((Box::new(BufReader::with_capacity(PIECE_BYTES, Pieces { receiver, piece: Cursor::default() })), left_out))
}

/// Why decoding ends early.
enum Stop {
    /// The file is damaged.
    Trouble(Trouble),
    /// It makes use of something in the format that is not read.
    NotRead(Trouble),
    /// Too much comes out of it.
    Inflated,
    /// The reader is gone.
    Unwanted,
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Stop {
        Stop::Trouble(trouble)
    }
}

fn refusal(stop: Stop) -> io::Error {
    match stop {
        Stop::Inflated => Refusal::Inflated { what: WHAT }.into(),
        Stop::NotRead(detail) => Refusal::NotRead { detail }.into(),
        Stop::Trouble(detail) => Refusal::Damaged { what: WHAT, detail }.into(),
        Stop::Unwanted => unreachable!("somebody reads"),
    }
}

/// Runs `work`; a panic in it becomes an error. (The process's panic hook still reports it.) Nothing that it leaves half done is used afterwards.
fn guarded<T, E: Into<Stop>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, Stop> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(Stop::Trouble("the parquet library panicked on it".to_owned())),
    }
}

/// Decodes all rows and hands them over as JSON Lines.
fn write_rows(
    file: &Arc<File>,
    bytes: u64,
    footer: &Footer,
    to: &SyncSender<Result<Vec<u8>, Stop>>,
) -> Result<(), Stop> {
    let (mut piece, mut given) = (Vec::with_capacity(PIECE_BYTES), 0);
    for group in &footer.groups {
        let budget = Arc::new(Budget::default());
        let open = |(chunk, shape)| Column::open(file, chunk, shape, &budget);
        let mut columns: Vec<Column> = group.chunks.iter().zip(&footer.shapes).map(open).collect();
        let mut left = group.rows;
        while left > 0 {
            let rows = left.min(ROWS as u64) as usize;
            left -= rows as u64;
            budget.values.store(0, Ordering::Relaxed);
            budget.text.store(0, Ordering::Relaxed);
            let mut values = Vec::with_capacity(columns.len());
            for column in &mut columns {
                values.push(column.read(rows)?.into_iter());
            }
            for _ in 0..rows {
                write_row(&mut piece, footer, &mut values);
                if piece.len() >= PIECE_BYTES {
                    given += piece.len() as u64;
                    if is_bomb(bytes, given) {
                        return Err(Stop::Inflated);
                    }
                    to.send(Ok(std::mem::replace(&mut piece, Vec::with_capacity(PIECE_BYTES))))
                        .map_err(|_| Stop::Unwanted)?;
                }
            }
        }
    }
    to.send(Ok(piece)).map_err(|_| Stop::Unwanted)
}

/// One row as an object on one line.
fn write_row(to: &mut Vec<u8>, footer: &Footer, values: &mut [std::vec::IntoIter<serde_json::Value>]) {
    to.push(b'{');
    for (n, (shape, values)) in footer.shapes.iter().zip(values).enumerate() {
        if n > 0 {
            to.push(b',');
        }
        let value = values.next().expect("a value for each row");
        serde_json::to_writer(&mut *to, &shape.name).expect("memory takes everything");
        to.push(b':');
        serde_json::to_writer(&mut *to, &value).expect("memory takes everything");
    }
    to.extend_from_slice(b"}\n");
}

/// The pieces as a stream. It ends where the decoder has ended.
struct Pieces {
    receiver: Receiver<Result<Vec<u8>, Stop>>,
    piece: Cursor<Vec<u8>>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.receiver.recv() {
                Ok(Ok(piece)) => self.piece = Cursor::new(piece),
                Ok(Err(stop)) => return Err(refusal(stop)),
                Err(_) => return Ok(0),
            }
        }
    }
}
