//! Where a backward writes one gradient. Must not know kernels; it is only the contract that they share.

/// Destination of one gradient and the factor `beta` of what it holds already.
///
/// * `None`: nobody wants this gradient; the kernel skips the work.
/// * `Some((memory, 0.0))`: overwrite. The memory is never read, so it may hold anything, NaN included.
/// * `Some((memory, 1.0))`: add to what is there.
///
/// Other values of `beta` are no part of the contract. The rule that zero means "do not read" is the one of the BLAS.
pub type Target<'a> = Option<(&'a mut [f32], f32)>;

/// Writes one number under the contract of [`Target`]: overwrites for beta 0, without reading, and adds otherwise. Inlined into a
/// loop, the choice is made once for the loop.
#[inline(always)]
pub(crate) fn put(to: &mut f32, beta: f32, value: f32) {
    *to = if beta == 0.0 { value } else { *to + value };
}
