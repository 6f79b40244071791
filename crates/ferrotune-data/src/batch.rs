//! [`Encoded`], the tokens of a whole table, and [`Batch`], the ragged batch that the model reads: no padding anywhere.
//! It knows nothing of texts, files or tokenizers.

use crate::Words;
use std::ops::Range;
use std::sync::Arc;

/// The token ids of many rows, one after the other. Where words are scored, a "row" is a sequence of [`Words`], and where texts were
/// cut into windows it is one of these: a part of a row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids of all rows, `[tokens]`.
    pub ids: Vec<u32>,
    /// Segment of each token, `[tokens]`: 0 for the first text, 1 for the second.
    pub type_ids: Vec<u32>,
    /// Where each row starts in `ids`, and at the end their number, `[rows + 1]`.
    pub offsets: Vec<u32>,
    /// The rows that were cut to the maximum length, in order.
    pub truncated: Vec<usize>,
    /// The length of the longest row before cutting, special tokens included.
    pub longest_untruncated: usize,
    /// Where texts were cut into windows: the row of the table that each window is a part of, ascending, `[rows]`. Empty where every text is
    /// one row.
    pub windows: Vec<usize>,
    /// The tokens that are scored, where words are and not rows.
    pub words: Option<Arc<Words>>,
}

impl Encoded {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of tokens of all rows.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// How many rows of the table were cut into windows.
    pub fn windowed_rows(&self) -> usize {
        let of_texts = || self.window_groups().filter(|windows| windows.len() > 1).count();
        self.words.as_ref().map_or_else(of_texts, |words| words.windowed_rows)
    }

    /// The windows of each text, where texts were cut into windows: neighbours, of which each text has at least one.
    pub fn window_groups(&self) -> impl Iterator<Item = Range<usize>> {
        let mut start = 0;
        self.windows.chunk_by(|a, b| a == b).map(move |windows| {
            start += windows.len();
            start - windows.len()..start
        })
    }

    /// The rows whose token ids are wanted, in their order.
    ///
    /// # Panics
    /// Where words are scored or texts were cut into windows: their places would be of other rows.
    pub fn retain(&self, wanted: impl Fn(&[u32]) -> bool) -> Encoded {
        assert!(self.words.is_none() && self.windows.is_empty(), "Encoded::retain: rows belong together");
        let mut kept = Encoded {
            ids: Vec::new(),
            type_ids: Vec::new(),
            offsets: vec![0],
            truncated: self.truncated.clone(),
            longest_untruncated: self.longest_untruncated,
            windows: Vec::new(),
            words: None,
        };
        for (ids, type_ids) in (0..self.len()).map(|row| self.row(row)).filter(|(ids, _)| wanted(ids)) {
            kept.ids.extend_from_slice(ids);
            kept.type_ids.extend_from_slice(type_ids);
            kept.offsets.push(kept.ids.len() as u32);
        }
        kept
    }

    /// The rows of several tables that were encoded alike, as one table: the rows of each follow those of the one before.
    ///
    /// # Panics
    /// Where words are scored in some and rows in others, or there are more tokens than 32 bits count.
    pub fn joined<'a>(parts: impl IntoIterator<Item = &'a Encoded>) -> Encoded {
        let mut all = Encoded {
            ids: Vec::new(),
            type_ids: Vec::new(),
            offsets: vec![0],
            truncated: Vec::new(),
            longest_untruncated: 0,
            windows: Vec::new(),
            words: None,
        };
        let mut words: Option<Words> = None;
        // Which row of all tables each sequence is a part of; it matters only if a text is in several.
        let (mut rows, mut of_sequences) = (0, Vec::new());
        for (place, part) in parts.into_iter().enumerate() {
            assert!(place == 0 || words.is_some() == part.words.is_some(), "Encoded::joined: rows and words");
            let end = u32::try_from(all.ids.len() + part.ids.len()).expect("Encoded::joined: too many tokens");
            let before = end - part.ids.len() as u32;
            all.ids.extend_from_slice(&part.ids);
            all.type_ids.extend_from_slice(&part.type_ids);
            all.offsets.extend(part.offsets[1..].iter().map(|offset| before + offset));
            all.truncated.extend(part.truncated.iter().map(|row| rows + row));
            all.longest_untruncated = all.longest_untruncated.max(part.longest_untruncated);
            rows += match &part.words {
                Some(own) => {
                    words.get_or_insert_with(|| Words { offsets: vec![0], ..Words::default() }).append(own);
                    own.table_rows
                }
                None if part.windows.is_empty() => {
                    of_sequences.extend(rows..rows + part.len());
                    part.len()
                }
                None => {
                    of_sequences.extend(part.windows.iter().map(|row| rows + row));
                    part.windows.last().map_or(0, |last| last + 1)
                }
            };
        }
        if rows < of_sequences.len() {
            all.windows = of_sequences;
        }
        all.words = words.map(Arc::new);
        all
    }

    /// The token ids and segments of one row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> (&[u32], &[u32]) {
        assert!(row < self.len(), "Encoded::row: row {row} of {} rows", self.len());
        let range = self.offsets[row] as usize..self.offsets[row + 1] as usize;
        (&self.ids[range.clone()], &self.type_ids[range])
    }
}

/// The rows of one batch, ragged: `tokens` is the sum of their real lengths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Token ids, `[tokens]`.
    pub ids: Vec<u32>,
    /// Segments, `[tokens]`.
    pub type_ids: Vec<u32>,
    /// Place of each token in its row, from 0, `[tokens]`.
    pub positions: Vec<u32>,
    /// Where each row starts, and at the end the number of tokens, `[rows + 1]`.
    pub offsets: Vec<u32>,
    /// Which rows of the data set these are, `[rows]`.
    pub rows: Vec<usize>,
    /// Where words are scored: which of the tokens are, ascending.
    pub scored: Vec<u32>,
}

impl Batch {
    /// Takes the given rows, in the given order.
    ///
    /// # Panics
    /// When a row does not exist.
    pub fn gather(encoded: &Encoded, rows: &[usize]) -> Batch {
        let tokens = rows.iter().map(|&row| encoded.row(row).0.len()).sum();
        let mut batch = Batch {
            ids: Vec::with_capacity(tokens),
            type_ids: Vec::with_capacity(tokens),
            positions: Vec::with_capacity(tokens),
            offsets: Vec::with_capacity(rows.len() + 1),
            rows: rows.to_vec(),
            scored: Vec::new(),
        };
        batch.offsets.push(0);
        for &row in rows {
            let (ids, type_ids) = encoded.row(row);
            if let Some(words) = &encoded.words {
                let first = batch.ids.len() as u32;
                batch.scored.extend(words.of(row).0.iter().map(|place| first + place));
            }
            batch.ids.extend_from_slice(ids);
            batch.type_ids.extend_from_slice(type_ids);
            batch.positions.extend(0..ids.len() as u32);
            batch.offsets.push(batch.ids.len() as u32);
        }
        batch
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The number of tokens of all rows.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }
}
