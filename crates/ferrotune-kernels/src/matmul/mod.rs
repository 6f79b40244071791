//! Dense matrix products `C = op(A)·op(B)` over rayon, with an optional bias or bias and GELU. Must not know layers, tensors or batches.
//!
//! # Shapes
//! Three layouts serve a linear layer `y = x·Wᵀ + b` with `W[out, in]`: forward is NT, `dx = dy·W` is NN, `dW = dyᵀ·x` is TN.
//! C is always `[m, n]`; no operand is ever transposed in memory beforehand.
//!
//! # How it works
//! Five loops (`loops.rs`), outermost first:
//!
//! 1. over blocks of k, short enough that one panel's block stays in the L1 cache. The block of B is packed into *panels* of `NR`
//!    columns, `steps × NR` contiguous, shared by all tasks; C carries the sums from block to block;
//! 2. over tasks, in parallel: a task owns the rectangle of C made of a block of row tiles and a group of panels. It packs its rows of
//!    A into *tiles* of `MR` rows, `steps × MR` contiguous, on its stack: memory that this core wrote and that stays in its L2;
//! 3. over the panels of the group, each of which moves into L1, the next one fetched ahead;
//! 4. over the row tiles of the block, which come from L2;
//! 5. over the steps of k: one rank-1 update of an `MR × NR` tile of C that lives in registers (`tile.rs`).
//!
//! Packed operands make the innermost loop read two streams forwards, whatever the layout and the row strides. (Reading A in
//! place saves a copy and loses more: its `MR` streams are prefetched badly, and rows 4 KiB apart share 8 places in L1.)
//!
//! Rows are dealt evenly to tiles, so a tile has `MR` rows or a few less and never a padded one.
//!
//! # Which code runs
//! [`crate::isa`] picks a micro-kernel type once: `x86/amx.rs` (32×32, in bf16 alone), `x86/avx512.rs` (8×48, in f32 and bf16), `x86/avx2.rs` (6×16) or `portable.rs`, which hands blocks to the
//! `matrixmultiply` crate (NEON on aarch64). `textbook.rs` is the specification.
//!
//! # Same bits
//! Every element of C is one chain of multiply-adds over ascending k, computed by one task. The chain depends on neither
//! the number of threads, nor m and n, nor the blocking of k (C keeps exact f32 sums in between): a row of C has the same bits
//! alone and within a batch, and AVX2 and AVX-512 agree bit for bit. In bf16 a link of the chain is a pair of products, in the order that
//! the processor's instruction has. The portable kernel cuts C in fixed blocks, so it too is
//! independent of the thread count.

// On other processors the portable kernel alone runs; the loops are compiled there for the model in `tests.rs`.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod blocking;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod epilogue;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod loops;
#[cfg(feature = "opponent")]
pub mod opponent;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod pack;
mod portable;
#[cfg(test)]
mod tests;
pub mod textbook;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, unused_macros, unused_imports))]
pub(crate) mod tile;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

use crate::isa::{self, Isa};

/// Which operand lies transposed in memory. C is `[m, n]` and row-major in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `C = A·B` with `A[m, k]`, `B[k, n]`.
    NN,
    /// `C = A·Bᵀ` with `A[m, k]`, `B[n, k]`.
    NT,
    /// `C = Aᵀ·B` with `A[k, m]`, `B[k, n]`.
    TN,
}

/// How the elements of A and B are multiplied. Sums, C and epilogues are f32 in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// As they are.
    #[default]
    F32,
    /// Rounded to bf16 (to nearest even, 8 significant bits) while they are packed; products of such numbers are exact in f32. Denormals
    /// count as zero. Twice the multiply-adds of f32 with AVX512_BF16 on processors of AMD, half of them on those of Intel, and up to sixteen times with
    /// AMX ([`Isa::bf16_is_fast`]).
    Bf16,
}

impl Precision {
    /// Whether this machine can multiply so with `isa`.
    pub fn is_available(self, isa: Isa) -> bool {
        match self {
            Precision::F32 => isa.is_available(),
            Precision::Bf16 => isa.has_bf16(),
        }
    }

    /// `f32` or `bf16`.
    pub const fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        }
    }
}

/// Sizes of a product: C is `m × n`, sums run over `k`. Any of them may be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Rows of C.
    pub m: usize,
    /// Columns of C.
    pub n: usize,
    /// Length of each sum.
    pub k: usize,
}

/// What happens to a tile of C when its sums are complete, while it is in cache.
#[derive(Debug)]
pub enum Epilogue<'a> {
    /// Nothing.
    None,
    /// `C += bias`, with `bias[n]` added to every row.
    Bias(&'a [f32]),
    /// `pre = op(A)·op(B) + bias` and `C = gelu(pre)` with the exact (erf) GELU; needs `beta` 0. Backward wants `pre`.
    BiasGelu {
        /// `[n]`, added to every row.
        bias: &'a [f32],
        /// `[m, n]`, overwritten and never read before.
        pre: &'a mut [f32],
    },
}

/// Length of the scratch slice that [`matmul`] wants for these sizes, in `f32`s, whatever the instruction set.
pub fn scratch_len(layout: Layout, dims: Dims) -> usize {
    // The same for all layouts today; callers name the layout, so that one may come to need less.
    let _ = layout;
    blocking::scratch_len(dims)
}

/// `C = beta·C + op(A)·op(B)`, then the epilogue, with the instruction set of [`isa::current`], over the current rayon pool.
/// Products are taken in `precision`.
///
/// `a`, `b`, `c` have exactly the sizes that `layout` and `dims` tell. `beta` is 0 (C is never read and may hold
/// anything) or 1. `scratch` has at least [`scratch_len`] elements of any content and alignment.
///
/// # Panics
/// If a length disagrees with `dims`, if `beta` is neither 0 nor 1, if it is 1 together with [`Epilogue::BiasGelu`], or if this
/// machine lacks `precision`.
pub fn matmul(
    precision: Precision,
    layout: Layout,
    dims: Dims,
    a: &[f32],
    b: &[f32],
    beta: f32,
    c: &mut [f32],
    epilogue: Epilogue<'_>,
    scratch: &mut [f32],
) {
    matmul_on(isa::current(), precision, layout, dims, a, b, beta, c, epilogue, scratch);
}

/// [`matmul`] with a forced instruction set; returns the name of the micro-kernel that ran. For tests and benches.
///
/// # Panics
/// As [`matmul`], and if this machine lacks `isa`.
pub fn matmul_on(
    isa: Isa,
    precision: Precision,
    layout: Layout,
    dims: Dims,
    a: &[f32],
    b: &[f32],
    beta: f32,
    c: &mut [f32],
    epilogue: Epilogue<'_>,
    scratch: &mut [f32],
) -> &'static str {
    assert!(precision.is_available(isa), "matmul: this machine lacks {} in {}", isa.name(), precision.name());
    check(layout, dims, a, b, beta, c, &epilogue, scratch.len());
    match (isa, precision) {
        // SAFETY: the instruction set is available, as asserted, and `check` has compared every length with `dims`.
        #[cfg(target_arch = "x86_64")]
        (Isa::Amx, Precision::Bf16) => unsafe {
            loops::run::<x86::amx::Amx>(layout, dims, a, b, beta, c, epilogue, scratch)
        },
        // SAFETY: as above; a processor with AMX has AVX-512.
        #[cfg(target_arch = "x86_64")]
        (Isa::Amx | Isa::Avx512, Precision::F32) => unsafe {
            loops::run::<x86::avx512::Avx512<false>>(layout, dims, a, b, beta, c, epilogue, scratch)
        },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, Precision::Bf16) => unsafe {
            loops::run::<x86::avx512::Avx512<true>>(layout, dims, a, b, beta, c, epilogue, scratch)
        },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2, Precision::F32) => unsafe {
            loops::run::<x86::avx2::Avx2>(layout, dims, a, b, beta, c, epilogue, scratch)
        },
        (_, Precision::F32) => portable::run(layout, dims, a, b, beta, c, epilogue),
        (_, Precision::Bf16) => unreachable!("no other set has bf16, as asserted above"),
    }
}

/// Panics unless every argument has the size that `dims` tells.
fn check(
    layout: Layout,
    dims: Dims,
    a: &[f32],
    b: &[f32],
    beta: f32,
    c: &[f32],
    epilogue: &Epilogue<'_>,
    scratch: usize,
) {
    let Dims { m, n, k } = dims;
    let length = |argument: &str, expected: usize, got: usize| {
        assert!(
            expected == got,
            "matmul {layout:?} m={m} n={n} k={k}: {argument} has {got} elements, expected {expected}"
        );
    };
    // A product that wraps would match an empty slice.
    let times = |x: usize, y: usize| {
        x.checked_mul(y)
            .unwrap_or_else(|| panic!("matmul {layout:?} m={m} n={n} k={k}: more elements than can be counted"))
    };
    length("a", times(m, k), a.len());
    length("b", times(k, n), b.len());
    length("c", times(m, n), c.len());
    assert!(beta == 0.0 || beta == 1.0, "matmul: beta is {beta}, expected 0 or 1");
    match epilogue {
        Epilogue::None => {}
        Epilogue::Bias(bias) => length("bias", n, bias.len()),
        Epilogue::BiasGelu { bias, pre } => {
            length("bias", n, bias.len());
            length("pre", times(m, n), pre.len());
            assert!(beta == 0.0, "matmul: BiasGelu overwrites c, expected beta 0, got {beta}");
        }
    }
    let least = scratch_len(layout, dims);
    assert!(scratch >= least, "matmul: scratch has {scratch} elements, expected at least {least}");
}
