//! Micro-kernels in plain Rust, with the shapes and packing of AVX-512 and AMX: they are tested on every machine, through the same loops. Must not
//! know what is compared.

use super::super::blocking::{AMX_KC, AMX_MR, AMX_NV, AVX512_KC, AVX512_MR, AVX512_NV};
use super::super::epilogue;
use super::super::pack::{Operand, Strip};
use super::super::tile::{MicroKernel, Tile, Vector, tile, tile_of_shape};
use crate::isa::FusedLane;
use std::ops::Range;

/// Sixteen lanes in plain Rust: stands in for an AVX-512 register on machines without. With `BF16` a factor is sixteen pairs of bf16.
#[derive(Clone, Copy)]
struct Array<const BF16: bool>([f32; 16]);

/// To the nearest bf16, ties to even; the numbers of these tests are finite and not tiny.
pub(super) fn round(x: f32) -> f32 {
    half::bf16::from_f32(x).to_f32()
}

/// Two elements along k in a word, the first in its lower half.
fn pair(low: f32, high: f32) -> f32 {
    f32::from_bits(round(low).to_bits() >> 16 | round(high).to_bits())
}

/// The elements of a word.
fn halves(word: f32) -> [f32; 2] {
    [f32::from_bits(word.to_bits() << 16), f32::from_bits(word.to_bits() & 0xffff_0000)]
}

// SAFETY (every method): the trait's contract covers each element that is touched.
impl<const BF16: bool> Vector for Array<BF16> {
    const LANES: usize = 16;
    #[inline(always)]
    unsafe fn zero() -> Self {
        Array([0.0; 16])
    }
    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        // SAFETY: the trait's contract.
        unsafe { Array([*from; 16]) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's contract.
        unsafe { Self::load_first(from, 16) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const f32, count: usize) -> Self {
        let mut to = [0.0; 16];
        // SAFETY: the trait's contract.
        unsafe { to.as_mut_ptr().copy_from_nonoverlapping(from, count) };
        Array(to)
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the trait's contract.
        unsafe { self.store_first(to, 16) }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize) {
        // SAFETY: the trait's contract.
        unsafe { to.copy_from_nonoverlapping(self.0.as_ptr(), count) }
    }
    unsafe fn prefetch(_: *const f32) {}
    unsafe fn prefetch_panel(_: *const f32) {}
    #[inline(always)]
    unsafe fn add_product(self, x: Self, y: Self) -> Self {
        let mut sum = self.0;
        for i in 0..16 {
            if BF16 {
                let ([x0, x1], [y0, y1]) = (halves(x.0[i]), halves(y.0[i]));
                sum[i] = x1.mul_add(y1, x0.mul_add(y0, sum[i]));
            } else {
                sum[i] = x.0[i].mul_add(y.0[i], sum[i]);
            }
        }
        Array(sum)
    }
    #[inline(always)]
    unsafe fn add(self, x: Self) -> Self {
        let mut sum = self.0;
        for i in 0..16 {
            sum[i] += x.0[i];
        }
        Array(sum)
    }
}

/// The shape, blocking and body of the AVX-512 micro-kernels over [`Array`].
pub(super) struct Model512<const BF16: bool>;

/// FMA is enabled where the target needs it, only so that `mul_add` is no library call.
///
/// # Safety
/// As [`tile`]; on x86-64 the processor has AVX2 and FMA.
#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma"))]
unsafe fn model_tile<const BF16: bool, const MR: usize, const NV: usize>(args: &Tile) {
    // SAFETY: the same obligations.
    unsafe { tile::<Array<BF16>, MR, NV>(args) }
}

/// # Safety
/// As `model_tile`.
unsafe fn f32_tile<const MR: usize, const NV: usize>(args: &Tile) {
    // SAFETY: the same obligations.
    unsafe { model_tile::<false, MR, NV>(args) }
}

/// # Safety
/// As `model_tile`.
unsafe fn bf16_tile<const MR: usize, const NV: usize>(args: &Tile) {
    // SAFETY: the same obligations.
    unsafe { model_tile::<true, MR, NV>(args) }
}

impl<const BF16: bool> Model512<BF16> {
    /// Packs `k` × `width` elements word by word; `element(p, j)` for those in `columns`, zero for others.
    ///
    /// # Safety
    /// `to` is valid for writing `width` words a step.
    unsafe fn pack(k: usize, columns: usize, width: usize, to: *mut f32, element: impl Fn(usize, usize) -> f32) {
        let at = |p: usize, j: usize| if p < k && j < columns { element(p, j) } else { 0.0 };
        for (word, j) in (0..k.div_ceil(Self::STEP)).flat_map(|word| (0..width).map(move |j| (word, j))) {
            let p = word * Self::STEP;
            let value = if BF16 { pair(at(p, j), at(p + 1, j)) } else { at(p, j) };
            // SAFETY: word and j are below what the caller vouches for.
            unsafe { *to.add(word * width + j) = value };
        }
    }
}

impl<const BF16: bool> MicroKernel for Model512<BF16> {
    const NAME: &'static str = "model of avx512 8x48";
    const MR: usize = AVX512_MR;
    const LANES: usize = Array::<BF16>::LANES;
    const NR: usize = AVX512_NV * Array::<BF16>::LANES;
    const STEP: usize = if BF16 { 2 } else { 1 };
    const KC: usize = AVX512_KC / Self::STEP;

    unsafe fn tile(rows: usize, vectors: usize, args: &Tile) {
        // SAFETY: the same obligations.
        unsafe {
            if BF16 {
                tile_of_shape!(bf16_tile(args), rows, vectors, rows [1 2 3 4 5 6 7 8], vectors [1 2 3])
            } else {
                tile_of_shape!(f32_tile(args), rows, vectors, rows [1 2 3 4 5 6 7 8], vectors [1 2 3])
            }
        }
    }

    unsafe fn pack_transposed(from: *const f32, stride: usize, columns: usize, k: usize, to: *mut f32, width: usize) {
        // SAFETY: element (j, p) of the source exists; the target as the caller says.
        unsafe { Self::pack(k, columns, width, to, |p, j| *from.add(j * stride + p)) }
    }

    unsafe fn pack_rows(from: *const f32, stride: usize, k: usize, strip: Strip, to: *mut f32) {
        // SAFETY: element (p, j) of the source exists; the target as the caller says.
        unsafe { Self::pack(k, strip.columns, strip.width, to, |p, j| *from.add(p * stride + j)) }
    }

    unsafe fn gelu_panel(to: *mut f32, from: *const f32, rows: usize, columns: usize, stride: usize) {
        /// # Safety
        /// As `epilogue::gelu_panel`, on a processor with the instruction set.
        #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma"))]
        unsafe fn enabled(to: *mut f32, from: *const f32, rows: usize, columns: usize, stride: usize) {
            // SAFETY: passed on.
            unsafe { epilogue::gelu_panel::<FusedLane, { Model512::<false>::NR }>(to, from, rows, columns, stride) }
        }
        // SAFETY: the same obligations.
        unsafe { enabled(to, from, rows, columns, stride) }
    }
}

/// The blocking, the groups and the packed A of the AMX micro-kernel, and the order of its sums, in plain Rust.
pub(super) struct ModelAmx;

impl MicroKernel for ModelAmx {
    const NAME: &'static str = "model of amx 32x32";
    const MR: usize = AMX_MR;
    const LANES: usize = 16;
    const NR: usize = AMX_NV * 16;
    const STEP: usize = 2;
    const KC: usize = AMX_KC;
    const GROUP: usize = 16;

    unsafe fn tile(rows: usize, vectors: usize, args: &Tile) {
        let columns = (vectors - 1) * 16 + args.last;
        for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
            // SAFETY: element (i, j) of C and j of the bias exist; packed A has 16 words of `rows` rows a group, packed B 16 rows of `vectors` vectors.
            unsafe {
                let c = args.c.add(i * args.c_stride + j);
                let mut sum = if args.continues { *c } else { 0.0 };
                for group in 0..args.steps / 16 {
                    let (mut even, mut odd) = (0.0f32, 0.0f32);
                    for step in 0..16 {
                        let [a0, a1] = halves(*args.a.add((group * rows + i) * 16 + step));
                        let [b0, b1] = halves(*args.b.add((group * 16 + step) * vectors * 16 + j));
                        (even, odd) = (a0.mul_add(b0, even), a1.mul_add(b1, odd));
                    }
                    sum += even + odd;
                }
                *c = sum + args.bias.map_or(0.0, |bias| *bias.add(j));
            }
        }
    }

    unsafe fn pack_a(a: Operand<'_>, block: Range<usize>, tiles: &[Strip], to: *mut f32) {
        let steps = Self::steps(block.len());
        for &Strip { start, columns, .. } in tiles {
            let at = |row: usize, p: usize| match (p < block.len(), a.is_k_down) {
                (false, _) => 0.0,
                (true, true) => a.from[(block.start + p) * a.across + start + row],
                (true, false) => a.from[(start + row) * a.k + block.start + p],
            };
            for (step, row) in (0..steps).flat_map(|step| (0..columns).map(move |row| (step, row))) {
                let word = pair(at(row, 2 * step), at(row, 2 * step + 1));
                let place = (start - tiles[0].start) * steps + (step / 16 * columns + row) * 16 + step % 16;
                // SAFETY: the packed tile begins where those before it end, and has `steps` words for each of its rows.
                unsafe { *to.add(place) = word };
            }
        }
    }

    unsafe fn pack_transposed(from: *const f32, stride: usize, columns: usize, k: usize, to: *mut f32, width: usize) {
        // SAFETY: the same obligations.
        unsafe { Model512::<true>::pack_transposed(from, stride, columns, k, to, width) }
    }

    unsafe fn pack_rows(from: *const f32, stride: usize, k: usize, strip: Strip, to: *mut f32) {
        // SAFETY: the same obligations.
        unsafe { Model512::<true>::pack_rows(from, stride, k, strip, to) }
    }

    unsafe fn gelu_panel(to: *mut f32, from: *const f32, rows: usize, columns: usize, stride: usize) {
        // SAFETY: the same obligations; a panel of AMX is no wider than one of AVX-512.
        unsafe { Model512::<true>::gelu_panel(to, from, rows, columns, stride) }
    }
}
