//! What lies on the disk of a run, and what it needs of memory: its folder, its files read back, what it was made of. It must not know how a run works.

pub mod files;
pub mod fingerprint;
pub mod folder;
pub mod manifest;
pub mod memory;
pub mod prefix;
pub mod replaced;
pub mod staged;
pub mod sums;
