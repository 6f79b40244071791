//! Why a device cannot be used, in words that say what is missing and what to do. It must not look for anything itself.

use super::devices::Capability;
use crate::device::DeviceError;
use cudarc::cublaslt::result::CublasError;
use cudarc::driver::result::DriverError;
use cudarc::nvrtc::result::NvrtcError;
use std::ffi::CStr;
use std::fmt;
use std::path::PathBuf;

/// A version of CUDA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 12 of 12.8.
    pub major: u32,
    /// 8 of 12.8.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why a device cannot be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// The driver's library is not on this machine.
    #[error("there is no NVIDIA driver: neither {} nor {} can be loaded; install the driver, or use the CPU", looked_for[0], looked_for[1])]
    NoDriver {
        /// Usual names of its file.
        looked_for: [&'static str; 2],
    },
    /// The driver is older than the libraries or this program.
    #[error("the NVIDIA driver is too old: it runs CUDA {found}, and CUDA {needed} is needed; install a newer driver")]
    OldDriver {
        /// The latest version that it runs.
        found: Version,
        /// What is needed.
        needed: Version,
    },
    /// A library of the CUDA toolkit is not on this machine.
    #[error(
        "there is no {library}: neither {} nor {} can be loaded; install the CUDA toolkit 12, or `pip install \
         {package}` and add the folder of {library} to LD_LIBRARY_PATH", looked_for[0], looked_for[1]
    )]
    NoLibrary {
        /// For example libnvrtc.
        library: &'static str,
        /// Usual names of its file.
        looked_for: [&'static str; 2],
        /// The package of PyPI that brings it.
        package: &'static str,
    },
    /// A library of the CUDA toolkit is too old.
    #[error("{library} is of CUDA {found}, and CUDA {needed} is needed; install a newer CUDA toolkit")]
    OldLibrary {
        /// For example libnvrtc.
        library: &'static str,
        /// Its version.
        found: Version,
        /// What is needed.
        needed: Version,
    },
    /// No device has this number.
    #[error("there is no CUDA device {number}: {}", numbered(*count))]
    NoSuchDevice {
        /// What was asked for.
        number: usize,
        /// How many there are.
        count: usize,
    },
    /// The device cannot run the kernels.
    #[error("{name} has compute capability {found}, and {needed} is needed (Ampere or newer)")]
    OldDevice {
        /// The device.
        name: String,
        /// What it has.
        found: Capability,
        /// What is needed.
        needed: Capability,
    },
    /// The compiler is older than the device.
    #[error("libnvrtc of CUDA {version} cannot compile for compute capability {capability}; install a newer one")]
    UnknownDevice {
        /// Of the compiler.
        version: Version,
        /// Of the device.
        capability: Capability,
    },
    /// The kernels do not compile.
    #[error("the kernels do not compile for {architecture}:\n{log}")]
    Compile {
        /// For example sm_90.
        architecture: String,
        /// The compiler's words.
        log: String,
    },
    /// Compiled kernels cannot be kept.
    #[error("{}: cannot keep the compiled kernels: {why}", path.display())]
    Cache {
        /// The file or its folder.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// A call failed that should not.
    #[error(transparent)]
    Failed(#[from] DeviceError),
}

fn numbered(count: usize) -> String {
    match count {
        0 => "this machine has none".to_owned(),
        1 => "this machine has one, number 0".to_owned(),
        _ => format!("this machine has {count}, numbered from 0 to {}", count - 1),
    }
}

/// The errors of the libraries.
pub(super) trait Words {
    /// What the library says.
    fn words(&self) -> String;
}

impl Words for DriverError {
    fn words(&self) -> String {
        let text = |text: Result<&CStr, DriverError>| text.map(|text| text.to_string_lossy().into_owned());
        match (text(self.error_name()), text(self.error_string())) {
            (Ok(name), Ok(words)) => format!("{words} ({name})"),
            // The driver is older than its own error.
            _ => format!("{:?}", self.0),
        }
    }
}

impl Words for CublasError {
    fn words(&self) -> String {
        format!("{:?}", self.0)
    }
}

impl Words for NvrtcError {
    fn words(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// Calls that open a device.
pub(super) trait OrError<T> {
    /// The error of a call that should not fail: what could not be done.
    fn or_error(self, what: &str) -> Result<T, OpenError>;
    /// Ends the computation, as [`DeviceError::throw`] does.
    fn or_throw(self, what: impl FnOnce() -> String) -> T;
}

impl<T, E: Words> OrError<T> for Result<T, E> {
    fn or_error(self, what: &str) -> Result<T, OpenError> {
        self.map_err(|error| OpenError::Failed(DeviceError { what: what.to_owned(), why: error.words() }))
    }

    fn or_throw(self, what: impl FnOnce() -> String) -> T {
        match self {
            Ok(value) => value,
            Err(error) => DeviceError::throw(what(), error.words()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_is_missing_and_what_to_do() {
        let version = |major, minor| Version { major, minor };
        for (error, expected) in [
            (
                OpenError::NoDriver { looked_for: ["libcuda.so", "libcuda.so.1"] },
                "there is no NVIDIA driver: neither libcuda.so nor libcuda.so.1 can be loaded; install the driver, or use the CPU",
            ),
            (
                OpenError::OldDriver { found: version(11, 4), needed: version(12, 0) },
                "the NVIDIA driver is too old: it runs CUDA 11.4, and CUDA 12.0 is needed; install a newer driver",
            ),
            (OpenError::NoSuchDevice { number: 2, count: 0 }, "there is no CUDA device 2: this machine has none"),
            (
                OpenError::NoSuchDevice { number: 2, count: 2 },
                "there is no CUDA device 2: this machine has 2, numbered from 0 to 1",
            ),
            (
                OpenError::NoLibrary {
                    library: "libnvrtc",
                    looked_for: ["libnvrtc.so", "libnvrtc.so.12"],
                    package: "some-package",
                },
                "there is no libnvrtc: neither libnvrtc.so nor libnvrtc.so.12 can be loaded; install the CUDA toolkit 12, or \
                 `pip install some-package` and add the folder of libnvrtc to LD_LIBRARY_PATH",
            ),
        ] {
            assert_eq!(error.to_string(), expected);
        }
    }
}
