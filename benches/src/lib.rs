//! Benches of kernels and of a whole training step; the files beside this one. Must not hold code that others import.
#![forbid(unsafe_code)]
