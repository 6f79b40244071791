//! Dropout and activations.

use super::{BETAS, Bench, Case};
use crate::backend::Target;
use crate::{Backend, Mask, Tensor};
use std::ops::Range;

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case { name: "dropout", run: dropout },
        Case { name: "gelu, tanh, relu", run: forward },
        Case { name: "geglu, geglu_backward", run: geglu },
        Case { name: "gelu_backward, tanh_backward, relu_backward", run: backward },
    ]
}

/// Parts of a tensor of `LEN`: one element, less than a warp, a multiple of four and none, from an aligned place and from others.
const PARTS: [Range<usize>; 7] = [0..0, 0..1, 0..17, 0..LEN, 0..LEN - 3, 1..LEN, 6..1001];
const LEN: usize = 1300;

fn dropout<B: Backend>(bench: &mut Bench<'_, B>) {
    let mask = Mask::new(0.3, 7, 1, 2, 3);
    for mask in [Mask::NONE, mask, mask.starting_at((1 << 32) - 100)] {
        let x = bench.input([LEN], 1);
        for part in PARTS {
            let mut y = bench.output([part.len()]);
            bench.backend.dropout(y.data_mut(), B::slice(&x.buf, part.clone()), mask);
            bench.note(format!("{part:?} by {mask:?}"), &y);
            for beta in BETAS {
                let mut dx = bench.target([part.len()], beta, 2);
                bench.backend.dropout_backward(Some((dx.data_mut(), beta)), B::slice(&x.buf, part.clone()), mask);
                bench.note(format!("backward, {part:?} by {mask:?}, beta {beta}"), &dx);
            }
        }
        bench.backend.dropout_backward(None, x.data(), mask);
    }
}

fn geglu<B: Backend>(bench: &mut Bench<'_, B>) {
    // Rows and widths: no multiple of four, of a warp or of a block, and none at all.
    for [rows, width] in [[1, 1], [7, 5], [9, 132], [3, 1100], [0, 8]] {
        let (x, dy) = (bench.input([rows, 2 * width], 1), bench.input([rows, width], 2));
        let mut y = bench.output([rows, width]);
        bench.backend.geglu(y.data_mut(), x.data(), width);
        bench.note(format!("{rows}·{width}"), &y);
        for beta in BETAS {
            let mut dx = bench.target([rows, 2 * width], beta, 3);
            bench.backend.geglu_backward(Some((dx.data_mut(), beta)), dy.data(), x.data(), width);
            bench.note(format!("{rows}·{width}, dx, beta {beta}"), &dx);
        }
        bench.backend.geglu_backward(None, dy.data(), x.data(), width);
    }
}

/// `y = f(x)`.
type Forward<B> = fn(&B, <B as Backend>::Mut<'_>, <B as Backend>::Ref<'_>);
/// The gradient by x, from the one by y and from x or y.
type Backward<B> = fn(&B, Target<'_, B>, <B as Backend>::Ref<'_>, <B as Backend>::Ref<'_>);

fn forward<B: Backend>(bench: &mut Bench<'_, B>) {
    let x = bench.input([LEN], 1);
    let functions: [(&str, Forward<B>); 3] = [("gelu", B::gelu), ("tanh", B::tanh), ("relu", B::relu)];
    for (name, function) in functions {
        for part in PARTS {
            // What lies around the part must stay.
            let mut y: Tensor<B> = bench.input([LEN], 2);
            function(bench.backend, B::slice_mut(&mut y.buf, part.clone()), B::slice(&x.buf, part.clone()));
            bench.note(format!("{name} {part:?}"), &y);
        }
    }
}

fn backward<B: Backend>(bench: &mut Bench<'_, B>) {
    let (dy, x) = (bench.input([LEN], 1), bench.input([LEN], 2));
    let functions: [(&str, Backward<B>); 3] =
        [("gelu", B::gelu_backward), ("tanh", B::tanh_backward), ("relu", B::relu_backward)];
    for (name, function) in functions {
        for part in PARTS {
            let (dy, x) = (B::slice(&dy.buf, part.clone()), B::slice(&x.buf, part.clone()));
            for beta in BETAS {
                let mut dx = bench.target([part.len()], beta, 3);
                function(bench.backend, Some((dx.data_mut(), beta)), dy, x);
                bench.note(format!("{name} {part:?}, beta {beta}"), &dx);
            }
            function(bench.backend, None, dy, x);
        }
    }
}
