//! With the feature `shim`, compiles the kernels for the CPU over `shim/shim.h`. Otherwise it does nothing.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "shim")]
    shim();
}

#[cfg(feature = "shim")]
fn shim() {
    println!("cargo::rerun-if-changed=kernels");
    println!("cargo::rerun-if-changed=shim");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        // The same sums as on a device: products are fused only where a kernel says fmaf.
        .flag("-ffp-contract=off")
        // Kernels read and write numbers several at a time, as vectors, which CUDA allows.
        .flag("-fno-strict-aliasing")
        .opt_level(2)
        // Fibers jump from stack to stack, which a fortified longjmp takes for a mistake.
        .flag("-U_FORTIFY_SOURCE")
        .include("shim")
        .include("kernels")
        .file("shim/kernels.cpp")
        .file("shim/shim.cpp")
        .compile("ferrotune_shim");
}
