//! Loop 5: the tile of C in registers, one body for every vector type and tile shape. Must not know blocking, threads or which
//! instruction set it is compiled for.
//!
//! ```text
//!              b0 b1      one step of k: NV vectors of a panel of B
//!   a0 splat   c00 c01    acc[i][j] += splat(a[i]) * b[j]
//!   a1 splat   c10 c11
//!   ..         ..         MR rows × NV vectors stay in registers for the whole block of k
//! ```

use std::ops::Range;

use super::blocking::LINE;
use super::pack::{Operand, Strip, copy_strip};

/// A vector of `f32`s: the only thing that an instruction set has to say about itself.
///
/// Implementations are one intrinsic per method, `#[inline(always)]`, and compile to it only inside a function that enables
/// the instruction set.
///
/// # Safety
/// Every method: the processor has the instruction set. Loads and stores: the named number of elements is valid at the
/// pointer, which needs no alignment beyond that of `f32`.
pub(crate) trait Vector: Copy {
    /// Elements of a vector.
    const LANES: usize;
    /// All elements zero.
    unsafe fn zero() -> Self;
    /// All elements `*from`.
    unsafe fn splat(from: *const f32) -> Self;
    /// `LANES` elements.
    unsafe fn load(from: *const f32) -> Self;
    /// The first `count` elements, `1..=LANES`; the others are zero and not read.
    unsafe fn load_first(from: *const f32, count: usize) -> Self;
    /// Writes `LANES` elements.
    unsafe fn store(self, to: *mut f32);
    /// Writes the first `count` elements, `1..=LANES`, and leaves the others alone.
    unsafe fn store_first(self, to: *mut f32, count: usize);
    /// Asks for the cache line at `from`, which may be any pointer, in L1.
    unsafe fn prefetch(from: *const f32);
    /// Asks for the cache line at `from`, which may be any pointer, in the cache that a panel is read from.
    unsafe fn prefetch_panel(from: *const f32);
    /// `self + x * y` per element, rounded once; in bf16 `self + x0 * y0 + x1 * y1` of the pairs in each word.
    unsafe fn add_product(self, x: Self, y: Self) -> Self;
    /// `self + x` per element.
    unsafe fn add(self, x: Self) -> Self;
}

/// A micro-kernel: the vector type and tile shape of one instruction set.
pub(super) trait MicroKernel {
    /// What [`super::matmul_on`] reports.
    const NAME: &'static str;
    /// Rows of a full tile.
    const MR: usize;
    /// Elements of a vector.
    const LANES: usize;
    /// Columns of a full panel; a multiple of `LANES`.
    const NR: usize;
    /// Elements along k in a step, which share one 32-bit word of packed memory: 1 in f32, 2 in bf16.
    const STEP: usize;
    /// Longest block of k, in steps.
    const KC: usize;
    /// Steps in packed memory are a multiple of this; those that are not there are zeros.
    const GROUP: usize = 1;

    /// Steps in packed memory of a block of so many elements along k.
    fn steps(k: usize) -> usize {
        k.div_ceil(Self::STEP).next_multiple_of(Self::GROUP)
    }

    /// Packs a block of A: [`Operand::pack`], where the instruction set does not want tiles of A otherwise than panels of B.
    ///
    /// # Safety
    /// As [`Operand::pack`].
    unsafe fn pack_a(a: Operand<'_>, block: Range<usize>, tiles: &[Strip], to: *mut f32)
    where
        Self: Sized,
    {
        // SAFETY: the same obligations.
        unsafe { a.pack::<Self>(block, tiles.iter().copied(), to) }
    }

    /// Runs [`tile`] for `rows` in `1..=MR` and `vectors` in `1..=NR / LANES`.
    ///
    /// # Safety
    /// The processor has the instruction set; the rest as [`tile`].
    unsafe fn tile(rows: usize, vectors: usize, args: &Tile);

    /// Packs the transpose of `columns` rows of `k` elements at `from`, `stride` apart, as rows of `width` words at `to`, one for
    /// each step; columns from `columns` on become zero. `width` is that of a tile (up to `MR`) or of a panel (whole vectors).
    ///
    /// # Safety
    /// The processor has the instruction set; `from` is valid for reading these rows and `to` for `width` writes a step.
    unsafe fn pack_transposed(from: *const f32, stride: usize, columns: usize, k: usize, to: *mut f32, width: usize);

    /// Packs `k` rows of a strip (`strip.columns` elements at `from`, rows `stride` apart) as rows of `strip.width` words at `to`, one
    /// for each step.
    ///
    /// # Safety
    /// As [`Self::pack_transposed`].
    unsafe fn pack_rows(from: *const f32, stride: usize, k: usize, strip: Strip, to: *mut f32) {
        const { assert!(Self::STEP == 1, "a copy packs f32") };
        // SAFETY: the same obligations.
        unsafe { copy_strip(from, stride, k, strip, to) }
    }

    /// [`Self::pack_rows`] of a strip to `to` and of the next one, of the same width, to `next`. Together they are as wide as a vector.
    ///
    /// # Safety
    /// As [`Self::pack_rows`], for both.
    unsafe fn pack_two_rows(from: *const f32, stride: usize, k: usize, strip: Strip, to: *mut f32, next: *mut f32) {
        // SAFETY: the same obligations; the second strip's columns follow the first's.
        unsafe {
            Self::pack_rows(from, stride, k, strip, to);
            Self::pack_rows(from.add(strip.columns), stride, k, strip, next);
        }
    }

    /// `to = gelu(from)` for a rectangle of `rows × columns`, `columns <= NR`, both with row stride `stride`.
    ///
    /// # Safety
    /// The processor has the instruction set; `from` is valid for reading and `to` for writing the rectangle.
    unsafe fn gelu_panel(to: *mut f32, from: *const f32, rows: usize, columns: usize, stride: usize);
}

/// Steps of k that are unrolled, and after which a little of the next panel is fetched.
pub(super) const CHUNK: usize = 8;

/// Arguments of a tile. Pointers point at the first element of the tile's part of each operand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// Steps of k in this block.
    pub(super) steps: usize,
    /// Packed tile of A: `steps` groups of `rows` words.
    pub(super) a: *const f32,
    /// Packed panel of B: `steps` groups of `vectors` vectors.
    pub(super) b: *const f32,
    /// Part of the next panel, which is fetched meanwhile: as much as this tile reads of B in one step of [`CHUNK`], per
    /// chunk. Any pointer will do, it is never read.
    pub(super) ahead: *const f32,
    /// Tile of C (or of `pre`), row-major with stride `c_stride`.
    pub(super) c: *mut f32,
    /// Row stride of C.
    pub(super) c_stride: usize,
    /// Whether the sums go on from C (beta 1, or a later block of k) or start from zero without reading C.
    pub(super) continues: bool,
    /// The tile's columns of the bias, with the last block of k only.
    pub(super) bias: Option<*const f32>,
    /// Columns of the last vector that exist, `1..=LANES`.
    pub(super) last: usize,
}

/// Adds `steps` rank-1 updates to a tile of `MR` rows and `NV` vectors, the last of which may be cut to `args.last` columns.
///
/// # Safety
/// * The processor has the instruction set of `V`, and the caller enables it.
/// * `a` is valid for reading `steps * MR` elements, `b` for `steps * NV * LANES`.
/// * `c` is valid for writing (if `continues`, also for reading initialised) `MR` rows of `(NV - 1) * LANES + last` elements,
///   which no other thread touches meanwhile; `bias`, if any, for reading one such row.
#[inline(always)]
pub(super) unsafe fn tile<V: Vector, const MR: usize, const NV: usize>(args: &Tile) {
    // SAFETY: all pointers below stay inside the extents that the caller vouches for: row < MR, step < steps, j < NV, and the
    // last vector goes through the `_first` methods whenever it is cut.
    unsafe {
        let whole = args.last == V::LANES;
        let mut acc = [[V::zero(); NV]; MR];
        if args.continues {
            for i in 0..MR {
                for j in 0..NV {
                    let c = args.c.add(i * args.c_stride + j * V::LANES);
                    acc[i][j] = if whole || j + 1 < NV { V::load(c) } else { V::load_first(c, args.last) };
                }
            }
        }
        for i in 0..MR {
            V::prefetch(args.c.wrapping_add((MR + i) * args.c_stride));
        }
        let (mut a, mut b, mut ahead) = (args.a, args.b, args.ahead);
        for _ in 0..args.steps / CHUNK {
            for _ in 0..NV * V::LANES / LINE {
                V::prefetch_panel(ahead);
                ahead = ahead.wrapping_add(LINE);
            }
            for step in 0..CHUNK {
                multiply_step(&mut acc, a.add(step * MR), b.add(step * NV * V::LANES));
            }
            a = a.add(CHUNK * MR);
            b = b.add(CHUNK * NV * V::LANES);
        }
        for step in 0..args.steps % CHUNK {
            multiply_step(&mut acc, a.add(step * MR), b.add(step * NV * V::LANES));
        }
        if let Some(bias) = args.bias {
            for j in 0..NV {
                let bias = bias.add(j * V::LANES);
                let bias = if whole || j + 1 < NV { V::load(bias) } else { V::load_first(bias, args.last) };
                for i in 0..MR {
                    acc[i][j] = acc[i][j].add(bias);
                }
            }
        }
        for i in 0..MR {
            for j in 0..NV {
                let c = args.c.add(i * args.c_stride + j * V::LANES);
                if whole || j + 1 < NV {
                    acc[i][j].store(c);
                } else {
                    acc[i][j].store_first(c, args.last);
                }
            }
        }
    }
}

/// One rank-1 update: `acc[i][j] += a[i] * b[j]`.
///
/// # Safety
/// As [`tile`], with one step of A and B.
#[inline(always)]
unsafe fn multiply_step<V: Vector, const MR: usize, const NV: usize>(
    acc: &mut [[V; NV]; MR],
    a: *const f32,
    b: *const f32,
) {
    // SAFETY: i < MR elements of A and j < NV vectors of B exist.
    unsafe {
        let mut columns = [V::zero(); NV];
        for j in 0..NV {
            columns[j] = V::load(b.add(j * V::LANES));
        }
        for i in 0..MR {
            let a = V::splat(a.add(i));
            for j in 0..NV {
                acc[i][j] = acc[i][j].add_product(a, columns[j]);
            }
        }
    }
}

/// `match` from the run-time shape of a tile to the instance of `$tile` compiled for it.
macro_rules! tile_of_shape {
    ($tile:ident($args:expr), $rows:expr, $vectors:expr, rows [$($r:literal)+], vectors $v:tt) => {
        match $rows {
            $($r => tile_of_shape!(@ $tile($args), $vectors, $r, $v),)+
            other => unreachable!("a tile of {other} rows"),
        }
    };
    (@ $tile:ident($args:expr), $vectors:expr, $r:literal, [$($v:literal)+]) => {
        match $vectors {
            $($v => $tile::<$r, $v>($args),)+
            other => unreachable!("a tile of {other} vectors"),
        }
    };
}
pub(super) use tile_of_shape;
