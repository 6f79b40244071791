//! Whether AMX can be used: the processor has it, and the system lends its registers to this process; and who made the processor. It must not know any
//! kernel.

use std::sync::OnceLock;

/// Whether tiles of bf16 can be multiplied here. The system is asked once; what it allows then holds for all threads.
pub(super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| processor_has_it() && system_allows_it())
}

/// CPUID leaf 7: AMX-BF16 and AMX-TILE (Intel SDM volume 2, CPUID).
fn processor_has_it() -> bool {
    const BF16: u32 = 1 << 22;
    const TILE: u32 = 1 << 24;
    let [most, ..] = cpuid(0, 0);
    most >= 7 && cpuid(7, 0)[3] & (BF16 | TILE) == BF16 | TILE
}

/// CPUID leaf 0: the maker's name.
pub(super) fn is_intel() -> bool {
    let [_, b, c, d] = cpuid(0, 0);
    [b, d, c].map(u32::to_le_bytes).concat() == b"GenuineIntel"
}

fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let found = std::arch::x86_64::__cpuid_count(leaf, subleaf);
    [found.eax, found.ebx, found.ecx, found.edx]
}

/// Linux lends the 8 KiB of tile registers to processes that ask (Documentation/arch/x86/xstate.rst): `arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA)`.
#[cfg(target_os = "linux")]
fn system_allows_it() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
    const XTILEDATA: u64 = 18;
    let result: i64;
    // SAFETY: the call reads and writes no memory of this process; rcx and r11 are what a system call changes.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// Other systems have ways of their own, which nobody has tried here.
#[cfg(not(target_os = "linux"))]
fn system_allows_it() -> bool {
    false
}
