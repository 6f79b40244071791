//! Parallel loops whose results do not depend on the number of threads, over rayon. Must not know any kernel.
//!
//! Work is cut into chunks of a size that the kernel fixes, never into as many pieces as there are threads; sums of chunks are
//! combined by one fixed tree. One chunk, or one thread, runs inline on the caller without touching rayon. Call kernels from
//! inside a rayon pool (`ThreadPool::install`): from outside, each parallel call pays for waking a worker and waiting for it.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::vector;

/// Elements of a chunk of an elementwise kernel: 128 KiB of `f32`, some ten microseconds of work.
pub(crate) const CHUNK: usize = 32 * 1024;

/// Rows of `width` that make about `elements` elements, at least one. A function of the shape only.
pub(crate) fn rows_per_chunk(elements: usize, width: usize) -> usize {
    (elements / width.max(1)).max(1)
}

/// Calls `work(index, range)` for every chunk of `0..len`, in parallel if there is more than one. The last chunk may be short.
///
/// # Panics
/// If `chunk` is 0.
pub fn for_each_chunk(len: usize, chunk: usize, work: impl Fn(usize, Range<usize>) + Sync) {
    let run = |index: usize| work(index, index * chunk..len.min((index + 1) * chunk));
    let count = len.div_ceil(chunk);
    if count <= 1 || rayon::current_num_threads() == 1 {
        (0..count).for_each(run);
    } else {
        for_each_in(0..count, &run);
    }
}

fn for_each_in(items: Range<usize>, run: &(impl Fn(usize) + Sync)) {
    if items.len() <= 1 {
        items.for_each(run);
    } else {
        let middle = items.start + items.len() / 2;
        rayon::join(|| for_each_in(items.start..middle, run), || for_each_in(middle..items.end, run));
    }
}

/// Cuts `y` into chunks and calls `work(start, part)` for each, where `part` is `y[start..start + part.len()]`.
///
/// # Panics
/// If `chunk` is 0.
pub fn for_each_chunk_mut<T: Send>(y: &mut [T], chunk: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    if y.len() <= chunk || rayon::current_num_threads() == 1 {
        y.chunks_mut(chunk).enumerate().for_each(|(index, part)| work(index * chunk, part));
    } else {
        split_mut(0, y, chunk, &work);
    }
}

fn split_mut<T: Send>(start: usize, y: &mut [T], chunk: usize, work: &(impl Fn(usize, &mut [T]) + Sync)) {
    if y.len() <= chunk {
        return work(start, y);
    }
    let middle = y.len().div_ceil(chunk) / 2 * chunk;
    let (left, right) = y.split_at_mut(middle);
    rayon::join(|| split_mut(start, left, chunk, work), || split_mut(start + middle, right, chunk, work));
}

/// `Σ work(index, range)` over the chunks of `0..len`, added along one fixed binary tree over the chunks in their order.
///
/// # Panics
/// If `chunk` is 0.
pub fn sum_chunks(len: usize, chunk: usize, work: impl Fn(usize, Range<usize>) -> f64 + Sync) -> f64 {
    let run = |index: usize| work(index, index * chunk..len.min((index + 1) * chunk));
    let count = len.div_ceil(chunk);
    sum_in(0..count, rayon::current_num_threads() > 1, &run)
}

fn sum_in(items: Range<usize>, parallel: bool, run: &(impl Fn(usize) -> f64 + Sync)) -> f64 {
    if items.len() <= 1 {
        return items.map(run).sum();
    }
    let middle = items.start + items.len() / 2;
    let (left, right) = (items.start..middle, middle..items.end);
    if parallel {
        let (left, right) = rayon::join(|| sum_in(left, true, run), || sum_in(right, true, run));
        left + right
    } else {
        sum_in(left, false, run) + sum_in(right, false, run)
    }
}

/// Calls `work(items)` for runs of neighbouring items that together are all of `0..count`. Runs are halved until one weighs at most
/// `enough` or is a single item, so that small items share a task. `work` must not care how the runs are cut.
pub fn for_each_run(
    count: usize,
    enough: u64,
    weight: impl Fn(usize) -> u64 + Sync,
    work: impl Fn(Range<usize>) + Sync,
) {
    if count > 0 {
        if rayon::current_num_threads() == 1 {
            work(0..count);
        } else {
            halve(0..count, enough, &weight, &work);
        }
    }
}

fn halve(
    items: Range<usize>,
    enough: u64,
    weight: &(impl Fn(usize) -> u64 + Sync),
    work: &(impl Fn(Range<usize>) + Sync),
) {
    if items.len() == 1 || items.clone().map(weight).sum::<u64>() <= enough {
        return work(items);
    }
    let middle = items.start + items.len() / 2;
    rayon::join(|| halve(items.start..middle, enough, weight, work), || halve(middle..items.end, enough, weight, work));
}

/// A slice that several tasks write at once, each its own ranges.
#[derive(Clone, Copy)]
pub struct DisjointMut<'a, T = f32> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: it stands for a `&mut [T]`, which may go to another thread where T may; who makes two overlapping ranges at once breaks
// the contract of `range`.
unsafe impl<T: Send> Send for DisjointMut<'_, T> {}
// SAFETY: as above; shared use hands out only `&mut` to ranges that the contract of `range` keeps apart.
unsafe impl<T: Send> Sync for DisjointMut<'_, T> {}

impl DisjointMut<'_> {
    /// Asks for the cache line of an element, which may belong to anybody and may lie outside.
    #[inline(always)]
    pub(crate) fn prefetch(&self, element: usize) {
        vector::prefetch(self.start.wrapping_add(element));
    }
}

impl<'a, T> DisjointMut<'a, T> {
    /// Takes the slice for as long as the handle lives.
    pub fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// The elements `range`.
    ///
    /// # Safety
    /// No other range that is alive may overlap this one, whichever copy of the handle and whichever thread made it.
    ///
    /// # Panics
    /// If the range is not inside the slice.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn range(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "DisjointMut: {range:?} of a slice of {}", self.len);
        // SAFETY: the range lies inside the slice (asserted), which is borrowed for 'a, and the caller promises that nobody else holds it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

/// While it lives, the other threads of the pool look for work instead of going to sleep.
///
/// A step forks some hundred times, with pauses of 0.1 ms and more between two forks where one thread works alone. rayon puts an idle
/// thread to sleep after some 30 µs, and waking it takes longer than many kernels run. The price is a busy core while nothing
/// is to be done: hold it around work that comes without pauses, never while waiting for input. A thread of somebody else gets its share,
/// because the idle ones yield.
#[derive(Debug)]
pub struct Awake {
    is_over: Option<Arc<AtomicBool>>,
}

impl Awake {
    /// Keeps the pool of the calling thread awake; does nothing if that is not a thread of a pool, or the only one.
    pub fn new() -> Awake {
        let caller = rayon::current_thread_index();
        if caller.is_none() || rayon::current_num_threads() == 1 {
            return Awake { is_over: None };
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = is_over.clone();
        rayon::spawn_broadcast(move |context| {
            // The caller itself may come here while it waits for others.
            while Some(context.index()) != caller && !seen.load(Ordering::Relaxed) {
                if rayon::yield_now() != Some(rayon::Yield::Executed) {
                    std::thread::yield_now();
                }
            }
        });
        Awake { is_over: Some(is_over) }
    }
}

impl Default for Awake {
    fn default() -> Self {
        Awake::new()
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        if let Some(is_over) = &self.is_over {
            is_over.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
pub(crate) mod check;

#[cfg(test)]
mod tests {
    use super::check::on_threads;
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn chunks_cover_every_element_once_with_any_number_of_threads() {
        for threads in [1, 2, 5] {
            for (len, chunk) in [(0, 3), (1, 3), (3, 3), (4, 3), (1000, 7)] {
                let seen = Mutex::new(vec![]);
                on_threads(threads, || {
                    for_each_chunk(len, chunk, |index, range| seen.lock().unwrap().push((index, range)))
                });
                let mut seen = seen.into_inner().unwrap();
                seen.sort_by_key(|(index, _)| *index);
                let want: Vec<_> = (0..len.div_ceil(chunk)).map(|i| (i, i * chunk..len.min((i + 1) * chunk))).collect();
                assert_eq!(seen, want);

                let mut y = vec![usize::MAX; len];
                on_threads(threads, || {
                    for_each_chunk_mut(&mut y, chunk, |start, part| {
                        assert!(start % chunk == 0 && part.len() == chunk.min(len - start));
                        part.iter_mut().enumerate().for_each(|(i, y)| *y = start + i);
                    });
                });
                assert!(y.iter().enumerate().all(|(i, &y)| i == y));
            }
        }
    }

    #[test]
    fn sums_have_the_same_bits_with_any_number_of_threads() {
        let term = |i: usize| 1.0 / (i as f64 + 0.3);
        let sum = || sum_chunks(10_007, 10, |_, range| range.map(term).sum());
        let one = on_threads(1, sum);
        assert!((one - (0..10_007).map(term).sum::<f64>()).abs() < 1e-10);
        assert_eq!(one.to_bits(), on_threads(2, sum).to_bits());
        assert_eq!(one.to_bits(), on_threads(5, sum).to_bits());
        assert_eq!(sum_chunks(0, 10, |_, _| 1.0), 0.0);
    }

    #[test]
    fn an_awake_pool_still_runs_every_task_and_comes_to_rest() {
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for _ in 0..20 {
                let sum = pool.install(|| {
                    // Two at once, as nested users would hold them.
                    let (_outer, _inner) = (Awake::new(), Awake::new());
                    sum_chunks(1000, 7, |_, range| range.map(|i| i as f64).sum())
                });
                assert_eq!(sum, 499_500.0);
            }
            // Every thread answers: none is caught in a loop that nobody ends.
            assert_eq!(pool.broadcast(|_| ()).len(), threads);
        }
        drop(Awake::new());
    }

    #[test]
    fn runs_cover_every_item_and_stay_light() {
        let weight = |i: usize| (i % 13) as u64;
        for threads in [1, 3] {
            let seen = Mutex::new(vec![0; 500]);
            on_threads(threads, || {
                for_each_run(500, 40, weight, |run| {
                    assert!(threads == 1 || run.len() == 1 || run.clone().map(weight).sum::<u64>() <= 40);
                    run.for_each(|i| seen.lock().unwrap()[i] += 1);
                })
            });
            assert!(seen.into_inner().unwrap().iter().all(|&n| n == 1));
        }
        for_each_run(0, 40, weight, |_| unreachable!());
    }

    #[test]
    #[should_panic(expected = "DisjointMut: 3..6 of a slice of 5")]
    fn a_range_outside_the_slice_panics() {
        let mut x = [0.0f32; 5];
        let x = DisjointMut::new(&mut x);
        // SAFETY: the only range of this slice.
        unsafe { x.range(3..6) };
    }
}
