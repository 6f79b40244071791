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

    /// The identifier of the parameter at this place in the order.
    pub fn id(&self, index: usize) -> ParamId {
        assert!(index < self.entries.len(), "layout: parameter {index} of {}", self.entries.len());
        ParamId(index as u32)
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

    /// The parameters `ids` as one matrix (or vector) of all their rows.
    ///
    /// # Panics
    /// If they do not adjoin (see [`Scope::param_below`]) or differ in their width.
    #[track_caller]
    pub fn joined(&self, ids: Range<usize>) -> (Shape, Range<usize>) {
        let entries = &self.entries[ids];
        let first = &entries[0];
        let mut rows = 0;
        for (above, entry) in std::iter::once(first).chain(entries).zip(entries) {
            let adjoins = entry.range.start == above.range.end || rows == 0;
            let fits = entry.shape.dims().len() == first.shape.dims().len()
                && (entry.shape.dims().len() == 1 || entry.shape.width() == first.shape.width());
            assert!(adjoins && fits, "layout: `{}` is not below `{}` with the same width", entry.name, above.name);
            rows += entry.shape.dims()[0];
        }
        let shape = match first.shape.dims() {
            [_] => [rows].into(),
            _ => [rows, first.shape.width()].into(),
        };
        (shape, first.range.start..entries[entries.len() - 1].range.end)
    }

    #[track_caller]
    fn declare(&mut self, name: String, shape: Shape, init: Init, start: usize) -> ParamId {
        let id = ParamId(self.entries.len() as u32);
        let clash = self.by_name.insert(name.clone(), id);
        assert!(clash.is_none(), "layout: parameter `{name}` is declared twice");
        self.len = (start + shape.len()).next_multiple_of(ALIGN);
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
        let (name, start) = (join(&self.path, name), self.layout.len);
        self.layout.declare(name, shape.into(), init, start)
    }

    /// Declares a parameter whose elements follow those of the last one without a gap, so that both can be read as one matrix:
    /// [`Tape::joined`](crate::Tape::joined). Panics if the name is taken.
    #[track_caller]
    pub fn param_below(&mut self, name: &str, shape: impl Into<Shape>, init: Init) -> ParamId {
        let (name, start) = (join(&self.path, name), self.layout.entries.last().map_or(0, |above| above.range.end));
        self.layout.declare(name, shape.into(), init, start)
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
}
