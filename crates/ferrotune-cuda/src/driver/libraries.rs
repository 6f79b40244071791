//! The libraries of the driver and of the CUDA toolkit: whether they are on this machine, and of which version. They are loaded by the first call
//! of one of their functions, which would panic if it found none: so whoever calls them asks here before. It must not know what they are for.

use super::error::{OpenError, OrError, Version};
use cudarc::{cublaslt, driver, nvrtc};

/// The oldest CUDA whose calls are used: that of drivers from 525 on. Machine code for a device runs on any driver of the same major version.
const OLDEST: Version = Version { major: 12, minor: 0 };

/// The usual names of the files, as cudarc looks for them among others.
const DRIVER: [&str; 2] = ["libcuda.so", "libcuda.so.1"];
const NVRTC: [&str; 2] = ["libnvrtc.so", "libnvrtc.so.12"];
const CUBLASLT: [&str; 2] = ["libcublasLt.so", "libcublasLt.so.12"];

/// Loads the driver and starts it.
///
/// # Errors
/// There is no driver, or it is too old. Without any device, that is said by [`super::devices::devices`].
pub(super) fn driver() -> Result<(), OpenError> {
    // SAFETY: loading the library runs its initialisers, which have no preconditions.
    if !unsafe { driver::sys::is_culib_present() } {
        return Err(OpenError::NoDriver { looked_for: DRIVER });
    }
    require(driver_version()?, OLDEST)?;
    match driver::result::init() {
        Err(error) if error.0 == driver::sys::CUresult::CUDA_ERROR_NO_DEVICE => Ok(()),
        result => result.or_error("start the NVIDIA driver"),
    }
}

fn driver_version() -> Result<Version, OpenError> {
    let mut number = 0;
    // SAFETY: the number outlives the call, which may come before the driver's start.
    unsafe { driver::sys::cuDriverGetVersion(&mut number) }
        .result()
        .or_error("ask the NVIDIA driver for its version")?;
    let number = number.unsigned_abs();
    Ok(Version { major: number / 1000, minor: number % 1000 / 10 })
}

fn require(found: Version, needed: Version) -> Result<(), OpenError> {
    if found < needed { Err(OpenError::OldDriver { found, needed }) } else { Ok(()) }
}

/// Looks for the compiler of kernels; its version.
///
/// # Errors
/// There is none, or it is too old.
pub(super) fn nvrtc() -> Result<Version, OpenError> {
    let library = "libnvrtc";
    // SAFETY: as in `driver`.
    if !unsafe { nvrtc::sys::is_culib_present() } {
        return Err(OpenError::NoLibrary { library, looked_for: NVRTC, package: "nvidia-cuda-nvrtc-cu12" });
    }
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the numbers outlive the call.
    unsafe { nvrtc::sys::nvrtcVersion(&mut major, &mut minor) }.result().or_error("ask libnvrtc for its version")?;
    new_enough(library, Version { major: major.unsigned_abs(), minor: minor.unsigned_abs() })
}

/// Looks for the library of matrix products; its version.
///
/// # Errors
/// There is none, or it is too old.
pub(super) fn cublaslt() -> Result<Version, OpenError> {
    let library = "libcublasLt";
    // SAFETY: as in `driver`.
    if !unsafe { cublaslt::sys::is_culib_present() } {
        return Err(OpenError::NoLibrary { library, looked_for: CUBLASLT, package: "nvidia-cublas-cu12" });
    }
    // SAFETY: the call has no preconditions.
    let number = unsafe { cublaslt::sys::cublasLtGetVersion() };
    // 120904 is 12.9.4.
    let number = u32::try_from(number).expect("a version of six digits");
    new_enough(library, Version { major: number / 10_000, minor: number % 10_000 / 100 })
}

fn new_enough(library: &'static str, found: Version) -> Result<Version, OpenError> {
    if found < OLDEST { Err(OpenError::OldLibrary { library, found, needed: OLDEST }) } else { Ok(found) }
}

/// Whether the driver runs what a library of this version gives it.
///
/// # Errors
/// It is of an older major version.
pub(super) fn driver_runs(library: Version) -> Result<(), OpenError> {
    require(driver_version()?, Version { major: library.major, minor: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_named_files_are_looked_for() {
        for (library, files) in [("cuda", DRIVER), ("nvrtc", NVRTC), ("cublasLt", CUBLASLT)] {
            let candidates = cudarc::get_lib_name_candidates(library);
            assert!(files.iter().all(|file| candidates.iter().any(|name| name == file)), "{files:?} of {candidates:?}");
        }
    }
}
