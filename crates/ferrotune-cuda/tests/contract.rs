//! The tensor core's contract, kept by the kernels as the shim plays them.
#![cfg(feature = "shim")]

use ferrotune_cuda::shim::Shim;
use ferrotune_cuda::{Gpu, Precision};
use ferrotune_tensor::contract;

/// Runs the cases of a family with threads in both orders, in f32 and in bf16.
fn check(family: &str) {
    for descending in [false, true] {
        for (precision, tolerance) in [(Precision::F32, 1e-5), (Precision::Bf16, 0.02)] {
            let gpu = Gpu::new(Shim::new(descending), precision);
            assert!(contract::check(&gpu, family, tolerance) > 0, "no case is called {family}");
        }
    }
}

#[test]
fn elementwise() {
    check("fill");
    check("mul_backward");
    check("penalty_add");
}

#[test]
fn attention() {
    check("attention");
}
