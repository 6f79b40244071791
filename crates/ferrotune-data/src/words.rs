//! [`Words`]: which tokens stand for which words of which rows, where words are scored and not rows. It knows nothing of texts or tags.

/// The scored tokens of many sequences: of each word its first token, in the one sequence in which it has most context. A row is one
/// sequence, or several where it was cut into windows, or none where no word of it has a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// The row of the table that each sequence is a part of, ascending, `[sequences]`.
    pub rows: Vec<usize>,
    /// The place of each scored token in its sequence, ascending within a sequence, `[scored]`.
    pub places: Vec<u32>,
    /// The place of its word in the row, ascending within a row, `[scored]`.
    pub words: Vec<u32>,
    /// Where the scored tokens of each sequence start, and at the end their number, `[sequences + 1]`.
    pub offsets: Vec<u32>,
    /// Rows of the table.
    pub table_rows: usize,
    /// Rows that were cut into windows.
    pub windowed_rows: usize,
    /// Words that have no token, because normalisation leaves nothing of them.
    pub silent_words: usize,
    /// The line of the first of them.
    pub first_silent_line: Option<u64>,
}

impl Words {
    /// Adds the rows of another table after its own.
    pub(crate) fn append(&mut self, other: &Words) {
        let scored = self.places.len() as u32;
        self.rows.extend(other.rows.iter().map(|row| self.table_rows + row));
        self.places.extend_from_slice(&other.places);
        self.words.extend_from_slice(&other.words);
        self.offsets.extend(other.offsets[1..].iter().map(|offset| scored + offset));
        self.table_rows += other.table_rows;
        self.windowed_rows += other.windowed_rows;
        self.silent_words += other.silent_words;
        self.first_silent_line = self.first_silent_line.or(other.first_silent_line);
    }

    /// Of a sequence, the places of the scored tokens and the words that they stand for.
    ///
    /// # Panics
    /// When there is no such sequence.
    pub fn of(&self, sequence: usize) -> (&[u32], &[u32]) {
        let range = self.offsets[sequence] as usize..self.offsets[sequence + 1] as usize;
        (&self.places[range.clone()], &self.words[range])
    }
}
