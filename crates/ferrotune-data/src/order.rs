//! The order of rows in an epoch. It knows nothing of rows but their number.

/// The increment of SplitMix64, the golden ratio in 64 bits (Steele, Lea and Flood 2014).
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// Keeps the streams of resampling apart from those of shuffling.
const RESAMPLING: u64 = 1;

/// Keeps those of coins apart from both.
const TOSSING: u64 = 2;

/// The SplitMix64 output function: a bijection of 64 bits that leaves no visible pattern.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A SplitMix64 stream of random numbers, the same on every machine and in every version.
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// The stream that belongs to these numbers, in their order.
    pub(crate) fn of(seed: u64, rest: &[u64]) -> Random {
        Random { state: rest.iter().fold(mix(seed.wrapping_add(GAMMA)), |state, number| mix(state ^ number)) }
    }

    /// A number below `bound`, all equally likely: the high half of a 128-bit product, drawn again where the low half falls into the biased
    /// rest (Lemire 2019).
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        loop {
            self.state = self.state.wrapping_add(GAMMA);
            let product = u128::from(mix(self.state)) * u128::from(bound);
            if product as u64 >= bound.wrapping_neg() % bound {
                return (product >> 64) as u64;
            }
        }
    }
}

/// A permutation of `0..rows`: a pure function of its arguments, the same on every machine and in every version.
///
/// Algorithm: the SplitMix64 stream whose state starts at `mix(mix(seed + GAMMA) ^ epoch)` drives a Fisher-Yates
/// shuffle from the last place down; the partner of place `i` is drawn without bias from `0..=i`.
pub fn shuffled(rows: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut random = Random::of(seed, &[epoch]);
    let mut order: Vec<usize> = (0..rows).collect();
    for i in (1..rows).rev() {
        order.swap(i, random.below(i as u64 + 1) as usize);
    }
    order
}

/// As many rows as there are, in which every class that occurs has the same share: rows of small classes come several times, of large
/// classes only some, others in each epoch. Whole rounds of a class are used up before a row comes again. A pure function of its
/// arguments, as [`shuffled`]. `classes` has the class of each row.
pub fn balanced(classes: &[u32], seed: u64, epoch: u64) -> Vec<usize> {
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); classes.iter().max().map_or(0, |&most| most as usize + 1)];
    classes.iter().enumerate().for_each(|(row, &class)| members[class as usize].push(row));
    members.retain(|rows| !rows.is_empty());
    let (rows, count) = (classes.len(), members.len() as u64);
    let mut drawn = Vec::with_capacity(rows);
    for (class, members) in (0u64..).zip(&members) {
        // The classes that get one row more change from epoch to epoch.
        let more = (class + epoch) % count < rows as u64 % count;
        let end = drawn.len() + rows / count as usize + usize::from(more);
        let own_seed = mix(seed ^ mix(class.wrapping_add(GAMMA)));
        for round in 0u64.. {
            if drawn.len() == end {
                break;
            }
            let order = shuffled(members.len(), own_seed.wrapping_add(mix(round)), epoch);
            drawn.extend(order.into_iter().take(end - drawn.len()).map(|place| members[place]));
        }
    }
    shuffled(rows, mix(seed), epoch).into_iter().map(|place| drawn[place]).collect()
}

/// As many rows as there are, drawn with replacement: the bootstrap sample of this number. A pure function of its arguments, as [`shuffled`],
/// with a stream of its own.
pub fn resampled(rows: usize, seed: u64, number: u64) -> impl Iterator<Item = usize> {
    let mut random = Random::of(seed, &[number, RESAMPLING]);
    (0..rows).map(move |_| random.below(rows as u64) as usize)
}

/// So many tosses of a fair coin. A pure function of its arguments, as [`shuffled`], with a stream of its own.
pub fn coins(count: usize, seed: u64, number: u64) -> impl Iterator<Item = bool> {
    let mut random = Random::of(seed, &[number, TOSSING]);
    (0..count).map(move |_| random.below(2) == 1)
}
