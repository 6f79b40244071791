//! A device's context with its two streams, and memory on it. It must not know kernels, products or tables.

use super::error::{OpenError, OrError};
use crate::device::DeviceError;
use cudarc::driver::result::stream::StreamKind;
use cudarc::driver::result::{
    DriverError, ctx, device, event, free_async, malloc_async, mem_get_info, mem_pool, primary_ctx, stream,
};
use cudarc::driver::sys;
use std::sync::Arc;

/// The primary context, which cuBLASLt shares.
pub(super) struct Context {
    device: sys::CUdevice,
    context: sys::CUcontext,
    /// Where memory comes from; the device's own, which lives as long as the device.
    pool: sys::CUmemoryPool,
    /// The queue of all work.
    pub compute: sys::CUstream,
    /// The queue of copies that need not wait for work.
    pub copies: sys::CUstream,
}

// SAFETY: the driver's handles belong to no thread; each call makes the context that of its thread first.
unsafe impl Send for Context {}
// SAFETY: as above; the driver's calls may come from several threads at once.
unsafe impl Sync for Context {}

impl Context {
    /// Opens a device that the driver has named.
    pub fn open(device: sys::CUdevice) -> Result<Arc<Context>, OpenError> {
        // SAFETY: the driver gave the device.
        let context = unsafe { primary_ctx::retain(device) }.or_error("open the device")?;
        // Owned from here on, so that an error gives back what there is: streams that are null have not been made.
        let (pool, stream) = (std::ptr::null_mut(), std::ptr::null_mut());
        let mut this = Context { device, context, pool, compute: stream, copies: stream };
        // SAFETY: the context has been retained.
        unsafe { ctx::set_current(context) }.or_error("use the device")?;
        this.compute = stream::create(StreamKind::NonBlocking).or_error("make a stream")?;
        this.copies = stream::create(StreamKind::NonBlocking).or_error("make a stream")?;
        // SAFETY: the driver gave the device.
        this.pool = unsafe { device::get_default_mem_pool(device) }.or_error("find the device's memory pool")?;
        // What has been freed stays in the pool for the next allocation, instead of going back at the next synchronisation.
        let mut threshold = u64::MAX;
        let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        // SAFETY: the attribute is a u64, which outlives the call.
        unsafe { mem_pool::set_attribute(this.pool, attribute, (&raw mut threshold).cast()) }
            .or_error("set up the memory pool")?;
        Ok(Arc::new(this))
    }

    /// Makes the context that of the thread, as the driver's calls want it.
    pub fn enter(&self) {
        // SAFETY: the context is retained for as long as `self` lives.
        unsafe { ctx::set_current(self.context) }.or_throw(|| "use the device".to_owned());
    }

    /// Waits for all work.
    pub fn wait(&self) {
        self.enter();
        // SAFETY: the stream is live.
        unsafe { stream::synchronize(self.compute) }.or_throw(|| "finish its work".to_owned());
    }

    /// Waits for all work, before handles are given back; what fails is not said. The context is entered.
    pub fn finish(&self) {
        // SAFETY: the handles are live. After an error of a kernel, each of these calls repeats it.
        unsafe {
            let _ = ctx::set_current(self.context);
            let _ = stream::synchronize(self.compute);
            let _ = stream::synchronize(self.copies);
        }
    }

    /// An event that is only waited for.
    pub fn event(self: &Arc<Self>) -> Result<Event, OpenError> {
        let handle = event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING).or_error("make an event")?;
        Ok(Event { handle, context: self.clone() })
    }

    /// Memory, or what the driver says.
    pub fn try_alloc(self: &Arc<Self>, bytes: usize) -> Result<Memory, DriverError> {
        // SAFETY: the stream is live. The driver takes no request of nothing.
        let address = unsafe { malloc_async(self.compute, bytes.max(1)) }?;
        Ok(Memory { address, context: self.clone() })
    }

    /// Memory for work on the compute stream.
    pub fn alloc(self: &Arc<Self>, bytes: usize) -> Memory {
        self.enter();
        self.try_alloc(bytes).unwrap_or_else(|error| {
            let what = format!("allocate {}", mebibytes(bytes));
            if error.0 != sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
                Err(error).or_throw(|| what)
            } else {
                DeviceError::throw(what, format!("out of memory, {} are free in pieces", mebibytes(self.free_memory())))
            }
        })
    }

    /// Bytes that the driver has left, and those in the pool that are not in use.
    pub fn free_memory(&self) -> usize {
        self.enter();
        let (outside, _) = mem_get_info().or_throw(|| "ask for its free memory".to_owned());
        let [held, used] = [
            sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT,
            sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT,
        ]
        .map(|attribute| {
            let mut bytes = 0u64;
            // SAFETY: both attributes are a u64, which outlives the call.
            unsafe { mem_pool::get_attribute(self.pool, attribute, (&raw mut bytes).cast()) }
                .or_throw(|| "ask for its free memory".to_owned());
            bytes as usize
        });
        outside + held.saturating_sub(used)
    }
}

fn mebibytes(bytes: usize) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

impl Drop for Context {
    fn drop(&mut self) {
        // There is nothing to do about failures: after an error of a kernel, each of these calls repeats it.
        // SAFETY: all handles are live unless they are null, and nobody has them afterwards.
        unsafe {
            let _ = ctx::set_current(self.context);
            for stream in [self.compute, self.copies].into_iter().filter(|stream| !stream.is_null()) {
                let _ = stream::synchronize(stream);
                let _ = stream::destroy(stream);
            }
            let _ = primary_ctx::release(self.device);
        }
    }
}

/// A point in a stream.
pub(super) struct Event {
    handle: sys::CUevent,
    context: Arc<Context>,
}

// SAFETY: as for `Context`.
unsafe impl Send for Event {}
// SAFETY: as for `Context`.
unsafe impl Sync for Event {}

impl Event {
    /// The point is now the end of this stream. The context has been entered.
    pub fn record(&self, stream: sys::CUstream) -> Result<(), DriverError> {
        // SAFETY: both handles are live, the stream's as long as the context's.
        unsafe { event::record(self.handle, stream) }
    }

    /// What is queued in this stream from now on waits for the point as it is now. The context has been entered.
    pub fn hold(&self, stream: sys::CUstream) -> Result<(), DriverError> {
        // SAFETY: as in `record`.
        unsafe { stream::wait_event(stream, self.handle, sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT) }
    }

    /// Waits for the point; not at all if there is none yet. The context has been entered.
    pub fn wait(&self) -> Result<(), DriverError> {
        // SAFETY: the handle is live.
        unsafe { event::synchronize(self.handle) }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the handle is live, and nobody has it afterwards. There is nothing to do about a failure.
        unsafe {
            let _ = ctx::set_current(self.context.context);
            let _ = event::destroy(self.handle);
        }
    }
}

/// Memory of the device, out of its pool.
pub struct Memory {
    address: sys::CUdeviceptr,
    context: Arc<Context>,
}

impl Memory {
    /// Where it begins.
    pub(super) fn address(&self) -> u64 {
        self.address
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the memory is live, and all work on it was queued before in the stream that now frees it. There is nothing to do about a failure.
        unsafe {
            let _ = ctx::set_current(self.context.context);
            let _ = free_async(self.address, self.context.compute);
        }
    }
}
