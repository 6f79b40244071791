//! Host arrays on their way to the device, for [`Device::stage`](crate::device::Device::stage): written into pinned memory, copied by a stream of
//! their own into a twin of that memory on the device. It must not know what they mean.
//!
//! Both memories are a ring of segments. A piece lies within one segment; if the rest of a segment is too small, it goes to the next, so a segment
//! that is left holds more than `SEGMENT - STAGED = STAGED` bytes of pieces. Launches that read a piece are queued before another [`STAGED`] bytes
//! have been staged. So when the host leaves segment `s + 1`, every launch that reads segment `s` is in the compute stream, and the event that is
//! recorded there then is past all of them. It is past the copies into `s` as well, since the compute stream waits for each. Before the host comes
//! to `s` again, it waits for that event, and both the pinned bytes and those on the device are free to be overwritten.
//!
//! With three segments, the host comes to `s` from `s + 2`, and waits for the event at the end of `s + 1`: the device may be one whole segment of
//! tables behind before the host ever waits.

use super::context::{Context, Event, Memory};
use super::error::{OpenError, OrError};
use cudarc::driver::result::{free_host, malloc_host, memcpy_htod_async, stream};
use std::ffi::c_void;
use std::sync::Arc;

/// Bytes that may be staged before the first are overwritten, and the largest piece.
pub(super) const STAGED: usize = 16 << 20;
const SEGMENT: usize = 2 * STAGED;
const SEGMENTS: usize = 3;

/// Alignment of pieces.
const ALIGN: usize = 16;

pub(super) struct Ring {
    context: Arc<Context>,
    pinned: Pinned,
    twin: Memory,
    place: Place,
    /// After the last copy.
    copied: Event,
    /// In the compute stream, when the segment was left.
    left: [Event; SEGMENTS],
}

impl Ring {
    /// An empty ring. The context has been entered.
    pub fn new(context: &Arc<Context>) -> Result<Ring, OpenError> {
        let twin = context.try_alloc(SEGMENTS * SEGMENT).or_error("allocate memory for tables")?;
        // SAFETY: the stream is live. From here on the memory may be used by another stream than the one that allocated it.
        unsafe { stream::synchronize(context.compute) }.or_error("allocate memory for tables")?;
        Ok(Ring {
            context: context.clone(),
            pinned: Pinned::new(SEGMENTS * SEGMENT)?,
            twin,
            place: Place { segment: 0, at: 0 },
            copied: context.event()?,
            left: [context.event()?, context.event()?, context.event()?],
        })
    }

    /// Copies; where the bytes lie on the device for what is queued in the compute stream from now on. The context has been entered.
    pub fn stage(&mut self, bytes: &[u8]) -> u64 {
        let failed = || format!("copy a table of {} bytes", bytes.len());
        if let Some(left) = self.place.turn(bytes.len()) {
            self.left[left].record(self.context.compute).or_throw(failed);
            // Of the lap before; this is `s + 1` above.
            self.left[(self.place.segment + 1) % SEGMENTS].wait().or_throw(failed);
        }
        let offset = self.place.take(bytes.len());
        let to = self.twin.address() + offset as u64;
        if bytes.is_empty() {
            return to;
        }
        let pinned = self.pinned.write(offset, bytes);
        // SAFETY: the twin is as large as the pinned memory, whose bytes are left alone until the copy has ended, as the module says.
        unsafe { memcpy_htod_async(to, pinned, self.context.copies) }.or_throw(failed);
        self.copied.record(self.context.copies).or_throw(failed);
        self.copied.hold(self.context.compute).or_throw(failed);
        to
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the stream is live. The pinned memory is freed next, so no copy may still read it. There is nothing to do about a failure.
        unsafe {
            let _ = stream::synchronize(self.context.copies);
        }
    }
}

/// Where the next piece goes.
#[derive(Clone, Copy, Debug)]
struct Place {
    segment: usize,
    at: usize,
}

impl Place {
    /// Moves on if the rest of the segment is too small for so many bytes; the segment that was left.
    fn turn(&mut self, bytes: usize) -> Option<usize> {
        assert!(bytes <= STAGED, "{bytes} bytes to stage, of {STAGED} at most");
        if self.at + bytes.next_multiple_of(ALIGN) <= SEGMENT {
            return None;
        }
        let left = self.segment;
        *self = Place { segment: (left + 1) % SEGMENTS, at: 0 };
        Some(left)
    }

    /// The offset of so many bytes, which fit.
    fn take(&mut self, bytes: usize) -> usize {
        let offset = self.segment * SEGMENT + self.at;
        self.at += bytes.next_multiple_of(ALIGN);
        offset
    }
}

/// Host memory that the device's copy engine reads by itself.
struct Pinned {
    start: *mut u8,
    len: usize,
}

// SAFETY: the memory belongs to no thread.
unsafe impl Send for Pinned {}

impl Pinned {
    fn new(len: usize) -> Result<Pinned, OpenError> {
        // SAFETY: the memory is written before it is read.
        let start = unsafe { malloc_host(len, 0) }.or_error("allocate pinned memory for tables")?;
        Ok(Pinned { start: start.cast(), len })
    }

    /// Copies the bytes there; they, in their new place.
    fn write(&mut self, offset: usize, bytes: &[u8]) -> &[u8] {
        assert!(offset + bytes.len() <= self.len, "{} bytes at {offset} of {}", bytes.len(), self.len);
        // SAFETY: the range is within the memory, which nobody else refers to.
        unsafe {
            let to = self.start.add(offset);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
            std::slice::from_raw_parts(to, bytes.len())
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: the memory is live, and its copies have ended. There is nothing to do about a failure.
        unsafe {
            let _ = free_host(self.start.cast::<c_void>());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the module promises, on the places alone: when a segment is entered, the event that is waited for was recorded after another `STAGED`
    /// bytes had been staged behind the last piece of that segment.
    #[test]
    fn a_segment_is_entered_after_all_that_reads_it() {
        for size in [1, 16, 1000, STAGED / 4, STAGED / 3 + 1, STAGED - 1, STAGED] {
            let mut place = Place { segment: 0, at: 0 };
            let mut staged = 0;
            // The count of staged bytes at the end of each segment's last piece, and when it was left.
            let mut end = [0; SEGMENTS];
            let mut left = [0; SEGMENTS];
            let mut laps = 0;
            while laps < 4 {
                if let Some(segment) = place.turn(size) {
                    (end[segment], left[segment]) = (staged, staged);
                    laps += usize::from(place.segment == 0);
                    let awaited = (place.segment + 1) % SEGMENTS;
                    if left[awaited] > 0 {
                        assert!(left[awaited] >= end[place.segment] + STAGED, "pieces of {size}: {place:?}");
                    }
                }
                let offset = place.take(size);
                assert!(offset.is_multiple_of(ALIGN) && offset / SEGMENT == (offset + size - 1) / SEGMENT);
                staged += size.next_multiple_of(ALIGN);
            }
        }
    }
}
