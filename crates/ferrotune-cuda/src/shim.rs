//! The device that plays kernels on the CPU: memory is the host's, a launch runs its threads as fibers (`shim/`) and has ended when it returns. It
//! is for tests: slow, and exact about what the sources say. It must not know any kernel.

use crate::device::{Device, DeviceError, Grid, Kind, Matrix, Product};
use bytemuck::NoUninit;
use std::ffi::{CString, c_char, c_int, c_uint, c_ulong, c_void};
use std::sync::{Mutex, PoisonError};

type Body = unsafe extern "C" fn(*const c_void);

// SAFETY: the signatures are those of `shim/kernels.cpp` and `shim/shim.cpp`, which build.rs links.
unsafe extern "C" {
    fn ferrotune_shim_find(name: *const c_char, size: *mut c_ulong) -> Option<Body>;
    fn ferrotune_shim_run(
        body: Body,
        params: *const c_void,
        blocks_x: c_uint,
        blocks_y: c_uint,
        threads: c_uint,
        shared: c_ulong,
        descending: c_int,
    );
}

/// The CPU in the place of a GPU.
pub struct Shim {
    /// The threads of a block run from the last to the first.
    descending: bool,
    ring: Mutex<Ring>,
}

/// Where [`Device::stage`] puts things.
struct Ring {
    memory: Vec<u128>,
    at: usize,
}

/// Bytes of the ring. A piece may take `STAGED` of them, and as many are left out where a later one does not fit and goes to the start: even then
/// another `STAGED` bytes are staged before the piece is overwritten.
const RING: usize = 3 * Shim::STAGED;

impl Shim {
    /// Threads run in ascending order between barriers, or in descending order: a kernel whose numbers differ lacks a barrier.
    pub fn new(descending: bool) -> Shim {
        Shim { descending, ring: Mutex::new(Ring { memory: vec![0; RING / 16 + 1], at: 0 }) }
    }
}

/// Alignment of memory, as the driver gives it.
const ALIGN: usize = 256;

/// Host memory, full of not-a-numbers.
pub struct Memory {
    bytes: Vec<u8>,
    start: usize,
}

impl Device for Shim {
    type Memory = Memory;
    const STAGED: usize = 1 << 22;

    fn alloc(&self, bytes: usize) -> Memory {
        let bytes = vec![0xff; bytes + ALIGN];
        let start = bytes.as_ptr().align_offset(ALIGN);
        Memory { bytes, start }
    }

    fn address(memory: &Memory) -> u64 {
        memory.bytes[memory.start..].as_ptr() as u64
    }

    unsafe fn upload(&self, to: u64, bytes: &[u8]) {
        // SAFETY: the caller promises room for the bytes at `to`, which nobody else has borrowed; it is the host's, and kernels have ended.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to as *mut u8, bytes.len()) }
    }

    unsafe fn download(&self, from: u64, bytes: &mut [u8]) {
        // SAFETY: the caller promises as many bytes at `from`, which nobody else writes; they are the host's, and kernels have ended.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, bytes.as_mut_ptr(), bytes.len()) }
    }

    unsafe fn stage(&self, bytes: &[u8]) -> u64 {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let size = bytes.len().next_multiple_of(16);
        assert!(size <= Self::STAGED, "{size} bytes to stage");
        if ring.at + size > RING {
            ring.at = 0;
        }
        let start = ring.at;
        ring.at += size;
        let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut ring.memory);
        memory[start..start + bytes.len()].copy_from_slice(bytes);
        memory[start..].as_ptr() as u64
    }

    unsafe fn launch<P: NoUninit>(&self, kernel: &'static str, grid: Grid, params: &P) {
        assert!(grid.threads.is_multiple_of(32) && grid.threads <= 1024, "{kernel}: {} threads", grid.threads);
        assert!(grid.shared <= 227 * 1024, "{kernel}: {} bytes of shared memory", grid.shared);
        let name = CString::new(kernel).expect("kernel names have no zero byte");
        let mut size = 0;
        // SAFETY: the name ends with a zero byte, and `size` outlives the call.
        let body = unsafe { ferrotune_shim_find(name.as_ptr(), &mut size) };
        let Some(body) = body else { DeviceError::throw(format!("launch `{kernel}`"), "there is no such kernel") };
        assert!(
            size as usize == size_of::<P>(),
            "{kernel}: parameters of {} bytes, its twin has {size}",
            size_of::<P>()
        );
        let [x, y] = grid.blocks;
        let shared = c_ulong::from(grid.shared);
        // SAFETY: the caller promises that the parameters are the kernel's, and what lies at their addresses; the kernel has ended when this returns.
        unsafe {
            ferrotune_shim_run(
                body,
                std::ptr::from_ref(params).cast(),
                x,
                y,
                grid.threads,
                shared,
                self.descending.into(),
            );
        }
    }

    unsafe fn product(&self, product: &Product) {
        let &Product { a, b, c, beta, bias, m, n, k, tf32 } = product;
        let round = |x: f64| if tf32 { to_tf32(x) } else { x };
        assert!(a.kind == b.kind && !c.transposed, "{product:?}");
        assert!(bias.is_none() || beta == 0.0, "a bias with an old result: {product:?}");
        for row in 0..m {
            for column in 0..n {
                let term = |i| {
                    // SAFETY: the caller promises factors of (m, k) and (k, n), and the row, the column and `i` are below m, n and k.
                    let (x, y) = unsafe { (at(a, [row, i], [m, k]), at(b, [i, column], [k, n])) };
                    round(x) * round(y)
                };
                let sum = (0..k).map(term).sum::<f64>();
                let old = if beta == 0.0 {
                    0.0
                } else {
                    // SAFETY: the caller promises a result of (m, n), and the row and the column are below these.
                    f64::from(beta) * unsafe { at(c, [row, column], [m, n]) }
                };
                let bias = bias.map_or(0.0, |bias| {
                    let bias = Matrix { address: bias, kind: c.kind, transposed: false };
                    // SAFETY: the caller promises a bias of n numbers of the result's kind, and the column is below n.
                    unsafe { at(bias, [0, column], [1, n]) }
                });
                // SAFETY: the caller promises a result of (m, n) that nobody else has borrowed, and the row and the column are below these.
                unsafe { set(c, row * n + column, (sum + old + bias) as f32) };
            }
        }
    }
}

/// Element `[row, column]` of a matrix of this shape as it is read.
///
/// # Safety
/// The matrix lies with this shape in live memory of this device, and has this element.
unsafe fn at(matrix: Matrix, [row, column]: [usize; 2], [rows, columns]: [usize; 2]) -> f64 {
    let i = if matrix.transposed { column * rows + row } else { row * columns + column };
    // SAFETY: the caller promises a matrix of `rows·columns` numbers of its kind, and an element of it has a number below that, transposed or not.
    let number = unsafe {
        match matrix.kind {
            Kind::F32 => *(matrix.address as *const f32).add(i),
            Kind::Bf16 => f32::from_bits(u32::from(*(matrix.address as *const u16).add(i)) << 16),
        }
    };
    f64::from(number)
}

/// Sets number `i` of a matrix as it is stored.
///
/// # Safety
/// The matrix lies in live memory of this device and has this number, and nobody else has borrowed it.
unsafe fn set(matrix: Matrix, i: usize, value: f32) {
    // SAFETY: the caller promises more than `i` numbers of this kind at the address, for this call alone.
    unsafe {
        match matrix.kind {
            Kind::F32 => *(matrix.address as *mut f32).add(i) = value,
            Kind::Bf16 => *(matrix.address as *mut u16).add(i) = to_bf16(value),
        }
    }
}

/// Rounded to nearest even, as the kernels do.
fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// An f32 with 10 bits of fraction, rounded to nearest, ties away from zero, as `cvt.rna.tf32.f32` does.
fn to_tf32(value: f64) -> f64 {
    if value.is_nan() {
        // The sum below would make a number of one with many bits, as memory that nobody wrote has.
        return value;
    }
    f64::from(f32::from_bits(((value as f32).to_bits() + 0x1000) & !0x1fff))
}
