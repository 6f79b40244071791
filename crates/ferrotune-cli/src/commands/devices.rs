//! `ferrotune devices`: what this machine can compute on.

use crate::exit::Failure;
use ferrotune_kernels::isa;
use ferrotune_tensor::{Cpu, Precision};

/// Runs the command.
pub fn run() -> Result<(), Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let bf16 = if Cpu::with(Precision::Bf16).is_some() { "f32, bf16" } else { "f32" };
    println!("cpu        {}, {threads} threads; {bf16}", isa::current().name());
    #[cfg(feature = "cuda")]
    match ferrotune_cuda::driver::devices() {
        Ok(devices) if devices.is_empty() => println!("cuda       the driver knows no device"),
        Ok(devices) => {
            for device in devices {
                let gib = device.memory as f64 / f64::from(1 << 30);
                let name = format!("cuda:{}", device.number);
                println!(
                    "{name:<10} {}, {gib:.0} GiB, compute capability {}; f32, tf32, bf16",
                    device.name, device.capability
                );
            }
        }
        Err(error) => println!("cuda       {error}"),
    }
    Ok(())
}
