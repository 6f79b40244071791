//! The pages of one column, read and unpacked with a bound on every size before anything is allocated for it. It knows nothing of the values in
//! them but how many there are.

use super::Trouble;
use super::footer::Chunk;
use super::thrift::{Compact, STRUCT, TRUE};
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Take};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A page may have at most this many bytes, unpacked: 256 MiB. Usual ones have 1 MiB.
const MOST_PAGE_BYTES: u32 = 256 << 20;
/// A page header may have at most this many bytes; it holds the smallest and the largest value.
const MOST_HEADER_BYTES: u64 = 4 << 20;
/// Values that pages may claim to have while some rows are read: of rows that are lists, all must be held at once.
const MOST_VALUES: u64 = 8 << 20;
/// Bytes of unpacked pages that all columns may hold at once: 1 GiB.
const MOST_HELD_BYTES: u64 = 1 << 30;
/// Snappy writes 3 bytes for 64 at best.
const SNAPPY_TIMES: usize = 22;

/// Where the pages of a file lie: a position of its own in a file that several columns read.
struct At {
    file: Arc<File>,
    place: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        // The file is shared by the columns of one thread, so nobody moves it in between.
        (&*self.file).seek(SeekFrom::Start(self.place))?;
        let read = (&*self.file).read(buffer)?;
        self.place += read as u64;
        Ok(read)
    }
}

/// Reads the pages of a column of one row group.
pub(super) struct Pages {
    reader: Take<BufReader<At>>,
    compression: Compression,
    /// Repetition and definition levels stand before the values.
    levels: [bool; 2],
    /// Values that pages may still have.
    values: u64,
    budget: Arc<Budget>,
    /// Unpacked bytes of the dictionary and of the newest page.
    held: [u64; 2],
    next: Option<Header>,
}

/// What the columns of a row group have taken of what they may take together.
#[derive(Default)]
pub(super) struct Budget {
    /// Values that pages of lists claimed since these rows began.
    pub(super) values: AtomicU64,
    /// Bytes of texts in these rows.
    pub(super) text: AtomicU64,
    /// Bytes of pages that are held.
    pages: AtomicU64,
}

/// A page header.
#[derive(Clone, Default)]
struct Header {
    kind: u32,
    unpacked: u32,
    packed: u32,
    values: u32,
    encoding: u32,
    /// Encodings of definition and repetition levels, of version 1.
    level_encodings: [u32; 2],
    nulls: u32,
    rows: u32,
    /// Bytes of definition and repetition levels, of version 2.
    level_bytes: [u32; 2],
    is_packed: bool,
}

const DATA: u32 = 0;
const DICTIONARY: u32 = 2;
const DATA_V2: u32 = 3;

impl Pages {
    /// The pages of `chunk`; `levels` says whether there are repetition and definition levels.
    pub(super) fn new(file: &Arc<File>, chunk: Chunk, levels: [bool; 2], budget: Arc<Budget>) -> Pages {
        let at = At { file: file.clone(), place: chunk.start };
        let reader = BufReader::with_capacity(1 << 16, at).take(chunk.bytes);
        Pages { reader, compression: chunk.compression, levels, values: chunk.values, budget, held: [0; 2], next: None }
    }

    /// The next header, which stays the next until its page is read.
    fn header(&mut self) -> Result<Option<Header>> {
        while self.next.is_none() {
            if self.reader.fill_buf()?.is_empty() {
                return Ok(None);
            }
            let header = Header::read(&mut self.reader).map_err(ParquetError::General)?;
            if u64::from(header.packed) > self.reader.limit() {
                return Err(general("a page that is longer than its column"));
            }
            if header.unpacked > MOST_PAGE_BYTES {
                let limit = MOST_PAGE_BYTES;
                return Err(general(format!("a page of {} bytes, more than the limit of {limit}", header.unpacked)));
            }
            if matches!(header.kind, DATA | DICTIONARY | DATA_V2) {
                self.next = Some(header);
            } else {
                self.body(header.packed)?;
            }
        }
        Ok(self.next.clone())
    }

    fn body(&mut self, bytes: u32) -> Result<Vec<u8>> {
        // Not allocated before it is read: the file may be shorter.
        let mut body = Vec::new();
        self.reader.by_ref().take(u64::from(bytes)).read_to_end(&mut body)?;
        if body.len() == bytes as usize { Ok(body) } else { Err(general("a page that is cut short")) }
    }

    /// Refuses more values than the column has, and more than may be held at once.
    fn claim(&mut self, values: u32) -> Result<()> {
        let values = u64::from(values);
        self.values =
            self.values.checked_sub(values).ok_or_else(|| general("pages with more values than their column"))?;
        let [is_list, _] = self.levels;
        if is_list && self.budget.values.fetch_add(values, Ordering::Relaxed) + values > MOST_VALUES {
            return Err(general(format!("lists of more than {MOST_VALUES} values")));
        }
        Ok(())
    }

    /// Refuses a page (or, in place 0, a dictionary) that together with those of all columns is too large. It takes the place of the one before.
    fn hold(&mut self, place: usize, bytes: u32) -> Result<()> {
        let (bytes, before) = (u64::from(bytes), self.held[place]);
        let held = self.budget.pages.fetch_add(bytes, Ordering::Relaxed) + bytes - before;
        self.budget.pages.fetch_sub(before, Ordering::Relaxed);
        self.held[place] = bytes;
        match held > MOST_HELD_BYTES {
            true => Err(general(format!("pages of {held} bytes at once, more than the limit of {MOST_HELD_BYTES}"))),
            false => Ok(()),
        }
    }

    fn unpack(&self, packed: &[u8], size: usize) -> Result<Vec<u8>> {
        let unpacked = match self.compression {
            Compression::UNCOMPRESSED => packed.to_vec(),
            Compression::SNAPPY => {
                // The decoder allocates what the first bytes say.
                let claimed = snap::raw::decompress_len(packed).map_err(|error| general(error.to_string()))?;
                if claimed != size || claimed / SNAPPY_TIMES > packed.len() {
                    return Err(general(format!("a page of {size} bytes, whose data say {claimed}")));
                }
                snap::raw::Decoder::new().decompress_vec(packed).map_err(|error| general(error.to_string()))?
            }
            Compression::GZIP(_) => at_most(MultiGzDecoder::new(packed), size)?,
            Compression::ZSTD(_) => {
                // Its window is bounded by default, as that of the program.
                at_most(zstd::stream::read::Decoder::with_buffer(packed)?, size)?
            }
            other => return Err(general(format!("the compression {other}; use snappy, gzip, zstd or none"))),
        };
        match unpacked.len() == size {
            true => Ok(unpacked),
            false => Err(general(format!("a page of {size} bytes, whose data have {}", unpacked.len()))),
        }
    }

    fn page(&mut self, header: Header) -> Result<Page> {
        self.hold(usize::from(header.kind != DICTIONARY), header.unpacked)?;
        let body = self.body(header.packed)?;
        let (size, encoding) = (header.unpacked as usize, encoding(header.encoding)?);
        match header.kind {
            DICTIONARY => {
                let body = self.unpack(&body, size)?;
                // The decoder allocates an element for each; the narrowest has 4 bytes.
                if u64::from(header.values) * 4 > body.len() as u64 {
                    return Err(general("a dictionary of more values than bytes"));
                }
                Ok(Page::DictionaryPage { buf: body.into(), num_values: header.values, encoding, is_sorted: false })
            }
            DATA => {
                self.claim(header.values)?;
                let body = self.unpack(&body, size)?;
                let [definition, repetition] = header.level_encodings;
                let levels = [self.levels[0].then_some(repetition), self.levels[1].then_some(definition)];
                check_lengths(encoding, header.values, || after_levels(&body, levels))?;
                Ok(Page::DataPage {
                    buf: body.into(),
                    num_values: header.values,
                    encoding,
                    def_level_encoding: self::encoding(definition)?,
                    rep_level_encoding: self::encoding(repetition)?,
                    statistics: None,
                })
            }
            _ => {
                self.claim(header.values)?;
                let [definition, repetition] = header.level_bytes;
                let levels = definition as usize + repetition as usize;
                if levels > body.len() || levels > size || header.nulls > header.values {
                    return Err(general("levels that are longer than their page"));
                }
                // The levels of version 2 are never packed.
                let (before, values) = body.split_at(levels);
                let values = match header.is_packed && size > levels {
                    true => self.unpack(values, size - levels)?,
                    false => values.to_vec(),
                };
                check_lengths(encoding, header.values, || Some(values.as_slice()))?;
                Ok(Page::DataPageV2 {
                    buf: Bytes::from([before, &values].concat()),
                    num_values: header.values,
                    encoding,
                    num_nulls: header.nulls,
                    num_rows: header.rows,
                    def_levels_byte_len: definition,
                    rep_levels_byte_len: repetition,
                    is_compressed: false,
                    statistics: None,
                })
            }
        }
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let Some(header) = self.header()? else { return Ok(None) };
        self.next = None;
        self.page(header).map(Some)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        let of = |header: Header| match header.kind {
            DICTIONARY => PageMetadata { num_rows: None, num_levels: None, is_dict: true },
            DATA => PageMetadata { num_rows: None, num_levels: Some(header.values as usize), is_dict: false },
            _ => PageMetadata {
                num_rows: Some(header.rows as usize),
                num_levels: Some(header.values as usize),
                is_dict: false,
            },
        };
        Ok(self.header()?.map(of))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        match self.header()? {
            Some(header) => {
                self.next = None;
                self.body(header.packed).map(drop)
            }
            None => Ok(()),
        }
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl Header {
    /// Field numbers are those of `parquet.thrift`.
    fn read(from: impl Read) -> std::result::Result<Header, Trouble> {
        let mut header = Header { is_packed: true, ..Header::default() };
        Compact::new(from, MOST_HEADER_BYTES).fields(|page, number, kind| {
            match (number, kind) {
                (1, _) => header.kind = page.size()?,
                (2, _) => header.unpacked = page.size()?,
                (3, _) => header.packed = page.size()?,
                (5, STRUCT) => page.fields(|data, number, _| {
                    match number {
                        1 => header.values = data.size()?,
                        2 => header.encoding = data.size()?,
                        3 => header.level_encodings[0] = data.size()?,
                        4 => header.level_encodings[1] = data.size()?,
                        _ => return Ok(false),
                    }
                    Ok(true)
                })?,
                (7, STRUCT) => page.fields(|dictionary, number, _| {
                    match number {
                        1 => header.values = dictionary.size()?,
                        2 => header.encoding = dictionary.size()?,
                        _ => return Ok(false),
                    }
                    Ok(true)
                })?,
                (8, STRUCT) => page.fields(|data, number, kind| {
                    match number {
                        1 => header.values = data.size()?,
                        2 => header.nulls = data.size()?,
                        3 => header.rows = data.size()?,
                        4 => header.encoding = data.size()?,
                        5 => header.level_bytes[0] = data.size()?,
                        6 => header.level_bytes[1] = data.size()?,
                        7 => header.is_packed = kind == TRUE,
                        _ => return Ok(false),
                    }
                    Ok(true)
                })?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(header)
    }
}

fn general(what: impl Into<String>) -> ParquetError {
    ParquetError::General(what.into())
}

/// What a decoder gives, and one byte more than it should if it gives more.
fn at_most(decoder: impl Read, size: usize) -> Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    decoder.take(size as u64 + 1).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

fn encoding(number: u32) -> Result<Encoding> {
    Ok(match number {
        0 => Encoding::PLAIN,
        2 => Encoding::PLAIN_DICTIONARY,
        3 => Encoding::RLE,
        #[allow(deprecated, reason = "old writers encode levels so")]
        4 => Encoding::BIT_PACKED,
        5 => Encoding::DELTA_BINARY_PACKED,
        6 => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        8 => Encoding::RLE_DICTIONARY,
        9 => Encoding::BYTE_STREAM_SPLIT,
        // Its second list of lengths stands where only its decoder finds it, and that allocates what the list claims.
        7 => return Err(general("the encoding DELTA_BYTE_ARRAY; write strings plainly or with a dictionary")),
        _ => return Err(general(format!("the unknown encoding {number}"))),
    })
}

/// A list of lengths says first how many there are, and its decoder allocates as many: no more than there are values in the page.
fn check_lengths<'a>(encoding: Encoding, values: u32, data: impl FnOnce() -> Option<&'a [u8]>) -> Result<()> {
    if encoding != Encoding::DELTA_LENGTH_BYTE_ARRAY {
        return Ok(());
    }
    // Block size, miniblocks in a block, lengths.
    let mut data = data().unwrap_or_default();
    let mut number = || {
        let mut value = 0u64;
        for shift in (0..63).step_by(7) {
            let (&byte, rest) = data.split_first()?;
            data = rest;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    };
    match [number(), number(), number()] {
        [Some(_), Some(_), Some(lengths)] if lengths <= u64::from(values) => Ok(()),
        _ => Err(general("more lengths than values in a page")),
    }
}

/// What stands after the levels of a page of version 1, each of which begins with its size.
fn after_levels(mut body: &[u8], levels: [Option<u32>; 2]) -> Option<&[u8]> {
    const RLE: u32 = 3;
    for encoding in levels.into_iter().flatten() {
        if encoding != RLE {
            return None;
        }
        let (size, rest) = body.split_first_chunk::<4>()?;
        body = rest.get(u32::from_le_bytes(*size) as usize..)?;
    }
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(budget: &Arc<Budget>, is_list: bool) -> Pages {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let chunk = Chunk { start: 0, bytes: 0, values: 3 * MOST_VALUES, compression: Compression::UNCOMPRESSED };
        Pages::new(&file, chunk, [is_list, true], budget.clone())
    }

    #[test]
    fn columns_share_what_they_may_hold() {
        let budget = Arc::new(Budget::default());
        let mut columns: Vec<Pages> = (0..5).map(|_| pages(&budget, false)).collect();
        for column in &mut columns[..4] {
            column.hold(1, MOST_PAGE_BYTES).unwrap();
        }
        assert!(columns[4].hold(0, 1).unwrap_err().to_string().contains("pages of 1073741825 bytes at once"));
        // A page takes the place of the one before.
        columns[0].hold(1, 10).unwrap();
        columns[4].hold(0, 1 << 20).unwrap();
    }

    #[test]
    fn lists_must_be_held_at_once_and_single_values_need_not() {
        let budget = Arc::new(Budget::default());
        let most = MOST_VALUES as u32;
        let (mut one, mut other) = (pages(&budget, true), pages(&budget, true));
        one.claim(most).unwrap();
        assert!(other.claim(1).unwrap_err().to_string().contains("lists of more than 8388608 values"));
        let mut flat = pages(&budget, false);
        (0..3).for_each(|_| flat.claim(most).unwrap());
        assert!(flat.claim(1).unwrap_err().to_string().contains("pages with more values than their column"));
    }
}
