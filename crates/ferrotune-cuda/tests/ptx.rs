//! All kernels compile for the devices that are supported. Needs libnvrtc but no device: `cargo xtask ptx` brings it.
#![cfg(feature = "driver")]

use ferrotune_cuda::driver::{compile, source};

#[test]
#[ignore = "needs libnvrtc, which `cargo xtask ptx` brings"]
fn every_kernel_is_an_entry_of_the_ptx() {
    let kernels = source::kernels();
    for architecture in ["compute_80", "compute_90"] {
        let ptx = compile::ptx(architecture).unwrap_or_else(|error| panic!("{error}"));
        for kernel in &kernels {
            assert!(ptx.contains(&format!(".visible .entry {kernel}(")), "{architecture}: `{kernel}` is no entry");
        }
        let entries = ptx.matches(".visible .entry ").count();
        assert_eq!(entries, kernels.len(), "{architecture}: entries beside those that the sources name by KERNEL");
    }
}

/// Registers and static shared memory are counted only here.
#[test]
#[ignore = "needs libnvrtc, which `cargo xtask ptx` brings"]
fn every_kernel_becomes_machine_code() {
    for architecture in ["sm_80", "sm_90"] {
        let code = compile::machine_code(architecture).unwrap_or_else(|error| panic!("{error}"));
        assert!(code.starts_with(b"\x7fELF"), "{architecture}: {:?}", &code[..16]);
        for kernel in source::kernels() {
            let section = format!(".text.{kernel}\0");
            assert!(code.windows(section.len()).any(|bytes| bytes == section.as_bytes()), "{architecture}: `{kernel}`");
        }
    }
}
