//! Losses over rows of logits or over numbers. Twins: `kernels/losses.cu`.
//!
//! Labels and targets are sent in pieces, where they are more than one table of a kernel may hold.

use super::area;
use super::reduce::{Partials, sum_grid};
use super::teams::Teams;
use crate::device::{Device, Grid};
use crate::gpu::Gpu;
use crate::memory::{Mut, Place, Ref, View};
use crate::words::Tables;
use bytemuck::NoUninit;
use ferrotune_tensor::backend::Target;

/// The labels or targets of each launch, and the number of the first element that they belong to, where each has `width` elements.
fn pieces<D: Device, T>(numbers: &[T], width: usize) -> impl Iterator<Item = (usize, &[T])> {
    let most = D::STAGED / 4 / size_of::<T>();
    numbers.chunks(most).enumerate().map(move |(index, piece)| (index * most * width, piece))
}

// ---- rows of logits with a label each ----

/// What the losses of rows have in common.
struct Rows<'a> {
    logits: Ref<'a>,
    labels: &'a [u32],
    /// One a class, or none.
    weights: &'a [f32],
    classes: usize,
    /// Smoothing or gamma.
    setting: f32,
}

impl Rows<'_> {
    fn check(&self, kernel: &str) {
        let (rows, classes) = (self.labels.len(), self.classes);
        let weights = self.weights.len();
        assert!(weights == 0 || weights == classes, "{kernel}: {classes} classes, got {weights} weights");
        assert!(
            self.logits.len == area(rows, classes),
            "{kernel}: {rows} rows of {classes}, got {} logits",
            self.logits.len
        );
        if let Some(row) = self.labels.iter().position(|&label| label as usize >= classes) {
            panic!("{kernel}: labels: row {row} has label {} of {classes} classes", self.labels[row]);
        }
    }
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct RowLossParams {
    logits: View,
    probabilities: View,
    labels: u64,
    weights: u64,
    partials: u64,
    rows: u64,
    classes: u32,
    team: u32,
    setting: f32,
    unused: u32,
}

/// The callers give the weights and the place of probabilities that the kernel asks for.
fn row_losses<D: Device>(
    gpu: &Gpu<D>,
    kernel: &'static str,
    loss: Mut<'_>,
    probabilities: Option<Mut<'_>>,
    rows: Rows<'_>,
    k: f32,
) {
    rows.check(kernel);
    let want = rows.logits.len;
    let got = probabilities.as_ref().map_or(want, |probabilities| probabilities.len);
    assert!(got == want, "{kernel}: {want} probabilities, got {got}");
    let mut partials = Partials::new(gpu);
    for (first, labels) in pieces::<D, _>(rows.labels, rows.classes) {
        let teams = Teams::of(labels.len(), rows.classes);
        let mut tables = gpu.tables();
        let params = RowLossParams {
            logits: rows.logits.view.skip(first),
            probabilities: probabilities.as_ref().map_or(View::NONE, |probabilities| probabilities.view.skip(first)),
            labels: tables.place(labels),
            weights: place_weights(&mut tables, rows.weights),
            partials: partials.room(teams.grid),
            rows: labels.len() as u64,
            classes: rows.classes as u32,
            team: teams.size,
            setting: rows.setting,
            unused: 0,
        };
        // SAFETY: logits and probabilities are borrowed, and `check` and the assert compared them with all rows, of which these are some; labels are
        // below the classes, each of which has a weight where the kernel reads any; each block has room for its sum, and `tables` lives.
        unsafe { gpu.device().launch(kernel, teams.grid, &params) };
    }
    partials.store(loss, k);
}

fn place_weights<D: Device>(tables: &mut Tables<'_, D>, weights: &[f32]) -> u64 {
    if weights.is_empty() { 0 } else { tables.place(weights) }
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct RowLossBackwardParams {
    dlogits: Place,
    dloss: View,
    logits: View,
    labels: u64,
    weights: u64,
    rows: u64,
    all_weights: f64,
    classes: u32,
    team: u32,
    setting: f32,
    k: f32,
}

/// The callers give the weights that the kernel asks for.
fn row_losses_backward<D: Device>(
    gpu: &Gpu<D>,
    kernel: &'static str,
    dlogits: Target<'_, Gpu<D>>,
    dloss: Ref<'_>,
    rows: Rows<'_>,
    k: f32,
) {
    let Some((dlogits, beta)) = dlogits else { return };
    rows.check(kernel);
    assert!(dlogits.len == rows.logits.len, "{kernel}: {} gradients, got {}", rows.logits.len, dlogits.len);
    assert!(dloss.len > 0, "{kernel}: dloss has no element");
    for (first, labels) in pieces::<D, _>(rows.labels, rows.classes) {
        let teams = Teams::of(labels.len(), rows.classes);
        let mut tables = gpu.tables();
        let params = RowLossBackwardParams {
            dlogits: Place { to: dlogits.view.skip(first), beta, wanted: 1 },
            dloss: dloss.view,
            logits: rows.logits.view.skip(first),
            labels: tables.place(labels),
            weights: place_weights(&mut tables, rows.weights),
            rows: labels.len() as u64,
            all_weights: rows.weights.iter().map(|&weight| f64::from(weight)).sum(),
            classes: rows.classes as u32,
            team: teams.size,
            setting: rows.setting,
            k,
        };
        // SAFETY: dlogits, dloss and the logits are borrowed; `check` and the asserts compared the matrices with all rows, of which these are some,
        // and found an element of dloss; labels and weights are as in `row_losses`, and `tables` lives.
        unsafe { gpu.device().launch(kernel, teams.grid, &params) };
    }
}

/// `loss[0] = k·Σ −log softmax(logits)[label]`, saving the probabilities.
pub(crate) fn cross_entropy<D: Device>(
    gpu: &Gpu<D>,
    loss: Mut<'_>,
    probabilities: Mut<'_>,
    logits: Ref<'_>,
    labels: &[u32],
    classes: usize,
    k: f32,
) {
    let rows = Rows { logits, labels, weights: &[], classes, setting: 0.0 };
    row_losses(gpu, "cross_entropy_rows", loss, Some(probabilities), rows, k);
}

/// Gradient of cross-entropy.
pub(crate) fn cross_entropy_backward<D: Device>(
    gpu: &Gpu<D>,
    dlogits: Target<'_, Gpu<D>>,
    dloss: Ref<'_>,
    probabilities: Ref<'_>,
    labels: &[u32],
    classes: usize,
    k: f32,
) {
    let rows = Rows { logits: probabilities, labels, weights: &[], classes, setting: 0.0 };
    row_losses_backward(gpu, "cross_entropy_rows_backward", dlogits, dloss, rows, k);
}

/// `loss[0] = k·Σ` cross-entropy with a weight for each class and label smoothing.
pub(crate) fn weighted_cross_entropy<D: Device>(
    gpu: &Gpu<D>,
    loss: Mut<'_>,
    logits: Ref<'_>,
    labels: &[u32],
    weights: &[f32],
    smoothing: f32,
    k: f32,
) {
    let rows = Rows { logits, labels, weights, classes: weights.len(), setting: smoothing };
    row_losses(gpu, "weighted_cross_entropy_rows", loss, None, rows, k);
}

/// Gradient of weighted cross-entropy.
pub(crate) fn weighted_cross_entropy_backward<D: Device>(
    gpu: &Gpu<D>,
    dlogits: Target<'_, Gpu<D>>,
    dloss: Ref<'_>,
    logits: Ref<'_>,
    labels: &[u32],
    weights: &[f32],
    smoothing: f32,
    k: f32,
) {
    let rows = Rows { logits, labels, weights, classes: weights.len(), setting: smoothing };
    row_losses_backward(gpu, "weighted_cross_entropy_rows_backward", dlogits, dloss, rows, k);
}

/// `loss[0] = k·Σ weight·(1 − p)^gamma·(−log p)` with `p = softmax(logits)[label]`.
pub(crate) fn focal<D: Device>(
    gpu: &Gpu<D>,
    loss: Mut<'_>,
    logits: Ref<'_>,
    labels: &[u32],
    weights: &[f32],
    gamma: f32,
    k: f32,
) {
    let rows = Rows { logits, labels, weights, classes: weights.len(), setting: gamma };
    row_losses(gpu, "focal_rows", loss, None, rows, k);
}

/// Gradient of the focal loss.
pub(crate) fn focal_backward<D: Device>(
    gpu: &Gpu<D>,
    dlogits: Target<'_, Gpu<D>>,
    dloss: Ref<'_>,
    logits: Ref<'_>,
    labels: &[u32],
    weights: &[f32],
    gamma: f32,
    k: f32,
) {
    let rows = Rows { logits, labels, weights, classes: weights.len(), setting: gamma };
    row_losses_backward(gpu, "focal_rows_backward", dlogits, dloss, rows, k);
}

// ---- numbers with a target each ----

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct ElementLossParams {
    x: View,
    targets: u64,
    partials: u64,
    len: u64,
    setting: f32,
    unused: u32,
}

fn element_losses<D: Device>(
    gpu: &Gpu<D>,
    kernel: &'static str,
    loss: Mut<'_>,
    x: Ref<'_>,
    targets: &[f32],
    setting: f32,
    k: f32,
) {
    assert!(targets.len() == x.len, "{kernel}: {} targets, got {}", x.len, targets.len());
    let mut partials = Partials::new(gpu);
    for (first, targets) in pieces::<D, _>(targets, 1) {
        let grid = sum_grid(targets.len());
        let mut tables = gpu.tables();
        let params = ElementLossParams {
            x: x.view.skip(first),
            targets: tables.place(targets),
            partials: partials.room(grid),
            len: targets.len() as u64,
            setting,
            unused: 0,
        };
        // SAFETY: x is borrowed and the assert gives it as many numbers as there are targets, of which these are some; each block has room for its
        // sum, and `tables` lives.
        unsafe { gpu.device().launch(kernel, grid, &params) };
    }
    partials.store(loss, k);
}

#[derive(Clone, Copy, NoUninit)]
#[repr(C)]
struct ElementLossBackwardParams {
    dx: Place,
    dloss: View,
    x: View,
    targets: u64,
    len: u64,
    setting: f32,
    k: f32,
}

fn element_losses_backward<D: Device>(
    gpu: &Gpu<D>,
    kernel: &'static str,
    dx: Target<'_, Gpu<D>>,
    dloss: Ref<'_>,
    x: Ref<'_>,
    targets: &[f32],
    setting: f32,
    k: f32,
) {
    let Some((dx, beta)) = dx else { return };
    assert!(targets.len() == x.len && dx.len == x.len, "{kernel}: {} of {}", targets.len(), x.len);
    assert!(dloss.len > 0, "{kernel}: dloss has no element");
    for (first, targets) in pieces::<D, _>(targets, 1) {
        let mut tables = gpu.tables();
        let params = ElementLossBackwardParams {
            dx: Place { to: dx.view.skip(first), beta, wanted: 1 },
            dloss: dloss.view,
            x: x.view.skip(first),
            targets: tables.place(targets),
            len: targets.len() as u64,
            setting,
            k,
        };
        // SAFETY: dx, dloss and x are borrowed, and the asserts gave dx and x as many numbers as there are targets, of which these are some, and
        // found an element of dloss; `tables` lives.
        unsafe { gpu.device().launch(kernel, Grid::elements(targets.len()), &params) };
    }
}

/// `loss[0] = k·Σ` binary cross-entropy of each logit with its target in `[0, 1]`.
pub(crate) fn binary_cross_entropy<D: Device>(gpu: &Gpu<D>, loss: Mut<'_>, logits: Ref<'_>, targets: &[f32], k: f32) {
    element_losses(gpu, "binary_cross_entropy_elements", loss, logits, targets, 0.0, k);
}

/// Gradient of binary cross-entropy.
pub(crate) fn binary_cross_entropy_backward<D: Device>(
    gpu: &Gpu<D>,
    dlogits: Target<'_, Gpu<D>>,
    dloss: Ref<'_>,
    logits: Ref<'_>,
    targets: &[f32],
    k: f32,
) {
    element_losses_backward(gpu, "binary_cross_entropy_elements_backward", dlogits, dloss, logits, targets, 0.0, k);
}

fn check_binary(targets: &[f32]) {
    if let Some(t) = targets.iter().find(|&&t| t != 0.0 && t != 1.0) {
        panic!("binary_focal: targets: {t} is neither 0 nor 1");
    }
}

/// `loss[0] = k·Σ (1 − p)^gamma·(−log p)` with `p` the probability of each target, 0 or 1, from one logit.
pub(crate) fn binary_focal<D: Device>(
    gpu: &Gpu<D>,
    loss: Mut<'_>,
    logits: Ref<'_>,
    targets: &[f32],
    gamma: f32,
    k: f32,
) {
    check_binary(targets);
    element_losses(gpu, "binary_focal_elements", loss, logits, targets, gamma, k);
}

/// Gradient of the binary focal loss.
pub(crate) fn binary_focal_backward<D: Device>(
    gpu: &Gpu<D>,
    dlogits: Target<'_, Gpu<D>>,
    dloss: Ref<'_>,
    logits: Ref<'_>,
    targets: &[f32],
    gamma: f32,
    k: f32,
) {
    check_binary(targets);
    element_losses_backward(gpu, "binary_focal_elements_backward", dlogits, dloss, logits, targets, gamma, k);
}

/// `loss[0] = k·Σ (x − target)²`.
pub(crate) fn squared_error<D: Device>(gpu: &Gpu<D>, loss: Mut<'_>, x: Ref<'_>, targets: &[f32], k: f32) {
    element_losses(gpu, "squared_error_elements", loss, x, targets, 0.0, k);
}

/// Gradient of the squared error.
pub(crate) fn squared_error_backward<D: Device>(
    gpu: &Gpu<D>,
    dx: Target<'_, Gpu<D>>,
    dloss: Ref<'_>,
    x: Ref<'_>,
    targets: &[f32],
    k: f32,
) {
    element_losses_backward(gpu, "squared_error_elements_backward", dx, dloss, x, targets, 0.0, k);
}

/// `loss[0] = k·Σ` of Huber's error: `½r²` for residuals `r` up to `delta`, linear beyond.
pub(crate) fn huber<D: Device>(gpu: &Gpu<D>, loss: Mut<'_>, x: Ref<'_>, targets: &[f32], delta: f32, k: f32) {
    element_losses(gpu, "huber_elements", loss, x, targets, delta, k);
}

/// Gradient of Huber's error.
pub(crate) fn huber_backward<D: Device>(
    gpu: &Gpu<D>,
    dx: Target<'_, Gpu<D>>,
    dloss: Ref<'_>,
    x: Ref<'_>,
    targets: &[f32],
    delta: f32,
    k: f32,
) {
    element_losses_backward(gpu, "huber_elements_backward", dx, dloss, x, targets, delta, k);
}

#[cfg(all(test, feature = "shim"))]
mod tests {
    use super::*;
    use crate::shim::Shim;

    #[test]
    fn labels_come_in_pieces_that_a_kernel_may_hold() {
        let most = Shim::STAGED / 16;
        let labels: Vec<u32> = (0..2 * most as u32 + 5).collect();
        let got: Vec<_> = pieces::<Shim, _>(&labels, 3).map(|(first, piece)| (first, piece[0], piece.len())).collect();
        assert_eq!(got, [(0, 0, most), (3 * most, most as u32, most), (6 * most, 2 * most as u32, 5)]);
        assert_eq!(pieces::<Shim, u32>(&[], 3).count(), 0);
    }
}
