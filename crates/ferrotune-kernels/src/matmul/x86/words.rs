//! Packing for AVX-512: rows and transposes of 16 words in registers. A word is an `f32`, or a pair of bf16 that are neighbours along
//! k, rounded to the nearest even on the way. Must not know which operand it packs.

use std::arch::x86_64::*;
use std::mem::transmute;

use super::super::pack::Strip;
use super::avx512::mask;

/// Words of a register.
const LANES: usize = 16;

/// How far ahead source rows are fetched, in bytes: the processor does not see so many streams at once by itself. (A fetch beyond the
/// end of a row is harmless.)
const AHEAD: usize = 256;

/// How many rows ahead the same columns are fetched: rows of wide matrices lie in other pages, where the processor does not look ahead.
const ROWS_AHEAD: usize = 16;

/// Puts element i of the first half of 32 beside element i of the second.
const BESIDE: [u16; 2 * LANES] = {
    let mut order = [0; 2 * LANES];
    let mut i = 0;
    while i < order.len() {
        order[i] = (i / 2 + i % 2 * LANES) as u16;
        i += 1;
    }
    order
};

/// Elements of a word.
const fn step(is_bf16: bool) -> usize {
    if is_bf16 { 2 } else { 1 }
}

/// Up to 16 words from a row of which `count` elements are left; what is missing is zero.
///
/// # Safety
/// The caller enables AVX-512 F and BW, and BF16 if `BF16`; `from` is valid for reading `count.min(16 * step)` elements.
#[inline(always)]
pub(super) unsafe fn row_words<const BF16: bool>(from: *const f32, count: usize) -> __m512 {
    // SAFETY: full loads where 16 or 32 elements are left, masked ones else.
    unsafe {
        if !BF16 {
            return if count >= LANES { _mm512_loadu_ps(from) } else { _mm512_maskz_loadu_ps(mask(count), from) };
        }
        let (low, high) = if count >= 2 * LANES {
            (_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(LANES)))
        } else {
            let high = mask(count.saturating_sub(LANES));
            let low = _mm512_maskz_loadu_ps(mask(count.min(LANES)), from);
            (low, _mm512_maskz_loadu_ps(high, from.wrapping_add(LANES)))
        };
        transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(high, low))
    }
}

/// See `MicroKernel::pack_transposed`, for `width` up to 8 or a multiple of 16.
///
/// # Safety
/// As there; the caller enables AVX-512 F, VL and BW, and BF16 if `BF16`.
#[inline(always)]
pub(super) unsafe fn pack_transposed<const BF16: bool>(
    from: *const f32,
    stride: usize,
    columns: usize,
    k: usize,
    to: *mut f32,
    width: usize,
) {
    debug_assert!(width >= columns && (width <= LANES / 2 || width.is_multiple_of(LANES)));
    let block = LANES * step(BF16);
    for start in (0..k).step_by(block) {
        let (from, to) = (from.wrapping_add(start), to.wrapping_add(start / step(BF16) * width));
        for strip in (0..width).step_by(LANES) {
            let rows = columns.saturating_sub(strip).min(LANES);
            let from = from.wrapping_add(strip * stride);
            for row in 0..rows {
                for line in 0..step(BF16) {
                    let ahead = from.wrapping_add(row * stride + line * LANES).wrapping_byte_add(AHEAD);
                    // SAFETY: a fetch reads nothing.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.cast()) };
                }
            }
            // SAFETY: `rows` source rows exist from row `strip` on, with `k - start` elements from `start` on; a word for each of
            // their steps, in `width` columns, lies in the target.
            unsafe {
                if width <= LANES / 2 {
                    transpose_tile::<BF16>(from, stride, rows, k - start, to, width);
                } else {
                    transpose_vector::<BF16>(from, stride, rows, k - start, to.add(strip), width);
                }
            }
        }
    }
}

/// Transposes 4 × 4 words in each quarter of 4 registers: quarter q of result c is column 4q + c.
///
/// # Safety
/// The caller enables AVX-512 F.
#[inline(always)]
unsafe fn transpose_quarters(r: [__m512; 4]) -> [__m512; 4] {
    // SAFETY: registers only; the caller enables AVX-512 F.
    unsafe {
        let (a, b) = (_mm512_unpacklo_ps(r[0], r[1]), _mm512_unpackhi_ps(r[0], r[1]));
        let (c, d) = (_mm512_unpacklo_ps(r[2], r[3]), _mm512_unpackhi_ps(r[2], r[3]));
        [
            _mm512_shuffle_ps::<0b01_00_01_00>(a, c),
            _mm512_shuffle_ps::<0b11_10_11_10>(a, c),
            _mm512_shuffle_ps::<0b01_00_01_00>(b, d),
            _mm512_shuffle_ps::<0b11_10_11_10>(b, d),
        ]
    }
}

/// Rows 4g to 4g + 3 of the source, transposed by quarters; rows from `rows` on are zero.
///
/// # Safety
/// As [`row_words`] for each row below `rows`.
#[inline(always)]
unsafe fn four_rows<const BF16: bool>(
    from: *const f32,
    stride: usize,
    rows: usize,
    left: usize,
    g: usize,
) -> [__m512; 4] {
    // SAFETY: only rows that exist are read.
    unsafe {
        let mut r = [_mm512_setzero_ps(); 4];
        for i in 0..4 {
            if 4 * g + i < rows {
                r[i] = row_words::<BF16>(from.add((4 * g + i) * stride), left);
            }
        }
        transpose_quarters(r)
    }
}

/// 16 source rows to up to 16 target rows of a vector each.
///
/// # Safety
/// As [`pack_transposed`], with `rows` source rows of `left` elements.
#[inline(always)]
pub(super) unsafe fn transpose_vector<const BF16: bool>(
    from: *const f32,
    stride: usize,
    rows: usize,
    left: usize,
    to: *mut f32,
    to_stride: usize,
) {
    let words = left.div_ceil(step(BF16)).min(LANES);
    // SAFETY: the caller's; columns from `words` on are not written.
    unsafe {
        let f0 = four_rows::<BF16>(from, stride, rows, left, 0);
        let f1 = four_rows::<BF16>(from, stride, rows, left, 1);
        let f2 = four_rows::<BF16>(from, stride, rows, left, 2);
        let f3 = four_rows::<BF16>(from, stride, rows, left, 3);
        for c in 0..4 {
            let low = _mm512_shuffle_f32x4::<0x44>(f0[c], f1[c]);
            let high = _mm512_shuffle_f32x4::<0x44>(f2[c], f3[c]);
            let later_low = _mm512_shuffle_f32x4::<0xee>(f0[c], f1[c]);
            let later_high = _mm512_shuffle_f32x4::<0xee>(f2[c], f3[c]);
            let columns = [
                _mm512_shuffle_f32x4::<0x88>(low, high),
                _mm512_shuffle_f32x4::<0xdd>(low, high),
                _mm512_shuffle_f32x4::<0x88>(later_low, later_high),
                _mm512_shuffle_f32x4::<0xdd>(later_low, later_high),
            ];
            for (q, column) in columns.into_iter().enumerate() {
                if 4 * q + c < words {
                    _mm512_storeu_ps(to.add((4 * q + c) * to_stride), column);
                }
            }
        }
    }
}

/// Up to 8 source rows to up to 16 target rows of `width <= 8` words.
///
/// # Safety
/// As [`transpose_vector`].
#[inline(always)]
unsafe fn transpose_tile<const BF16: bool>(
    from: *const f32,
    stride: usize,
    rows: usize,
    left: usize,
    to: *mut f32,
    width: usize,
) {
    let words = left.div_ceil(step(BF16)).min(LANES);
    // SAFETY: the caller's; columns from `words` on and elements from `width` on are not written.
    unsafe {
        let f0 = four_rows::<BF16>(from, stride, rows, left, 0);
        let f1 = four_rows::<BF16>(from, stride, rows, left, 1);
        // Quarters 0 and 1, and 2 and 3, of both.
        let (early, late) = (_mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0), _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4));
        for c in 0..4 {
            let (a, b) = (_mm512_castps_pd(f0[c]), _mm512_castps_pd(f1[c]));
            for (half, order) in [early, late].into_iter().enumerate() {
                let both = _mm512_castpd_ps(_mm512_permutex2var_pd(a, order, b));
                let parts = [_mm512_castps512_ps256(both), _mm512_extractf32x8_ps::<1>(both)];
                for (q, part) in parts.into_iter().enumerate() {
                    let word = 4 * (2 * half + q) + c;
                    if word < words {
                        if width == LANES / 2 {
                            _mm256_storeu_ps(to.add(word * width), part);
                        } else {
                            _mm256_mask_storeu_ps(to.add(word * width), mask(width) as u8, part);
                        }
                    }
                }
            }
        }
    }
}

/// See `MicroKernel::pack_rows`.
///
/// # Safety
/// As there; the caller enables AVX-512 F and BW, and BF16 if `BF16`.
#[inline(always)]
pub(super) unsafe fn pack_rows<const BF16: bool>(
    from: *const f32,
    stride: usize,
    k: usize,
    strip: Strip,
    to: *mut f32,
) {
    let Strip { columns, width, .. } = strip;
    for p in (0..k).step_by(step(BF16)) {
        // SAFETY: row p exists; row p + 1 is read only where it does; elements from `columns` on are not read and those from `width`
        // on not written.
        unsafe {
            let (row, to) = (from.add(p * stride), to.add(p / step(BF16) * width));
            let next = if p + 1 < k { columns } else { 0 };
            for start in (0..width).step_by(LANES) {
                fetch_ahead::<BF16>(row.wrapping_add(start), stride);
                let words =
                    two_rows::<BF16>(row.add(start), stride, columns - start.min(columns), next - start.min(next));
                if width - start >= LANES {
                    _mm512_storeu_ps(to.add(start), words);
                } else {
                    _mm512_mask_storeu_ps(to.add(start), mask(width - start), words);
                }
            }
        }
    }
}

/// See `MicroKernel::pack_two_rows`: strips of 8 columns.
///
/// # Safety
/// As there; the caller enables AVX-512 F and BW, and BF16 if `BF16`.
#[inline(always)]
pub(super) unsafe fn pack_two_rows<const BF16: bool>(
    from: *const f32,
    stride: usize,
    k: usize,
    to: *mut f32,
    next: *mut f32,
) {
    for p in (0..k).step_by(step(BF16)) {
        // SAFETY: row p exists with 16 elements; row p + 1 is read only where it does; both strips have 8 words for each step.
        unsafe {
            fetch_ahead::<BF16>(from.wrapping_add(p * stride), stride);
            let words = two_rows::<BF16>(from.add(p * stride), stride, LANES, if p + 1 < k { LANES } else { 0 });
            let at = p / step(BF16) * (LANES / 2);
            _mm256_storeu_ps(to.add(at), _mm512_castps512_ps256(words));
            _mm256_storeu_ps(next.add(at), _mm512_extractf32x8_ps::<1>(words));
        }
    }
}

/// Asks for the line at `row` in the rows of a step that comes later.
///
/// # Safety
/// None: a fetch reads nothing.
#[inline(always)]
unsafe fn fetch_ahead<const BF16: bool>(row: *const f32, stride: usize) {
    for ahead in 0..step(BF16) {
        // SAFETY: as above.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add((ROWS_AHEAD + ahead) * stride).cast()) };
    }
}

/// 16 words: in f32 those of a row, in bf16 those of a row with those of the next. `count` and `next` elements of them exist.
///
/// # Safety
/// As [`pack_rows`].
#[inline(always)]
pub(super) unsafe fn two_rows<const BF16: bool>(from: *const f32, stride: usize, count: usize, next: usize) -> __m512 {
    // SAFETY: what does not exist is not read.
    unsafe {
        let low = row_words::<false>(from, count);
        if !BF16 {
            return low;
        }
        let high = row_words::<false>(from.wrapping_add(stride), next);
        let both = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
        let order = _mm512_loadu_si512(BESIDE.as_ptr().cast());
        _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, both))
    }
}
