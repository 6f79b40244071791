//! MinHash signatures of texts over their character trigrams, cut into bands: texts whose trigrams overlap much share a band, and are
//! candidates for near duplicates. It knows nothing of rows.
//!
//! Broder 1997, "On the resemblance and containment of documents": the chance that the minima of a random order agree is the Jaccard
//! similarity J of two sets. With bands of r minima a pair shares at least one of b bands with probability 1 - (1 - J^r)^b: with the numbers
//! below 0.53 at J = 0.5, 0.86 at 0.6, 0.988 at 0.7 and 0.9999 at 0.8.

use super::keys::short_key;

/// Bands of a signature.
pub(crate) const BANDS: usize = 24;
/// Minima in a band.
const ROWS: usize = 5;
const HASHES: usize = BANDS * ROWS;

/// The order of each hash function: an odd factor after an exclusive or, from the splitmix64 sequence.
const ORDERS: [(u32, u32); HASHES] = orders();

const fn orders() -> [(u32, u32); HASHES] {
    let mut orders = [(0, 0); HASHES];
    let (mut n, mut state) = (0, 0x5eed_u64);
    while n < HASHES {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        orders[n] = (z as u32, (z >> 32) as u32 | 1);
        n += 1;
    }
    orders
}

/// The trigrams of a text with a blank at both ends, each as 32 bits, ascending and without repeats.
pub(crate) fn shingles(words: &str) -> Vec<u32> {
    let chars: Vec<char> = std::iter::once(' ').chain(words.chars()).chain(std::iter::once(' ')).collect();
    let mut shingles: Vec<u32> = chars.windows(3).map(mixed).collect();
    shingles.sort_unstable();
    shingles.dedup();
    shingles
}

/// The finalizer of MurmurHash3 over three code points of 21 bits.
fn mixed(window: &[char]) -> u32 {
    let mut z = window.iter().fold(0u64, |z, &c| z << 21 | u64::from(u32::from(c)));
    z = (z ^ (z >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    z = (z ^ (z >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (z ^ (z >> 33)) as u32
}

/// Shared trigrams over all trigrams of two texts; both lists ascend.
pub(crate) fn jaccard(a: &[u32], b: &[u32]) -> f64 {
    let (mut i, mut j, mut shared) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        shared += usize::from(a[i] == b[j]);
        (i, j) = (i + usize::from(a[i] <= b[j]), j + usize::from(b[j] <= a[i]));
    }
    shared as f64 / (a.len() + b.len() - shared).max(1) as f64
}

/// A key for each band of the signature of these trigrams.
pub(crate) fn bands(shingles: &[u32]) -> [u32; BANDS] {
    let mut minima = [u32::MAX; HASHES];
    for &shingle in shingles {
        for (minimum, (mask, factor)) in minima.iter_mut().zip(ORDERS) {
            *minimum = (*minimum).min((shingle ^ mask).wrapping_mul(factor));
        }
    }
    std::array::from_fn(|band| short_key(&minima[band * ROWS..][..ROWS]))
}
