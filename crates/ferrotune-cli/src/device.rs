//! What a run computes on: the processor or a GPU, in the precision that was asked for. It must not know models or data.

use crate::args::Precision;
use crate::exit::{Failure, usage};
use ferrotune_kernels::isa;
use ferrotune_tensor::{Backend, Cpu, Precision as Products};

/// A device that was chosen.
#[derive(Clone)]
pub enum Device {
    /// The processor.
    Cpu(Cpu),
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
        isa::current().name().to_string()
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
        }
    }

    /// Does something on this device.
    pub fn run<W: Work>(self, work: W) -> W::Output {
        match self {
            Device::Cpu(cpu) => work.on(cpu),
        }
    }
}

/// The device that was asked for, in this precision.
///
/// # Errors
/// bf16 on a processor that has no instructions for it (code 2).
pub fn device(precision: Precision) -> Result<Device, Failure> {
    let bf16 = Cpu::with(Products::Bf16);
    match precision {
        Precision::F32 => Ok(Cpu),
        Precision::Auto => Ok(bf16.unwrap_or(Cpu)),
        Precision::Bf16 => bf16.ok_or_else(|| {
            let set = isa::current().name();
            usage(format!(
                "--precision bf16 needs a processor with AVX512_BF16, and this one runs {set}: say f32, or auto"
            ))
        }),
    }
    .map(Device::Cpu)
}
