//! Rows of tables, gathered and scattered. Twins: `kernels/embedding.cu`.

use crate::device::{Device, Grid};
use crate::gpu::Gpu;
use crate::launch::{WARPS, area, elementwise};
use crate::memory::{Mut, Place, Ref, View};
use bytemuck::{NoUninit, Pod, Zeroable};
use ferrotune_tensor::backend::*;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Lookup {
    table: View,
    ids: u64,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct EmbeddingParams {
    y: View,
    lookups: [Lookup; TABLES],
    rows: u64,
    width: u32,
    tables: u32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct ScatterParams {
    to: Place,
    dy: View,
    order: u64,
    segments: u64,
    chosen: u64,
    count: u32,
    width: u32,
    longest: u32,
    unused: u32,
}

/// Tables of a launch: BERT has words, positions and token types.
const TABLES: usize = 4;
/// Positions of a row of the table that one warp adds; more are shared by the warps of a block.
const LONGEST: u32 = 64;
/// Threads of a block that shares a row's positions.
const LONG_THREADS: u32 = 1024;

/// `y[t] = Σ table[ids[t]]` over the tables.
pub(crate) fn embedding<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, tables: &[(Ref<'_>, &[u32])], width: usize) {
    if y.len == 0 {
        return;
    }
    assert!(width > 0 && y.len.is_multiple_of(width), "embedding: y: {} elements are no rows of {width}", y.len);
    assert!(tables.len() <= TABLES, "embedding: {} tables, of {TABLES} at most", tables.len());
    let rows = y.len / width;
    let mut sent = gpu.tables();
    let mut lookups = [Lookup { table: View::NONE, ids: 0 }; TABLES];
    for (number, (lookup, (table, ids))) in lookups.iter_mut().zip(tables).enumerate() {
        assert!(ids.len() == rows, "embedding: ids of table {number}: expected {rows}, got {}", ids.len());
        let last = ids.iter().max().map_or(0, |&id| id as usize);
        let count = table.len / width;
        assert!(last < count, "embedding: ids of table {number}: id {last} of a table of {count} rows");
        *lookup = Lookup { table: table.view, ids: sent.place(ids) };
    }
    let wide = lookups.iter().map(|lookup| lookup.table).chain([y.view]).all(|view| view.is_wide(width));
    let kernel = if wide { "embedding_4" } else { "embedding_1" };
    let params =
        EmbeddingParams { y: y.view, lookups, rows: rows as u64, width: width as u32, tables: tables.len() as u32 };
    // SAFETY: y and the tables are borrowed; the asserts found y to be rows of `width`, an id for each, and every id below the rows of its table;
    // `wide` says what all of them allow, and `sent` lives.
    unsafe { gpu.device().launch(kernel, Grid::blocks(rows.div_ceil(WARPS)), &params) };
}

/// Gradient of one embedding table.
pub(crate) fn embedding_backward<D: Device>(
    gpu: &Gpu<D>,
    dtable: Target<'_, Gpu<D>>,
    dy: Ref<'_>,
    ids: &[u32],
    width: usize,
) {
    scatter(gpu, "embedding backward", dtable, dy, ids, width);
}

/// `y[r] = x[rows[r]]`.
pub(crate) fn gather_rows<D: Device>(gpu: &Gpu<D>, y: Mut<'_>, x: Ref<'_>, rows: &[u32], width: usize) {
    embedding(gpu, y, &[(x, rows)], width);
}

/// Gradient of `gather_rows`; `rows` are distinct.
pub(crate) fn gather_rows_backward<D: Device>(
    gpu: &Gpu<D>,
    dx: Target<'_, Gpu<D>>,
    dy: Ref<'_>,
    rows: &[u32],
    width: usize,
) {
    scatter(gpu, "gather_rows backward", dx, dy, rows, width);
}

/// Positions by the row of the table that they came from.
struct Sorted {
    /// Ascending by row, and by position within a row.
    order: Vec<u32>,
    /// Each row that occurs and where its positions begin in `order`, and behind them where the last one's end.
    segments: Vec<[u32; 2]>,
    /// The segments of more than [`LONGEST`] positions.
    long: Vec<u32>,
}

impl Sorted {
    /// Counts, so that it takes `ids.len() + rows` steps.
    fn new(ids: &[u32], rows: usize) -> Sorted {
        let mut next = vec![0u32; rows];
        ids.iter().for_each(|&id| next[id as usize] += 1);
        let (mut segments, mut long, mut start) = (Vec::new(), Vec::new(), 0);
        for (row, next) in (0..).zip(&mut next) {
            let count = std::mem::replace(next, start);
            if count > LONGEST {
                long.push(segments.len() as u32);
            }
            if count > 0 {
                segments.push([row, start]);
            }
            start += count;
        }
        segments.push([0, start]);
        let mut order = vec![0; ids.len()];
        for (position, &id) in (0..).zip(ids) {
            let next = &mut next[id as usize];
            order[*next as usize] = position;
            *next += 1;
        }
        Sorted { order, segments, long }
    }
}

/// Adds each row of dy to the row of `to` that it came from; with beta 0 rows that do not occur become 0.
fn scatter<D: Device>(gpu: &Gpu<D>, what: &str, to: Target<'_, Gpu<D>>, dy: Ref<'_>, ids: &[u32], width: usize) {
    let Some((to, beta)) = to else { return };
    assert!(
        dy.len == area(ids.len(), width),
        "{what}: dy: {} elements, expected {} rows of {width}",
        dy.len,
        ids.len()
    );
    let rows = to.len / width.max(1);
    assert!(to.len == rows * width, "{what}: a target of {} elements is no rows of {width}", to.len);
    let last = ids.iter().max().map_or(0, |&id| id as usize);
    assert!(ids.is_empty() || last < rows, "{what}: row {last} of {rows}");
    let place = Place { to: to.view, beta, wanted: 1 };
    let Sorted { order, segments, long } = Sorted::new(ids, rows);
    let count = segments.len() - 1;
    if beta == 0.0 && count < rows {
        elementwise::fill(gpu, to, 0.0);
    }
    if dy.len == 0 {
        return;
    }
    let mut tables = gpu.tables();
    let params = ScatterParams {
        to: place,
        dy: dy.view,
        order: tables.place(&order),
        segments: tables.place(&segments),
        chosen: tables.place(&long),
        count: count as u32,
        width: width as u32,
        longest: LONGEST,
        unused: 0,
    };
    let wide = place.to.is_wide(width) && dy.view.is_wide(width);
    let [kernel, long_kernel] = if wide { ["scatter_4", "scatter_long_4"] } else { ["scatter_1", "scatter_long_1"] };
    // SAFETY: the target and dy are borrowed; the asserts found them to be rows of `width`, a row of dy for each id, and every id below the target's
    // rows, and `Sorted` names these rows alone; `wide` says what both allow, and `tables` lives.
    unsafe { gpu.device().launch(kernel, Grid::blocks(count.div_ceil(WARPS)), &params) };
    if !long.is_empty() {
        let columns = width.div_ceil(if wide { 128 } else { 32 });
        let grid = Grid { blocks: [long.len() as u32, columns as u32], threads: LONG_THREADS, shared: 0 };
        // SAFETY: as above, and `chosen` has the number of a segment for each block in x.
        unsafe { gpu.device().launch(long_kernel, grid, &params) };
    }
}
