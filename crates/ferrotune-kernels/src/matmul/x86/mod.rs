//! The x86-64 side of the matmul: vectors of intrinsics and the functions that enable their instruction sets. Must not contain a loop
//! over a matrix other than the packing of transposed panels.

pub(crate) mod amx;
pub(crate) mod avx2;
pub(crate) mod avx512;
mod transpose;
mod words;
