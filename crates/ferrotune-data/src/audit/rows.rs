//! Where an audit's rows come from: a table in memory, or files that are read row by row, once for each pass. It knows nothing of checks.

use crate::{DataError, Need, Row, Source, Table, Wanted};

/// The rows of one split.
#[derive(Clone, Copy)]
pub enum AuditRows<'a> {
    /// They are in memory.
    Table(&'a Table),
    /// They are read from files in the format of their extension, row by row.
    Files {
        /// The files.
        source: &'a Source,
        /// The columns, if they are not the usual ones.
        columns: Option<&'a Wanted>,
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
        let (source, columns, need) = match *self {
            AuditRows::Table(table) => return table.rows.chunks(size).try_for_each(work),
            AuditRows::Files { source, columns, need } => (source, columns, need),
        };
        let file = source.name.display().to_string();
        let mut reader = source.open()?.rows(&file, columns, need)?;
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
                (true, false) => return Err(DataError::NoRows { file }),
                _ => {}
            }
        }
    }
}
