//! The fragments of tensor cores: one product whose every factor goes through shared memory and registers as the kernels bring it.
#![cfg(feature = "shim")]

use ferrotune_cuda::device::{Device, Grid};
use ferrotune_cuda::shim::Shim;

/// `MmaCheckParams` of `kernels/mma_check.cu`.
#[derive(Clone, Copy, bytemuck::NoUninit)]
#[repr(C)]
struct Params {
    a: u64,
    b_by_columns: u64,
    b_by_rows: u64,
    c: u64,
}

/// A small integer in bf16, other at every place, so that products and sums are exact and no two places can be exchanged unseen.
fn number(row: usize, column: usize, seed: usize) -> f32 {
    ((row * 31 + column * 17 + row * column * 7 + seed) % 23) as f32 - 11.0
}

fn bf16(rows: usize, columns: usize, value: impl Fn(usize, usize) -> f32) -> Vec<u8> {
    let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    places.flat_map(|(row, column)| ((value(row, column).to_bits() >> 16) as u16).to_ne_bytes()).collect()
}

#[test]
fn a_product_goes_through_the_documented_layouts() {
    let (a, b) = (|row, k| number(row, k, 1), |k, column| number(k, column, 5));
    for descending in [false, true] {
        let device = Shim::new(descending);
        let sent = [bf16(16, 16, a), bf16(8, 16, |column, k| b(k, column)), bf16(16, 8, b)].map(|bytes| {
            let memory = device.alloc(bytes.len());
            // SAFETY: the memory has been allocated for these bytes.
            unsafe { device.upload(Shim::address(&memory), &bytes) };
            memory
        });
        let c = device.alloc(2 * 16 * 8 * size_of::<f32>());
        let [a_at, b_by_columns, b_by_rows] = sent.each_ref().map(Shim::address);
        let params = Params { a: a_at, b_by_columns, b_by_rows, c: Shim::address(&c) };
        let one_warp = Grid { blocks: [1, 1], threads: 32, shared: 0 };
        // SAFETY: the parameters have the kernel's layout, a, b and b again lie in memory of their 16·16, 8·16 and 16·8 numbers in bf16, and c has
        // room for two results.
        unsafe { device.launch("mma_check", one_warp, &params) };
        let mut got = [[[0f32; 8]; 16]; 2];
        // SAFETY: c has been allocated for as many bytes as these two results have.
        unsafe { device.download(Shim::address(&c), bytemuck::bytes_of_mut(&mut got)) };
        for (way, got) in ["by columns", "by rows"].iter().zip(got) {
            for (row, got) in got.iter().enumerate() {
                for (column, got) in got.iter().enumerate() {
                    let want = 1.0 + (0..16).map(|k| a(row, k) * b(k, column)).sum::<f32>();
                    assert_eq!(*got, want, "b {way}, row {row}, column {column}");
                }
            }
        }
    }
}
