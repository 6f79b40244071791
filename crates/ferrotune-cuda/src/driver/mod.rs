//! The device behind the CUDA driver. Its libraries are looked for when a device is opened, so that a program with it runs on any machine. It must not
//! know the tensor core, nor any kernel.
//!
//! - `libraries`, `devices`, `error`: what there is on this machine, and what is missing.
//! - `source`, `compile`: the kernels, compiled by NVRTC for the device and kept in a folder.
//! - `context`, `ring`: memory, and the way of host arrays to it.
//! - `product`: matrix products by cuBLASLt.

pub mod compile;
mod context;
mod devices;
mod error;
mod libraries;
mod product;
mod ring;
pub mod source;

pub use context::Memory;
pub use devices::{Capability, Info, devices};
pub use error::{OpenError, Version};

use crate::device::{Device, Grid, Product};
use bytemuck::NoUninit;
use context::Context;
use cudarc::driver::result::{function, launch_kernel, memcpy_dtoh_async, memcpy_htod_async, module};
use cudarc::driver::sys;
use error::OrError;
use product::Products;
use ring::Ring;
use std::collections::HashMap;
use std::ffi::CString;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A GPU.
pub struct Cuda {
    // Fields are dropped in this order: what needs the context before the context.
    kernels: Mutex<Kernels>,
    ring: Mutex<Ring>,
    products: Mutex<Products>,
    context: Arc<Context>,
    info: Info,
    launches: AtomicU64,
}

/// The compiled kernels and those that have been launched.
struct Kernels {
    module: sys::CUmodule,
    known: HashMap<&'static str, Kernel>,
}

#[derive(Clone, Copy)]
struct Kernel {
    function: sys::CUfunction,
    /// Bytes of dynamic shared memory that it may have so far.
    shared: u32,
}

// SAFETY: the driver's handles belong to no thread.
unsafe impl Send for Kernels {}

impl Cuda {
    /// Opens a device, counted from 0. Compiled kernels are kept in the folder `cache`, which is made if it is not there.
    ///
    /// # Errors
    /// There is no such device or it is too old; a library is missing or too old; the kernels cannot be kept.
    pub fn open(number: usize, cache: &Path) -> Result<Cuda, OpenError> {
        let (handle, info) = devices::find(number)?;
        libraries::driver_runs(libraries::cublaslt()?)?;
        let code = compile::cubin(cache, info.capability)?;
        let context = Context::open(handle)?;
        // SAFETY: the code is what the compiler gave for this device, whole as its checksum says.
        let module = unsafe { module::load_data(code.as_ptr().cast()) }.or_error("load the kernels")?;
        Ok(Cuda {
            kernels: Mutex::new(Kernels { module, known: HashMap::new() }),
            ring: Mutex::new(Ring::new(&context)?),
            products: Mutex::new(Products::new(&context)?),
            context,
            info,
            launches: AtomicU64::new(0),
        })
    }

    /// What it is.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Kernels and products queued so far; copies do not count.
    pub fn launches(&self) -> u64 {
        self.launches.load(Ordering::Relaxed)
    }

    /// Bytes that may be allocated now: what the driver has left, and what its pool holds for us and nobody uses.
    pub fn free_memory(&self) -> usize {
        self.context.free_memory()
    }

    /// Waits for all work that was queued.
    pub fn wait(&self) {
        self.context.wait();
    }
}

/// What panicked with the lock held was an error of the device, which the next call repeats.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kernels {
    /// The kernel of this name, with leave for so much dynamic shared memory.
    fn find(&mut self, name: &'static str, shared: u32) -> sys::CUfunction {
        let kernel = self.known.entry(name).or_insert_with(|| {
            let symbol = CString::new(name).expect("kernel names have no zero byte");
            // SAFETY: the module is live.
            let function =
                unsafe { module::get_function(self.module, symbol) }.or_throw(|| format!("find the kernel `{name}`"));
            Kernel { function, shared: 0 }
        });
        // Above 48 KiB a kernel has to be given leave, and below it does no harm.
        if shared > kernel.shared {
            let attribute = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            let bytes = i32::try_from(shared).expect("shared memory of less than 2 GiB");
            // SAFETY: the function is of a live module.
            unsafe { function::set_function_attribute(kernel.function, attribute, bytes) }
                .or_throw(|| format!("give `{name}` {shared} bytes of shared memory"));
            kernel.shared = shared;
        }
        kernel.function
    }
}

impl Drop for Kernels {
    fn drop(&mut self) {
        // SAFETY: the module is live, nobody has it or its functions afterwards, and the driver unloads it after the work that was queued.
        // There is nothing to do about a failure.
        unsafe {
            let _ = module::unload(self.module);
        }
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // Kernels, tables and workspace are given back next, maybe on another thread than the one that used the context last. A failure has been
        // said by the call that queued the work, or nobody waits for its result: a panic here would end the process.
        self.context.finish();
    }
}

impl Device for Cuda {
    type Memory = Memory;
    const STAGED: usize = ring::STAGED;

    fn alloc(&self, bytes: usize) -> Memory {
        self.context.alloc(bytes)
    }

    fn address(memory: &Memory) -> u64 {
        memory.address()
    }

    unsafe fn upload(&self, to: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.context.enter();
        // SAFETY: the caller promises memory of this device with room for the bytes, and these stay until the wait below.
        unsafe { memcpy_htod_async(to, bytes, self.context.compute) }
            .or_throw(|| format!("copy {} bytes to it", bytes.len()));
        self.context.wait();
    }

    unsafe fn download(&self, from: u64, bytes: &mut [u8]) {
        if bytes.is_empty() {
            return;
        }
        self.context.enter();
        let len = bytes.len();
        // SAFETY: the caller promises memory of this device of at least so many bytes, and nobody reads the host's until the wait below.
        unsafe { memcpy_dtoh_async(bytes, from, self.context.compute) }
            .or_throw(|| format!("copy {len} bytes from it"));
        self.context.wait();
    }

    unsafe fn stage(&self, bytes: &[u8]) -> u64 {
        self.context.enter();
        lock(&self.ring).stage(bytes)
    }

    unsafe fn launch<P: NoUninit>(&self, kernel: &'static str, grid: Grid, params: &P) {
        self.context.enter();
        let function = lock(&self.kernels).find(kernel, grid.shared);
        let [x, y] = grid.blocks;
        let mut pointers = [std::ptr::from_ref(params).cast_mut().cast()];
        // SAFETY: the caller promises that the parameters are the kernel's one struct, which the driver copies before it returns, and what lies at
        // their addresses; the function and the stream are live.
        unsafe {
            launch_kernel(function, (x, y, 1), (grid.threads, 1, 1), grid.shared, self.context.compute, &mut pointers)
        }
        .or_throw(|| format!("launch `{kernel}` with {grid:?}"));
        self.launches.fetch_add(1, Ordering::Relaxed);
    }

    unsafe fn product(&self, product: &Product) {
        self.context.enter();
        // SAFETY: the caller promises of the product's memory what `queue` asks.
        unsafe { lock(&self.products).queue(product) };
        self.launches.fetch_add(1, Ordering::Relaxed);
    }
}
