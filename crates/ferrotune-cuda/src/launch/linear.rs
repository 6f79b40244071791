//! Linear layers: matrix products of the device's library with a bias, and their gradients. In bf16 both factors are bf16: activations are stored so,
//! parameters have a shadow that is. Products write f32 or bf16, whatever their place holds. GELU is a pass of its own: cuBLASLt's is the approximation by
//! tanh, and these models were trained with the exact one.

use super::column_sums::column_sums;
use super::{activation, area, copy};
use crate::device::{Device, Kind, Matrix, Product};
use crate::gpu::{Gpu, Precision};
use crate::memory::{Mut, Ref, View};
use ferrotune_tensor::backend::{LinearDims, LinearGrads};
use ferrotune_tensor::{Pool, Tensor};

/// A factor in the kind that products take, and the memory it needs if it is stored in another. It has the length of what it was made of.
struct Factor<D: Device> {
    address: u64,
    kind: Kind,
    converted: Option<Tensor<Gpu<D>>>,
}

impl<D: Device> Factor<D> {
    fn of(gpu: &Gpu<D>, pool: &mut Pool<Gpu<D>>, x: Ref<'_>) -> Factor<D> {
        let kind = match gpu.precision() {
            Precision::Bf16 => Kind::Bf16,
            Precision::F32 | Precision::Tf32 => Kind::F32,
        };
        if x.view.kind() == kind {
            return Factor { address: x.view.data, kind, converted: None };
        }
        if kind == Kind::Bf16 && x.view.shadow != 0 {
            return Factor { address: x.view.shadow, kind, converted: None };
        }
        // A tensor of an activation is stored as products want it.
        let mut converted = pool.take([x.len]);
        let to = converted.data_mut();
        let view = to.view;
        assert!(view.kind() == kind, "activations are stored as {:?}, products take {kind:?}", view.kind());
        copy::convert(gpu, to, x);
        Factor { address: view.data, kind, converted: Some(converted) }
    }

    fn read(&self, transposed: bool) -> Matrix {
        Matrix { address: self.address, kind: self.kind, transposed }
    }

    fn give(self, pool: &mut Pool<Gpu<D>>) {
        self.converted.into_iter().for_each(|tensor| pool.give(tensor));
    }
}

fn result(view: View) -> Matrix {
    assert!(view.shadow == 0, "a product does not write parameters");
    Matrix { address: view.data, kind: view.kind(), transposed: false }
}

/// `y = x Wᵀ + b`, or without a bias `y = x Wᵀ`; with `pre`, which needs a bias, `pre = x Wᵀ + b` and `y = gelu(pre)`.
pub(crate) fn linear<D: Device>(
    gpu: &Gpu<D>,
    pool: &mut Pool<Gpu<D>>,
    y: Mut<'_>,
    pre: Option<Mut<'_>>,
    x: Ref<'_>,
    w: Ref<'_>,
    b: Option<Ref<'_>>,
    dims: LinearDims,
) {
    let LinearDims { n: rows, i, o } = dims;
    let (result_len, bias_len) = (area(rows, o), b.map_or(o, |b| b.len));
    assert!(
        x.len == area(rows, i) && w.len == area(o, i) && bias_len == o && y.len == result_len,
        "linear: {dims:?}: x has {}, W {}, b {bias_len}, y {}",
        x.len,
        w.len,
        y.len
    );
    assert!(pre.is_none() || b.is_some(), "linear: GELU needs a bias");
    let pre_len = pre.as_ref().map_or(result_len, |pre| pre.len);
    assert!(pre_len == result_len, "linear: {dims:?}: pre has {pre_len}");
    let bias_kind = b.map_or(Kind::F32, |b| b.view.kind());
    assert!(bias_kind == Kind::F32, "linear: a bias in {bias_kind:?}");
    if rows == 0 {
        return;
    }
    let (x, w) = (Factor::of(gpu, pool, x), Factor::of(gpu, pool, w));
    let c = result(pre.as_ref().map_or(y.view, |pre| pre.view));
    // A bias in bf16 for a result in bf16: cuBLASLt adds no other.
    let short = b.filter(|_| c.kind == Kind::Bf16).map(|b| Factor::of(gpu, pool, b));
    let bias = short.as_ref().map(|short| short.address).or(b.map(|b| b.view.data));
    let (a, b) = (x.read(false), w.read(true));
    let tf32 = gpu.precision() == Precision::Tf32;
    let product = Product { a, b, c, beta: 0.0, bias, m: rows, n: o, k: i, tf32 };
    // SAFETY: x, W, the bias, if there is one, and the result, which is y or `pre`, are borrowed and were compared with the dims above; memory of the
    // factors' own is live until they are given back, and the bias is of the result's kind or of a wider one.
    unsafe { gpu.device().product(&product) };
    for factor in [x, w].into_iter().chain(short) {
        factor.give(pool);
    }
    if let Some(pre) = pre {
        activation::gelu(gpu, y, pre.read());
    }
}

/// Gradients of `x Wᵀ + b`.
pub(crate) fn linear_backward<D: Device>(
    gpu: &Gpu<D>,
    pool: &mut Pool<Gpu<D>>,
    grads: LinearGrads<'_, Gpu<D>>,
    dy: Ref<'_>,
    x: Ref<'_>,
    w: Ref<'_>,
    dims: LinearDims,
) {
    let LinearDims { n: rows, i, o } = dims;
    assert!(
        x.len == area(rows, i) && w.len == area(o, i) && dy.len == area(rows, o),
        "linear: {dims:?}: x has {}, W {}, dy {}",
        x.len,
        w.len,
        dy.len
    );
    for (name, target, expected) in [("dx", &grads.dx, x.len), ("dW", &grads.dw, w.len)] {
        let len = target.as_ref().map_or(expected, |(to, _)| to.len);
        assert!(len == expected, "linear backward: {dims:?}: {name}: expected {expected} numbers, got {len}");
    }
    let tf32 = gpu.precision() == Precision::Tf32;
    let by_y = Factor::of(gpu, pool, dy);
    if let Some((dx, beta)) = grads.dx
        && rows > 0
    {
        let w = Factor::of(gpu, pool, w);
        let (a, b, c) = (by_y.read(false), w.read(false), result(dx.view));
        let product = Product { a, b, c, beta, bias: None, m: rows, n: i, k: o, tf32 };
        // SAFETY: dy, W and dx are borrowed and were compared with the dims above; memory of the factors' own is live until they are given back.
        unsafe { gpu.device().product(&product) };
        w.give(pool);
    }
    if let Some((dw, beta)) = grads.dw {
        if rows > 0 {
            let x = Factor::of(gpu, pool, x);
            let (a, b, c) = (by_y.read(true), x.read(false), result(dw.view));
            let product = Product { a, b, c, beta, bias: None, m: o, n: i, k: rows, tf32 };
            // SAFETY: dy, x and dW are borrowed and were compared with the dims above; memory of the factors' own is live until they are given back.
            unsafe { gpu.device().product(&product) };
            x.give(pool);
        } else if beta == 0.0 {
            super::elementwise::fill(gpu, dw, 0.0);
        }
    }
    column_sums(gpu, pool, dy, rows, o, grads.db);
    by_y.give(pool);
}
