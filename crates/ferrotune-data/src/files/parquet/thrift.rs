//! Enough of Thrift's compact protocol to walk the structs of a Parquet file without allocating anything. It knows nothing of their meaning.
//!
//! Protocol: <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.

use super::Trouble;
use std::io::{self, Read};

/// Structs, lists and maps may lie in each other this deep.
const MOST_DEPTH: usize = 32;

/// The types of the protocol that are read here.
pub(super) const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
pub(super) const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
pub(super) const STRUCT: u8 = 12;

/// Reads values one after the other, at most so many bytes.
pub(super) struct Compact<R> {
    reader: io::Take<R>,
    depth: usize,
}

impl<R: Read> Compact<R> {
    /// A reader of at most `limit` bytes.
    pub(super) fn new(reader: R, limit: u64) -> Compact<R> {
        Compact { reader: reader.take(limit), depth: 0 }
    }

    /// Calls `field` with number and type of each field of a struct; it reads the value and says true, or leaves it to be skipped.
    pub(super) fn fields(
        &mut self,
        mut field: impl FnMut(&mut Self, i64, u8) -> Result<bool, Trouble>,
    ) -> Result<(), Trouble> {
        self.deeper(|own| {
            let mut number = 0;
            loop {
                let head = own.byte()?;
                let (step, kind) = (head >> 4, head & 0x0F);
                if kind == 0 {
                    return Ok(());
                }
                number = if step == 0 { own.integer()? } else { number + i64::from(step) };
                if !field(own, number, kind)? {
                    own.skip(kind)?;
                }
            }
        })
    }

    /// How many elements a list has, and of which type.
    pub(super) fn list(&mut self) -> Result<(u64, u8), Trouble> {
        let head = self.byte()?;
        let length = if head >> 4 == 15 { self.unsigned()? } else { u64::from(head >> 4) };
        Ok((length, head & 0x0F))
    }

    /// A whole number of any width.
    pub(super) fn integer(&mut self) -> Result<i64, Trouble> {
        let zigzag = self.unsigned()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    /// A number that fits an i32 and is not negative.
    pub(super) fn size(&mut self) -> Result<u32, Trouble> {
        let size = self.integer()?;
        u32::try_from(size).ok().filter(|&size| size <= i32::MAX as u32).ok_or_else(|| format!("a size of {size}"))
    }

    fn unsigned(&mut self) -> Result<u64, Trouble> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number of more than 64 bits".to_owned())
    }

    fn byte(&mut self) -> Result<u8, Trouble> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => "a header that does not end".to_owned(),
            _ => error.to_string(),
        })?;
        Ok(byte[0])
    }

    fn skip_bytes(&mut self, bytes: u64) -> Result<(), Trouble> {
        let skipped =
            io::copy(&mut self.reader.by_ref().take(bytes), &mut io::sink()).map_err(|error| error.to_string())?;
        if skipped == bytes { Ok(()) } else { Err("a header that does not end".to_owned()) }
    }

    /// Skips the value of a field; booleans lie in the type.
    pub(super) fn skip(&mut self, kind: u8) -> Result<(), Trouble> {
        match kind {
            TRUE | FALSE => Ok(()),
            BYTE => self.skip_bytes(1),
            I16 | I32 | I64 => self.unsigned().map(drop),
            DOUBLE => self.skip_bytes(8),
            BINARY => {
                let bytes = self.unsigned()?;
                self.skip_bytes(bytes)
            }
            LIST | SET => self.deeper(|own| {
                let (length, kind) = own.list()?;
                (0..length).try_for_each(|_| own.skip_element(kind))
            }),
            MAP => self.deeper(|own| {
                let length = own.unsigned()?;
                let kinds = if length == 0 { 0 } else { own.byte()? };
                (0..length).try_for_each(|_| own.skip_element(kinds >> 4).and_then(|()| own.skip_element(kinds & 0x0F)))
            }),
            STRUCT => self.fields(|_, _, _| Ok(false)),
            _ => Err(format!("a value of the unknown type {kind}")),
        }
    }

    /// In lists and maps a boolean is a byte.
    pub(super) fn skip_element(&mut self, kind: u8) -> Result<(), Trouble> {
        if matches!(kind, TRUE | FALSE) { self.skip_bytes(1) } else { self.skip(kind) }
    }

    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Trouble>) -> Result<T, Trouble> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(format!("structures more than {MOST_DEPTH} deep"));
        }
        let result = work(self);
        self.depth -= 1;
        result
    }
}
