//! What a device must offer, on each device: copies, tables on their way, matrix products. Kernels are the business of `contract.rs`.
#![cfg(any(feature = "shim", feature = "driver"))]

use ferrotune_cuda::device::{Device, Kind, Matrix, Product};

/// Numbers that look random, between -1 and 1, with few enough digits that bf16 stores them exactly.
fn numbers(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state % 257) as f32 / 128.0 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Memory that checks what lies in it.
struct Held<'d, D: Device> {
    device: &'d D,
    memory: D::Memory,
    len: usize,
}

impl<'d, D: Device> Held<'d, D> {
    fn new(device: &'d D, len: usize) -> Self {
        Held { device, memory: device.alloc(len), len }
    }

    fn address(&self) -> u64 {
        D::address(&self.memory)
    }

    /// Copies to so many bytes behind its beginning.
    fn upload(&mut self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.len, "{} bytes at {at} of {}", bytes.len(), self.len);
        // SAFETY: the memory is live and nobody else's, and the assert found the bytes within it.
        unsafe { self.device.upload(self.address() + at as u64, bytes) };
    }

    /// All bytes from there on.
    fn download(&self, at: usize) -> Vec<u8> {
        let mut back = vec![0; self.len - at];
        // SAFETY: the memory is live, and has as many bytes from there on as the vector was made for.
        unsafe { self.device.download(self.address() + at as u64, &mut back) };
        back
    }
}

fn bytes_of(numbers: &[f32], kind: Kind) -> Vec<u8> {
    match kind {
        Kind::F32 => numbers.iter().flat_map(|x| x.to_ne_bytes()).collect(),
        Kind::Bf16 => numbers.iter().flat_map(|x| ((x.to_bits() >> 16) as u16).to_ne_bytes()).collect(),
    }
}

fn numbers_of(bytes: &[u8], kind: Kind) -> Vec<f32> {
    match kind {
        Kind::F32 => bytes.chunks(4).map(|x| f32::from_ne_bytes(x.try_into().expect("4 bytes"))).collect(),
        Kind::Bf16 => {
            let half = |x: &[u8]| u16::from_ne_bytes(x.try_into().expect("2 bytes"));
            bytes.chunks(2).map(|x| f32::from_bits(u32::from(half(x)) << 16)).collect()
        }
    }
}

/// What is uploaded comes back, also beside what is neighbouring it.
fn copies<D: Device>(device: &D) {
    for len in [1usize, 255, 4096, 3 << 20] {
        let mut memory = Held::new(device, len + 32);
        let address = memory.address();
        assert!(address.is_multiple_of(256), "{len} bytes at {address}");
        let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + i / 256) as u8).collect();
        memory.upload(0, &vec![0xaa; len + 32]);
        memory.upload(16, &bytes);
        let back = memory.download(0);
        assert!(back[..16] == [0xaa; 16] && back[16..16 + len] == bytes[..] && back[16 + len..] == [0xaa; 16], "{len}");
    }
}

/// A table stays until `STAGED` further bytes are staged, for many laps of a ring; the host's bytes may change at once.
fn tables<D: Device>(device: &D) {
    let mut bytes = vec![0u8; D::STAGED / 5 + 3];
    let mut sent = Vec::new();
    for round in 0..60u8 {
        let len = bytes.len() - usize::from(round % 7);
        bytes.fill(round);
        // SAFETY: nothing is queued that reads staged bytes but the copies below, each before more is staged.
        let address = unsafe { device.stage(&bytes[..len]) };
        assert!(address.is_multiple_of(16), "{address}");
        bytes.fill(0xff);
        sent.push((address, len, round));
        // The last four take 4/5 of what is kept.
        for &(address, len, round) in sent.iter().rev().take(4) {
            let mut back = vec![0; len];
            // SAFETY: `len` bytes were staged at the address, and less than `STAGED` behind them.
            unsafe { device.download(address, &mut back) };
            assert!(back.iter().all(|&byte| byte == round), "table {round} of {}", sent.len());
        }
    }
    // SAFETY: as above.
    unsafe { device.stage(&[]) };
}

/// Products of all kinds, transposed or not, with and without a bias, over an old result and over not-a-numbers, of sizes and at addresses that no
/// vector divides, beside sums in f64.
fn products<D: Device>(device: &D) {
    let sizes = [[1, 1, 1], [7, 5, 3], [64, 96, 32], [33, 96, 64], [130, 6, 128], [257, 16, 65], [8, 16, 2048]];
    let kinds = [
        (Kind::F32, Kind::F32, false),
        (Kind::F32, Kind::F32, true),
        (Kind::Bf16, Kind::Bf16, false),
        (Kind::Bf16, Kind::F32, false),
    ];
    for (case, [m, n, k]) in sizes.into_iter().enumerate() {
        for (factors, result, tf32) in kinds {
            for choice in 0..16u32 {
                let [by_a, by_b, with_bias, adds] = [1, 2, 4, 8].map(|bit| choice & bit != 0);
                if with_bias && adds {
                    continue; // Refused.
                }
                // Not aligned to vectors in half of the cases.
                let skip = if case % 2 == 0 { 0 } else { 1 };
                let memory = |numbers: &[f32], kind: Kind| {
                    let mut memory = Held::new(device, (numbers.len() + skip) * kind.bytes());
                    memory.upload(skip * kind.bytes(), &bytes_of(numbers, kind));
                    let address = memory.address() + (skip * kind.bytes()) as u64;
                    (memory, address)
                };
                let [a, b, old, bias] =
                    [(m * k, 1), (k * n, 2), (m * n, 3), (n, 4)].map(|(len, seed)| numbers(len, seed));
                let (held_a, at_a) = memory(&a, factors);
                let (held_b, at_b) = memory(&b, factors);
                let (held_c, at_c) = memory(&if adds { old.clone() } else { vec![f32::NAN; m * n] }, result);
                let (held_bias, at_bias) = memory(&bias, result);
                let product = Product {
                    a: Matrix { address: at_a, kind: factors, transposed: by_a },
                    b: Matrix { address: at_b, kind: factors, transposed: by_b },
                    c: Matrix { address: at_c, kind: result, transposed: false },
                    beta: if adds { 1.0 } else { 0.0 },
                    bias: with_bias.then_some(at_bias),
                    m,
                    n,
                    k,
                    tf32,
                };
                // SAFETY: behind what is skipped the four memories, which are held until below, have m·k, k·n, m·n and n numbers of these kinds.
                unsafe { device.product(&product) };
                let back = held_c.download(skip * result.bytes());
                drop((held_a, held_b, held_c, held_bias));
                for (index, &got) in numbers_of(&back, result).iter().enumerate() {
                    let (row, column) = (index / n, index % n);
                    let at = |x: &[f32], i: usize| f64::from(x[i]);
                    let term = |i| {
                        let a = at(&a, if by_a { i * m + row } else { row * k + i });
                        a * at(&b, if by_b { column * k + i } else { i * n + column })
                    };
                    let (sum, size) = (0..k).map(term).fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
                    let old = if adds { at(&old, index) } else { 0.0 };
                    let bias = if with_bias { at(&bias, column) } else { 0.0 };
                    let expected = sum + old + bias;
                    // The factors are exact in each kind: eight digits pass TF32's eleven. A sum of k terms in f32 errs by k half units of their size
                    // at most, and the result is rounded, in bf16 to eight digits: once, and where the old result is added before that too (as cuBLASLt
                    // was seen to do on an H200).
                    let size = size + old.abs() + bias.abs();
                    let rounded = expected.abs() + if adds { sum.abs() } else { 0.0 };
                    let rounding = if result == Kind::Bf16 { rounded * 2f64.powi(-8) } else { 0.0 };
                    let bound = size * (k + 2) as f64 * 2f64.powi(-24) + rounding;
                    let error = (f64::from(got) - expected).abs();
                    assert!(error <= bound, "[{row}, {column}]: {got}, not {expected}: {product:?}");
                }
            }
        }
    }
}

/// Sums of nothing: the result is 0 or stays.
fn empty_sums<D: Device>(device: &D) {
    for (beta, expected) in [(0.0, 0.0), (1.0, 1.5)] {
        let mut memory = Held::new(device, 6 * 4);
        let start = if beta == 0.0 { f32::NAN } else { 1.5 };
        memory.upload(0, &bytes_of(&[start; 6], Kind::F32));
        let c = Matrix { address: memory.address(), kind: Kind::F32, transposed: false };
        let product = Product { a: c, b: c, c, beta, bias: None, m: 2, n: 3, k: 0, tf32: false };
        // SAFETY: the memory has the six numbers of c, and the factors have none.
        unsafe { device.product(&product) };
        assert_eq!(numbers_of(&memory.download(0), Kind::F32), [expected; 6]);
    }
}

fn check<D: Device>(device: &D) {
    copies(device);
    tables(device);
    products(device);
    empty_sums(device);
}

#[cfg(feature = "shim")]
#[test]
fn the_shim() {
    check(&ferrotune_cuda::shim::Shim::new(false));
}

#[cfg(feature = "driver")]
#[test]
#[ignore = "needs a GPU: cargo xtask gpu"]
fn the_gpu() {
    use ferrotune_cuda::driver::Cuda;
    let folder = tempfile::tempdir().expect("a folder");
    // The second one reads what the first has kept.
    for _ in 0..2 {
        let gpu = Cuda::open(0, folder.path()).unwrap_or_else(|error| panic!("{error}"));
        check(&gpu);
        assert!(gpu.launches() > 0);
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 1);
    }
}
