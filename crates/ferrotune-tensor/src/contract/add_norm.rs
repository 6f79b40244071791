//! Residual + dropout + layer norm.

use super::{BETAS, Bench, Case};
use crate::backend::{AddNorm, AddNormGrads, NormDims};
use crate::{Backend, Mask, Tensor};

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![
        Case { name: "add_norm", run: forward },
        Case { name: "add_norm_backward", run: backward },
        Case { name: "add_norm_backward with some of its targets", run: some_targets },
        Case { name: "add_norm_backward of many rows", run: many_rows },
    ]
}

/// Rows and widths: one element, less than a warp, no multiple of four, the width of small encoders with more rows than a block takes, a wide one, one
/// beyond what registers hold, and no rows.
const SIZES: [[usize; 2]; 9] = [[1, 1], [3, 7], [9, 130], [20, 384], [2, 512], [2, 768], [2, 1000], [2, 1100], [0, 8]];
/// Of the variance, as BERT has it.
const EPS: f32 = 1e-12;

/// Where a width of 1 leaves no variance, numbers would be rounding alone.
fn eps(width: usize) -> f32 {
    if width == 1 { 0.5 } else { EPS }
}

struct Inputs<B: Backend> {
    x: Tensor<B>,
    residual: Tensor<B>,
    gamma: Tensor<B>,
    bias: Tensor<B>,
    mask_rows: Vec<u32>,
    dims: NormDims,
}

impl<B: Backend> Inputs<B> {
    fn new(bench: &mut Bench<'_, B>, [rows, width]: [usize; 2]) -> Inputs<B> {
        Inputs {
            x: bench.input([rows, width], 1),
            residual: bench.input([rows, width], 2),
            gamma: bench.parameter([width], 3),
            bias: bench.parameter([width], 4),
            mask_rows: (0..rows as u32).map(|row| 3 * row + 2).collect(),
            dims: NormDims { rows, width },
        }
    }

    /// All variants: plain, with and without a bias; with a residual; with dropout; with dropout by rows of a larger matrix.
    fn variants(&self) -> [(&'static str, AddNorm<'_, '_, B>); 5] {
        // It begins so late that the numbers of elements take more than 32 bits.
        let mask = Mask::new(0.3, 1, 2, 3, 4).starting_at((1 << 32) - 100);
        let plain = AddNorm {
            x: self.x.data(),
            residual: None,
            gamma: self.gamma.data(),
            mask: Mask::NONE,
            mask_rows: None,
            dims: self.dims,
        };
        let residual = Some(self.residual.data());
        [
            ("plain", AddNorm { ..plain }),
            ("no bias", AddNorm { ..plain }),
            ("residual", AddNorm { residual, ..plain }),
            ("dropout", AddNorm { residual, mask, ..plain }),
            ("dropout by rows", AddNorm { residual, mask, mask_rows: Some(&self.mask_rows), ..plain }),
        ]
    }
}

fn forward<B: Backend>(bench: &mut Bench<'_, B>) {
    for [rows, width] in SIZES {
        let inputs = Inputs::new(bench, [rows, width]);
        for (variant, input) in inputs.variants() {
            let mut y = bench.output([rows, width]);
            let (mut mean, mut rstd) = (bench.statistic([rows]), bench.statistic([rows]));
            let (bias, eps) = ((variant != "no bias").then_some(inputs.bias.data()), eps(width));
            bench.backend.add_norm(y.data_mut(), mean.data_mut(), rstd.data_mut(), input, bias, eps);
            for (what, tensor) in [("y", &y), ("mean", &mean), ("rstd", &rstd)] {
                bench.note(format!("{rows}·{width}, {variant}: {what}"), tensor);
            }
        }
    }
}

/// Mean and 1/σ as some forward pass has saved them: any numbers serve, and these are the same on every device.
fn saved<B: Backend>(bench: &mut Bench<'_, B>, rows: usize) -> [Tensor<B>; 2] {
    let (means, scales) = (vec![0.1; rows], vec![0.8; rows]);
    [means, scales].map(|numbers| {
        let mut tensor = bench.statistic([rows]);
        bench.backend.upload(tensor.data_mut(), &numbers);
        tensor
    })
}

fn backward<B: Backend>(bench: &mut Bench<'_, B>) {
    for [rows, width] in SIZES {
        let inputs = Inputs::new(bench, [rows, width]);
        let dy = bench.input([rows, width], 5);
        let [mean, rstd] = saved(bench, rows);
        for beta in BETAS {
            for (variant, input) in inputs.variants() {
                let (mut dx, mut dresidual) =
                    (bench.target([rows, width], beta, 6), bench.target([rows, width], beta, 7));
                let (mut dgamma, mut dbias) = (bench.gradient([width], beta, 8), bench.gradient([width], beta, 9));
                let grads = AddNormGrads {
                    dx: Some((dx.data_mut(), beta)),
                    dresidual: Some((dresidual.data_mut(), beta)),
                    dgamma: Some((dgamma.data_mut(), beta)),
                    dbias: Some((dbias.data_mut(), beta)),
                };
                bench.backend.add_norm_backward(&mut bench.pool, grads, dy.data(), input, mean.data(), rstd.data());
                let named = [("dx", &dx), ("dresidual", &dresidual), ("dgamma", &dgamma), ("dbias", &dbias)];
                for (what, tensor) in named {
                    bench.note(format!("{rows}·{width}, {variant}, beta {beta}: {what}"), tensor);
                }
            }
        }
    }
}

fn some_targets<B: Backend>(bench: &mut Bench<'_, B>) {
    let [rows, width] = [19, 36];
    let inputs = Inputs::new(bench, [rows, width]);
    let dy = bench.input([rows, width], 5);
    let [mean, rstd] = saved(bench, rows);
    for alone in ["dx", "dresidual", "dgamma", "dbias", "nothing"] {
        let [_, _, _, (_, input), _] = inputs.variants();
        let of_rows = if alone.starts_with("dx") || alone.starts_with("dres") { rows } else { 1 };
        let mut target = bench.output([of_rows, width]);
        let mut parameter = bench.gradient([width], 0.0, 6);
        let mut grads = AddNormGrads { dx: None, dresidual: None, dgamma: None, dbias: None };
        match alone {
            "dx" => grads.dx = Some((target.data_mut(), 0.0)),
            "dresidual" => grads.dresidual = Some((target.data_mut(), 0.0)),
            "dgamma" => grads.dgamma = Some((parameter.data_mut(), 0.0)),
            "dbias" => grads.dbias = Some((parameter.data_mut(), 0.0)),
            _ => {}
        }
        bench.backend.add_norm_backward(&mut bench.pool, grads, dy.data(), input, mean.data(), rstd.data());
        bench.note(alone, if of_rows == rows { &target } else { &parameter });
    }
}

/// So many that a device adds those of several in one place before it adds places.
fn many_rows<B: Backend>(bench: &mut Bench<'_, B>) {
    for [rows, width] in [[1100, 3], [2100, 4]] {
        let inputs = Inputs::new(bench, [rows, width]);
        let dy = bench.input([rows, width], 5);
        let [mean, rstd] = saved(bench, rows);
        let [.., (_, input)] = inputs.variants();
        let mut dx = bench.output([rows, width]);
        let (mut dgamma, mut dbias) = (bench.gradient([width], 0.0, 8), bench.gradient([width], 0.0, 9));
        let grads = AddNormGrads {
            dx: Some((dx.data_mut(), 0.0)),
            dresidual: None,
            dgamma: Some((dgamma.data_mut(), 0.0)),
            dbias: Some((dbias.data_mut(), 0.0)),
        };
        bench.backend.add_norm_backward(&mut bench.pool, grads, dy.data(), input, mean.data(), rstd.data());
        for (what, tensor) in [("dx", &dx), ("dgamma", &dgamma), ("dbias", &dbias)] {
            bench.note(format!("{rows}·{width}: {what}"), tensor);
        }
    }
}
