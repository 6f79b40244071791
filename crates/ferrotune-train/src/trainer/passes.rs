//! Cuts the batch of an optimizer step into forward passes that fit in memory. Must not know what a pass computes.

/// How large a pass may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassLimit {
    /// Rows at most, at least 1.
    pub rows: usize,
    /// Tokens at most, if limited; a longer row has a pass of its own.
    pub tokens: Option<usize>,
}

/// Neighbouring rows of a batch that go through the model together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass<'a> {
    /// The rows of the data set.
    pub rows: &'a [usize],
    /// Rows of the batch before them.
    pub first_row: usize,
    /// Tokens of the batch before them.
    pub first_token: usize,
    /// Their tokens.
    pub tokens: usize,
}

/// The passes of a batch, in order: each takes as many of the next rows as fit.
pub fn passes<'a>(batch: &'a [usize], limit: PassLimit, length: impl Fn(usize) -> usize) -> Vec<Pass<'a>> {
    let mut passes = Vec::new();
    let (mut start, mut first_token, mut tokens) = (0, 0, 0);
    let mut close = |start: usize, end: usize, first_token: usize, tokens: usize| {
        passes.push(Pass { rows: &batch[start..end], first_row: start, first_token, tokens });
    };
    for (at, &row) in batch.iter().enumerate() {
        let length = length(row);
        let full = at - start == limit.rows || limit.tokens.is_some_and(|most| tokens + length > most);
        if full && at > start {
            close(start, at, first_token, tokens);
            (start, first_token, tokens) = (at, first_token + tokens, 0);
        }
        tokens += length;
    }
    if start < batch.len() {
        close(start, batch.len(), first_token, tokens);
    }
    passes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lengths: &[usize], rows: usize, tokens: Option<usize>, expected: &[usize]) {
        let batch: Vec<usize> = (0..lengths.len()).map(|i| 100 + i).collect();
        let passes = passes(&batch, PassLimit { rows, tokens }, |row| lengths[row - 100]);
        assert_eq!(passes.iter().map(|pass| pass.rows.len()).collect::<Vec<_>>(), expected, "{lengths:?}");
        let (mut row, mut token) = (0, 0);
        for pass in &passes {
            assert_eq!((pass.first_row, pass.first_token), (row, token));
            assert_eq!(pass.rows, &batch[row..row + pass.rows.len()]);
            assert_eq!(pass.tokens, lengths[row..row + pass.rows.len()].iter().sum::<usize>());
            (row, token) = (row + pass.rows.len(), token + pass.tokens);
        }
        assert_eq!(row, lengths.len(), "every row is in a pass");
    }

    #[test]
    fn passes_hold_as_many_rows_as_fit_and_every_row_once() {
        check(&[], 4, None, &[]);
        check(&[5, 5, 5, 5, 5], 2, None, &[2, 2, 1]);
        check(&[5, 5, 5, 5, 5], 9, Some(10), &[2, 2, 1]);
        check(&[5, 5, 5, 5, 5], 9, Some(9), &[1, 1, 1, 1, 1]);
        check(&[5, 5, 1, 1, 1, 1], 3, Some(10), &[2, 3, 1]);
        check(&[3, 40, 3, 3], 9, Some(10), &[1, 1, 2]);
        check(&[40, 40], 9, Some(10), &[1, 1]);
    }
}
