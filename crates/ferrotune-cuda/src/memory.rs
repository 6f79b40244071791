//! Memory as the kernels see it: f32 or bf16, and for parameters in f32 a shadow in bf16. The structs with `C` layout have twins in
//! `kernels/common.cuh`. It must not know kernels.

use crate::device::{Device, Kind};
use bytemuck::{NoUninit, Pod, Zeroable};
use ferrotune_tensor::Mask;
use std::marker::PhantomData;
use std::ops::Range;

/// Owned memory.
pub struct Buf<D: Device> {
    memory: D::Memory,
    len: usize,
    kind: Kind,
    /// Whether a bf16 copy of each number lies behind the numbers.
    has_shadow: bool,
}

impl<D: Device> Buf<D> {
    /// Room for so many numbers.
    pub fn new(device: &D, len: usize, kind: Kind, has_shadow: bool) -> Buf<D> {
        // A number takes six bytes at most; sizes in bytes must not wrap to small ones.
        assert!(len <= isize::MAX as usize / 8, "a buffer of {len} numbers");
        let bytes = if has_shadow { shadow_offset(len) + len * Kind::Bf16.bytes() } else { len * kind.bytes() };
        Buf { memory: device.alloc(bytes.max(1)), len, kind, has_shadow }
    }

    /// Numbers that fit.
    pub fn capacity(&self) -> usize {
        self.len
    }

    fn view(&self, range: Range<usize>) -> View {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of a buffer of {}", self.len);
        let start = D::address(&self.memory);
        let shadow = start + shadow_offset(self.len) as u64;
        View {
            data: start + (range.start * self.kind.bytes()) as u64,
            shadow: if self.has_shadow { shadow + (range.start * Kind::Bf16.bytes()) as u64 } else { 0 },
            is_bf16: u32::from(self.kind == Kind::Bf16),
            unused: 0,
        }
    }

    /// A part.
    pub fn slice(&self, range: Range<usize>) -> Ref<'_> {
        Ref { view: self.view(range.clone()), len: range.len(), life: PhantomData }
    }

    /// A part for writing.
    pub fn slice_mut(&mut self, range: Range<usize>) -> Mut<'_> {
        Mut { view: self.view(range.clone()), len: range.len(), life: PhantomData }
    }
}

/// Where the shadow of so many parameters begins: aligned, so that four numbers of it are one access where four parameters are.
fn shadow_offset(len: usize) -> usize {
    (len * Kind::F32.bytes()).next_multiple_of(256)
}

impl Kind {
    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            Kind::F32 => 4,
            Kind::Bf16 => 2,
        }
    }
}

/// Borrowed memory.
#[derive(Clone, Copy)]
pub struct Ref<'a> {
    pub(crate) view: View,
    /// Numbers; launches rely on it.
    pub(crate) len: usize,
    life: PhantomData<&'a ()>,
}

/// Memory borrowed for writing.
pub struct Mut<'a> {
    pub(crate) view: View,
    /// Numbers; launches rely on it.
    pub(crate) len: usize,
    life: PhantomData<&'a mut ()>,
}

impl<'a> Mut<'a> {
    /// What was written, to be read.
    pub fn read(self) -> Ref<'a> {
        Ref { view: self.view, len: self.len, life: PhantomData }
    }

    /// The first `at` numbers and the others.
    pub fn split(self, at: usize) -> (Mut<'a>, Mut<'a>) {
        assert!(at <= self.len, "split at {at} of {}", self.len);
        let view = self.view.skip(at);
        (Mut { len: at, ..self }, Mut { view, len: self.len - at, life: PhantomData })
    }
}

/// `View` of the kernels.
#[derive(Clone, Copy, Debug, Pod, Zeroable, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct View {
    pub data: u64,
    pub shadow: u64,
    pub is_bf16: u32,
    pub unused: u32,
}

impl View {
    /// No memory: for an argument that a kernel does not read.
    pub const NONE: View = View { data: 0, shadow: 0, is_bf16: 0, unused: 0 };

    pub fn kind(&self) -> Kind {
        if self.is_bf16 == 1 { Kind::Bf16 } else { Kind::F32 }
    }

    /// Where it begins, for a kernel that gets no view but an address, and takes what lies there for f32.
    pub fn address_of_f32(&self) -> u64 {
        assert!(self.kind() == Kind::F32, "a kernel takes numbers in f32, got {:?}", self.kind());
        self.data
    }

    /// Whether it begins at a multiple of four numbers: `four.cuh` then takes four at a time.
    pub fn begins_at_four(&self) -> bool {
        self.data.is_multiple_of(4 * self.kind().bytes() as u64)
    }

    /// Whether kernels may take its rows of `width` numbers four at a time.
    pub fn is_wide(&self, width: usize) -> bool {
        width.is_multiple_of(4) && self.begins_at_four()
    }

    /// The view without its first numbers.
    pub fn skip(self, numbers: usize) -> View {
        let shadow = if self.shadow == 0 { 0 } else { self.shadow + (numbers * Kind::Bf16.bytes()) as u64 };
        View { data: self.data + (numbers * self.kind().bytes()) as u64, shadow, ..self }
    }
}

/// `Target` of the kernels.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Place {
    pub to: View,
    pub beta: f32,
    pub wanted: u32,
}

impl Place {
    /// Nobody wants this gradient.
    pub const NONE: Place = Place { to: View::NONE, beta: 0.0, wanted: 0 };

    pub fn of(target: Option<(Mut<'_>, f32)>) -> Place {
        target.map_or(Place::NONE, |(to, beta)| Place { to: to.view, beta, wanted: 1 })
    }
}

/// `Mask` of the kernels.
#[derive(Clone, Copy, Debug, NoUninit)]
#[repr(C)]
pub(crate) struct Dropout {
    start: u64,
    low_key: u32,
    high_key: u32,
    threshold: u32,
    scale: f32,
}

impl From<Mask> for Dropout {
    fn from(mask: Mask) -> Dropout {
        let (start, [low_key, high_key], threshold, scale) = mask.numbers();
        Dropout { start, low_key, high_key, threshold, scale }
    }
}
