//! Recycles tensor buffers, so that a training step allocates nothing once each size has been seen. Knows no op.

use crate::{Backend, Cpu, Role, Shape, Tensor};
use std::collections::BTreeMap;

/// A stock of free buffers by capacity. `take` gives the smallest free buffer that fits, within twice the length.
pub struct Pool<B: Backend = Cpu> {
    backend: B,
    /// By storage and capacity.
    free: BTreeMap<(usize, usize), Stock<B>>,
    pass: u64,
    misses: usize,
    held: usize,
}

/// Buffers, each with the pass in which it came back, the oldest first.
type Stock<B> = Vec<(u64, <B as Backend>::Buf)>;

impl<B: Backend> Pool<B> {
    /// An empty pool.
    pub fn new(backend: B) -> Pool<B> {
        Pool { backend, free: BTreeMap::new(), pass: 0, misses: 0, held: 0 }
    }

    /// A tensor of this shape with unspecified contents: an output of an op, or a gradient of one.
    pub fn take(&mut self, shape: impl Into<Shape>) -> Tensor<B> {
        self.take_as(Role::Activation, shape.into())
    }

    /// A tensor of few numbers that are kept as they are also where the device stores activations in less: statistics, losses.
    pub fn take_statistic(&mut self, shape: impl Into<Shape>) -> Tensor<B> {
        self.take_as(Role::Statistic, shape.into())
    }

    fn take_as(&mut self, role: Role, shape: Shape) -> Tensor<B> {
        let storage = self.backend.storage(role);
        let wanted = capacity_class(shape.len());
        let mut fits = self.free.range_mut((storage, wanted)..=(storage, wanted * 2));
        let buf = match fits.find_map(|(_, stock)| stock.pop()) {
            Some((_, buf)) => buf,
            None => {
                self.make_room(storage, wanted);
                self.misses += 1;
                self.held += wanted;
                self.backend.alloc(wanted, role)
            }
        };
        Tensor { shape, role, buf }
    }

    /// Says that another forward pass begins: what lies here now was of use to earlier ones.
    pub(crate) fn next_pass(&mut self) {
        self.pass += 1;
    }

    /// Before a larger buffer is allocated, the nearest smaller one that this pass has not used is given back to the device: where
    /// batches grow, it is the one whose place the larger takes. Memory then follows the largest batch and not the sum of all sizes.
    fn make_room(&mut self, storage: usize, wanted: usize) {
        let pass = self.pass;
        let unused = |stock: &Vec<(u64, B::Buf)>| stock.first().is_some_and(|(last, _)| *last < pass);
        let mut smaller = self.free.range_mut((storage, wanted / 2)..(storage, wanted)).rev();
        if let Some((&(_, capacity), stock)) = smaller.find(|(_, stock)| unused(stock)) {
            stock.remove(0);
            self.held -= capacity;
        }
    }

    /// A vector of `len` elements with unspecified contents: working memory for a kernel.
    pub fn scratch(&mut self, len: usize) -> Tensor<B> {
        self.take_statistic([len])
    }

    /// Takes a tensor back for later use.
    pub fn give(&mut self, tensor: Tensor<B>) {
        let key = (self.backend.storage(tensor.role), B::capacity(&tensor.buf));
        self.free.entry(key).or_default().push((self.pass, tensor.buf));
    }

    /// How many buffers had to be allocated so far.
    pub fn misses(&self) -> usize {
        self.misses
    }

    /// Elements in all buffers that this pool has allocated.
    pub fn held(&self) -> usize {
        self.held
    }
}

/// Lengths are rounded up to eighths of a power of two: ragged batches of nearly the same size then share buffers, and
/// at most an eighth of a new buffer is unused.
fn capacity_class(len: usize) -> usize {
    let step = (len.next_power_of_two() / 16).max(64);
    len.max(1).div_ceil(step) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_buffer_is_used_again_for_sizes_near_it() {
        let mut pool = Pool::new(Cpu);
        let first = pool.take([700, 384]);
        pool.give(first);
        let smaller = pool.take([500, 384]);
        assert_eq!((pool.misses(), smaller.shape.len()), (1, 500 * 384));
        pool.give(smaller);
        let much_smaller = pool.take([3]);
        assert_eq!(pool.misses(), 2, "a tiny tensor must not occupy a large buffer");
        pool.give(much_smaller);
    }

    #[test]
    fn memory_follows_the_largest_batch_and_not_the_sum_of_sizes() {
        let mut pool = Pool::new(Cpu);
        let mut step = |tokens: usize| {
            pool.next_pass();
            let taken: Vec<_> = [384, 1152, 384, 1536, 1536, 384].map(|width| pool.take([tokens, width])).into();
            taken.into_iter().for_each(|tensor| pool.give(tensor));
            (pool.held(), pool.misses())
        };
        let sizes = [700, 620, 810, 755, 930, 1010, 840, 1100];
        let mut largest = 0;
        for tokens in sizes.into_iter().chain(sizes) {
            let (held, _) = step(tokens);
            largest = largest.max(tokens);
            let needed = largest * (3 * 384 + 1152 + 2 * 1536);
            assert!(held <= needed * 5 / 4, "{tokens} tokens: {held} held, {needed} needed");
        }
        let seen = step(1100).1;
        sizes
            .into_iter()
            .for_each(|tokens| assert_eq!(step(tokens).1, seen, "{tokens} tokens: sizes were all seen twice"));
    }

    #[test]
    fn classes_waste_at_most_an_eighth() {
        for len in [1usize, 63, 64, 65, 1000, 4097, 286_464, 1_145_856] {
            let class = capacity_class(len);
            assert!(class >= len && class - len <= (len / 8).max(64), "{len} -> {class}");
        }
    }
}
