//! AMX: products of tiles of 16 × 16 words in registers of their own, a tile of C of 32 × 32 at a time, operands in bf16. The instructions stand in
//! inline assembly, because their intrinsics are not stable.
//!
//! ```text
//!             b0    b1       a group: 16 steps of k, 32 elements
//!   a0 16×16  c00   c01      c[i][j] += a[i] · b[j], 16 steps in one instruction
//!   a1 16×16  c10   c11      the shape of each tile, so that nothing is padded, is part of what is loaded first
//! ```
//!
//! A panel of B is packed as for AVX-512, which is what the second operand wants: a row for each step, a word for each column. The first operand wants
//! a row of 16 steps for each row of A, so A is packed group by group.
//!
//! # Same bits
//! An instruction adds up the products of even elements and of odd ones of a group, each along k, then both, then that to C (Intel SDM volume 2,
//! TDPBF16PS; denormals count as zero). Groups begin where blocks of k do, which depend on k alone, so a row of C has the same bits in every product.

use std::arch::asm;
use std::arch::x86_64::*;
use std::ops::Range;

use super::super::blocking::{AMX_KC, AMX_MR, AMX_NV};
use super::super::epilogue;
use super::super::pack::{Operand, Strip};
use super::super::tile::{MicroKernel, Tile};
use super::avx512::{Avx512, mask};
use super::words;
use crate::isa::FusedLane;

/// Rows of a register, words of a row of it, and steps of k in a group.
const SIDE: usize = 16;

/// The micro-kernel.
pub(crate) struct Amx;

/// What `ldtilecfg` reads: rows, and bytes a row, of each register.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

impl Shapes {
    /// Registers 0 to 3 are C (two of each half of the rows), 4 and 5 are A, 6 and 7 are B.
    fn new(rows: usize, vectors: usize, last: usize) -> Shapes {
        let mut shapes = Shapes { palette: 1, start_row: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
        let mut set = |register: usize, rows: usize, words: usize| {
            shapes.rows[register] = rows as u8;
            shapes.bytes[register] = (4 * words) as u16;
        };
        let columns = |vector: usize| if vector + 1 < vectors { SIDE } else { last };
        for half in 0..rows.div_ceil(SIDE) {
            let rows = (rows - half * SIDE).min(SIDE);
            set(4 + half, rows, SIDE);
            (0..vectors).for_each(|vector| set(2 * half + vector, rows, columns(vector)));
        }
        (0..vectors).for_each(|vector| set(6 + vector, SIDE, columns(vector)));
        shapes
    }
}

/// The loop over the groups of a tile, which has a second half of rows or not: `$start` loads what C holds, `$zero` clears, `$group` multiplies, `$end` stores. Registers keep their contents only
/// inside one block of assembly.
macro_rules! groups {
    ($name:ident, vectors $vectors:literal, second half [$($c1:ident)?], start [$($start:literal)+], zero [$($zero:literal)+], group [$($group:literal)+], end [$($end:literal)+]) => {
        /// # Safety
        /// The processor has AMX and the system allows it; `shapes` are those of the tile; `args` as in [`MicroKernel::tile`], with one group at least.
        unsafe fn $name(shapes: &Shapes, rows: usize, args: &Tile) {
            // SAFETY: every load and store stays inside the shapes: `rows` rows and the columns that exist of C, which lie `c_stride` apart; packed A has
            // `rows` rows of 64 bytes for each group, packed B 16 rows of `vectors` times 64. Tile registers are named as changed, and given back.
            unsafe {
                asm!(
                    "ldtilecfg [{shapes}]",
                    "test {goes_on:e}, {goes_on:e}",
                    "jz 2f",
                    $($start,)+
                    "jmp 3f",
                    "2:",
                    $($zero,)+
                    "3:",
                    $($group,)+
                    "add {a}, {a_step}",
                    "add {b}, {b_step}",
                    "dec {groups}",
                    "jnz 3b",
                    $($end,)+
                    "tilerelease",
                    shapes = in(reg) shapes,
                    goes_on = in(reg) u32::from(args.continues),
                    c0 = in(reg) args.c,
                    $($c1 = in(reg) args.c.wrapping_add(SIDE * args.c_stride),)?
                    c_stride = in(reg) 4 * args.c_stride,
                    a = inout(reg) args.a => _,
                    b = inout(reg) args.b => _,
                    line = in(reg) 4 * SIDE,
                    a_step = in(reg) 4 * SIDE * rows,
                    b_step = const 4 * SIDE * SIDE * $vectors,
                    groups = inout(reg) args.steps / SIDE => _,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    };
}

groups!(
    two_by_two, vectors 2, second half [c1],
    start [
        "tileloadd tmm0, [{c0} + {c_stride}]"
        "tileloadd tmm1, [{c0} + {c_stride} + 64]"
        "tileloadd tmm2, [{c1} + {c_stride}]"
        "tileloadd tmm3, [{c1} + {c_stride} + 64]"
    ],
    zero ["tilezero tmm0" "tilezero tmm1" "tilezero tmm2" "tilezero tmm3"],
    group [
        "tileloadd tmm4, [{a} + {line}]"
        "tileloadd tmm6, [{b} + 2*{line}]"
        "tdpbf16ps tmm0, tmm4, tmm6"
        "tileloadd tmm7, [{b} + 2*{line} + 64]"
        "tdpbf16ps tmm1, tmm4, tmm7"
        "tileloadd tmm5, [{a} + {line} + 1024]"
        "tdpbf16ps tmm2, tmm5, tmm6"
        "tdpbf16ps tmm3, tmm5, tmm7"
    ],
    end [
        "tilestored [{c0} + {c_stride}], tmm0"
        "tilestored [{c0} + {c_stride} + 64], tmm1"
        "tilestored [{c1} + {c_stride}], tmm2"
        "tilestored [{c1} + {c_stride} + 64], tmm3"
    ]
);
groups!(
    two_by_one, vectors 1, second half [c1],
    start ["tileloadd tmm0, [{c0} + {c_stride}]" "tileloadd tmm2, [{c1} + {c_stride}]"],
    zero ["tilezero tmm0" "tilezero tmm2"],
    group [
        "tileloadd tmm4, [{a} + {line}]"
        "tileloadd tmm6, [{b} + {line}]"
        "tdpbf16ps tmm0, tmm4, tmm6"
        "tileloadd tmm5, [{a} + {line} + 1024]"
        "tdpbf16ps tmm2, tmm5, tmm6"
    ],
    end ["tilestored [{c0} + {c_stride}], tmm0" "tilestored [{c1} + {c_stride}], tmm2"]
);
groups!(
    one_by_two, vectors 2, second half [],
    start [
        "tileloadd tmm0, [{c0} + {c_stride}]"
        "tileloadd tmm1, [{c0} + {c_stride} + 64]"
    ],
    zero ["tilezero tmm0" "tilezero tmm1"],
    group [
        "tileloadd tmm4, [{a} + {line}]"
        "tileloadd tmm6, [{b} + 2*{line}]"
        "tdpbf16ps tmm0, tmm4, tmm6"
        "tileloadd tmm7, [{b} + 2*{line} + 64]"
        "tdpbf16ps tmm1, tmm4, tmm7"
    ],
    end ["tilestored [{c0} + {c_stride}], tmm0" "tilestored [{c0} + {c_stride} + 64], tmm1"]
);
groups!(
    one_by_one, vectors 1, second half [],
    start ["tileloadd tmm0, [{c0} + {c_stride}]"],
    zero ["tilezero tmm0"],
    group [
        "tileloadd tmm4, [{a} + {line}]"
        "tileloadd tmm6, [{b} + {line}]"
        "tdpbf16ps tmm0, tmm4, tmm6"
    ],
    end ["tilestored [{c0} + {c_stride}], tmm0"]
);

/// What a tile does besides its groups: sums of nothing, and the bias.
///
/// # Safety
/// As [`MicroKernel::tile`], after the groups.
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
unsafe fn finish(rows: usize, vectors: usize, args: &Tile) {
    let is_empty = args.steps == 0 && !args.continues;
    if !is_empty && args.bias.is_none() {
        return;
    }
    for vector in 0..vectors {
        let there = mask(if vector + 1 < vectors { SIDE } else { args.last });
        // SAFETY: what is masked out is neither read nor written; the rest lies in the tile, or in its columns of the bias.
        unsafe {
            let bias =
                args.bias.map_or(_mm512_setzero_ps(), |bias| _mm512_maskz_loadu_ps(there, bias.add(vector * SIDE)));
            for row in 0..rows {
                let c = args.c.add(row * args.c_stride + vector * SIDE);
                let sum = if is_empty { _mm512_setzero_ps() } else { _mm512_maskz_loadu_ps(there, c) };
                _mm512_mask_storeu_ps(c, there, _mm512_add_ps(sum, bias));
            }
        }
    }
}

/// Packs a tile of A whose rows lie along k: 16 words of each row for every group.
///
/// # Safety
/// The processor has AVX-512 and BF16; `from` is valid for `rows` rows of `k` elements, `to` for `rows` times 16 words a group.
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx2,fma")]
unsafe fn pack_rows_of_a(from: *const f32, stride: usize, rows: usize, k: usize, to: *mut f32) {
    for (group, start) in (0..k).step_by(2 * SIDE).enumerate() {
        for row in 0..rows {
            // SAFETY: `k - start` elements of row `row` are left; its words of the group lie in the target.
            unsafe {
                let words = words::row_words::<true>(from.add(row * stride + start), k - start);
                _mm512_storeu_ps(to.add((group * rows + row) * SIDE), words);
            }
        }
    }
}

/// Packs a tile of A whose rows are columns in memory.
///
/// # Safety
/// As [`pack_rows_of_a`], but `from` is valid for `k` rows of `columns` elements.
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx2,fma")]
unsafe fn pack_columns_of_a(from: *const f32, stride: usize, columns: usize, k: usize, to: *mut f32) {
    /// A group of 16 columns: a row for each step.
    #[repr(align(64))]
    struct Steps([[f32; SIDE]; SIDE]);
    let mut steps = Steps([[0.0; SIDE]; SIDE]);
    for (group, start) in (0..k).step_by(2 * SIDE).enumerate() {
        for first in (0..columns).step_by(SIDE) {
            let there = (columns - first).min(SIDE);
            for step in 0..SIDE {
                let p = start + 2 * step;
                let [even, odd] = [p, p + 1].map(|p| if p < k { there } else { 0 });
                // SAFETY: rows p and p + 1 are read where they exist, `there` elements of them.
                unsafe {
                    let words = words::two_rows::<true>(from.wrapping_add(p * stride + first), stride, even, odd);
                    _mm512_store_ps(steps.0[step].as_mut_ptr(), words);
                }
            }
            // SAFETY: 16 rows of 16 words become a row of 16 words for each of `there` columns, which lie in the target.
            unsafe {
                let to = to.add((group * columns + first) * SIDE);
                words::transpose_vector::<false>(steps.0.as_ptr().cast(), SIDE, SIDE, there, to, SIDE);
            }
        }
    }
}

/// # Safety
/// As [`MicroKernel::gelu_panel`].
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
unsafe fn gelu(to: *mut f32, from: *const f32, rows: usize, columns: usize, stride: usize) {
    // SAFETY: the same obligations.
    unsafe { epilogue::gelu_panel::<FusedLane, { Amx::NR }>(to, from, rows, columns, stride) }
}

impl Amx {
    /// Multiplies full tiles of zeros in registers, six sums at a time (an instruction takes as long as three others), `rounds` times; returns the
    /// multiply-adds. For the peak of this machine.
    ///
    /// # Safety
    /// The processor has AMX and the system allows it.
    pub(crate) unsafe fn products(rounds: usize) -> usize {
        const SUMS: usize = 6;
        let mut shapes = Shapes { palette: 1, start_row: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
        shapes.bytes[..8].fill(64);
        shapes.rows[..8].fill(16);
        // SAFETY: no memory but `shapes` is read, and none written; all tile registers are named as changed, and given back.
        unsafe {
            asm!(
                "ldtilecfg [{shapes}]",
                "2:",
                "tdpbf16ps tmm0, tmm6, tmm7",
                "tdpbf16ps tmm1, tmm6, tmm7",
                "tdpbf16ps tmm2, tmm6, tmm7",
                "tdpbf16ps tmm3, tmm6, tmm7",
                "tdpbf16ps tmm4, tmm6, tmm7",
                "tdpbf16ps tmm5, tmm6, tmm7",
                "dec {rounds}",
                "jnz 2b",
                "tilerelease",
                shapes = in(reg) &raw const shapes,
                rounds = inout(reg) rounds.max(1) => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
        rounds.max(1) * SUMS * SIDE * SIDE * 2 * SIDE
    }
}

impl MicroKernel for Amx {
    const NAME: &'static str = "amx 32x32";
    const MR: usize = AMX_MR;
    const LANES: usize = SIDE;
    const NR: usize = AMX_NV * SIDE;
    const STEP: usize = 2;
    const KC: usize = AMX_KC;
    const GROUP: usize = SIDE;

    unsafe fn tile(rows: usize, vectors: usize, args: &Tile) {
        // SAFETY: the caller vouches for the processor and for the extents of a tile of this shape.
        unsafe {
            if args.steps > 0 {
                let shapes = Shapes::new(rows, vectors, args.last);
                match (rows > SIDE, vectors) {
                    (true, 2) => two_by_two(&shapes, rows, args),
                    (true, _) => two_by_one(&shapes, rows, args),
                    (false, 2) => one_by_two(&shapes, rows, args),
                    (false, _) => one_by_one(&shapes, rows, args),
                }
            }
            finish(rows, vectors, args);
        }
    }

    unsafe fn pack_a(a: Operand<'_>, block: Range<usize>, tiles: &[Strip], to: *mut f32) {
        let (steps, k) = (Self::steps(block.len()), block.len());
        let Some(&Strip { start: origin, .. }) = tiles.first() else { return };
        for &Strip { start, columns, .. } in tiles {
            // SAFETY: the tile's rows and the block lie in the operand; a packed tile begins where those before it end.
            unsafe {
                let to = to.add((start - origin) * steps);
                if a.is_k_down {
                    let from = a.from.as_ptr().add(block.start * a.across + start);
                    pack_columns_of_a(from, a.across, columns, k, to);
                } else {
                    let from = a.from.as_ptr().add(start * a.k + block.start);
                    pack_rows_of_a(from, a.k, columns, k, to);
                }
            }
        }
    }

    unsafe fn pack_transposed(from: *const f32, stride: usize, columns: usize, k: usize, to: *mut f32, width: usize) {
        // SAFETY: the same obligations.
        unsafe { Avx512::<true>::pack_transposed(from, stride, columns, k, to, width) }
    }

    unsafe fn pack_rows(from: *const f32, stride: usize, k: usize, strip: Strip, to: *mut f32) {
        // SAFETY: the same obligations.
        unsafe { Avx512::<true>::pack_rows(from, stride, k, strip, to) }
    }

    unsafe fn gelu_panel(to: *mut f32, from: *const f32, rows: usize, columns: usize, stride: usize) {
        // SAFETY: the same obligations.
        unsafe { gelu(to, from, rows, columns, stride) }
    }
}
