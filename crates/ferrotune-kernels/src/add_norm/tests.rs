//! The fused kernel against its textbook, the textbook against finite differences.

use super::*;
use crate::par::check::{assert_close, assert_close_f64, gradient, project, same_bits, targets, values, widen};

struct Case {
    dims: NormDims,
    mask: Mask,
    mask_rows: Option<Vec<u32>>,
    x: Vec<f32>,
    residual: Option<Vec<f32>>,
    gamma: Vec<f32>,
    bias: Option<Vec<f32>>,
    dy: Vec<f32>,
    mean: Vec<f32>,
    rstd: Vec<f32>,
}

const EPS: f32 = 1e-5;

/// Runs forward on every number of threads and compares it with the textbook.
fn forward_checked(rows: usize, width: usize, with_residual: bool, with_bias: bool, mask: Mask) -> Case {
    let n = rows * width;
    let mut case = Case {
        dims: NormDims { rows, width },
        mask,
        mask_rows: None,
        x: values(1, n),
        residual: with_residual.then(|| values(2, n)),
        gamma: values(3, width),
        bias: with_bias.then(|| values(4, width)),
        dy: values(5, n),
        mean: vec![],
        rstd: vec![],
    };
    let c = &case;
    let all = same_bits("add_norm", || {
        let (mut y, mut mean, mut rstd) = (vec![f32::NAN; n], vec![f32::NAN; rows], vec![f32::NAN; rows]);
        let (residual, bias) = (c.residual.as_deref(), c.bias.as_deref());
        forward(&mut y, &mut mean, &mut rstd, &c.x, residual, &c.gamma, bias, EPS, mask, None, c.dims);
        [y, mean, rstd].concat()
    });
    let bias = c.bias.as_deref().map_or(vec![0.0; width], widen);
    let exact = textbook::forward(&c.z(), &widen(&c.gamma), &bias, f64::from(EPS), c.dims);
    // Sums of h numbers of size 4 in 16 lanes, divided by h, times a normalised value below √h·2: measured below a quarter of this.
    assert_close("y", &all[..n], &exact, 200.0 * 2f64.powi(-24));
    case.mean = all[n..n + rows].to_vec();
    case.rstd = all[n + rows..].to_vec();
    case
}

impl Case {
    fn z(&self) -> Vec<f64> {
        textbook::joined(&widen(&self.x), self.residual.as_deref().map(widen).as_deref(), self.mask)
    }

    fn backward(&self, grads: AddNormGrads<'_>) {
        let mut scratch = vec![f32::NAN; backward_scratch(self.dims)];
        let (residual, mean, rstd) = (self.residual.as_deref(), &self.mean, &self.rstd);
        let (gamma, mask_rows) = (&self.gamma, self.mask_rows.as_deref());
        let (dy, x) = (&self.dy, &self.x);
        backward(grads, dy, x, residual, gamma, mean, rstd, self.mask, mask_rows, self.dims, &mut scratch);
    }
}

#[test]
fn both_directions_follow_the_textbook_with_the_same_bits_on_any_threads() {
    for (rows, width) in [(0, 8), (1, 1), (5, 7), (70, 48), (130, 384)] {
        for (with_residual, mask) in [(false, Mask::NONE), (true, Mask::new(0.1, 1, 2, 3, 4)), (true, Mask::NONE)] {
            forward_checked(rows, width, with_residual, false, mask);
            let case = forward_checked(rows, width, with_residual, true, mask);
            let n = rows * width;
            let (dz, dgamma, dbias) =
                textbook::backward(&widen(&case.dy), &case.z(), &widen(&case.gamma), f64::from(EPS), case.dims);
            // rstd is up to 1/√eps for a row of one element; otherwise as in forward.
            let tolerance = if width == 1 { 1e-3 } else { 400.0 * 2f64.powi(-24) };
            let dx = targets("dx", n, |dx| case.backward(AddNormGrads { dx, ..Default::default() }));
            assert_close("dx", &dx, &crate::dropout::textbook::apply(&dz, mask), tolerance);
            if with_residual {
                let d = targets("dr", n, |d| case.backward(AddNormGrads { dresidual: d, ..Default::default() }));
                assert_close("dresidual", &d, &dz, tolerance);
            }
            // Sums over rows of products below 4·√h.
            let d = targets("dgamma", width, |d| case.backward(AddNormGrads { dgamma: d, ..Default::default() }));
            assert_close("dgamma", &d, &dgamma, tolerance);
            let d = targets("dbias", width, |d| case.backward(AddNormGrads { dbias: d, ..Default::default() }));
            assert_close("dbias", &d, &dbias, tolerance);
        }
    }
}

#[test]
fn textbook_backward_is_the_slope_of_the_textbook_forward() {
    let dims = NormDims { rows: 3, width: 5 };
    let (z, gamma, bias, dy) =
        (widen(&values(6, 15)), widen(&values(7, 5)), widen(&values(8, 5)), widen(&values(9, 15)));
    let (dz, dgamma, dbias) = textbook::backward(&dy, &z, &gamma, 1e-5, dims);
    let loss = |z: &[f64], gamma: &[f64], bias: &[f64]| project(&textbook::forward(z, gamma, bias, 1e-5, dims), &dy);
    assert_close_f64("dz", &dz, &gradient(&z, |z| loss(z, &gamma, &bias)), 1e-7);
    assert_close_f64("dgamma", &dgamma, &gradient(&gamma, |gamma| loss(&z, gamma, &bias)), 1e-7);
    assert_close_f64("dbias", &dbias, &gradient(&bias, |bias| loss(&z, &gamma, bias)), 1e-7);
}

#[test]
fn rows_of_a_matrix_give_the_bits_that_they_have_in_the_whole() {
    for (rows, width, picked) in [(9, 7, vec![8, 0, 3]), (300, 48, (0..300).step_by(7).collect()), (70, 384, vec![69])]
    {
        let whole = forward_checked(rows, width, true, true, Mask::new(0.3, 1, 2, 3, 4));
        let of =
            |x: &[f32]| picked.iter().flat_map(|&row| x[row as usize * width..][..width].to_vec()).collect::<Vec<_>>();
        let (mask, gamma) = (whole.mask, &whole.gamma);
        let residual = of(whole.residual.as_ref().unwrap());
        let dims = NormDims { rows: picked.len(), width };
        let mut part = Case {
            dims,
            mask,
            mask_rows: Some(picked.clone()),
            x: of(&whole.x),
            residual: Some(residual),
            gamma: gamma.clone(),
            bias: whole.bias.clone(),
            dy: of(&whole.dy),
            mean: vec![f32::NAN; dims.rows],
            rstd: vec![f32::NAN; dims.rows],
        };
        let forward_of = |case: &Case| {
            let n = case.x.len();
            let (mut y, mut mean, mut rstd) = (vec![f32::NAN; n], case.mean.clone(), case.rstd.clone());
            let (residual, mask_rows) = (case.residual.as_deref(), case.mask_rows.as_deref());
            let (x, bias, dims) = (&case.x, case.bias.as_deref(), case.dims);
            forward(&mut y, &mut mean, &mut rstd, x, residual, gamma, bias, EPS, mask, mask_rows, dims);
            (y, mean, rstd)
        };
        let (y, mean, rstd) = forward_of(&part);
        assert_eq!(y, of(&forward_of(&whole).0));
        (part.mean, part.rstd) = (mean, rstd);
        let dx_of = |case: &Case| {
            let (mut dx, mut dresidual) = (vec![f32::NAN; case.x.len()], vec![f32::NAN; case.x.len()]);
            let dresidual_target = Some((&mut dresidual[..], 0.0));
            case.backward(AddNormGrads { dx: Some((&mut dx, 0.0)), dresidual: dresidual_target, ..Default::default() });
            (dx, dresidual)
        };
        let (dx, dresidual) = dx_of(&part);
        let (whole_dx, whole_dresidual) = dx_of(&whole);
        assert_eq!((dx, dresidual), (of(&whole_dx), of(&whole_dresidual)));
        // Without the map the mask is another one.
        part.mask_rows = None;
        assert_ne!(forward_of(&part).0, y);
    }
}

#[test]
#[should_panic(expected = "add_norm: mask_rows: expected 2 elements, got 1")]
fn a_row_map_of_another_length_panics() {
    let (mut y, mut mean, mut rstd) = ([0.0; 4], [0.0; 2], [0.0; 2]);
    let dims = NormDims { rows: 2, width: 2 };
    let (x, gamma) = ([1.0; 4], [1.0; 2]);
    forward(&mut y, &mut mean, &mut rstd, &x, None, &gamma, Some(&gamma), EPS, Mask::NONE, Some(&[0]), dims);
}
