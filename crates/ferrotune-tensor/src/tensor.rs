//! Tensors and borrowed views of them; ndarray at the edges. Knows no gradient.

use crate::{Backend, Cpu, Role, Shape};
use ndarray::{ArrayViewD, ArrayViewMutD, IxDyn};

/// A contiguous row-major f32 tensor on a backend. Its buffer may be larger than its shape (the pool recycles by capacity).
pub struct Tensor<B: Backend = Cpu> {
    /// The extents.
    pub shape: Shape,
    pub(crate) role: Role,
    pub(crate) buf: B::Buf,
}

/// A borrowed tensor: what an op receives. `data` is `&[f32]` on the CPU.
pub struct View<'a, B: Backend = Cpu> {
    /// The extents.
    pub shape: Shape,
    /// The elements, exactly `shape.len()` of them.
    pub data: B::Ref<'a>,
}

impl<B: Backend> Clone for View<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Backend> Copy for View<'_, B> {}

impl<B: Backend> Tensor<B> {
    /// An activation outside of any pool, contents unspecified.
    pub fn on(backend: &B, shape: impl Into<Shape>) -> Tensor<B> {
        let shape = shape.into();
        Tensor { shape, role: Role::Activation, buf: backend.alloc(shape.len(), Role::Activation) }
    }

    /// The tensor, borrowed.
    pub fn view(&self) -> View<'_, B> {
        View { shape: self.shape, data: self.data() }
    }

    /// The elements: `&[f32]` on the CPU.
    pub fn data(&self) -> B::Ref<'_> {
        B::slice(&self.buf, 0..self.shape.len())
    }

    /// The elements for writing: `&mut [f32]` on the CPU.
    pub fn data_mut(&mut self) -> B::Mut<'_> {
        B::slice_mut(&mut self.buf, 0..self.shape.len())
    }
}

impl Tensor<Cpu> {
    /// A tensor of this shape holding a copy of `data`.
    #[track_caller]
    pub fn from_slice(shape: impl Into<Shape>, data: &[f32]) -> Tensor<Cpu> {
        let shape = shape.into();
        assert!(
            shape.len() == data.len(),
            "tensor: shape {shape:?} needs {} elements, got {}",
            shape.len(),
            data.len()
        );
        let mut tensor = Tensor::on(&Cpu, shape);
        tensor.data_mut().copy_from_slice(data);
        tensor
    }

    /// The tensor as an ndarray view, without a copy.
    pub fn array(&self) -> ArrayViewD<'_, f32> {
        self.view().array()
    }

    /// The tensor as a writable ndarray view, without a copy.
    pub fn array_mut(&mut self) -> ArrayViewMutD<'_, f32> {
        let dims = IxDyn(self.shape.dims());
        ArrayViewMutD::from_shape(dims, self.data_mut()).expect("a tensor is contiguous and as long as its shape")
    }
}

impl<'a> View<'a, Cpu> {
    /// The view as an ndarray view, without a copy.
    pub fn array(&self) -> ArrayViewD<'a, f32> {
        ArrayViewD::from_shape(IxDyn(self.shape.dims()), self.data).expect("a view is as long as its shape")
    }
}

impl From<ArrayViewD<'_, f32>> for Tensor<Cpu> {
    /// Copies an array of any memory order into row-major order.
    fn from(array: ArrayViewD<'_, f32>) -> Tensor<Cpu> {
        let mut tensor = Tensor::on(&Cpu, Shape::new(array.shape()));
        tensor.array_mut().assign(&array);
        tensor
    }
}
