//! Dropout masks that are computed where they are needed and never stored: a counter-based random function of
//! (seed, step, layer, site, element). Must not know which kernel asks.
//!
//! The function, which GPU code repeats bit for bit (all arithmetic modulo 2³²; `f` is the "lowbias32" finalizer found by
//! Chris Wellons' hash prospector, <https://nullprogram.com/blog/2018/07/31/>):
//!
//! ```text
//! f(x):  x ^= x >> 16;  x *= 0x7feb352d;  x ^= x >> 15;  x *= 0x846ca68b;  x ^= x >> 16
//! keys:  s = mix(seed);  s = mix(s ^ step);  s = mix(s ^ (layer << 32 | site));  key0 = low half of s,  key1 = high half
//!        mix(x) = the output function of splitmix64 (Steele, Lea, Flood 2014) at state x + 0x9e3779b97f4a7c15
//! bits(element) = f(f(low(element) ^ key0) + f(high(element) ^ key1))
//! kept(element) = bits(element) >= round(p · 2³²);   a kept element is scaled by 1/(1 - p)
//! ```
//!
//! A mask may start at a later element ([`Mask::starting_at`]): a batch that is cut into passes gives each pass its part of one mask.
//!
//! Two rounds with independent keys, because one round makes the masks of two keys permutations of each other. The term of the
//! high half is constant over 2³² elements, so a loop pays for two finalizers an element.

use crate::vector::LANES;

/// A dropout mask: which elements are kept, and the scale of those.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mask {
    low_key: u32,
    high_key: u32,
    /// Elements whose bits are below are dropped; 0 keeps all.
    threshold: u32,
    scale: f32,
    /// Added to the number of every element.
    start: u64,
}

impl Mask {
    /// Keeps everything, scale 1: evaluation, or dropout 0.
    pub const NONE: Mask = Mask { low_key: 0, high_key: 0, threshold: 0, scale: 1.0, start: 0 };

    /// The mask that drops with probability `p`. Each of the others alone makes a new, independent mask; `site` numbers the
    /// dropouts within a layer.
    ///
    /// # Panics
    /// If `p` is not in `[0, 1)`.
    pub fn new(p: f32, seed: u64, step: u64, layer: u32, site: u32) -> Mask {
        assert!((0.0..1.0).contains(&p), "Mask::new: p: expected 0 <= p < 1, got {p}");
        let key = splitmix64(splitmix64(splitmix64(seed) ^ step) ^ (u64::from(layer) << 32 | u64::from(site)));
        let p = f64::from(p);
        let threshold = (p * 4_294_967_296.0).round() as u32;
        if threshold == 0 {
            return Mask::NONE;
        }
        let scale = (1.0 / (1.0 - p)) as f32;
        Mask { low_key: key as u32, high_key: (key >> 32) as u32, threshold, scale, start: 0 }
    }

    /// The part of this mask that begins at element `first`: its element 0 is element `first` of this mask.
    pub fn starting_at(self, first: u64) -> Mask {
        Mask { start: if self.is_none() { 0 } else { self.start + first }, ..self }
    }

    /// All there is to a mask, for a device that computes it itself: the number of its first element, the two keys, the threshold, the scale.
    pub fn numbers(&self) -> (u64, [u32; 2], u32, f32) {
        (self.start, [self.low_key, self.high_key], self.threshold, self.scale)
    }

    /// Whether the mask keeps everything.
    pub fn is_none(&self) -> bool {
        self.threshold == 0
    }

    /// 0 if the element is dropped, `1/(1 - p)` if it is kept.
    #[inline(always)]
    pub fn keep_scale(&self, element: u64) -> f32 {
        let element = self.start + element;
        self.keep_scale_of(element as u32, self.high_term(element))
    }

    /// `out[i] = keep_scale(first + i)`, written so that it vectorises inside a `dispatch!` body.
    #[inline(always)]
    pub(crate) fn fill(&self, out: &mut [f32], first: u64) {
        let first = self.start + first;
        let before_wrap = (1 << 32) - u64::from(first as u32);
        let (head, tail) = out.split_at_mut((out.len() as u64).min(before_wrap) as usize);
        self.fill_run(head, first);
        if !tail.is_empty() {
            self.fill_run(tail, first + before_wrap);
        }
    }

    /// As `fill`, for elements that share their high half.
    #[inline(always)]
    fn fill_run(&self, out: &mut [f32], first: u64) {
        let high_term = self.high_term(first);
        for (i, out) in out.iter_mut().enumerate() {
            *out = self.keep_scale_of((first as u32).wrapping_add(i as u32), high_term);
        }
    }

    /// As `fill`, for short rows of whole vectors, of which the loop of `fill` would leave up to four to scalar code.
    #[inline(always)]
    pub(crate) fn fill_vectors(&self, out: &mut [[f32; LANES]], first: u64) {
        let start = self.start + first;
        let low = start as u32;
        if u64::from(low) + out.as_flattened().len() as u64 > 1 << 32 {
            return self.fill_across(out.as_flattened_mut(), first);
        }
        let high_term = self.high_term(start);
        for (out, i) in out.iter_mut().zip(0..) {
            for lane in 0..LANES {
                out[lane] = self.keep_scale_of(low.wrapping_add(i * LANES as u32 + lane as u32), high_term);
            }
        }
    }

    /// As `fill`, for elements whose high halves differ: once in 2³² elements.
    #[cold]
    #[inline(never)]
    fn fill_across(&self, out: &mut [f32], first: u64) {
        for (out, element) in out.iter_mut().zip(first..) {
            *out = self.keep_scale(element);
        }
    }

    #[inline(always)]
    fn high_term(&self, element: u64) -> u32 {
        finalize((element >> 32) as u32 ^ self.high_key)
    }

    #[inline(always)]
    fn keep_scale_of(&self, low: u32, high_term: u32) -> f32 {
        let bits = finalize(finalize(low ^ self.low_key).wrapping_add(high_term));
        if bits >= self.threshold { self.scale } else { 0.0 }
    }
}

#[inline(always)]
fn finalize(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ x >> 16
}

fn splitmix64(state: u64) -> u64 {
    let x = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: u64 = 1 << 20;

    fn kept(mask: Mask, elements: impl Iterator<Item = u64>) -> Vec<bool> {
        elements.map(|element| mask.keep_scale(element) != 0.0).collect()
    }

    /// Asserts that `count` hits of probability `p` in `n` tries lie within 4 standard deviations.
    fn check_rate(what: &str, count: usize, n: usize, p: f64) {
        let sigma = (n as f64 * p * (1.0 - p)).sqrt();
        let deviation = (count as f64 - n as f64 * p) / sigma;
        assert!(deviation.abs() < 4.0, "{what}: {count} of {n}, {deviation} sigma from {p}");
    }

    #[test]
    fn a_part_of_a_mask_has_the_elements_of_the_whole() {
        let mask = Mask::new(0.4, 1, 2, 3, 4);
        for first in [0, 1, 384, (1 << 32) - 3] {
            let part = mask.starting_at(first / 2).starting_at(first - first / 2);
            let mut filled = [7.0; 40];
            part.fill(&mut filled[1..], 5);
            for i in 0..39u64 {
                let whole = mask.keep_scale(first + 5 + i);
                assert_eq!((part.keep_scale(5 + i), filled[1 + i as usize]), (whole, whole), "{first} {i}");
            }
            let mut vectors = [[7.0; LANES]; 2];
            part.fill_vectors(&mut vectors, 5);
            assert_eq!(vectors.as_flattened(), &filled[1..33], "{first}");
        }
        assert_eq!(Mask::NONE.starting_at(9), Mask::NONE);
    }

    #[test]
    fn keeps_the_right_share_and_neighbours_are_independent() {
        // Steps 1 and 384: neighbours within and across rows; 2^17: rows of attention probabilities; 2^32: the high half.
        for p in [0.1, 0.5, 0.9] {
            let mask = Mask::new(p, 7, 3, 2, 1);
            let keep = 1.0 - f64::from(p);
            for stride in [1, 384, 1 << 17, 1 << 32] {
                let bits = kept(mask, (0..N).map(|i| i * stride));
                check_rate("kept", bits.iter().filter(|&&k| k).count(), bits.len(), keep);
                for lag in [1, 2, 3, 16, 32] {
                    // Distinct pairs only, so that the tries are independent.
                    let pairs: Vec<_> = bits.chunks_exact(2 * lag).map(|c| c[0] && c[lag]).collect();
                    let both = pairs.iter().filter(|&&b| b).count();
                    check_rate(&format!("p {p} stride {stride} lag {lag}"), both, pairs.len(), keep * keep);
                }
            }
        }
    }

    #[test]
    fn each_key_makes_an_independent_mask() {
        let masks = [
            Mask::new(0.5, 7, 3, 2, 1),
            Mask::new(0.5, 8, 3, 2, 1),
            Mask::new(0.5, 7, 4, 2, 1),
            Mask::new(0.5, 7, 3, 3, 1),
            Mask::new(0.5, 7, 3, 2, 2),
            // The same numbers in other places.
            Mask::new(0.5, 3, 7, 2, 1),
            Mask::new(0.5, 7, 3, 1, 2),
        ];
        let bits: Vec<_> = masks.map(|mask| kept(mask, 0..N)).into();
        for i in 0..bits.len() {
            for j in 0..i {
                let equal = bits[i].iter().zip(&bits[j]).filter(|(a, b)| a == b).count();
                check_rate(&format!("masks {i} and {j}"), equal, N as usize, 0.5);
            }
        }
    }

    #[test]
    fn fill_equals_keep_scale_also_where_the_low_half_wraps() {
        let mask = Mask::new(0.3, 1, 2, 3, 4);
        for first in [0, 5, (1 << 32) - 20, (7 << 32) - 1, (1 << 49) + 3] {
            let mut out = vec![f32::NAN; 67];
            mask.fill(&mut out, first);
            let want: Vec<_> = (0..67).map(|i| mask.keep_scale(first + i)).collect();
            assert_eq!(out, want);
        }
        mask.fill(&mut [], 3);
    }

    #[test]
    fn scales_are_exact_and_none_keeps_all() {
        assert!(Mask::NONE.is_none() && Mask::new(0.0, 1, 2, 3, 4) == Mask::NONE);
        assert!((0..1000).all(|i| Mask::NONE.keep_scale(i) == 1.0));
        let values: Vec<_> = (0..1000).map(|i| Mask::new(0.1, 1, 2, 3, 4).keep_scale(i)).collect();
        assert!(values.iter().all(|&v| v == 0.0 || v == (1.0 / (1.0 - f64::from(0.1f32))) as f32));
        // Nearly everything dropped: the threshold must not overflow into "keep".
        let mask = Mask::new(1.0 - f32::EPSILON / 2.0, 1, 2, 3, 4);
        assert!(!mask.is_none() && (0..10_000).all(|i| mask.keep_scale(i) == 0.0));
    }

    /// The values are those of a separate Python program written from the head of this file. If this test fails, runs can no longer
    /// be resumed bit for bit and GPU code draws other masks: change the code back, not the values.
    #[test]
    fn golden_values_never_change() {
        let bits = |mask: Mask, element: u64| {
            let low = finalize(element as u32 ^ mask.low_key);
            finalize(low.wrapping_add(mask.high_term(element)))
        };
        let golden = [
            (0, 0xb39b_f953),
            (1, 0x97d0_8266),
            (2, 0x0014_5199),
            (383, 0x8a86_3993),
            (1 << 17, 0x9f27_b518),
            ((1 << 32) - 1, 0x94b0_4625),
            (1 << 32, 0x3e93_16c2),
            ((5 << 40) + 9, 0xc832_2ba6),
        ];
        for (element, want) in golden {
            assert_eq!(bits(Mask::new(0.1, 42, 7, 3, 1), element), want, "element {element}");
        }
        assert_eq!(bits(Mask::new(0.1, 0, 0, 0, 0), 0), 0xfdf5_a095);
        assert_eq!(bits(Mask::new(0.1, u64::MAX, u64::MAX, u32::MAX, u32::MAX), u64::MAX), 0xf512_7f58);
        // Bit i tells whether element first + i is kept.
        let word = |p: f32, first: u64| {
            let bits = kept(Mask::new(p, 42, 7, 3, 1), first..first + 32);
            bits.iter().enumerate().map(|(i, &kept)| u32::from(kept) << i).sum::<u32>()
        };
        assert_eq!(word(0.1, 0), 0xffff_bffb);
        assert_eq!(word(0.5, 0), 0xdbce_868b);
        assert_eq!(word(0.5, 1 << 17), 0x9856_6b49);
        assert_eq!(word(0.5, (1 << 32) - 16), 0x907c_9b8f);
    }

    #[test]
    #[should_panic(expected = "expected 0 <= p < 1, got 1")]
    fn dropping_everything_is_refused() {
        Mask::new(1.0, 0, 0, 0, 0);
    }
}
