//! What a run computes on: the processor or a GPU, in the precision that was asked for. It must not know models or data.

#[cfg(feature = "cuda")]
pub mod cuda;
pub mod threads;

use crate::args::{DeviceName, Precision};
use crate::exit::{Failure, usage};
use crate::terminal::voice::say;
use ferrotune_kernels::isa;
use ferrotune_tensor::{Backend, Cpu, Precision as Products};

/// A device that was chosen.
#[derive(Clone)]
pub enum Device {
    /// The processor.
    Cpu(Cpu),
    /// A GPU.
    #[cfg(feature = "cuda")]
    Cuda(cuda::CudaGpu),
}

/// A backend that can say what it is.
pub trait Machine: Backend + Clone {
    /// What the last bits of results depend on: instruction set or kind of GPU.
    fn processor(&self) -> String;
    /// What `--precision` came to.
    fn precision(&self) -> Precision;
    /// Bytes that are free in the device's own memory; none if its memory is the host's.
    fn free_memory(&self) -> Option<u64> {
        None
    }
}

impl Machine for Cpu {
    fn processor(&self) -> String {
        let isa = isa::current();
        match Cpu::precision(self) {
            Products::F32 => isa.in_f32().name().to_string(),
            Products::Bf16 => isa.name().to_string(),
        }
    }

    fn precision(&self) -> Precision {
        match Cpu::precision(self) {
            Products::F32 => Precision::F32,
            Products::Bf16 => Precision::Bf16,
        }
    }
}

/// Something to do on whichever device was chosen.
pub trait Work {
    /// What comes of it.
    type Output;

    /// Does it.
    fn on<B: Machine>(self, backend: B) -> Self::Output;
}

impl Device {
    /// What `--precision` came to.
    pub fn precision(&self) -> Precision {
        match self {
            Device::Cpu(cpu) => Machine::precision(cpu),
            #[cfg(feature = "cuda")]
            Device::Cuda(gpu) => Machine::precision(gpu),
        }
    }

    /// Does something on this device.
    pub fn run<W: Work>(self, work: W) -> W::Output {
        match self {
            Device::Cpu(cpu) => work.on(cpu),
            #[cfg(feature = "cuda")]
            Device::Cuda(gpu) => work.on(gpu),
        }
    }
}

/// The device that was asked for, in this precision.
///
/// # Errors
/// A precision that the device does not have (code 2), a GPU that cannot be used.
pub fn device(name: DeviceName, precision: Precision) -> Result<Device, Failure> {
    match name {
        DeviceName::Cpu => processor(precision),
        #[cfg(feature = "cuda")]
        DeviceName::Cuda(number) => cuda::open(number, precision),
        #[cfg(feature = "cuda")]
        DeviceName::Auto => match ferrotune_cuda::driver::devices() {
            Ok(devices) if !devices.is_empty() => cuda::open(0, precision),
            other => {
                let why = other.err().map_or("the driver knows no device".to_string(), |error| error.to_string());
                eprintln!("device     cpu: {why}");
                processor(precision)
            }
        },
    }
}

fn processor(precision: Precision) -> Result<Device, Failure> {
    let bf16 = Cpu::with(Products::Bf16);
    match precision {
        Precision::F32 => Ok(Cpu),
        #[cfg(feature = "cuda")]
        Precision::Tf32 => Err(usage("--precision tf32 is a format of GPUs: use --device cuda, or f32")),
        Precision::Auto => Ok(bf16.filter(|_| isa::current().bf16_is_fast()).unwrap_or(Cpu)),
        Precision::Bf16 => {
            let set = isa::current();
            if bf16.is_some() && !set.bf16_is_fast() {
                say!("warning: products in bf16 are slower than in f32 on this processor with {}: say f32, or auto", set.name());
            }
            bf16.ok_or_else(|| {
                usage(format!(
                    "--precision bf16 needs a processor with AMX or AVX512_BF16, and this one runs {}: say f32, or auto",
                    set.name()
                ))
            })
        }
    }
    .map(Device::Cpu)
}
