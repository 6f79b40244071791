//! The multiply-add peak of this machine, measured: the rate that benches quote the matmul against. Must not touch memory in its loop.

use std::hint::black_box;
use std::time::Instant;

use crate::isa::{Isa, Lane, PortableLane};
use crate::matmul::Precision;

/// Independent chains: two multiply-add units × up to 5 cycles of latency, and two to spare; they fit 16 registers.
const CHAINS: usize = 12;
/// The same for AVX-512, with 32 registers: a pair of bf16 products takes longer.
const AVX512_CHAINS: usize = 24;

/// Steps of one timing: some milliseconds.
const STEPS: usize = 1_000_000;

/// Timings, of which the fastest counts: others may use the machine.
const TRIES: usize = 10;

/// Lanes of a vector that every target has.
const PORTABLE_LANES: usize = 4;

/// The multiply-add peak of an instruction set and precision in GFLOP/s (a multiply-add counts two), all threads of the current rayon pool
/// together. `Portable` is what the compiler target guarantees, without the instruction sets that `matrixmultiply` finds by itself.
///
/// # Panics
/// If this machine lacks them.
pub fn peak_gflops(isa: Isa, precision: Precision) -> f64 {
    assert!(precision.is_available(isa), "peak_gflops: this machine lacks {} in {}", isa.name(), precision.name());
    let run: fn() -> usize = match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Amx if precision == Precision::Bf16 => x86::amx,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 if precision == Precision::Bf16 => x86::avx512_bf16,
        #[cfg(target_arch = "x86_64")]
        Isa::Amx | Isa::Avx512 => x86::avx512,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => x86::avx2,
        _ => portable,
    };
    let rate = |_| {
        let start = Instant::now();
        let products: usize = rayon::broadcast(|_| run()).into_iter().sum();
        (2 * products) as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    (0..TRIES).map(rate).fold(0.0, f64::max)
}

/// Runs the loop with what the target guarantees; returns its multiply-adds.
fn portable() -> usize {
    let [x, y] = black_box([[0.5; PORTABLE_LANES]; 2]);
    let mut sums = black_box([[1.0f32; PORTABLE_LANES]; CHAINS]);
    for _ in 0..STEPS {
        for sum in &mut sums {
            for lane in 0..PORTABLE_LANES {
                sum[lane] = PortableLane::mul_add(sum[lane], x[lane], y[lane]);
            }
        }
    }
    black_box(sums);
    PORTABLE_LANES * CHAINS * STEPS
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The loop in intrinsics.

    use std::hint::black_box;

    use super::{AVX512_CHAINS, CHAINS, STEPS};
    use crate::matmul::tile::Vector;
    use crate::matmul::x86::amx::Amx;
    use crate::matmul::x86::avx2::Avx2Vector;
    use crate::matmul::x86::avx512::Avx512Vector;

    /// # Safety
    /// The processor has the instruction set of `V`, and the caller enables it.
    #[inline(always)]
    unsafe fn chains<V: Vector, const CHAINS: usize>() -> usize {
        // SAFETY: the only pointer is that of a local.
        unsafe {
            let x = V::splat(&black_box(0.5));
            let mut sums = [V::zero(); CHAINS];
            for _ in 0..STEPS {
                for i in 0..CHAINS {
                    sums[i] = sums[i].add_product(x, x);
                }
            }
            let mut sum = V::zero();
            for i in 0..CHAINS {
                sum = sum.add(sums[i]);
            }
            let mut out = [0.0f32; 16];
            sum.store_first(out.as_mut_ptr(), 1);
            black_box(out);
        }
        V::LANES * CHAINS * STEPS
    }

    /// Runs products of tiles; returns its multiply-adds.
    pub(super) fn amx() -> usize {
        // SAFETY: `peak_gflops` has asserted that the processor has it and the system allows it.
        unsafe { Amx::products(STEPS / 16) }
    }

    /// Runs the loop with AVX2; returns its multiply-adds.
    pub(super) fn avx2() -> usize {
        #[target_feature(enable = "avx2,fma")]
        fn enabled() -> usize {
            // SAFETY: this function enables the instruction set.
            unsafe { chains::<Avx2Vector, CHAINS>() }
        }
        // SAFETY: `peak_gflops` has asserted that the processor has it.
        unsafe { enabled() }
    }

    /// Runs the loop with AVX-512; returns its multiply-adds.
    pub(super) fn avx512() -> usize {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
        fn enabled() -> usize {
            // SAFETY: this function enables the instruction set.
            unsafe { chains::<Avx512Vector<false>, AVX512_CHAINS>() }
        }
        // SAFETY: `peak_gflops` has asserted that the processor has it.
        unsafe { enabled() }
    }

    /// Runs the loop with pairs of bf16; returns its multiply-adds.
    pub(super) fn avx512_bf16() -> usize {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx2,fma")]
        fn enabled() -> usize {
            // SAFETY: this function enables the instruction set.
            unsafe { 2 * chains::<Avx512Vector<true>, AVX512_CHAINS>() }
        }
        // SAFETY: `peak_gflops` has asserted that the processor has it.
        unsafe { enabled() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa;

    #[test]
    fn every_set_has_a_plausible_peak() {
        for (isa, precision) in isa::available().flat_map(|isa| [(isa, Precision::F32), (isa, Precision::Bf16)]) {
            if !precision.is_available(isa) {
                continue;
            }
            let peak = peak_gflops(isa, precision);
            // Even a slowed core does 0.1 vectors a cycle at 1 GHz; no machine of today does a petaflop on its cores.
            assert!(peak > 0.5 && peak < 1e6, "{} {}: {peak} GFLOP/s", isa.name(), precision.name());
        }
    }
}
