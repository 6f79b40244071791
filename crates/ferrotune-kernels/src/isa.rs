//! Which instruction set the kernels use, chosen once at run time, and `dispatch!`, which compiles one kernel body for each set.
//! Must not know any kernel.
//!
//! A kernel body is one `#[inline(always)]` function in plain Rust, generic over [`Lane`]; LLVM vectorises it for the features
//! of the function that it is inlined into. `dispatch!` writes those outer functions. Where sums must stay in registers, a body asks its
//! lane for a vector of intrinsics (`vector`); the matmul has its own.

use std::env::VarError;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
mod amx;

/// An instruction set for which kernels are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// AVX-512 with BF16, and beside it AMX, whose registers hold tiles of a matrix: products in bf16 run there, everything else as in AVX-512.
    Amx,
    /// x86-64 with AVX-512 F, VL, BW, DQ beside AVX2 and FMA.
    Avx512,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// What the compiler target guarantees: SSE2 on x86-64, NEON on aarch64.
    Portable,
}

/// Every set, best first.
const ALL: [Isa; 4] = [Isa::Amx, Isa::Avx512, Isa::Avx2, Isa::Portable];

/// The only environment variable that this crate reads: it forces a set, for tests and comparisons.
const VARIABLE: &str = "FERROTUNE_ISA";

impl Isa {
    /// The name that `FERROTUNE_ISA` understands and reports print.
    pub const fn name(self) -> &'static str {
        match self {
            Isa::Amx => "amx",
            Isa::Avx512 => "avx512",
            Isa::Avx2 => "avx2",
            Isa::Portable => "portable",
        }
    }

    /// Whether this processor and operating system can run the set. A few loads, no system call after the first time.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Amx => Isa::Avx512.has_bf16() && amx::is_available(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                Isa::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Amx | Isa::Avx512 | Isa::Avx2 => false,
            Isa::Portable => true,
        }
    }
}

impl Isa {
    /// The set that computes what is not a product in bf16: AMX does nothing else.
    pub const fn in_f32(self) -> Isa {
        match self {
            Isa::Amx => Isa::Avx512,
            other => other,
        }
    }

    /// Whether this set is there and multiplies pairs of bf16 (AVX512_BF16, AMX_BF16).
    pub fn has_bf16(self) -> bool {
        match self {
            Isa::Amx => self.is_available(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => self.is_available() && is_x86_feature_detected!("avx512bf16"),
            _ => false,
        }
    }
}

impl Isa {
    /// Whether products in bf16 are faster than in f32: with AMX, and with AVX512_BF16 where that is not Intel's. Measured: a pair of products takes a Zen 5
    /// as long as one in f32, and Sapphire Rapids four times as long.
    pub fn bf16_is_fast(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => self.has_bf16() && !amx::is_intel(),
            other => other.has_bf16(),
        }
    }
}

/// The sets that this machine can run, best first; `Portable` is always the last of them.
pub fn available() -> impl Iterator<Item = Isa> {
    ALL.into_iter().filter(|isa| isa.is_available())
}

/// The best set that this machine can run.
pub fn best() -> Isa {
    available().next().unwrap_or(Isa::Portable)
}

/// The set that is asked for: [`best`], unless the environment variable `FERROTUNE_ISA` names another. For a program that ends with a message where
/// [`current`] panics.
///
/// # Errors
/// `FERROTUNE_ISA` names an unknown set or one that this machine lacks; the message says which sets it has.
pub fn chosen() -> Result<Isa, String> {
    match std::env::var(VARIABLE) {
        Ok(name) => parse(&name),
        Err(VarError::NotPresent) => Ok(best()),
        Err(VarError::NotUnicode(name)) => parse(&name.to_string_lossy()),
    }
}

/// The set that kernels use: [`chosen`], read once.
///
/// # Panics
/// If `FERROTUNE_ISA` names an unknown set or one that this machine lacks: running another one instead would make the
/// test or the timing that asked for it a lie.
pub fn current() -> Isa {
    static CURRENT: OnceLock<Isa> = OnceLock::new();
    *CURRENT.get_or_init(|| chosen().unwrap_or_else(|message| panic!("{message}")))
}

fn parse(name: &str) -> Result<Isa, String> {
    let known: Vec<_> = available().map(Isa::name).collect();
    let isa = ALL.into_iter().find(|isa| isa.name() == name);
    let isa = isa.ok_or_else(|| {
        format!("{VARIABLE}={name}: unknown instruction set; this machine runs: {}", known.join(", "))
    })?;
    if isa.is_available() {
        Ok(isa)
    } else {
        Err(format!("{VARIABLE}={name}: this machine lacks that instruction set; it runs: {}", known.join(", ")))
    }
}

/// How a kernel body multiplies and adds. The only thing that a body cannot leave to the vectoriser: `f32::mul_add` without a
/// fused instruction is a slow library call, and two operations with one are half the speed.
pub trait Lane: Copy + Send + Sync + 'static {
    /// `a * b + c`, rounded once where the instruction set has a fused instruction, else twice.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
}

/// Lane of AVX2, and of every set with a fused multiply-add. Use it only inside functions that enable one: `dispatch!` does.
#[derive(Clone, Copy, Debug)]
pub struct FusedLane;

/// Lane of AVX-512; as `FusedLane`, but its vectors (`vector`) are registers of this set.
#[derive(Clone, Copy, Debug)]
pub struct Avx512Lane;

/// Lane of what the compiler target guarantees.
#[derive(Clone, Copy, Debug)]
pub struct PortableLane;

impl Lane for FusedLane {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

impl Lane for Avx512Lane {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

impl Lane for PortableLane {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        if cfg!(any(target_feature = "fma", target_arch = "aarch64")) { a.mul_add(b, c) } else { a * b + c }
    }
}

/// Compiles a body `#[inline(always)] fn body<L: Lane>(x: X, ..) -> R` for every instruction set. The entry
///
/// ```text
/// dispatch! { fn forward_chunk(y: &mut [f32], x: &[f32]) = forward_body; }
/// ```
///
/// defines `fn forward_chunk(isa: Isa, y: &mut [f32], x: &[f32])`; call it with [`current`], or from a test with each of
/// [`available`]. It panics if `isa` is not available. A visibility, doc comments and a return type may be given. Mark the
/// helpers of a body `#[inline(always)]` too: what is not inlined is compiled for the portable set. Call it once per chunk,
/// not once per element: a call across sets is not inlined.
macro_rules! dispatch {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)? = $body:ident;)+) => {$(
        $(#[$meta])*
        $vis fn $name(isa: $crate::isa::Isa, $($arg: $type),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
            fn avx512($($arg: $type),*) $(-> $ret)? {
                $body::<$crate::isa::Avx512Lane>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) $(-> $ret)? {
                $body::<$crate::isa::FusedLane>($($arg),*)
            }
            assert!(isa.is_available(), "{}: this machine lacks {}", stringify!($name), isa.name());
            match isa {
                // SAFETY: the line above has checked that this processor has the features of the callee.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Amx | $crate::isa::Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: the assertion above has checked that this processor has the features of the callee.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => $body::<$crate::isa::PortableLane>($($arg),*),
            }
        }
    )+};
}
pub(crate) use dispatch;

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(always)]
    fn dot_body<L: Lane>(x: &[f32], y: &[f32]) -> f32 {
        x.iter().zip(y).fold(0.0, |sum, (&a, &b)| L::mul_add(a, b, sum))
    }

    dispatch! { fn dot(x: &[f32], y: &[f32]) -> f32 = dot_body; }

    #[test]
    fn every_available_set_computes_the_same_exact_dot_product() {
        let x: Vec<f32> = (0..100).map(|i| i as f32).collect();
        for isa in available() {
            // Σ i² for i < 100: every partial sum is an integer below 2²⁴, so no set may round.
            assert_eq!(dot(isa, &x, &x), 328_350.0, "{}", isa.name());
        }
    }

    #[test]
    fn portable_is_always_available_and_last() {
        assert_eq!(available().last(), Some(Isa::Portable));
        assert!(best().is_available());
    }

    #[test]
    fn names_parse_and_others_are_refused_with_the_choices() {
        for isa in ALL {
            match parse(isa.name()) {
                Ok(parsed) => assert!(parsed == isa && isa.is_available()),
                Err(message) => assert!(!isa.is_available() && message.contains("portable"), "{message}"),
            }
        }
        let message = parse("sse9").unwrap_err();
        assert!(message.contains("FERROTUNE_ISA=sse9") && message.contains("portable"), "{message}");
    }
}
