//! Packing of tiles and panels whose columns lie as rows, by 8×8 transposes in AVX2 registers.
//! Must not know which operand it packs.

use std::arch::x86_64::*;

/// Side of a block that is transposed in registers.
const SIDE: usize = 8;

/// Steps of k that one strip of 8 columns goes before the next strip: two blocks, a whole cache line of each source row. Rows
/// whose distance is a multiple of 4 KiB compete for 8 places in L1; so all 8 lines of a strip are used up before the next 8 come in.
const STEPS: usize = 2 * SIDE;

/// How far ahead source rows are fetched, in steps: four cache lines. The processor does not see so many streams at once by itself.
/// (A fetch beyond the end of a row is harmless.)
const AHEAD: usize = 4 * STEPS;

/// See `MicroKernel::pack_transposed`.
///
/// # Safety
/// The processor has AVX2; `from` is valid for `steps` reads at `columns` multiples of `stride`, `to` for `steps * width` writes; `columns <= width`, and `width` is
/// below 8 or a multiple of 8.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn pack_transposed(
    from: *const f32,
    stride: usize,
    columns: usize,
    steps: usize,
    to: *mut f32,
    width: usize,
) {
    debug_assert!(width >= columns && (width < SIDE || width.is_multiple_of(SIDE)));
    // A row narrower than a register is written with a whole one: what spills into the next row is overwritten by it. So the
    // last rows, whose spill would leave `to`, are left to the scalar loop.
    let spilling = SIDE.div_ceil(width.max(1)) - 1;
    let blocked = steps.saturating_sub(spilling) / SIDE * SIDE;
    for start in (0..blocked).step_by(STEPS) {
        for strip in (0..width).step_by(SIDE) {
            let rows = columns.saturating_sub(strip).min(SIDE);
            for row in strip..strip + rows {
                _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(row * stride + start + AHEAD).cast());
            }
            for p in (start..(start + STEPS).min(blocked)).step_by(SIDE) {
                // SAFETY: `rows` source rows exist from row `strip` on, with 8 elements each from p on, as p + 8 <= steps. Row
                // p + 7 of the target is followed by `spilling` more, so 8 elements from `strip` on lie inside `to`.
                unsafe {
                    transpose_block(
                        from.wrapping_add(strip * stride + p),
                        rows,
                        stride,
                        to.add(p * width + strip),
                        width,
                    )
                };
            }
        }
    }
    for p in blocked..steps {
        for j in 0..width {
            // SAFETY: element (j, p) of the source exists for j < columns, element (p, j) of the target for p < steps, j < width.
            unsafe { *to.add(p * width + j) = if j < columns { *from.add(j * stride + p) } else { 0.0 } };
        }
    }
}

/// Writes the transpose of an 8×8 block row by row; source rows from `rows` on count as zero.
///
/// # Safety
/// The processor has AVX2; `from` is valid for 8 reads at each multiple of `from_stride` below `rows`, `to` for 8 writes at the first 8
/// multiples of `to_stride`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn transpose_block(from: *const f32, rows: usize, from_stride: usize, to: *mut f32, to_stride: usize) {
    let mut r = [_mm256_setzero_ps(); SIDE];
    for i in 0..SIDE {
        if i < rows {
            // SAFETY: row i < rows has 8 elements.
            r[i] = unsafe { _mm256_loadu_ps(from.add(i * from_stride)) };
        }
    }
    // Interleave pairs of rows, then pairs of pairs; each half of a register then holds four rows of one column.
    let mut pairs = [_mm256_setzero_ps(); SIDE];
    for i in 0..4 {
        pairs[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        pairs[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    let mut fours = [_mm256_setzero_ps(); SIDE];
    for i in 0..2 {
        let [a, b, c, d] = [pairs[4 * i], pairs[4 * i + 1], pairs[4 * i + 2], pairs[4 * i + 3]];
        fours[4 * i] = _mm256_shuffle_ps::<0b01_00_01_00>(a, c);
        fours[4 * i + 1] = _mm256_shuffle_ps::<0b11_10_11_10>(a, c);
        fours[4 * i + 2] = _mm256_shuffle_ps::<0b01_00_01_00>(b, d);
        fours[4 * i + 3] = _mm256_shuffle_ps::<0b11_10_11_10>(b, d);
    }
    let mut columns = [_mm256_setzero_ps(); SIDE];
    for i in 0..4 {
        columns[i] = _mm256_permute2f128_ps::<0x20>(fours[i], fours[i + 4]);
        columns[i + 4] = _mm256_permute2f128_ps::<0x31>(fours[i], fours[i + 4]);
    }
    // In this order: a row that spills must be written before the next.
    for i in 0..SIDE {
        // SAFETY: 8 elements are valid at multiple i < 8.
        unsafe { _mm256_storeu_ps(to.add(i * to_stride), columns[i]) };
    }
}
