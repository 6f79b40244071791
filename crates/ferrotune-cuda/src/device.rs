//! What a machine must offer to run the kernels: memory, copies, launches, matrix products. The CUDA driver is one, the shim another. It must not
//! know the tensor core, nor any kernel.

use bytemuck::NoUninit;

/// A device. All calls are for one queue: each sees what the calls before it have written. They may return before the work is done; what goes wrong
/// then is said by a later call. What a user can do nothing about (a launch that fails, memory that is exhausted) panics with a [`DeviceError`].
///
/// Addresses are plain numbers, so whoever hands one in promises what lies there. Since there is one queue, that has to hold when the call is made:
/// what later calls give back or overwrite they do behind it.
pub trait Device: Send + Sync + 'static {
    /// Memory that is given back when it is dropped, after the work that was queued before.
    type Memory: Send + Sync;

    /// Memory of at least so many bytes, aligned to 256, contents unspecified.
    fn alloc(&self, bytes: usize) -> Self::Memory;
    /// Where it begins.
    fn address(memory: &Self::Memory) -> u64;
    /// Copies to the device. The bytes may change as soon as this returns.
    ///
    /// # Safety
    /// `to` is an address in live memory of this device with room for the bytes behind it, and nobody else has borrowed that room.
    unsafe fn upload(&self, to: u64, bytes: &[u8]);
    /// Waits for all work, and copies to the host.
    ///
    /// # Safety
    /// `from` is an address in live memory of this device with as many bytes behind it, and nobody else has borrowed them for writing.
    unsafe fn download(&self, from: u64, bytes: &mut [u8]);
    /// Copies to a place of the device's choosing, without waiting for work that was queued before. The bytes stay there until another
    /// [`Device::STAGED`] bytes have been staged. Aligned to 16.
    ///
    /// # Safety
    /// Work that is queued later reads nothing of what these bytes are staged over.
    unsafe fn stage(&self, bytes: &[u8]) -> u64;
    /// Queues a kernel.
    ///
    /// # Safety
    /// `P` is the one struct of parameters that this kernel takes, and the grid one that it is written for. The addresses in the parameters, and in
    /// the tables that they point to, are those of live memory of this device, of as many numbers and as aligned as the sizes and flags beside them
    /// and the grid say; the address of what the kernel does not touch may be any. Nobody else has borrowed what it writes, or for writing what it
    /// reads.
    unsafe fn launch<P: NoUninit>(&self, kernel: &'static str, grid: Grid, params: &P);
    /// Queues a matrix product.
    ///
    /// # Safety
    /// At the addresses of a, b, c and the bias begin `m·k`, `k·n`, `m·n` and `n` numbers of their kinds in live memory of this device, each aligned
    /// to its size. Nobody else has borrowed c, or for writing the others, and c overlaps none of them.
    unsafe fn product(&self, product: &Product);

    /// How many bytes, each piece rounded up to 16, may be staged before the first are overwritten.
    const STAGED: usize;
}

/// How many threads run a kernel, and what they share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Blocks in x and y.
    pub blocks: [u32; 2],
    /// Threads of a block, a multiple of 32.
    pub threads: u32,
    /// Bytes of dynamic shared memory of a block.
    pub shared: u32,
}

/// Threads of a block where nothing speaks for another number.
pub const THREADS: u32 = 256;

impl Grid {
    /// At least one thread for each element.
    pub fn elements(len: usize) -> Grid {
        Grid::blocks(len.div_ceil(THREADS as usize))
    }

    /// So many blocks of [`THREADS`].
    pub fn blocks(blocks: usize) -> Grid {
        let blocks = u32::try_from(blocks).expect("a launch of less than 2³² blocks");
        Grid { blocks: [blocks, 1], threads: THREADS, shared: 0 }
    }
}

/// How the numbers of a matrix are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 4 bytes.
    F32,
    /// 2 bytes.
    Bf16,
}

/// A row-major matrix on the device.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    /// Where it begins.
    pub address: u64,
    /// How its numbers are stored.
    pub kind: Kind,
    /// Whether the product reads it transposed.
    pub transposed: bool,
}

/// `c = a·b + beta·c` with sums in f32, and then `+ bias` in each row: a is `(m, k)` as it is read, b `(k, n)`, c `(m, n)`; a and b are of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// The left factor.
    pub a: Matrix,
    /// The right factor.
    pub b: Matrix,
    /// The result, not transposed.
    pub c: Matrix,
    /// 0 overwrites and never reads, 1 adds.
    pub beta: f32,
    /// `(n)`, of the kind of c.
    pub bias: Option<u64>,
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
    /// Whether f32 factors may be rounded to TF32.
    pub tf32: bool,
}

/// What a device says when it cannot go on: what was tried, and why it failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the device could not {what}: {why}")]
pub struct DeviceError {
    /// For example "allocate 300 MiB".
    pub what: String,
    /// The words of the driver.
    pub why: String,
}

impl DeviceError {
    /// Ends the computation; whoever owns the run may catch it.
    pub fn throw(what: impl Into<String>, why: impl ToString) -> ! {
        std::panic::panic_any(DeviceError { what: what.into(), why: why.to_string() })
    }
}
