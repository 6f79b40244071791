//! The tensor core's contract, kept by the kernels: as the shim plays them, and on a GPU where there is one.
#![cfg(any(feature = "shim", feature = "driver"))]

use ferrotune_cuda::device::Device;
use ferrotune_cuda::{Gpu, Precision};
use ferrotune_tensor::contract;

/// Runs the cases of a family in f32 and in bf16.
fn keeps<D: Device>(open: impl Fn(Precision) -> Gpu<D>, family: &str) {
    for (precision, tolerance) in [(Precision::F32, 1e-5), (Precision::Bf16, 0.02)] {
        assert!(contract::check(&open(precision), family, tolerance) > 0, "no case is called {family}");
    }
}

#[cfg(feature = "shim")]
mod on_the_shim {
    use super::*;
    use ferrotune_cuda::shim::Shim;

    /// With threads in both orders.
    fn check(family: &str) {
        for descending in [false, true] {
            keeps(|precision| Gpu::new(Shim::new(descending), precision), family);
        }
    }

    #[test]
    fn elementwise() {
        check("fill");
        check("mul_backward");
        check("penalty_add");
    }

    #[test]
    fn activation() {
        check("dropout");
        check("gelu, tanh, relu");
        check("gelu_backward");
        check("geglu");
    }

    #[test]
    fn softmax() {
        check("softmax");
    }

    #[test]
    fn losses() {
        check("cross_entropy");
        check("focal");
        check("losses of");
    }

    #[test]
    fn reduce() {
        check("sum");
        check("norm");
        check("scalar, total");
        check("clip_factor");
        check("penalty, anchor");
    }

    #[test]
    fn add_norm() {
        check("add_norm");
    }

    #[test]
    fn embedding() {
        check("embedding");
        check("gather_rows");
    }

    #[test]
    fn optimizer() {
        check("adamw");
        check("sgd");
    }

    #[test]
    fn linear() {
        check("linear");
    }

    #[test]
    fn attention() {
        check("attention");
    }

    #[test]
    fn sequences() {
        check("rotary");
        check("sequence_means");
    }
}

#[cfg(feature = "driver")]
mod on_the_gpu {
    use super::*;
    use ferrotune_cuda::driver::Cuda;

    #[test]
    #[ignore = "needs a GPU: cargo xtask gpu"]
    fn all_cases() {
        let kernels = std::env::temp_dir().join("ferrotune-kernels");
        let open = |precision| {
            let device = Cuda::open(0, &kernels).unwrap_or_else(|error| panic!("{error}"));
            Gpu::new(device, precision)
        };
        keeps(open, "");
    }
}
