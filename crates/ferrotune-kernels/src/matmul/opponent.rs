//! The `gemm` crate behind a safe function, so that benches without unsafe code can measure it beside ours. Only with the feature
//! `opponent`. Must not be called by a kernel.

use gemm::{Parallelism, gemm};

use super::{Dims, Epilogue, Layout, check};

/// `C = op(A)·op(B)` with the `gemm` crate, over as many threads as the current rayon pool has. Shapes as in [`super::matmul`].
///
/// # Panics
/// If a length disagrees with `dims`.
pub fn gemm_crate(layout: Layout, dims: Dims, a: &[f32], b: &[f32], c: &mut [f32]) {
    let Dims { m, n, k } = dims;
    let needed = super::scratch_len(layout, dims);
    check(layout, dims, a, b, 0.0, c, &Epilogue::None, needed);
    let (a_column, a_row) = if layout == Layout::TN { (m, 1) } else { (1, k) };
    let (b_column, b_row) = if layout == Layout::NT { (k, 1) } else { (1, n) };
    let threads = rayon::current_num_threads();
    let parallelism = if threads == 1 { Parallelism::None } else { Parallelism::Rayon(threads) };
    let [a_column, a_row, b_column, b_row, c_row] = [a_column, a_row, b_column, b_row, n].map(|stride| stride as isize);
    let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
    let (alpha, beta) = (0.0, 1.0);
    // SAFETY: `check` has compared the lengths with `dims`, and the strides are those of `layout` over these sizes, so every element
    // lies in its slice; `c` is borrowed mutably and is not read (the flag after its strides), so it overlaps nothing.
    unsafe {
        gemm(
            m,
            n,
            k,
            c,
            1,
            c_row,
            false,
            a,
            a_column,
            a_row,
            b,
            b_column,
            b_row,
            alpha,
            beta,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_gives_the_textbook_product() {
        let dims = Dims { m: 5, n: 7, k: 3 };
        let numbers = |count: usize| (0..count).map(|i| (i * 7 % 11) as f32 - 5.0).collect::<Vec<_>>();
        for layout in [Layout::NN, Layout::NT, Layout::TN] {
            let (a, b, mut ours, mut theirs) = (numbers(15), numbers(21), vec![0.0; 35], vec![0.0; 35]);
            let mut scratch = vec![0.0; super::super::scratch_len(layout, dims)];
            super::super::matmul(
                super::super::Precision::F32,
                layout,
                dims,
                &a,
                &b,
                0.0,
                &mut ours,
                Epilogue::None,
                &mut scratch,
            );
            gemm_crate(layout, dims, &a, &b, &mut theirs);
            // Small integers: exact in any order of summation.
            assert_eq!(ours, theirs, "{layout:?}");
        }
    }
}
