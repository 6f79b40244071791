//! Parquet files built by hand, for what no writer writes: one required column of texts, one row group, one page. Numbers of fields and values
//! are those of `parquet.thrift`.

/// A field of the type at so many numbers after the one before, and its value.
fn field(step: u8, kind: u8, value: &[u8]) -> Vec<u8> {
    [&[step << 4 | kind], value].concat()
}

/// A whole number as the compact protocol writes it.
fn number(value: i64) -> Vec<u8> {
    let mut left = (value << 1 ^ value >> 63) as u64;
    let mut bytes = Vec::new();
    loop {
        let low = (left & 0x7F) as u8;
        left >>= 7;
        if left == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn int(step: u8, value: i64) -> Vec<u8> {
    field(step, 5, &number(value))
}

fn long(step: u8, value: i64) -> Vec<u8> {
    field(step, 6, &number(value))
}

fn text(step: u8, value: &str) -> Vec<u8> {
    field(step, 8, &[&[value.len() as u8], value.as_bytes()].concat())
}

const END: &[u8] = &[0];

/// A data page of ten bytes, whose header makes these claims.
pub(super) fn page(packed: i64, unpacked: i64, values: i64) -> Vec<u8> {
    let data = [int(1, values), int(1, 0), int(1, 3), int(1, 3), END.to_vec()].concat();
    [int(1, 0), int(1, unpacked), int(1, packed), field(2, 12, &data), END.to_vec(), vec![0; 10]].concat()
}

/// A group of the schema.
pub(super) fn group(children: i64) -> Vec<u8> {
    [int(3, 0), text(1, "g"), int(1, children), END.to_vec()].concat()
}

/// The column of the schema.
pub(super) fn leaf() -> Vec<u8> {
    [int(1, 6), int(2, 0), text(1, "text"), int(2, 0), END.to_vec()].concat()
}

/// A file with this page, whose footer says so many rows and values.
pub(super) fn file(page: &[u8], rows: i64, values: i64) -> Vec<u8> {
    with_schema(page, rows, values, &[group(1), leaf()])
}

/// A file with one row in this page, with this compression.
pub(super) fn compressed(page: &[u8], compression: i64) -> Vec<u8> {
    written(page, 1, 1, &[group(1), leaf()], compression)
}

/// A file with this schema; its page is to be Snappy's.
pub(super) fn with_schema(page: &[u8], rows: i64, values: i64, schema: &[Vec<u8>]) -> Vec<u8> {
    written(page, rows, values, schema, 1)
}

fn written(page: &[u8], rows: i64, values: i64, schema: &[Vec<u8>], compression: i64) -> Vec<u8> {
    let bytes = page.len() as i64;
    let column = [
        int(1, 6),
        field(1, 9, &[0x15, 0]),
        field(1, 9, &[&[0x18, 4], &b"text"[..]].concat()),
        int(1, compression),
        long(1, values),
        long(1, bytes),
        long(1, bytes),
        long(2, 4),
        END.to_vec(),
    ]
    .concat();
    let chunk = [long(2, 0), field(1, 12, &column), END.to_vec()].concat();
    let group = [field(1, 9, &[&[0x1C], &chunk[..]].concat()), long(1, bytes), long(1, rows), END.to_vec()].concat();
    let elements = schema.len() as u32;
    let length = [(elements & 0x7F) as u8 | 0x80, (elements >> 7 & 0x7F) as u8 | 0x80, (elements >> 14) as u8];
    let schema = [&[0xFC], &length[..], &schema.concat()].concat();
    let footer =
        [int(1, 2), field(1, 9, &schema), long(1, rows), field(1, 9, &[&[0x1C], &group[..]].concat()), END.to_vec()]
            .concat();
    [b"PAR1", page, &footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
}
