//! AVX2 + FMA: vectors of 8, tiles of 6 × 16. One intrinsic per method, and the functions that enable the instruction set.

use std::arch::x86_64::*;

use super::super::blocking::{AVX2_KC, AVX2_MR, AVX2_NV};
use super::super::epilogue;
use super::super::tile::{MicroKernel, Tile, Vector, tile, tile_of_shape};
use super::transpose;
use crate::isa::FusedLane;

/// Eight `f32`s in a register.
#[derive(Clone, Copy)]
pub(crate) struct Avx2Vector(__m256);

/// A window into this table is the mask of the first `count` elements.
static FIRST: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// # Safety
/// The processor has AVX; `count <= 8`.
#[inline(always)]
unsafe fn mask(count: usize) -> __m256i {
    debug_assert!(count <= 8);
    // SAFETY: the window of 8 starts at 8 - count, so it ends within the 16 elements.
    unsafe { _mm256_loadu_si256(FIRST.as_ptr().add(8 - count).cast()) }
}

// SAFETY (every method): the trait's contract is that of the intrinsic: AVX2 and FMA present, pointers valid for what is touched;
// a masked element is neither read nor written.
#[rustfmt::skip]
#[allow(clippy::undocumented_unsafe_blocks, reason = "one sentence above discharges all of these one-line methods")]
impl Vector for Avx2Vector {
    const LANES: usize = 8;
    // SAFETY: see above.
    #[inline(always)] unsafe fn zero() -> Self { unsafe { Self(_mm256_setzero_ps()) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn splat(from: *const f32) -> Self { unsafe { Self(_mm256_broadcast_ss(&*from)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn load(from: *const f32) -> Self { unsafe { Self(_mm256_loadu_ps(from)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn load_first(from: *const f32, count: usize) -> Self { unsafe { Self(_mm256_maskload_ps(from, mask(count))) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn store(self, to: *mut f32) { unsafe { _mm256_storeu_ps(to, self.0) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn store_first(self, to: *mut f32, count: usize) { unsafe { _mm256_maskstore_ps(to, mask(count), self.0) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn prefetch(from: *const f32) { unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn prefetch_panel(from: *const f32) { unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn add_product(self, x: Self, y: Self) -> Self { unsafe { Self(_mm256_fmadd_ps(x.0, y.0, self.0)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn add(self, x: Self) -> Self { unsafe { Self(_mm256_add_ps(self.0, x.0)) } }
}

/// The micro-kernel.
pub(crate) struct Avx2;

/// # Safety
/// As [`tile`] with AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2_tile<const MR: usize, const NV: usize>(args: &Tile) {
    // SAFETY: the same obligations, and this function enables the instruction set.
    unsafe { tile::<Avx2Vector, MR, NV>(args) }
}

/// # Safety
/// As [`MicroKernel::gelu_panel`].
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2_gelu(to: *mut f32, from: *const f32, rows: usize, columns: usize, stride: usize) {
    // SAFETY: the same obligations.
    unsafe { epilogue::gelu_panel::<FusedLane, { Avx2::NR }>(to, from, rows, columns, stride) }
}

impl MicroKernel for Avx2 {
    const NAME: &'static str = "avx2 6x16";
    const MR: usize = AVX2_MR;
    const LANES: usize = Avx2Vector::LANES;
    const NR: usize = AVX2_NV * Avx2Vector::LANES;
    const STEP: usize = 1;
    const KC: usize = AVX2_KC;

    unsafe fn tile(rows: usize, vectors: usize, args: &Tile) {
        // SAFETY: the caller vouches for the processor and for the extents of a tile of this shape.
        unsafe { tile_of_shape!(avx2_tile(args), rows, vectors, rows [1 2 3 4 5 6], vectors [1 2]) }
    }

    unsafe fn pack_transposed(from: *const f32, stride: usize, columns: usize, k: usize, to: *mut f32, width: usize) {
        // SAFETY: the same obligations.
        unsafe { transpose::pack_transposed(from, stride, columns, k, to, width) }
    }

    unsafe fn gelu_panel(to: *mut f32, from: *const f32, rows: usize, columns: usize, stride: usize) {
        // SAFETY: the same obligations.
        unsafe { avx2_gelu(to, from, rows, columns, stride) }
    }
}
