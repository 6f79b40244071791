//! One file a family of kernels: the structs that its launches pass, in the layout of their twins in `kernels/`, and the launches. They check
//! lengths, and must not know the tensor core's tape or ops.

pub(crate) mod activation;
pub(crate) mod add_norm;
pub(crate) mod attention;
pub(crate) mod column_sums;
pub(crate) mod copy;
pub(crate) mod elementwise;
pub(crate) mod embedding;
pub(crate) mod linear;
pub(crate) mod losses;
pub(crate) mod optimizer;
pub(crate) mod reduce;
pub(crate) mod softmax;
mod teams;
