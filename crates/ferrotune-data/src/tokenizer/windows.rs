//! Where a row that is too long is cut into overlapping windows, and which window a piece of it is scored in. It knows nothing of words or
//! tokenizers.

use std::ops::Range;

/// The windows of a row of `pieces`, each with at most `room` of them.
///
/// A row that fits is one window. A longer one gets as few windows as overlap by at least a third of `room`, all of them full, and spread
/// evenly from its begin to its end: `⌈(pieces − overlap) / (room − overlap)⌉`, the n-th beginning at `⌊n·(pieces − room) / (windows − 1)⌋`.
pub(crate) struct Windows {
    starts: Vec<usize>,
    length: usize,
}

impl Windows {
    /// # Panics
    /// If there is no room.
    pub(crate) fn of(pieces: usize, room: usize) -> Windows {
        assert!(room > 0, "Windows::of: no room");
        if pieces <= room {
            return Windows { starts: vec![0], length: pieces };
        }
        let overlap = room / 3;
        let count = (pieces - overlap).div_ceil(room - overlap);
        let start = |n: usize| (n as u128 * (pieces - room) as u128 / (count - 1) as u128) as usize;
        Windows { starts: (0..count).map(start).collect(), length: room }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// The pieces of a window.
    pub(crate) fn range(&self, window: usize) -> Range<usize> {
        self.starts[window]..self.starts[window] + self.length
    }

    /// The window in which a piece has most context, that is, in which the nearer end is farthest; the first of equals.
    pub(crate) fn of_most_context(&self, piece: usize) -> usize {
        let context = |window: usize| {
            let range = self.range(window);
            (piece - range.start).min(range.end - 1 - piece)
        };
        let first = self.starts.partition_point(|start| start + self.length <= piece);
        let end = self.starts.partition_point(|&start| start <= piece);
        (first..end).rev().max_by_key(|&window| context(window)).expect("every piece lies in a window")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pieces: usize, room: usize, ranges: &[(usize, usize)], scored_in: &[usize]) {
        let windows = Windows::of(pieces, room);
        let ends = |n| (windows.range(n).start, windows.range(n).end);
        assert_eq!((0..windows.len()).map(ends).collect::<Vec<_>>(), ranges);
        assert_eq!((0..pieces).map(|piece| windows.of_most_context(piece)).collect::<Vec<_>>(), scored_in);
    }

    #[test]
    fn windows_are_few_full_and_even() {
        check(0, 4, &[(0, 0)], &[]);
        check(4, 4, &[(0, 4)], &[0; 4]);
        check(5, 3, &[(0, 3), (2, 5)], &[0, 0, 0, 1, 1]);
        check(8, 6, &[(0, 6), (2, 8)], &[0, 0, 0, 0, 1, 1, 1, 1]);
        check(3, 1, &[(0, 1), (1, 2), (2, 3)], &[0, 1, 2]);
    }

    /// Every piece lies in its window, in the best of all that hold it; windows overlap as promised, and ascend with the pieces.
    #[test]
    fn no_piece_is_lost_and_each_has_most_context() {
        for room in 1..40 {
            for pieces in 1..130 {
                let windows = Windows::of(pieces, room);
                let ranges: Vec<_> = (0..windows.len()).map(|n| windows.range(n)).collect();
                assert_eq!((ranges[0].start, ranges[ranges.len() - 1].end), (0, pieces));
                for pair in ranges.windows(2) {
                    assert!(pair[0].end - pair[1].start >= room / 3 && pair[0].start < pair[1].start, "{ranges:?}");
                }
                // One window fewer could not overlap so much.
                let fewer = (ranges.len() - 1) * room - ranges.len().saturating_sub(2) * (room / 3);
                assert!(ranges.len() == 1 || fewer < pieces, "{pieces} {room}");
                let mut before = 0;
                for piece in 0..pieces {
                    let context = |range: &Range<usize>| (piece - range.start).min(range.end - 1 - piece);
                    let best = ranges.iter().filter(|range| range.contains(&piece)).map(context).max();
                    let chosen = windows.of_most_context(piece);
                    assert_eq!(Some(context(&ranges[chosen])), best);
                    assert!(chosen >= before);
                    before = chosen;
                }
            }
        }
    }
}
