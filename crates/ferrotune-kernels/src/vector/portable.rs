//! Sixteen elements as an array, for what the compiler target guarantees.

use super::{LANES, Vector, Wide};
use crate::isa::{Lane, PortableLane};

/// LLVM spreads it over registers of the target.
#[derive(Clone, Copy)]
pub(crate) struct PortableVector([f32; LANES]);

impl Wide for PortableLane {
    type Vector = PortableVector;
}

/// `f(i)` for each element. A plain loop: a closure over arrays is not always inlined.
macro_rules! each {
    ($i:ident => $value:expr) => {{
        let mut out = [0.0; LANES];
        for $i in 0..LANES {
            out[$i] = $value;
        }
        Self(out)
    }};
}

// SAFETY (every method): any processor runs these; pointers are valid for what is touched by the trait's contract.
#[rustfmt::skip]
#[allow(clippy::undocumented_unsafe_blocks, reason = "one sentence above discharges all of these one-line methods")]
impl Vector for PortableVector {
    // Four registers a vector: 12 sums of 16.
    const BLOCK_ROWS: [usize; 4] = [3, 0, 0, 0];
    // SAFETY: see above.
    #[inline(always)] unsafe fn zero() -> Self { Self([0.0; LANES]) }
    // SAFETY: see above.
    #[inline(always)] unsafe fn splat(x: f32) -> Self { Self([x; LANES]) }
    // SAFETY: see above.
    #[inline(always)] unsafe fn load(from: *const f32) -> Self { Self(unsafe { *from.cast::<[f32; LANES]>() }) }
    // SAFETY: see above.
    #[inline(always)] unsafe fn load_first(from: *const f32, count: usize) -> Self { each!(i => if i < count { unsafe { *from.add(i) } } else { 0.0 }) }
    // SAFETY: see above.
    #[inline(always)] unsafe fn store(self, to: *mut f32) { unsafe { *to.cast::<[f32; LANES]>() = self.0 } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn store_first(self, to: *mut f32, count: usize) { for i in 0..count { unsafe { *to.add(i) = self.0[i] } } }
    // SAFETY: see above.
    #[inline(always)] unsafe fn add_product(self, x: Self, y: Self) -> Self { each!(i => PortableLane::mul_add(x.0[i], y.0[i], self.0[i])) }
    // SAFETY: see above.
    #[inline(always)] unsafe fn mul(self, x: Self) -> Self { each!(i => self.0[i] * x.0[i]) }
    // SAFETY: see above.
    #[inline(always)] unsafe fn add(self, x: Self) -> Self { each!(i => self.0[i] + x.0[i]) }
    // SAFETY: see above.
    #[inline(always)] unsafe fn max(self, x: Self) -> Self { each!(i => if x.0[i] > self.0[i] { x.0[i] } else { self.0[i] }) }
    // SAFETY: see above.
    #[inline(always)] unsafe fn first_then(self, count: usize, rest: Self) -> Self { each!(i => if i < count { self.0[i] } else { rest.0[i] }) }
    // SAFETY: see above.
    #[inline(always)] unsafe fn transpose(rows: [Self; LANES]) -> [Self; LANES] {
        let mut out = [Self([0.0; LANES]); LANES];
        for i in 0..LANES { for j in 0..LANES { out[i].0[j] = rows[j].0[i]; } }
        out
    }
}
