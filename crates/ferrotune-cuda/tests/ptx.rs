//! All kernels compile for the devices that are supported. Needs libnvrtc but no device: `cargo xtask ptx` brings it.
#![cfg(feature = "driver")]

use ferrotune_cuda::driver::{compile, source};

#[test]
#[ignore = "needs libnvrtc, which `cargo xtask ptx` brings"]
fn every_kernel_is_an_entry_of_the_ptx() {
    let kernels = source::kernels();
    assert!(kernels.len() >= 3, "only {kernels:?}");
    for architecture in ["compute_80", "compute_90"] {
        let ptx = compile::ptx(architecture).unwrap_or_else(|error| panic!("{error}"));
        for kernel in &kernels {
            assert!(ptx.contains(&format!(".visible .entry {kernel}(")), "{architecture}: `{kernel}` is no entry");
        }
        let entries = ptx.matches(".visible .entry ").count();
        println!("{architecture}: {entries} kernels, {} bytes of PTX", ptx.len());
    }
}
