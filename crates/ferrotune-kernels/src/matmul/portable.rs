//! The portable micro-kernel: blocks of C handed to the `matrixmultiply` crate, which has kernels for NEON and for old x86 processors.
//! Must not be used where a kernel of our own exists. That crate allocates its packing buffers itself.

use rayon::prelude::*;

use super::{Dims, Epilogue, Layout, textbook};
use crate::isa::PortableLane;
use crate::vmath;

/// Name that `matmul_on` reports.
pub(super) const NAME: &str = "matrixmultiply";

/// Rows of C in a task. Fixed, so that results do not depend on the number of threads; every task packs all of B again, so
/// not smaller.
const ROWS: usize = 192;

/// See [`super::matmul`]; the lengths are checked there.
pub(super) fn run(
    layout: Layout,
    dims: Dims,
    a: &[f32],
    b: &[f32],
    beta: f32,
    c: &mut [f32],
    epilogue: Epilogue<'_>,
) -> &'static str {
    let Dims { m, n, k } = dims;
    if m == 0 || n == 0 {
        return NAME;
    }
    let sgemm = |block: usize, c: &mut [f32]| {
        let (first, rows) = (block * ROWS, c.len() / n);
        let (a_start, a_row, a_column) = match layout {
            Layout::NN | Layout::NT => (first * k, k, 1),
            Layout::TN => (first, 1, m),
        };
        let (b_row, b_column) = if layout == Layout::NT { (1, k) } else { (n, 1) };
        let [a_row, a_column, b_row, b_column, c_row] =
            [a_row, a_column, b_row, b_column, n].map(|stride| stride as isize);
        let (a, b, c) = (a.as_ptr().wrapping_add(a_start), b.as_ptr(), c.as_mut_ptr());
        // SAFETY: strides and sizes describe `op(A)[first..first + rows, k]`, `op(B)[k, n]` and `c[rows, n]`, all inside their
        // slices, whose lengths the caller has compared with `dims`. (With k = 0 neither A nor B is touched.) C is this
        // block's alone, and sgemm does not read it if beta is zero.
        unsafe { matrixmultiply::sgemm(rows, k, n, 1.0, a, a_row, a_column, b, b_row, b_column, beta, c, c_row, 1) };
    };
    match epilogue {
        Epilogue::None => c.par_chunks_mut(ROWS * n).enumerate().for_each(|(block, c)| sgemm(block, c)),
        Epilogue::Bias(bias) => c.par_chunks_mut(ROWS * n).enumerate().for_each(|(block, c)| {
            sgemm(block, c);
            textbook::add_bias(c, bias);
        }),
        Epilogue::BiasGelu { bias, pre } => {
            let blocks = pre.par_chunks_mut(ROWS * n).zip(c.par_chunks_mut(ROWS * n)).enumerate();
            blocks.for_each(|(block, (pre, c))| {
                sgemm(block, pre);
                textbook::add_bias(pre, bias);
                for (y, &x) in c.iter_mut().zip(pre.iter()) {
                    *y = vmath::gelu::<PortableLane>(x);
                }
            });
        }
    }
    NAME
}
