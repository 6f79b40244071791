//! AVX-512: vectors of 16, tiles of 8 × 48, in f32 or with operands in bf16. One intrinsic per method, and the functions that enable the
//! instruction set.
//!
//! Where no AVX-512 is at hand, `tests.rs` runs the same tile body, packing and loops with 16 lanes in plain Rust; only the
//! one-line methods below then remain to be read.

use std::arch::x86_64::*;
use std::mem::transmute;

use super::super::blocking::{AVX512_KC, AVX512_MR, AVX512_NV};
use super::super::epilogue;
use super::super::pack::Strip;
use super::super::tile::{MicroKernel, Tile, Vector, tile, tile_of_shape};
use super::words;
use crate::isa::FusedLane;

/// Sixteen `f32`s in a register; with `BF16`, as a factor, sixteen pairs of bf16.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Vector<const BF16: bool>(__m512);

/// The mask of the first `count` elements, `count <= 16`.
#[inline(always)]
pub(super) fn mask(count: usize) -> __mmask16 {
    ((1u32 << count) - 1) as __mmask16
}

// SAFETY (every method): the trait's contract is that of the intrinsic: AVX-512F (and BF16) present, pointers valid for what is touched;
// a masked element is neither read nor written.
#[rustfmt::skip]
#[allow(clippy::undocumented_unsafe_blocks, reason = "one sentence above discharges all of these one-line methods")]
impl<const BF16: bool> Vector for Avx512Vector<BF16> {
    const LANES: usize = 16;
    // SAFETY: see above.
    #[inline(always)] unsafe fn zero() -> Self { unsafe { Self(_mm512_setzero_ps()) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn splat(from: *const f32) -> Self { unsafe { Self(_mm512_set1_ps(*from)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn load(from: *const f32) -> Self { unsafe { Self(_mm512_loadu_ps(from)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn load_first(from: *const f32, count: usize) -> Self { unsafe { Self(_mm512_maskz_loadu_ps(mask(count), from)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn store(self, to: *mut f32) { unsafe { _mm512_storeu_ps(to, self.0) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn store_first(self, to: *mut f32, count: usize) { unsafe { _mm512_mask_storeu_ps(to, mask(count), self.0) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn prefetch(from: *const f32) { unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn prefetch_panel(from: *const f32) { unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn add_product(self, x: Self, y: Self) -> Self {
        unsafe {
            if !BF16 {
                return Self(_mm512_fmadd_ps(x.0, y.0, self.0));
            }
            let [x, y] = [transmute::<__m512, __m512bh>(x.0), transmute::<__m512, __m512bh>(y.0)];
            Self(_mm512_dpbf16_ps(self.0, x, y))
        }
    }
    // SAFETY: see above.
    #[inline(always)] unsafe fn add(self, x: Self) -> Self { unsafe { Self(_mm512_add_ps(self.0, x.0)) } }
}

/// The micro-kernel; with `BF16` both operands are rounded while they are packed.
pub(crate) struct Avx512<const BF16: bool>;

/// # Safety
/// As [`tile`] with AVX-512F.
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
unsafe fn f32_tile<const MR: usize, const NV: usize>(args: &Tile) {
    // SAFETY: the same obligations, and this function enables the instruction set.
    unsafe { tile::<Avx512Vector<false>, MR, NV>(args) }
}

/// # Safety
/// As [`tile`] with AVX-512F and BF16.
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx2,fma")]
unsafe fn bf16_tile<const MR: usize, const NV: usize>(args: &Tile) {
    // SAFETY: the same obligations, and this function enables the instruction set.
    unsafe { tile::<Avx512Vector<true>, MR, NV>(args) }
}

/// Functions of `words.rs`, compiled for f32 and for bf16.
macro_rules! enable {
    ($f32:ident, $bf16:ident = $body:ident($($arg:ident: $type:ty),*)) => {
        /// # Safety
        /// As the function that it calls.
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
        unsafe fn $f32($($arg: $type),*) {
            // SAFETY: the same obligations, and this function enables the instruction set.
            unsafe { words::$body::<false>($($arg),*) }
        }
        /// # Safety
        /// As the function that it calls.
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx2,fma")]
        unsafe fn $bf16($($arg: $type),*) {
            // SAFETY: the same obligations, and this function enables the instruction set.
            unsafe { words::$body::<true>($($arg),*) }
        }
    };
}
enable!(
    f32_transposed,
    bf16_transposed =
        pack_transposed(from: *const f32, stride: usize, columns: usize, k: usize, to: *mut f32, width: usize)
);
enable!(
    f32_two_rows,
    bf16_two_rows = pack_two_rows(from: *const f32, stride: usize, k: usize, to: *mut f32, next: *mut f32)
);
enable!(f32_rows, bf16_rows = pack_rows(from: *const f32, stride: usize, k: usize, strip: Strip, to: *mut f32));

/// # Safety
/// As [`MicroKernel::gelu_panel`].
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
unsafe fn gelu(to: *mut f32, from: *const f32, rows: usize, columns: usize, stride: usize) {
    // SAFETY: the same obligations.
    unsafe { epilogue::gelu_panel::<FusedLane, { Avx512::<false>::NR }>(to, from, rows, columns, stride) }
}

impl<const BF16: bool> MicroKernel for Avx512<BF16> {
    const NAME: &'static str = if BF16 { "avx512bf16 8x48" } else { "avx512 8x48" };
    const MR: usize = AVX512_MR;
    const LANES: usize = Avx512Vector::<BF16>::LANES;
    const NR: usize = AVX512_NV * Avx512Vector::<BF16>::LANES;
    const STEP: usize = if BF16 { 2 } else { 1 };
    const KC: usize = AVX512_KC / Self::STEP;

    unsafe fn tile(rows: usize, vectors: usize, args: &Tile) {
        // SAFETY: the caller vouches for the processor and for the extents of a tile of this shape.
        unsafe {
            if BF16 {
                tile_of_shape!(bf16_tile(args), rows, vectors, rows [1 2 3 4 5 6 7 8], vectors [1 2 3])
            } else {
                tile_of_shape!(f32_tile(args), rows, vectors, rows [1 2 3 4 5 6 7 8], vectors [1 2 3])
            }
        }
    }

    unsafe fn pack_transposed(from: *const f32, stride: usize, columns: usize, k: usize, to: *mut f32, width: usize) {
        let pack = if BF16 { bf16_transposed } else { f32_transposed };
        // SAFETY: the same obligations.
        unsafe { pack(from, stride, columns, k, to, width) }
    }

    unsafe fn pack_rows(from: *const f32, stride: usize, k: usize, strip: Strip, to: *mut f32) {
        let pack = if BF16 { bf16_rows } else { f32_rows };
        // SAFETY: the same obligations.
        unsafe { pack(from, stride, k, strip, to) }
    }

    unsafe fn pack_two_rows(from: *const f32, stride: usize, k: usize, _: Strip, to: *mut f32, next: *mut f32) {
        let pack = if BF16 { bf16_two_rows } else { f32_two_rows };
        // SAFETY: the same obligations; half a vector is 8 columns.
        unsafe { pack(from, stride, k, to, next) }
    }

    unsafe fn gelu_panel(to: *mut f32, from: *const f32, rows: usize, columns: usize, stride: usize) {
        // SAFETY: the same obligations.
        unsafe { gelu(to, from, rows, columns, stride) }
    }
}
