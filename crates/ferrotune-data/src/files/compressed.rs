//! Gzip and Zstandard streams, known by their first bytes and not by a name, with a bound on what may come out of them. It knows nothing of
//! rows or formats.

use crate::MAX_FILE_BYTES;
use flate2::bufread::MultiGzDecoder;
use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that may come out of any stream, however small it is.
const FREE_BYTES: u64 = 64 << 20;
/// Above [`FREE_BYTES`] a stream may become this many times as large. Texts become 3 to 10 times as large, tables of repeated rows 50 times.
const MOST_TIMES: u64 = 256;
/// The window of a Zstandard stream may have 2 to the power of this bytes: 128 MiB, the largest that `zstd` writes without `--long`.
const MOST_WINDOW: u32 = 27;

const GZIP: &[u8] = &[0x1F, 0x8B, 0x08];
const ZSTANDARD: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];
/// What a Parquet file begins with.
pub(crate) const PARQUET: &[u8] = b"PAR1";
/// Archives and compressions that are not read.
const FOREIGN: [(&[u8], &str); 3] =
    [(b"PK\x03\x04", "zip"), (b"BZh", "bzip2"), (&[0xFD, b'7', b'z', b'X', b'Z'], "xz")];

/// Why a stream ends before its time. Readers carry it inside an [`io::Error`]; `DataError::of_stream` takes it out again.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The bytes are not what they should be.
    Damaged { what: &'static str, detail: String },
    /// Too much comes out of too little.
    Inflated { what: &'static str },
    /// It is something that is not read.
    Foreign { what: &'static str },
    /// The format is read, and what this file makes use of in it is not.
    NotRead { detail: String },
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Damaged { what, detail } => write!(formatter, "damaged {what} data: {detail}"),
            Refusal::Inflated { what } => write!(formatter, "{what} data that become too large"),
            Refusal::Foreign { what } => write!(formatter, "{what} data"),
            Refusal::NotRead { detail } => formatter.write_str(detail),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> io::Error {
        io::Error::other(refusal)
    }
}

/// A stream that can go to another thread.
pub(crate) type Stream = Box<dyn BufRead + Send>;

/// The stream itself, or what it holds in compressed form. Reads no further than the first bytes that tell the two apart.
///
/// # Errors
/// Those of the reader; an archive of another kind.
pub(crate) fn decompressed(mut reader: impl BufRead + Send + 'static) -> io::Result<Stream> {
    let first = peek(&mut reader)?;
    if let Some(&(_, what)) = FOREIGN.iter().find(|(magic, _)| first.starts_with(magic)) {
        return Err(Refusal::Foreign { what }.into());
    }
    let whole = Cursor::new(first.clone()).chain(reader);
    if first.starts_with(GZIP) {
        let (counted, taken) = Counted::new(whole);
        let decoder = MultiGzDecoder::new(counted);
        return Ok(Box::new(BufReader::with_capacity(1 << 16, Bounded { decoder, what: "gzip", taken, given: 0 })));
    }
    if first.starts_with(ZSTANDARD) {
        let (counted, taken) = Counted::new(whole);
        let mut decoder = zstd::stream::read::Decoder::with_buffer(counted)?;
        decoder.window_log_max(MOST_WINDOW)?;
        return Ok(Box::new(BufReader::with_capacity(
            1 << 16,
            Bounded { decoder, what: "Zstandard", taken, given: 0 },
        )));
    }
    Ok(Box::new(whole))
}

/// The first bytes of a stream: as many as can still be those of something that is known here, so that plain text is not waited for.
fn peek(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let known = || [GZIP, ZSTANDARD].into_iter().chain(FOREIGN.iter().map(|(magic, _)| *magic));
    let mut first = Vec::new();
    while known().any(|magic| magic.len() > first.len() && magic.starts_with(&first)) {
        let mut byte = [0];
        match reader.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => first.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(first)
}

/// Whether so much may come out of so little.
pub(crate) fn is_bomb(taken: u64, given: u64) -> bool {
    given > MAX_FILE_BYTES || given > FREE_BYTES && given / MOST_TIMES > taken
}

/// Counts the bytes that a decoder takes.
struct Counted<R> {
    reader: R,
    taken: Arc<AtomicU64>,
}

impl<R> Counted<R> {
    fn new(reader: R) -> (Counted<R>, Arc<AtomicU64>) {
        let taken = Arc::new(AtomicU64::new(0));
        (Counted { reader, taken: taken.clone() }, taken)
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.taken.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
        self.reader.consume(bytes);
    }
}

/// A decoder that says what is wrong, and ends when too much comes out.
struct Bounded<D> {
    decoder: D,
    what: &'static str,
    taken: Arc<AtomicU64>,
    given: u64,
}

impl<D: Read> Read for Bounded<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(buffer).map_err(|error| match error.raw_os_error() {
            // The system's own troubles are not those of the data.
            Some(_) => error,
            None if error.kind() == io::ErrorKind::Interrupted => error,
            None => Refusal::Damaged { what: self.what, detail: error.to_string() }.into(),
        })?;
        self.given += read as u64;
        if is_bomb(self.taken.load(Ordering::Relaxed), self.given) {
            return Err(Refusal::Inflated { what: self.what }.into());
        }
        Ok(read)
    }
}
