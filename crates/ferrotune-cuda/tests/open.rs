//! What a user is told where a device cannot be opened. Holds with and without a driver, a device and the libraries of the CUDA toolkit.
#![cfg(feature = "driver")]

use ferrotune_cuda::driver::{Cuda, OpenError, devices};
use std::path::Path;

/// More than a machine has.
const NUMBER: usize = 4096;

#[test]
fn opening_a_device_that_is_not_there_says_what_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("kernels");
    let error = Cuda::open(NUMBER, &cache).map(|_| ()).expect_err("device 4096");
    let text = error.to_string();
    // The driver's kernel module says whether there is one, whatever the libraries are called.
    let has_module = Path::new("/proc/driver/nvidia/version").exists();
    match error {
        OpenError::NoDriver { .. } => {
            assert!(!has_module, "{text}");
            assert!(text.contains("no NVIDIA driver") && text.contains("libcuda.so.1"), "{text}");
        }
        OpenError::OldDriver { found, needed } => {
            assert!(
                found < needed && text.contains(&found.to_string()) && text.contains(&needed.to_string()),
                "{text}"
            );
        }
        OpenError::NoSuchDevice { number, count } => {
            assert_eq!((number, count), (NUMBER, devices().expect("a list").len()));
            assert!(text.contains("no CUDA device 4096"), "{text}");
        }
        // A container with the driver's libraries and without its kernel module.
        OpenError::Failed(_) => assert!(!has_module, "{text}"),
        _ => panic!("{text}"),
    }
    assert!(!cache.exists(), "nothing is kept for a device that is not there");
}

#[test]
fn the_list_of_devices_fails_as_opening_does() {
    match (devices(), Cuda::open(NUMBER, Path::new("unused")).map(|_| ()).expect_err("device 4096")) {
        (Ok(list), OpenError::NoSuchDevice { count, .. }) => {
            assert_eq!(list.len(), count);
            for (index, info) in list.iter().enumerate() {
                assert!(info.number == index && !info.name.is_empty() && info.memory > 1 << 28, "{info:?}");
            }
        }
        (Err(listing), opening) => assert_eq!(listing.to_string(), opening.to_string()),
        (Ok(list), opening) => panic!("{list:?}, but {opening}"),
    }
}
