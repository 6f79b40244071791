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

impl Shim {
    /// Threads run in ascending order between barriers, or in descending order: a kernel whose numbers differ lacks a barrier.
    pub fn new(descending: bool) -> Shim {
        Shim { descending, ring: Mutex::new(Ring { memory: vec![0; Shim::STAGED / 16 + 1], at: 0 }) }
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

    fn upload(&self, to: u64, bytes: &[u8]) {
        // SAFETY: `to` is an address within memory of this device, as the trait asks, with room for the bytes; kernels have ended.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to as *mut u8, bytes.len()) }
    }

    fn download(&self, from: u64, bytes: &mut [u8]) {
        // SAFETY: as in `upload`.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, bytes.as_mut_ptr(), bytes.len()) }
    }

    fn stage(&self, bytes: &[u8]) -> u64 {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let size = bytes.len().next_multiple_of(16);
        assert!(size <= Self::STAGED, "{size} bytes to stage");
        if ring.at + size > Self::STAGED {
            ring.at = 0;
        }
        let start = ring.at;
        ring.at += size;
        let memory: &mut [u8] = bytemuck::cast_slice_mut(&mut ring.memory);
        memory[start..start + bytes.len()].copy_from_slice(bytes);
        memory[start..].as_ptr() as u64
    }

    fn launch<P: NoUninit>(&self, kernel: &'static str, grid: Grid, params: &P) {
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
        // SAFETY: the parameters have the size of their twin; what they point to was checked by the launch that filled them.
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

    fn product(&self, product: &Product) {
        let &Product { a, b, c, beta, bias, m, n, k, tf32 } = product;
        let round = |x: f64| if tf32 { to_tf32(x) } else { x };
        assert!(a.kind == b.kind && !c.transposed, "{product:?}");
        assert!(bias.is_none() || beta == 0.0, "a bias with an old result: {product:?}");
        for row in 0..m {
            for column in 0..n {
                let sum =
                    (0..k).map(|i| round(at(a, [row, i], [m, k])) * round(at(b, [i, column], [k, n]))).sum::<f64>();
                let old = if beta == 0.0 { 0.0 } else { f64::from(beta) * at(c, [row, column], [m, n]) };
                let bias = bias.map_or(0.0, |bias| {
                    let bias = Matrix { address: bias, kind: c.kind, transposed: false };
                    at(bias, [0, column], [1, n])
                });
                set(c, row * n + column, (sum + old + bias) as f32);
            }
        }
    }
}

/// Element `[row, column]` of a matrix of this shape as it is read.
fn at(matrix: Matrix, [row, column]: [usize; 2], [rows, columns]: [usize; 2]) -> f64 {
    let i = if matrix.transposed { column * rows + row } else { row * columns + column };
    // SAFETY: the product's caller gives matrices of these sizes in memory of this device, and the index is within them.
    let number = unsafe {
        match matrix.kind {
            Kind::F32 => *(matrix.address as *const f32).add(i),
            Kind::Bf16 => f32::from_bits(u32::from(*(matrix.address as *const u16).add(i)) << 16),
        }
    };
    f64::from(number)
}

fn set(matrix: Matrix, i: usize, value: f32) {
    // SAFETY: as in `at`.
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
