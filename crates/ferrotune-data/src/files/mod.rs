//! Files of rows: found, unpacked, read record by record, and made into rows. It must not know what labels mean, or how a text becomes tokens.

pub(crate) mod columns;
pub(crate) mod compressed;
pub(crate) mod delimited;
pub(crate) mod json_row;
pub(crate) mod jsonl;
pub(crate) mod lines;
pub(crate) mod open;
pub(crate) mod parquet;
pub(crate) mod reader;
pub(crate) mod records;
pub(crate) mod source;
pub(crate) mod table;
pub(crate) mod texts;
