//! Names, shapes and places of parameters in one flat allocation; scopes that follow checkpoint paths. Holds no data.

use crate::Shape;
use crate::init::Init;
use std::collections::HashMap;
use std::ops::Range;

/// Parameters start at multiples of this many elements (64 bytes), so that SIMD kernels read whole cache lines.
const ALIGN: usize = 16;

/// Identifies one parameter of a [`Layout`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ParamId(pub(crate) u32);

impl ParamId {
    /// The position of the parameter in its layout.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What is known about one parameter.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The checkpoint path, such as `bert.encoder.layer.0.attention.self.query.weight`.
    pub name: String,
    /// The extents.
    pub shape: Shape,
    /// The elements' place in the flat allocation.
    pub range: Range<usize>,
    /// How the parameter starts when no checkpoint gives it.
    pub init: Init,
}

/// The parameters of a model in the order of their declaration.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    entries: Vec<Entry>,
    by_name: HashMap<String, ParamId>,
    len: usize,
}

impl Layout {
    /// A layout without parameters.
    pub fn new() -> Layout {
        Layout::default()
    }

    /// The root scope: names are declared through it.
    pub fn root(&mut self) -> Scope<'_> {
        Scope { layout: self, path: String::new() }
    }

    /// All parameters, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// One parameter.
    pub fn entry(&self, id: ParamId) -> &Entry {
        &self.entries[id.index()]
    }

    /// The parameter of this name.
    pub fn find(&self, name: &str) -> Option<ParamId> {
        self.by_name.get(name).copied()
    }

    /// The identifiers of all parameters, in order.
    pub fn ids(&self) -> impl Iterator<Item = ParamId> + use<> {
        (0..self.entries.len() as u32).map(ParamId)
    }

    /// Elements of the flat allocation, the gaps of alignment included.
    pub fn flat_len(&self) -> usize {
        self.len
    }

    /// Elements of all parameters, without gaps.
    pub fn parameter_count(&self) -> usize {
        self.entries.iter().map(|e| e.shape.len()).sum()
    }

    #[track_caller]
    fn declare(&mut self, name: String, shape: Shape, init: Init) -> ParamId {
        let id = ParamId(self.entries.len() as u32);
        let clash = self.by_name.insert(name.clone(), id);
        assert!(clash.is_none(), "layout: parameter `{name}` is declared twice");
        let start = self.len;
        self.len = start + shape.len().next_multiple_of(ALIGN);
        self.entries.push(Entry { name, shape, range: start..start + shape.len(), init });
        id
    }
}

/// A place in the tree of names. `scope.enter("attention").param("weight", ..)` declares `…attention.weight`.
pub struct Scope<'a> {
    layout: &'a mut Layout,
    path: String,
}

impl Scope<'_> {
    /// The scope one level deeper.
    pub fn enter(&mut self, name: impl std::fmt::Display) -> Scope<'_> {
        Scope { path: join(&self.path, &name.to_string()), layout: self.layout }
    }

    /// Declares a parameter here. Panics if the name is taken.
    #[track_caller]
    pub fn param(&mut self, name: &str, shape: impl Into<Shape>, init: Init) -> ParamId {
        let name = join(&self.path, name);
        self.layout.declare(name, shape.into(), init)
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
}
