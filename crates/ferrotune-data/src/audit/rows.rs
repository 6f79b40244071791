//! Where an audit's rows come from: a table in memory, or a file that is read row by row, once for each pass. It knows nothing of checks.

use crate::open::{Opened, open};
use crate::{Columns, DataError, Need, Row, Table, stream_with};
use std::path::Path;

/// The rows of one split.
#[derive(Clone, Copy)]
pub enum AuditRows<'a> {
    /// They are in memory.
    Table(&'a Table),
    /// They are read from a file in the format of its extension, row by row.
    File {
        /// The file.
        path: &'a Path,
        /// The columns, if they are not the usual ones.
        columns: Option<&'a Columns>,
        /// What a row must have.
        need: Need,
    },
}

impl AuditRows<'_> {
    /// Hands all rows to `work`, in blocks of at most `size`.
    pub(crate) fn blocks(
        &self,
        size: usize,
        work: &mut dyn FnMut(&[Row]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let (path, columns, need) = match *self {
            AuditRows::Table(table) => return table.rows.chunks(size).try_for_each(work),
            AuditRows::File { path, columns, need } => (path, columns, need),
        };
        let Opened { reader, format, .. } = open(path, None)?;
        let mut reader = stream_with(reader, &path.display().to_string(), format, columns, need)?;
        let (mut block, mut any) = (Vec::with_capacity(size), false);
        loop {
            let row = reader.next().transpose()?;
            let last = row.is_none();
            block.extend(row);
            if block.len() == size || (last && !block.is_empty()) {
                any = true;
                work(&block)?;
                block.clear();
            }
            match (last, any) {
                (true, true) => return Ok(()),
                (true, false) => return Err(DataError::NoRows { file: path.display().to_string() }),
                _ => {}
            }
        }
    }
}
