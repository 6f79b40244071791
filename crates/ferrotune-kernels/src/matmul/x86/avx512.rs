//! AVX-512: vectors of 16, tiles of 8 × 48. One intrinsic per method, and the functions that enable the instruction set.
//!
//! Where no AVX-512 is at hand, `tests.rs` runs the same tile body, packing and loops with 16 lanes in plain Rust; only the
//! one-line methods below then remain to be read.

use std::arch::x86_64::*;

use super::super::blocking::{AVX512_KC, AVX512_MR, AVX512_NV};
use super::super::epilogue;
use super::super::tile::{MicroKernel, Tile, Vector, tile, tile_of_shape};
use super::transpose;
use crate::isa::FusedLane;

/// Sixteen `f32`s in a register.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Vector(__m512);

/// The mask of the first `count` elements, `count <= 16`.
#[inline(always)]
fn mask(count: usize) -> __mmask16 {
    ((1u32 << count) - 1) as __mmask16
}

// SAFETY (every method): the trait's contract is that of the intrinsic: AVX-512F present, pointers valid for what is touched;
// a masked element is neither read nor written.
#[rustfmt::skip]
#[allow(clippy::undocumented_unsafe_blocks, reason = "one sentence above discharges all of these one-line methods")]
impl Vector for Avx512Vector {
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
    #[inline(always)] unsafe fn add_product(self, x: Self, y: Self) -> Self { unsafe { Self(_mm512_fmadd_ps(x.0, y.0, self.0)) } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn add(self, x: Self) -> Self { unsafe { Self(_mm512_add_ps(self.0, x.0)) } }
}

/// The micro-kernel.
pub(crate) struct Avx512;

/// # Safety
/// As [`tile`] with AVX-512F.
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
unsafe fn avx512_tile<const MR: usize, const NV: usize>(args: &Tile) {
    // SAFETY: the same obligations, and this function enables the instruction set.
    unsafe { tile::<Avx512Vector, MR, NV>(args) }
}

/// # Safety
/// As [`MicroKernel::gelu_panel`].
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
unsafe fn avx512_gelu(to: *mut f32, from: *const f32, rows: usize, columns: usize, stride: usize) {
    // SAFETY: the same obligations.
    unsafe { epilogue::gelu_panel::<FusedLane, { Avx512::NR }>(to, from, rows, columns, stride) }
}

impl MicroKernel for Avx512 {
    const NAME: &'static str = "avx512 8x48";
    const MR: usize = AVX512_MR;
    const LANES: usize = Avx512Vector::LANES;
    const NR: usize = AVX512_NV * Avx512Vector::LANES;
    const KC: usize = AVX512_KC;

    unsafe fn tile(rows: usize, vectors: usize, args: &Tile) {
        // SAFETY: the caller vouches for the processor and for the extents of a tile of this shape.
        unsafe { tile_of_shape!(avx512_tile(args), rows, vectors, rows [1 2 3 4 5 6 7 8], vectors [1 2 3]) }
    }

    unsafe fn pack_transposed(
        from: *const f32,
        stride: usize,
        columns: usize,
        steps: usize,
        to: *mut f32,
        width: usize,
    ) {
        // SAFETY: the same obligations; AVX2 is part of this set.
        unsafe { transpose::pack_transposed(from, stride, columns, steps, to, width) }
    }

    unsafe fn gelu_panel(to: *mut f32, from: *const f32, rows: usize, columns: usize, stride: usize) {
        // SAFETY: the same obligations.
        unsafe { avx512_gelu(to, from, rows, columns, stride) }
    }
}
