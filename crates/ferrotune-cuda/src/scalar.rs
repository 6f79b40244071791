//! Numbers in f64 that stay on the device until somebody asks: losses, norms, clip factors. It must not know what they mean.

use crate::device::Device;
use std::sync::{Arc, Mutex, PoisonError};

/// Numbers of a block of memory.
const BLOCK: usize = 1024;

/// The places of all scalars.
pub(crate) struct Scalars<D: Device> {
    blocks: Mutex<(Vec<D::Memory>, Vec<u64>)>,
}

impl<D: Device> Scalars<D> {
    pub fn new() -> Arc<Scalars<D>> {
        Arc::new(Scalars { blocks: Mutex::new((Vec::new(), Vec::new())) })
    }

    /// A place without a number yet.
    pub fn take(self: &Arc<Self>, device: &D) -> Scalar<D> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let (memory, free) = &mut *blocks;
        let address = free.pop().unwrap_or_else(|| {
            let block = device.alloc(BLOCK * size_of::<f64>());
            let start = D::address(&block);
            memory.push(block);
            free.extend((1..BLOCK as u64).rev().map(|i| start + i * size_of::<f64>() as u64));
            start
        });
        Scalar { address, home: self.clone() }
    }
}

/// A number that may still be under way.
pub struct Scalar<D: Device> {
    pub(crate) address: u64,
    home: Arc<Scalars<D>>,
}

impl<D: Device> Drop for Scalar<D> {
    fn drop(&mut self) {
        // Work that reads the number was queued before whatever writes the place next.
        self.home.blocks.lock().unwrap_or_else(PoisonError::into_inner).1.push(self.address);
    }
}
