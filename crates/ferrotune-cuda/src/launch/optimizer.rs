//! Steps of optimizers over flat parameters. Twins: `kernels/optimizer.cu`.

use crate::device::{Device, Grid, Kind, THREADS};
use crate::gpu::Gpu;
use crate::memory::{Mut, Ref, View};
use crate::scalar::Scalar;
use bytemuck::NoUninit;
use ferrotune_kernels::adamw::Factors;
use ferrotune_tensor::backend::*;
use std::ops::Range;

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct AdamWFactors {
    decay: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    inverse_sqrt_correction2: f32,
    eps: f32,
    step_size: f32,
    unused: u32,
}

impl AdamWFactors {
    fn of(settings: &AdamW) -> AdamWFactors {
        // The scale of gradients is known on the device alone.
        let Factors {
            decay, one_minus_beta1, beta2, one_minus_beta2, inverse_sqrt_correction2, eps, step_size, ..
        } = Factors::new(settings, 1.0);
        AdamWFactors {
            decay,
            one_minus_beta1,
            beta2,
            one_minus_beta2,
            inverse_sqrt_correction2,
            eps,
            step_size,
            unused: 0,
        }
    }
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct AdamWChunk {
    start: u64,
    length: u32,
    factors: u32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct AdamWParams {
    p: View,
    m: View,
    v: View,
    g: View,
    grad_scale: u64,
    chunks: u64,
    factors: u64,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct AdamWIdleParams {
    p: View,
    m: View,
    v: View,
    rows: u64,
    factors: u64,
    steps: u32,
    width: u32,
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct SgdParams {
    p: View,
    velocity: View,
    g: View,
    grad_scale: u64,
    len: u64,
    lr: f32,
    momentum: f32,
    weight_decay: f32,
    is_wide: u32,
}

/// Elements that a block takes.
const PIECE: usize = 4096;
/// Pieces of a chunk: long enough that the table of chunks is short, which the host compares with the last step's.
const PIECES: usize = 16;
/// Chunks of a launch: half a mebibyte of a table, and more than the parameters of any encoder here.
const MOST_CHUNKS: usize = 1 << 15;

/// One AdamW step for these ranges of p, m, v and g, which do not overlap, in one pass; the gradient is multiplied by `grad_scale` first.
pub(crate) fn adamw<D: Device>(
    gpu: &Gpu<D>,
    p: Mut<'_>,
    m: Mut<'_>,
    v: Mut<'_>,
    g: Ref<'_>,
    parts: &[(Range<usize>, AdamW)],
    grad_scale: &Scalar<D>,
) {
    // The kernel finds out by itself where four numbers are aligned, and takes them for f32.
    let is_f32 = [p.view, m.view, v.view, g.view].iter().all(|view| view.kind() == Kind::F32);
    assert!(is_f32, "adamw: p, m, v and g are not all in f32");
    let mut distinct: Vec<AdamW> = Vec::new();
    let mut chunks = Vec::new();
    for (part, settings) in parts {
        for (name, len) in [("p", p.len), ("m", m.len), ("v", v.len), ("g", g.len)] {
            assert!(part.start <= part.end && part.end <= len, "adamw: {name}: {part:?} of {len} elements");
        }
        let known = distinct.iter().position(|known| known == settings);
        let factors = known.unwrap_or_else(|| {
            distinct.push(*settings);
            distinct.len() - 1
        }) as u32;
        chunks.extend(part.clone().step_by(PIECE * PIECES).map(|start| AdamWChunk {
            start: start as u64,
            length: (part.end - start).min(PIECE * PIECES) as u32,
            factors,
        }));
    }
    let factors: Vec<_> = distinct.iter().map(AdamWFactors::of).collect();
    for chunks in chunks.chunks(MOST_CHUNKS) {
        let mut tables = gpu.tables();
        let params = AdamWParams {
            p: p.view,
            m: m.view,
            v: v.view,
            g: g.view,
            grad_scale: grad_scale.address,
            chunks: tables.place(chunks),
            factors: tables.place(&factors),
        };
        let longest = chunks.iter().map(|chunk| chunk.length as usize).max().unwrap_or(0);
        let blocks = [chunks.len() as u32, longest.div_ceil(PIECE) as u32];
        // SAFETY: p, m, v and g are borrowed and in f32, and each chunk is a stretch of a part that the loop found within all of them, with the number
        // of its factors; the scalar is borrowed, and `tables` lives.
        unsafe { gpu.device().launch("adamw", Grid { blocks, threads: THREADS, shared: 0 }, &params) };
    }
}

/// Several AdamW steps without a gradient for some rows of a table of `width`: row `rows[i].0` takes `steps[rows[i].1..]`, with the bits
/// of [`Backend::adamw`] with a zero gradient. The rows are distinct.
pub(crate) fn adamw_idle<D: Device>(
    gpu: &Gpu<D>,
    p: Mut<'_>,
    m: Mut<'_>,
    v: Mut<'_>,
    width: usize,
    rows: &[(u32, u32)],
    steps: &[AdamW],
) {
    let n = p.len;
    assert!(m.len == n && v.len == n, "adamw idle: p has {n} elements, m {} and v {}", m.len, v.len);
    assert!(width > 0 && n.is_multiple_of(width), "adamw idle: {n} elements are no rows of {width}");
    for &(row, from) in rows {
        assert!((row as usize) < n / width, "adamw idle: row {row} of {}", n / width);
        assert!(from as usize <= steps.len(), "adamw idle: row {row} from step {from} of {}", steps.len());
    }
    if rows.is_empty() || steps.is_empty() {
        return;
    }
    let late: Vec<[u32; 2]> = rows.iter().map(|&(row, from)| [row, from]).collect();
    let factors: Vec<_> = steps.iter().map(AdamWFactors::of).collect();
    let mut tables = gpu.tables();
    let params = AdamWIdleParams {
        p: p.view,
        m: m.view,
        v: v.view,
        rows: tables.place(&late),
        factors: tables.place(&factors),
        steps: steps.len() as u32,
        width: width as u32,
    };
    let threads = width.next_multiple_of(32).min(THREADS as usize) as u32;
    // SAFETY: p, m and v are borrowed, and the asserts gave them one length and found each row within it and its first step within the factors;
    // there is a block for each row, and `tables` lives.
    unsafe { gpu.device().launch("adamw_idle", Grid { threads, ..Grid::blocks(rows.len()) }, &params) };
}

/// One SGD step with momentum: `g += decay·p; velocity = momentum·velocity + g; p −= lr·velocity`.
pub(crate) fn sgd<D: Device>(
    gpu: &Gpu<D>,
    p: Mut<'_>,
    velocity: Mut<'_>,
    g: Ref<'_>,
    lr: f32,
    momentum: f32,
    weight_decay: f32,
    grad_scale: &Scalar<D>,
) {
    for (name, len) in [("velocity", velocity.len), ("g", g.len)] {
        assert!(len == p.len, "sgd: {name}: expected {} elements like p, got {len}", p.len);
    }
    let is_wide = [p.view, velocity.view, g.view].iter().all(|view| view.is_wide(4));
    let params = SgdParams {
        p: p.view,
        velocity: velocity.view,
        g: g.view,
        grad_scale: grad_scale.address,
        len: p.len as u64,
        lr,
        momentum,
        weight_decay,
        is_wide: u32::from(is_wide),
    };
    if p.len > 0 {
        // SAFETY: p, the velocity, g and the scalar are borrowed, the loop gave the first three one length, and `is_wide` says what they allow.
        unsafe { gpu.device().launch("sgd", Grid::elements(p.len.div_ceil(4)), &params) };
    }
}

#[cfg(all(test, feature = "shim"))]
mod tests {
    use super::*;
    use crate::Precision;
    use crate::launch::copy::{convert, convert_views};
    use crate::shim::Shim;

    #[test]
    fn a_step_keeps_the_shadow_of_parameters_true() {
        let len = 4099;
        let gpu = Gpu::new(Shim::new(false), Precision::Bf16);
        let [mut p, mut m, mut v, mut g] =
            [Role::Parameter, Role::OptimizerState, Role::OptimizerState, Role::Gradient]
                .map(|role| gpu.alloc(len, role));
        for (number, buf) in [&mut p, &mut m, &mut v, &mut g].into_iter().enumerate() {
            let numbers: Vec<f32> = (0..len).map(|i| ((i + number) % 17) as f32 / 16.0).collect();
            gpu.upload(buf.slice_mut(0..len), &numbers);
        }
        let before = gpu.download(p.slice(0..len));
        let scale = gpu.new_scalar();
        // SAFETY: the place of a scalar has room for a number in f64.
        unsafe { gpu.device().upload(scale.address, bytemuck::bytes_of(&1.0f64)) };
        let settings = AdamW {
            lr: 0.1,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.1,
            bias_correction1: 0.1,
            bias_correction2: 0.001,
        };
        // The last number is in no part, the one before it is alone.
        let parts = [(0..len - 2, settings), (len - 2..len - 1, settings)];
        let all = 0..len;
        adamw(
            &gpu,
            p.slice_mut(all.clone()),
            m.slice_mut(all.clone()),
            v.slice_mut(all.clone()),
            g.slice(all),
            &parts,
            &scale,
        );

        // The numbers as they are, rounded once more, and the shadow.
        let [mut rounded, mut shadow] = [(); 2].map(|()| gpu.alloc(len, Role::Activation));
        convert(&gpu, rounded.slice_mut(0..len), p.slice(0..len));
        let of_shadow = View { data: p.slice(0..len).view.shadow, shadow: 0, is_bf16: 1, unused: 0 };
        // SAFETY: with activations in bf16 a buffer of parameters has a shadow of each number, and the other buffer has been allocated for as many.
        unsafe { convert_views(&gpu, shadow.slice_mut(0..len).view, of_shadow, len) };
        assert_eq!(gpu.download(shadow.slice(0..len)), gpu.download(rounded.slice(0..len)));
        let after = gpu.download(p.slice(0..len));
        let moved = (0..len).filter(|&i| before[i] != after[i]).count();
        assert_eq!(moved, len - 1);
    }
}
