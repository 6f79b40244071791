//! Sixteen elements in one AVX-512 register or in two AVX2 registers.

use std::arch::x86_64::*;

use super::{LANES, Vector, Wide};
use crate::isa::{Avx512Lane, FusedLane};

/// One register of AVX-512.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Vector(__m512);

/// Two registers of AVX2.
#[derive(Clone, Copy)]
pub(crate) struct Avx2Vector(__m256, __m256);

impl Wide for Avx512Lane {
    type Vector = Avx512Vector;
}

impl Wide for FusedLane {
    type Vector = Avx2Vector;
}

/// The mask of the first `count` elements, `count <= 16`.
#[inline(always)]
fn first_of_16(count: usize) -> __mmask16 {
    ((1u32 << count) - 1) as __mmask16
}

/// Registers of a transpose: 16 rows of AVX-512.
type Rows16 = [__m512; LANES];

// SAFETY (every method): the trait's contract is that of the intrinsic: AVX-512F present, pointers valid for what is touched;
// a masked element is neither read nor written.
#[rustfmt::skip]
#[allow(clippy::undocumented_unsafe_blocks, reason = "one sentence above discharges all of these methods")]
impl Vector for Avx512Vector {
    // 24 of the 32 registers are sums; 16 are enough to hide the latency of two units.
    const BLOCK_ROWS: [usize; 4] = [8, 8, 8, 6];
    // SAFETY: see above.
    #[inline(always)] unsafe fn zero() -> Self { unsafe { Self(_mm512_setzero_ps()) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn splat(x: f32) -> Self { unsafe { Self(_mm512_set1_ps(x)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn load(from: *const f32) -> Self { unsafe { Self(_mm512_loadu_ps(from)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn load_first(from: *const f32, count: usize) -> Self { unsafe { Self(_mm512_maskz_loadu_ps(first_of_16(count), from)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn store(self, to: *mut f32) { unsafe { _mm512_storeu_ps(to, self.0) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn store_first(self, to: *mut f32, count: usize) { unsafe { _mm512_mask_storeu_ps(to, first_of_16(count), self.0) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn add_product(self, x: Self, y: Self) -> Self { unsafe { Self(_mm512_fmadd_ps(x.0, y.0, self.0)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn mul(self, x: Self) -> Self { unsafe { Self(_mm512_mul_ps(self.0, x.0)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn add(self, x: Self) -> Self { unsafe { Self(_mm512_add_ps(self.0, x.0)) } }
    // SAFETY: see above. Of a pair with a NaN the instruction gives its second argument.
    #[inline(always)] unsafe fn max(self, x: Self) -> Self { unsafe { Self(_mm512_max_ps(x.0, self.0)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn first_then(self, count: usize, rest: Self) -> Self { unsafe { Self(_mm512_mask_blend_ps(first_of_16(count), rest.0, self.0)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn transpose(rows: [Self; LANES]) -> [Self; LANES] {
        unsafe {
            // Interleave pairs of rows, then pairs of pairs: each quarter of a register then holds four rows of one column. The columns
            // c, c + 4, c + 8 and c + 12 of rows 4i.. are in fours[4i + c].
            let mut fours: Rows16 = [_mm512_setzero_ps(); LANES];
            for i in 0..4 {
                let [a, b, c, d] = [rows[4 * i].0, rows[4 * i + 1].0, rows[4 * i + 2].0, rows[4 * i + 3].0];
                let (low_ab, high_ab) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
                let (low_cd, high_cd) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
                fours[4 * i] = _mm512_shuffle_ps::<0b01_00_01_00>(low_ab, low_cd);
                fours[4 * i + 1] = _mm512_shuffle_ps::<0b11_10_11_10>(low_ab, low_cd);
                fours[4 * i + 2] = _mm512_shuffle_ps::<0b01_00_01_00>(high_ab, high_cd);
                fours[4 * i + 3] = _mm512_shuffle_ps::<0b11_10_11_10>(high_ab, high_cd);
            }
            // Then the quarters change places, in two steps of the same kind.
            let mut out = [Self(_mm512_setzero_ps()); LANES];
            for c in 0..4 {
                let low = _mm512_shuffle_f32x4::<0b10_00_10_00>(fours[c], fours[4 + c]);
                let high = _mm512_shuffle_f32x4::<0b11_01_11_01>(fours[c], fours[4 + c]);
                let low_next = _mm512_shuffle_f32x4::<0b10_00_10_00>(fours[8 + c], fours[12 + c]);
                let high_next = _mm512_shuffle_f32x4::<0b11_01_11_01>(fours[8 + c], fours[12 + c]);
                out[c] = Self(_mm512_shuffle_f32x4::<0b10_00_10_00>(low, low_next));
                out[8 + c] = Self(_mm512_shuffle_f32x4::<0b11_01_11_01>(low, low_next));
                out[4 + c] = Self(_mm512_shuffle_f32x4::<0b10_00_10_00>(high, high_next));
                out[12 + c] = Self(_mm512_shuffle_f32x4::<0b11_01_11_01>(high, high_next));
            }
            out
        }
    }
}

/// Masks of the first elements of a register of 8: those from `8 - count` on.
const FIRST_OF_8: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// The mask of the first `count` elements, `count <= 8`.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn first_of_8(count: usize) -> __m256i {
    // SAFETY: eight elements from 8 - count on exist in the table of 16.
    unsafe { _mm256_loadu_si256(FIRST_OF_8.as_ptr().add(8 - count).cast()) }
}

/// The transpose of 8 rows of 8.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn transpose_8(rows: [__m256; 8]) -> [__m256; 8] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut fours = [_mm256_setzero_ps(); 8];
        for i in 0..2 {
            let [a, b, c, d] = [rows[4 * i], rows[4 * i + 1], rows[4 * i + 2], rows[4 * i + 3]];
            let (low_ab, high_ab) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let (low_cd, high_cd) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
            fours[4 * i] = _mm256_shuffle_ps::<0b01_00_01_00>(low_ab, low_cd);
            fours[4 * i + 1] = _mm256_shuffle_ps::<0b11_10_11_10>(low_ab, low_cd);
            fours[4 * i + 2] = _mm256_shuffle_ps::<0b01_00_01_00>(high_ab, high_cd);
            fours[4 * i + 3] = _mm256_shuffle_ps::<0b11_10_11_10>(high_ab, high_cd);
        }
        let mut out = [_mm256_setzero_ps(); 8];
        for c in 0..4 {
            out[c] = _mm256_permute2f128_ps::<0x20>(fours[c], fours[4 + c]);
            out[4 + c] = _mm256_permute2f128_ps::<0x31>(fours[c], fours[4 + c]);
        }
        out
    }
}

// SAFETY (every method): the trait's contract is that of the intrinsic: AVX2 and FMA present, pointers valid for what is touched;
// a masked element is neither read nor written.
#[rustfmt::skip]
#[allow(clippy::undocumented_unsafe_blocks, reason = "one sentence above discharges all of these methods")]
impl Vector for Avx2Vector {
    // 12 of the 16 registers are sums.
    const BLOCK_ROWS: [usize; 4] = [6, 0, 0, 0];
    // SAFETY: see above.
    #[inline(always)] unsafe fn zero() -> Self { unsafe { Self(_mm256_setzero_ps(), _mm256_setzero_ps()) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn splat(x: f32) -> Self { unsafe { Self(_mm256_set1_ps(x), _mm256_set1_ps(x)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn load(from: *const f32) -> Self { unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) } }
    // SAFETY: see above. The second half is empty, and its pointer only formed, if count <= 8.
    #[inline(always)] unsafe fn load_first(from: *const f32, count: usize) -> Self {
        unsafe {
            let (low, high) = (first_of_8(count.min(8)), first_of_8(count.saturating_sub(8)));
            Self(_mm256_maskload_ps(from, low), _mm256_maskload_ps(from.wrapping_add(8), high))
        }
    }
    // SAFETY: see above.
    #[inline(always)] unsafe fn store(self, to: *mut f32) { unsafe { _mm256_storeu_ps(to, self.0); _mm256_storeu_ps(to.add(8), self.1) } }
    // SAFETY: see above. The second half is empty, and its pointer only formed, if count <= 8.
    #[inline(always)] unsafe fn store_first(self, to: *mut f32, count: usize) {
        unsafe {
            let (low, high) = (first_of_8(count.min(8)), first_of_8(count.saturating_sub(8)));
            _mm256_maskstore_ps(to, low, self.0);
            _mm256_maskstore_ps(to.wrapping_add(8), high, self.1);
        }
    }
    // SAFETY: see above.
    #[inline(always)] unsafe fn add_product(self, x: Self, y: Self) -> Self { unsafe { Self(_mm256_fmadd_ps(x.0, y.0, self.0), _mm256_fmadd_ps(x.1, y.1, self.1)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn mul(self, x: Self) -> Self { unsafe { Self(_mm256_mul_ps(self.0, x.0), _mm256_mul_ps(self.1, x.1)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn add(self, x: Self) -> Self { unsafe { Self(_mm256_add_ps(self.0, x.0), _mm256_add_ps(self.1, x.1)) } }
    // SAFETY: see above. Of a pair with a NaN the instruction gives its second argument.
    #[inline(always)] unsafe fn max(self, x: Self) -> Self { unsafe { Self(_mm256_max_ps(x.0, self.0), _mm256_max_ps(x.1, self.1)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn first_then(self, count: usize, rest: Self) -> Self {
        unsafe {
            let (low, high) = (first_of_8(count.min(8)), first_of_8(count.saturating_sub(8)));
            Self(_mm256_blendv_ps(rest.0, self.0, _mm256_castsi256_ps(low)), _mm256_blendv_ps(rest.1, self.1, _mm256_castsi256_ps(high)))
        }
    }
    // SAFETY: see above.
    #[inline(always)] unsafe fn transpose(rows: [Self; LANES]) -> [Self; LANES] {
        unsafe {
            let mut out = [Self(_mm256_setzero_ps(), _mm256_setzero_ps()); LANES];
            let mut quarter = [_mm256_setzero_ps(); 8];
            for half in 0..2 {
                for i in 0..8 { quarter[i] = rows[8 * half + i].0; }
                let columns = transpose_8(quarter);
                for i in 0..8 { if half == 0 { out[i].0 = columns[i] } else { out[i].1 = columns[i] } }
                for i in 0..8 { quarter[i] = rows[8 * half + i].1; }
                let columns = transpose_8(quarter);
                for i in 0..8 { if half == 0 { out[8 + i].0 = columns[i] } else { out[8 + i].1 = columns[i] } }
            }
            out
        }
    }
}
