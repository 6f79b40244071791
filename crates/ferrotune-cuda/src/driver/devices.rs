//! Which devices this machine has. It must not open one.

use super::error::{OpenError, OrError};
use super::libraries;
use cudarc::driver::result::device;
use cudarc::driver::sys::{CUdevice, CUdevice_attribute};
use std::fmt;

/// What a device's processors can do; NVIDIA's number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability {
    /// 9 of 9.0.
    pub major: u32,
    /// 0 of 9.0.
    pub minor: u32,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The least that the kernels and the products in bf16 need.
const LEAST: Capability = Capability { major: 8, minor: 0 };

/// A device of this machine.
#[derive(Clone, Debug)]
pub struct Info {
    /// What `cuda:N` means.
    pub number: usize,
    /// For example "NVIDIA A100-SXM4-80GB".
    pub name: String,
    /// All its memory in bytes.
    pub memory: usize,
    /// What it can do.
    pub capability: Capability,
}

/// All devices, in the driver's order.
///
/// # Errors
/// There is no driver, it is too old, or it fails.
pub fn devices() -> Result<Vec<Info>, OpenError> {
    libraries::driver()?;
    (0..count()?).map(|number| info(number, handle(number)?)).collect()
}

/// The driver's handle of a device that can run the kernels.
///
/// # Errors
/// There is no driver, no device of this number, or it is too old.
pub(super) fn find(number: usize) -> Result<(CUdevice, Info), OpenError> {
    libraries::driver()?;
    let count = count()?;
    if number >= count {
        return Err(OpenError::NoSuchDevice { number, count });
    }
    let handle = handle(number)?;
    let info = info(number, handle)?;
    if info.capability < LEAST {
        return Err(OpenError::OldDevice { name: info.name, found: info.capability, needed: LEAST });
    }
    Ok((handle, info))
}

fn count() -> Result<usize, OpenError> {
    match device::get_count() {
        Ok(count) => Ok(usize::try_from(count).unwrap_or(0)),
        // A driver without devices does not start, and says so here again.
        Err(error) if error.0 == cudarc::driver::sys::CUresult::CUDA_ERROR_NOT_INITIALIZED => Ok(0),
        Err(error) if error.0 == cudarc::driver::sys::CUresult::CUDA_ERROR_NO_DEVICE => Ok(0),
        Err(error) => Err(error).or_error("count the devices"),
    }
}

fn handle(number: usize) -> Result<CUdevice, OpenError> {
    let number = i32::try_from(number).expect("a number below the count of devices");
    device::get(number).or_error("find the device")
}

fn info(number: usize, handle: CUdevice) -> Result<Info, OpenError> {
    let attribute = |attribute| {
        // SAFETY: the driver gave this handle.
        let value = unsafe { device::get_attribute(handle, attribute) }.or_error("ask for the compute capability")?;
        Ok::<u32, OpenError>(value.unsigned_abs())
    };
    Ok(Info {
        number,
        name: device::get_name(handle).or_error("ask for the device's name")?,
        // SAFETY: the driver gave this handle.
        memory: unsafe { device::total_mem(handle) }.or_error("ask for the device's memory")?,
        capability: Capability {
            major: attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            minor: attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        },
    })
}
