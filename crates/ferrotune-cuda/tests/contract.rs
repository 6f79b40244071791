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
fn activation() {
    check("dropout");
    check("gelu, tanh, relu");
    check("gelu_backward");
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
