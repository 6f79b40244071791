//! Rows of tables, gathered and scattered.

use super::{BETAS, Bench, Case};
use crate::Backend;

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case { name: "embedding", run: embedding },
        Case { name: "embedding_backward", run: embedding_backward },
        Case { name: "gather_rows, gather_rows_backward", run: gather_rows },
    ]
}

/// Positions, rows of the table, width: one element, widths that are no multiple of four or of a warp, a row that many positions share, tables of which
/// most rows do not occur, and no positions.
const SIZES: [[usize; 3]; 6] = [[1, 1, 1], [9, 5, 7], [300, 2, 33], [300, 3, 132], [70, 500, 384], [0, 3, 4]];

/// Rows with many repeats; half of a larger table never occurs, nor does the last row.
fn ids(count: usize, rows: usize) -> Vec<u32> {
    (0..count).map(|i| (i * i % 1009 % rows.div_ceil(2)) as u32).collect()
}

fn embedding<B: Backend>(bench: &mut Bench<'_, B>) {
    for [count, rows, width] in SIZES {
        let (words, kinds) = (bench.parameter([rows, width], 1), bench.parameter([2, width], 2));
        let (word_ids, kind_ids) = (ids(count, rows), (0..count as u32).map(|i| i / 3 % 2).collect::<Vec<_>>());
        for tables in 1..=3 {
            let all = [(words.data(), &*word_ids), (kinds.data(), &*kind_ids), (words.data(), &*word_ids)];
            let mut y = bench.output([count, width]);
            bench.backend.embedding(y.data_mut(), &all[..tables], width);
            bench.note(format!("{count} of {rows}·{width}, {tables} tables"), &y);
        }
    }
}

fn embedding_backward<B: Backend>(bench: &mut Bench<'_, B>) {
    for [count, rows, width] in SIZES {
        let (dy, ids) = (bench.input([count, width], 1), ids(count, rows));
        for beta in BETAS {
            let mut dtable = bench.gradient([rows, width], beta, 2);
            bench.backend.embedding_backward(Some((dtable.data_mut(), beta)), dy.data(), &ids, width);
            bench.note(format!("{count} of {rows}·{width}, beta {beta}"), &dtable);
        }
        bench.backend.embedding_backward(None, dy.data(), &ids, width);
    }
}

fn gather_rows<B: Backend>(bench: &mut Bench<'_, B>) {
    for [count, rows, width] in [[1, 1, 1], [4, 9, 7], [2, 2, 33], [70, 500, 384], [0, 3, 4]] {
        // Distinct, and in no order.
        let chosen: Vec<u32> = (0..count).map(|i| (i * 7 % rows) as u32).collect();
        let x = bench.input([rows, width], 1);
        let mut y = bench.output([count, width]);
        bench.backend.gather_rows(y.data_mut(), x.data(), &chosen, width);
        bench.note(format!("{count} of {rows}·{width}"), &y);
        let dy = bench.input([count, width], 2);
        for beta in BETAS {
            let mut dx = bench.target([rows, width], beta, 3);
            bench.backend.gather_rows_backward(Some((dx.data_mut(), beta)), dy.data(), &chosen, width);
            bench.note(format!("{count} of {rows}·{width}, dx, beta {beta}"), &dx);
        }
        bench.backend.gather_rows_backward(None, dy.data(), &chosen, width);
    }
}
