//! Sixteen `f32` as one value, for the few kernels whose speed hangs on which sums stay in registers. Must not know any kernel.
//!
//! A body that needs it is generic over [`Wide`] instead of [`Lane`]; `dispatch!` hands it the lane of the set, and the lane names the
//! vector. A vector has 16 elements on every set, in as many registers as that takes.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::isa::Lane;
pub(crate) use crate::vmath::LANES;

/// A lane whose instruction set has a vector.
pub(crate) trait Wide: Lane {
    /// Sixteen elements in registers of the set.
    type Vector: Vector;
}

/// Sixteen `f32`.
///
/// Implementations are a few intrinsics a method, `#[inline(always)]`, and compile to them only inside a function that enables the
/// instruction set.
///
/// # Safety
/// Every method: the processor has the instruction set. Loads and stores: the named number of elements is valid at the pointer, which
/// needs no alignment beyond that of `f32`.
pub(crate) trait Vector: Copy {
    /// Rows of the largest block of a product that fits the registers, by its vectors a row (from 1 on); 0: so many do not fit.
    const BLOCK_ROWS: [usize; 4];
    /// All elements zero.
    unsafe fn zero() -> Self;
    /// All elements `x`.
    unsafe fn splat(x: f32) -> Self;
    /// 16 elements.
    unsafe fn load(from: *const f32) -> Self;
    /// The first `count` elements, `1..=16`; the others are zero and not read.
    unsafe fn load_first(from: *const f32, count: usize) -> Self;
    /// Writes 16 elements.
    unsafe fn store(self, to: *mut f32);
    /// Writes the first `count` elements, `1..=16`, and leaves the others alone.
    unsafe fn store_first(self, to: *mut f32, count: usize);
    /// `self + x·y` per element, rounded once where the set has a fused multiply-add.
    unsafe fn add_product(self, x: Self, y: Self) -> Self;
    /// `self·x` per element.
    unsafe fn mul(self, x: Self) -> Self;
    /// `self + x` per element.
    unsafe fn add(self, x: Self) -> Self;
    /// Per element x if that is larger, else self: a NaN in x is passed over.
    unsafe fn max(self, x: Self) -> Self;
    /// The first `count` elements, `1..=16`, of self and the others of `rest`.
    unsafe fn first_then(self, count: usize, rest: Self) -> Self;
    /// Element i of vector j becomes element j of vector i.
    unsafe fn transpose(rows: [Self; LANES]) -> [Self; LANES];
}

/// Asks for the cache line at `at`, which may be any pointer, in the second-level cache.
#[inline(always)]
pub(crate) fn prefetch(at: *const f32) {
    // SAFETY: every x86-64 has the instruction, and it touches no memory that a program could see.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// The sums of the elements of 16 vectors, in the order of `vmath::fold_sum`.
///
/// # Safety
/// The processor has the instruction set of V, and the caller enables it.
#[inline(always)]
pub(crate) unsafe fn fold_sums<V: Vector>(rows: [V; LANES]) -> V {
    // SAFETY: the caller's promise.
    unsafe {
        let mut lanes = V::transpose(rows);
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                lanes[lane] = lanes[lane].add(lanes[lane + width]);
            }
            width /= 2;
        }
        lanes[0]
    }
}

/// The largest elements of 16 vectors; NaN is passed over where others are larger than the first of a pair, as in `vmath::max`.
///
/// # Safety
/// The processor has the instruction set of V, and the caller enables it.
#[inline(always)]
pub(crate) unsafe fn fold_max<V: Vector>(rows: [V; LANES]) -> V {
    // SAFETY: the caller's promise.
    unsafe {
        let lanes = V::transpose(rows);
        let mut largest = lanes[0];
        for lane in 1..LANES {
            largest = largest.max(lanes[lane]);
        }
        largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{self, dispatch};

    dispatch! { fn all_methods() = all_methods_body; }

    /// Each method on numbers whose results are exact.
    #[inline(always)]
    fn all_methods_body<L: Wide>() {
        let x: Vec<f32> = (0..LANES * LANES).map(|i| i as f32).collect();
        // SAFETY: `dispatch!` enables the set; pointers point into arrays of enough elements.
        unsafe {
            let read = |v: L::Vector| {
                let mut out = [f32::NAN; LANES];
                v.store(out.as_mut_ptr());
                out
            };
            let row = |i: usize| L::Vector::load(x.as_ptr().add(LANES * i));
            assert_eq!(read(L::Vector::zero()), [0.0; LANES]);
            assert_eq!(read(L::Vector::splat(3.0)), [3.0; LANES]);
            assert_eq!(read(row(2)), x[32..48]);
            assert_eq!(read(row(1).add(row(2))), std::array::from_fn(|i| x[16 + i] + x[32 + i]));
            assert_eq!(read(row(1).max(row(2))), x[32..48]);
            assert_eq!(read(row(2).max(row(1))), x[32..48]);
            assert_eq!(read(row(2).max(L::Vector::splat(f32::NAN))), x[32..48]);
            assert_eq!(read(row(1).mul(row(2))), std::array::from_fn(|i| x[16 + i] * x[32 + i]));
            assert_eq!(
                read(row(3).add_product(row(1), row(2))),
                std::array::from_fn(|i| x[48 + i] + x[16 + i] * x[32 + i])
            );
            for count in 1..=LANES {
                // The slice ends where reading must: Miri would see one more.
                let first = read(L::Vector::load_first(x[..count].to_vec().as_ptr(), count));
                assert_eq!(first, std::array::from_fn(|i| if i < count { x[i] } else { 0.0 }));
                let joined = read(row(1).first_then(count, row(2)));
                assert_eq!(joined, std::array::from_fn(|i| if i < count { x[16 + i] } else { x[32 + i] }));
                let mut out = [7.0; LANES];
                row(1).store_first(out.as_mut_ptr(), count);
                assert_eq!(out, std::array::from_fn(|i| if i < count { x[16 + i] } else { 7.0 }));
            }
            let mut rows = [L::Vector::zero(); LANES];
            for i in 0..LANES {
                rows[i] = row(i);
            }
            assert_eq!(read(fold_max(rows)), std::array::from_fn(|i| (16 * i + 15) as f32));
            assert_eq!(read(fold_sums(rows)), std::array::from_fn(|i| (256 * i + 120) as f32));
            for (i, column) in L::Vector::transpose(rows).into_iter().enumerate() {
                assert_eq!(read(column), std::array::from_fn(|j| x[LANES * j + i]));
            }
        }
    }

    #[test]
    fn every_set_has_the_same_sixteen_elements() {
        isa::available().for_each(all_methods);
    }
}
