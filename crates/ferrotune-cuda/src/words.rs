//! Host arrays that kernels read: token ids, offsets, labels, tables of ranges. Each is sent once for as long as it lies on the device, however
//! many launches of a step read it: they are told apart by their contents. It must not know what they mean.

use crate::device::Device;
use bytemuck::NoUninit;
use std::collections::HashMap;
use std::sync::MutexGuard;

/// What lies on the device.
pub(crate) struct Words {
    /// By hash.
    known: HashMap<u64, Known>,
    /// Bytes staged so far.
    staged: usize,
}

/// The arrays that a launch reads. They stay where they are while this lives, since nobody else sends any meanwhile.
pub(crate) struct Tables<'g, D: Device> {
    device: &'g D,
    words: MutexGuard<'g, Words>,
    /// Bytes staged when the oldest of them had been sent.
    oldest: usize,
}

impl<'g, D: Device> Tables<'g, D> {
    pub fn new(device: &'g D, words: MutexGuard<'g, Words>) -> Self {
        Tables { device, words, oldest: usize::MAX }
    }

    /// Where these numbers lie on the device, for launches that are queued while this lives.
    pub fn place<T: NoUninit>(&mut self, numbers: &[T]) -> u64 {
        let (address, at) = self.words.place(self.device, numbers);
        self.oldest = self.oldest.min(at);
        let behind = self.words.staged - self.oldest;
        assert!(
            behind <= D::STAGED,
            "{behind} bytes staged behind a table of the same launch, of {} at most",
            D::STAGED
        );
        address
    }
}

struct Known {
    bytes: Box<[u8]>,
    address: u64,
    /// Bytes staged when it had been sent.
    at: usize,
}

impl Words {
    pub fn new() -> Words {
        Words { known: HashMap::new(), staged: 0 }
    }

    /// Where these numbers lie on the device, and how many bytes had been staged when they had been sent: they stay until that is `STAGED` more.
    fn place<D: Device, T: NoUninit>(&mut self, device: &D, numbers: &[T]) -> (u64, usize) {
        let bytes: &[u8] = bytemuck::cast_slice(numbers);
        let size = bytes.len().next_multiple_of(16);
        assert!(size <= D::STAGED / 4, "{size} bytes for a kernel's table, of {} at most", D::STAGED / 4);
        let key = hash(bytes);
        // What is handed out now must outlive a step's further tables, so only the newer half of what lies there counts.
        let oldest = self.staged.saturating_sub(D::STAGED / 2);
        if let Some(known) = self.known.get(&key).filter(|known| known.at >= oldest && *known.bytes == *bytes) {
            return (known.address, known.at);
        }
        // SAFETY: what is staged is counted here alone, and `oldest` and the assert of `Tables::place` keep launches from what this overwrites.
        let address = unsafe { device.stage(bytes) };
        self.staged += size;
        if self.known.len() >= 4096 {
            self.known.retain(|_, known| known.at >= oldest);
        }
        self.known.insert(key, Known { bytes: bytes.into(), address, at: self.staged });
        (address, self.staged)
    }
}

/// A number for these bytes, eight at a time: tables are hashed in every launch, and equal ones are compared anyhow.
fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let of_words = words.iter().fold(bytes.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    rest.iter().fold(of_words, |hash, byte| mix(hash, u64::from(*byte)))
}
