//! A GPU as a run's device (feature `cuda`). It must not know models or data.

use super::{Device, Machine};
use crate::args::Precision;
use crate::exit::{Failure, IO, USAGE};
use crate::hub::HubSettings;
use ferrotune_cuda::device::DeviceError;
use ferrotune_cuda::driver::{Cuda, OpenError};
use ferrotune_cuda::{Gpu, Precision as Stored};
use std::panic::UnwindSafe;
use std::path::PathBuf;

/// The backend of a GPU.
pub type CudaGpu = Gpu<Cuda>;

impl Machine for CudaGpu {
    fn processor(&self) -> String {
        self.device().info().name.clone()
    }

    fn precision(&self) -> Precision {
        match Gpu::precision(self) {
            Stored::F32 => Precision::F32,
            Stored::Tf32 => Precision::Tf32,
            Stored::Bf16 => Precision::Bf16,
        }
    }

    fn free_memory(&self) -> Option<u64> {
        Some(self.device().free_memory() as u64)
    }
}

/// Opens a GPU by its number.
///
/// # Errors
/// It cannot be used; the sentence says what is missing.
pub fn open(number: usize, precision: Precision) -> Result<Device, Failure> {
    let stored = match precision {
        Precision::F32 => Stored::F32,
        Precision::Tf32 => Stored::Tf32,
        Precision::Bf16 | Precision::Auto => Stored::Bf16,
    };
    let device = Cuda::open(number, &cache()).map_err(|error| failure(&error))?;
    let info = device.info();
    eprintln!("device     cuda:{number} {}, {:.0} GiB", info.name, info.memory as f64 / f64::from(1 << 30));
    Ok(Device::Cuda(Gpu::new(device, stored)))
}

/// Where compiled kernels are kept: beside the fetched models.
fn cache() -> PathBuf {
    HubSettings::from_env().assets.join("ferrotune").join("kernels")
}

/// The driver's words with an exit code.
pub fn failure(error: &OpenError) -> Failure {
    let code = if matches!(error, OpenError::NoSuchDevice { .. }) { USAGE } else { IO };
    Failure { message: error.to_string(), code }
}

/// Runs a command; what a device could not do while it ran (memory that is exhausted, a launch that failed) becomes an error as all others.
///
/// # Errors
/// The command's own, and those of the device.
pub fn catch(command: impl FnOnce() -> Result<(), Failure> + UnwindSafe) -> Result<(), Failure> {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.payload().is::<DeviceError>() {
            usual(panic);
        }
    }));
    std::panic::catch_unwind(command).unwrap_or_else(|payload| match payload.downcast::<DeviceError>() {
        Ok(error) => {
            let hint = if error.what.starts_with("allocate") {
                "; a smaller --batch-size or --micro-batch needs less memory"
            } else {
                ""
            };
            Err(Failure { message: format!("{error}{hint}"), code: IO })
        }
        Err(other) => std::panic::resume_unwind(other),
    })
}
