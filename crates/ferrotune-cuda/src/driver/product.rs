//! Matrix products by cuBLASLt. It must not know what is multiplied.
//!
//! cuBLASLt counts in columns: a row-major `(m, n)` matrix is its column-major `(n, m)`. So `c = a·b` is asked for as `cᵀ = bᵀ·aᵀ`: b comes first,
//! a second, no memory is transposed, and the bias, which cuBLASLt adds to each column of its result, is added to each row of ours.

use super::context::{Context, Memory};
use super::error::{OpenError, OrError};
use crate::device::{Kind, Matrix, Product};
use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys;
use cudarc::driver::result::memset_d8_async;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Arc;

/// Bytes that an algorithm may use for partial sums; what NVIDIA advises for Hopper.
const WORKSPACE: usize = 32 << 20;

/// Products on one device.
pub(super) struct Products {
    handle: Handle,
    /// One is enough: products run one after another.
    workspace: Memory,
    plans: HashMap<Class, Plan>,
    context: Arc<Context>,
}

/// What the choice of an algorithm depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Class {
    /// m, n, k; the number of tokens of a batch is rounded up.
    sizes: [usize; 3],
    /// Bytes of the numbers of the factors and of the result.
    bytes: [usize; 2],
    transposed: [bool; 2],
    tf32: bool,
    /// Largest powers of two that divide the addresses of a, b, c and the bias, which is 0 if there is none.
    alignments: [u32; 4],
}

/// How the products of a class are computed.
#[derive(Clone, Copy)]
struct Plan {
    algorithm: sys::cublasLtMatmulAlgo_t,
    /// m and k of the last product, for which the algorithm is known to work.
    sizes: [usize; 2],
}

impl Products {
    /// The context has been entered.
    pub fn new(context: &Arc<Context>) -> Result<Products, OpenError> {
        let handle = Handle(result::create_handle().or_error("start cuBLASLt")?);
        let workspace = context.try_alloc(WORKSPACE).or_error("allocate the workspace of products")?;
        Ok(Products { handle, workspace, plans: HashMap::new(), context: context.clone() })
    }

    /// Queues a product. The context has been entered.
    ///
    /// # Safety
    /// The memory of the product is as [`Device::product`](crate::device::Device::product) says.
    pub unsafe fn queue(&mut self, product: &Product) {
        let &Product { a, b, c, m, n, k, .. } = product;
        assert!(a.kind == b.kind && !c.transposed, "{product:?}");
        assert!(product.bias.is_none() || product.beta == 0.0, "a bias with an old result: {product:?}");
        assert!(a.kind == Kind::Bf16 || c.kind == Kind::F32, "factors in f32 give a result in f32: {product:?}");
        if m == 0 || n == 0 {
            return;
        }
        if k == 0 {
            // SAFETY: the caller promises of c what is asked here.
            unsafe { self.queue_nothing(product) };
            return;
        }
        let failed = || format!("multiply {m} x {k} by {k} x {n} ({:?} to {:?})", a.kind, c.kind);
        let call = Call::new(product).or_throw(failed);
        let plan = self.plan(product, &call).or_throw(failed);
        let one = 1.0f32;
        // SAFETY: the handles are live. The matrices lie in memory of this device, with the sizes of their layouts, as the caller promises; the
        // workspace is as large as said, and whatever used it before is before this in the stream. The two factors of scale are read before the call
        // returns.
        unsafe {
            result::matmul(
                self.handle.0,
                call.description.0,
                (&raw const one).cast(),
                (&raw const product.beta).cast(),
                b.address as *const c_void,
                call.b.0,
                a.address as *const c_void,
                call.a.0,
                c.address as *const c_void,
                call.c.0,
                c.address as *mut c_void,
                call.c.0,
                &raw const plan.algorithm,
                self.workspace.address() as *mut c_void,
                WORKSPACE,
                self.context.compute.cast(),
            )
        }
        .or_throw(failed);
    }

    /// A product of empty sums, which cuBLASLt does not take.
    ///
    /// # Safety
    /// At the address of c begin `m·n` numbers of its kind in live memory of this device, and nobody else has borrowed them.
    unsafe fn queue_nothing(&self, product: &Product) {
        let &Product { c, m, n, .. } = product;
        assert!(product.bias.is_none(), "a bias on empty sums: {product:?}");
        if product.beta == 0.0 {
            // SAFETY: the caller promises `m·n` numbers of this kind in memory of this device. Zero in both kinds is all bits zero.
            unsafe { memset_d8_async(c.address, 0, m * n * c.kind.bytes(), self.context.compute) }
                .or_throw(|| format!("clear {m} x {n} numbers"));
        }
    }

    /// The algorithm for this product: that of its class if it works for these sizes too, and otherwise a new choice.
    fn plan(&mut self, product: &Product, call: &Call) -> Result<Plan, CublasError> {
        let class = Class::of(product);
        let sizes = [product.m, product.k];
        let known = self.plans.get(&class).copied();
        let works = known.filter(|plan| plan.sizes == sizes || call.runs(&self.handle, &plan.algorithm));
        let algorithm = match works {
            Some(plan) => plan.algorithm,
            None => call.choose(&self.handle, class.alignments)?,
        };
        let plan = Plan { algorithm, sizes };
        self.plans.insert(class, plan);
        Ok(plan)
    }
}

impl Class {
    fn of(product: &Product) -> Class {
        let &Product { a, b, c, bias, m, n, k, tf32, .. } = product;
        let alignment = |address: u64| 1 << address.trailing_zeros().min(8);
        Class {
            // n is a width of the model in all products; m or k is the number of tokens, and the other a width.
            sizes: [class(m), n, class(k)],
            bytes: [a.kind.bytes(), c.kind.bytes()],
            transposed: [a.transposed, b.transposed],
            tf32,
            alignments: [alignment(a.address), alignment(b.address), alignment(c.address), bias.map_or(0, alignment)],
        }
    }
}

/// Rounded up by at most an eighth, to at most eight sizes between two powers of two.
fn class(size: usize) -> usize {
    let step = (size.next_power_of_two() / 16).max(1);
    size.next_multiple_of(step)
}

/// The descriptions of a product, in cuBLASLt's order of columns.
struct Call {
    description: Description,
    a: Layout,
    b: Layout,
    c: Layout,
}

impl Call {
    fn new(product: &Product) -> Result<Call, CublasError> {
        let &Product { a, b, c, bias, m, n, k, tf32, .. } = product;
        let compute = match a.kind {
            Kind::F32 if tf32 => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
            _ => sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
        };
        let description = Description(result::create_matmul_desc(compute, sys::cudaDataType::CUDA_R_32F)?);
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        // Transposed twice is not at all: what is stored as it is read needs no operation, CUBLAS_OP_N = 0. CUBLAS_OP_T = 1.
        let operation = |matrix: Matrix| i32::from(matrix.transposed);
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, operation(b))?;
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSB, operation(a))?;
        if let Some(bias) = bias {
            description
                .set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS)?;
            // Of the result's type unless said otherwise.
            description.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias)?;
        }
        Ok(Call { description, a: Layout::new(a, m, k)?, b: Layout::new(b, k, n)?, c: Layout::new(c, m, n)? })
    }

    /// Whether an algorithm that was chosen for other sizes runs this product too.
    fn runs(&self, handle: &Handle, algorithm: &sys::cublasLtMatmulAlgo_t) -> bool {
        let mut found = std::mem::MaybeUninit::<sys::cublasLtMatmulHeuristicResult_t>::zeroed();
        // SAFETY: the handles are live, and the result outlives the call. All its fields may be zero: 0 is the state of success.
        let (status, found) = unsafe {
            let status = sys::cublasLtMatmulAlgoCheck(
                handle.0,
                self.description.0,
                self.b.0,
                self.a.0,
                self.c.0,
                self.c.0,
                algorithm,
                found.as_mut_ptr(),
            );
            (status, found.assume_init())
        };
        let is_good = |status| status == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS;
        is_good(status) && is_good(found.state) && found.workspaceSize <= WORKSPACE
    }

    /// The algorithm that cuBLASLt holds for the fastest.
    fn choose(&self, handle: &Handle, alignments: [u32; 4]) -> Result<sys::cublasLtMatmulAlgo_t, CublasError> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let preference = Preference(result::create_matmul_pref()?);
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, WORKSPACE)?;
        // Long sums may be cut in pieces, but the pieces are added in f32, never in bf16.
        let schemes = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE as u32;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, schemes)?;
        let [a, b, c, _] = alignments;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, b)?;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, a)?;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, c)?;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, c)?;
        let (a, b, c) = (self.a.0, self.b.0, self.c.0);
        // SAFETY: the handles are live.
        let found =
            unsafe { result::get_matmul_algo_heuristic(handle.0, self.description.0, b, a, c, c, preference.0) }?;
        Ok(found.algo)
    }
}

/// cuBLASLt itself.
struct Handle(sys::cublasLtHandle_t);

// SAFETY: the handle belongs to no thread.
unsafe impl Send for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is live, and nobody has it afterwards. There is nothing to do about a failure, here and below.
        let _ = unsafe { result::destroy_handle(self.0) };
    }
}

/// What is computed.
struct Description(sys::cublasLtMatmulDesc_t);

impl Description {
    /// `value` is of the attribute's type.
    fn set<T>(&self, attribute: sys::cublasLtMatmulDescAttributes_t, value: T) -> Result<(), CublasError> {
        // SAFETY: the description is live, and cuBLASLt copies as many bytes as the value has; it refuses a wrong number.
        unsafe { result::set_matmul_desc_attribute(self.0, attribute, (&raw const value).cast(), size_of::<T>()) }
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        // SAFETY: as for `Handle`.
        let _ = unsafe { result::destroy_matmul_desc(self.0) };
    }
}

/// How a matrix is stored.
struct Layout(sys::cublasLtMatrixLayout_t);

impl Layout {
    /// A matrix of this shape as it is read.
    fn new(matrix: Matrix, rows: usize, columns: usize) -> Result<Layout, CublasError> {
        let kind = match matrix.kind {
            Kind::F32 => sys::cudaDataType::CUDA_R_32F,
            Kind::Bf16 => sys::cudaDataType::CUDA_R_16BF,
        };
        let (rows, columns) = if matrix.transposed { (columns, rows) } else { (rows, columns) };
        // Its stored rows are cuBLASLt's columns, each `columns` numbers after the one before.
        Ok(Layout(result::create_matrix_layout(kind, columns as u64, rows as u64, columns as i64)?))
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: as for `Handle`.
        let _ = unsafe { result::destroy_matrix_layout(self.0) };
    }
}

/// What an algorithm may use.
struct Preference(sys::cublasLtMatmulPreference_t);

impl Preference {
    /// `value` is of the attribute's type.
    fn set<T>(&self, attribute: sys::cublasLtMatmulPreferenceAttributes_t, value: T) -> Result<(), CublasError> {
        // SAFETY: as in `Description::set`.
        unsafe { result::set_matmul_pref_attribute(self.0, attribute, (&raw const value).cast(), size_of::<T>()) }
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: as for `Handle`.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_fall_into_few_classes_that_are_little_larger() {
        for (size, expected) in
            [(1, 1), (15, 15), (16, 16), (17, 18), (100, 104), (384, 384), (1536, 1536), (4097, 4608)]
        {
            assert_eq!(class(size), expected, "{size}");
        }
        let classes: std::collections::BTreeSet<usize> = (1025..=2048).map(class).collect();
        assert_eq!(classes.len(), 8);
        assert!((1..5000).all(|size| class(size) >= size && class(size) * 8 <= size * 9 + 8));
    }
}
