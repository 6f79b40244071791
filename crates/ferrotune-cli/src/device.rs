//! What a run computes on: the processor, in the precision that was asked for. It must not know models or data.

use crate::args::Precision;
use crate::exit::{Failure, usage};
use ferrotune_kernels::isa;
use ferrotune_tensor::{Cpu, Precision as Products};

/// The processor in this precision.
///
/// # Errors
/// bf16 on a processor that has no instructions for it (code 2).
pub fn device(precision: Precision) -> Result<Cpu, Failure> {
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
}

/// What `auto` comes to on this processor.
pub fn resolved(device: Cpu) -> Precision {
    match device.precision() {
        Products::F32 => Precision::F32,
        Products::Bf16 => Precision::Bf16,
    }
}
