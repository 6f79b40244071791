//! The number type of the textbook kernels, so that one text serves as `f32` specification and as `f64` oracle.
//! Must not know any kernel; fast kernels must not use it.

use std::fmt::Debug;
use std::iter::Sum;

use num_traits::{Float, NumAssign};

/// A real number: `f32` or `f64`.
pub trait Real: Float + NumAssign + Sum + Debug + Default + Send + Sync + 'static {
    /// Rounds a constant of a formula to this type.
    fn from_f64(value: f64) -> Self;

    /// The value as `f64`, exactly.
    fn to_f64(self) -> f64;

    /// Error function `2/√π ∫₀ˣ exp(-t²) dt`, from libm.
    fn erf(self) -> Self;
}

impl Real for f32 {
    fn from_f64(value: f64) -> Self {
        value as f32
    }

    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn erf(self) -> Self {
        libm::erff(self)
    }
}

impl Real for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn erf(self) -> Self {
        libm::erf(self)
    }
}
