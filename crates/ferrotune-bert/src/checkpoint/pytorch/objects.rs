//! What a pickle builds: plain values, and of Python's objects the few that weights are made of. It must not know the
//! instructions of a pickle, nor where data lies.

use super::super::stored::Dtype;
use super::CONVERT;
use crate::error::quoted;
use std::collections::HashMap;

/// A value. Everything that has parts lies in [`Objects`], so values are copied freely and nothing nests: however deep a hostile
/// pickle goes, nobody follows it by recursion.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i128),
    Float,
    Text(&'a str),
    Global(Global),
    Tuple(usize),
    List(usize),
    Dict(usize),
    Storage(usize),
    Tensor(usize),
}

impl Value<'_> {
    /// For messages.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Value::None => "None",
            Value::Bool(_) => "a truth value",
            Value::Int(_) | Value::Float => "a number",
            Value::Text(_) => "a text",
            Value::Global(_) => "a function",
            Value::Tuple(_) => "a tuple",
            Value::List(_) => "a list",
            Value::Dict(_) => "a dictionary",
            Value::Storage(_) => "a storage without shape",
            Value::Tensor(_) => "a tensor",
        }
    }
}

/// The names out of Python's modules that weights need.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    StorageOf(Dtype),
}

impl Global {
    /// The name that is meant, or a refusal that says it.
    pub(super) fn named(module: &str, name: &str) -> Result<Global, String> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch", "FloatStorage") => Global::StorageOf(Dtype::F32),
            ("torch", "HalfStorage") => Global::StorageOf(Dtype::F16),
            ("torch", "BFloat16Storage") => Global::StorageOf(Dtype::BF16),
            ("torch", "DoubleStorage") => Global::StorageOf(Dtype::F64),
            ("torch", "LongStorage") => Global::StorageOf(Dtype::I64),
            ("torch", "IntStorage") => Global::StorageOf(Dtype::I32),
            ("torch", "ShortStorage") => Global::StorageOf(Dtype::I16),
            ("torch", "CharStorage") => Global::StorageOf(Dtype::I8),
            ("torch", "ByteStorage") => Global::StorageOf(Dtype::U8),
            ("torch", "BoolStorage") => Global::StorageOf(Dtype::Bool),
            _ => {
                let name = quoted(&format!("{module}.{name}"));
                return Err(format!(
                    "holds a Python object, {name}; only tensors under their names are read, and nothing of it was run: \
                     {CONVERT}"
                ));
            }
        })
    }
}

/// A run of elements of one type, which tensors are views of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Storage<'a> {
    /// Its name in the file.
    pub key: &'a str,
    pub dtype: Dtype,
    pub elements: u64,
    /// Their length, which does not overflow.
    pub bytes: u64,
}

/// A tensor as the pickle describes it, unchecked: a tuple that a pickle repeats a million times is not copied as often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tensor<'a> {
    /// Index of its storage.
    pub storage: usize,
    pub offset: Value<'a>,
    /// Indices of tuples.
    pub shape: usize,
    pub strides: usize,
}

/// Everything with parts.
#[derive(Debug, Default)]
pub(super) struct Objects<'a> {
    pub lists: Vec<Vec<Value<'a>>>,
    pub dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    pub storages: Vec<Storage<'a>>,
    by_key: HashMap<&'a str, usize>,
    pub tensors: Vec<Tensor<'a>>,
}

impl<'a> Objects<'a> {
    pub(super) fn tuple(&mut self, items: Vec<Value<'a>>) -> Value<'a> {
        self.lists.push(items);
        Value::Tuple(self.lists.len() - 1)
    }

    pub(super) fn list(&mut self) -> Value<'a> {
        self.lists.push(Vec::new());
        Value::List(self.lists.len() - 1)
    }

    pub(super) fn dict(&mut self) -> Value<'a> {
        self.dicts.push(Vec::new());
        Value::Dict(self.dicts.len() - 1)
    }

    /// The storage that has this key.
    pub(super) fn storage(&self, key: &str) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// What a call gives.
    pub(super) fn call(&mut self, function: Value<'a>, arguments: Value<'a>) -> Result<Value<'a>, String> {
        let (Value::Global(function), Value::Tuple(arguments)) = (function, arguments) else {
            return Err(format!("{} is called with {}", function.kind(), arguments.kind()));
        };
        match (function, self.lists[arguments].as_slice()) {
            (Global::OrderedDict, []) => Ok(self.dict()),
            (
                Global::RebuildTensor,
                &[Value::Storage(storage), offset, Value::Tuple(shape), Value::Tuple(strides), _, _],
            ) => {
                self.tensors.push(Tensor { storage, offset, shape, strides });
                Ok(Value::Tensor(self.tensors.len() - 1))
            }
            (Global::RebuildParameter, &[tensor @ Value::Tensor(_), _, _]) => Ok(tensor),
            (function, arguments) => {
                let kinds: Vec<&str> = arguments.iter().take(8).map(|argument| argument.kind()).collect();
                Err(format!("{function:?} is called with ({})", kinds.join(", ")))
            }
        }
    }

    /// The storage that a persistent id stands for: `("storage", type, key, device, elements)`, and in the old layout a view,
    /// which is None.
    pub(super) fn persistent(&mut self, id: Value<'a>) -> Result<Value<'a>, String> {
        let Value::Tuple(parts) = id else { return Err(format!("a storage is said by {}", id.kind())) };
        let (&[
            Value::Text("storage"),
            Value::Global(Global::StorageOf(dtype)),
            Value::Text(key),
            Value::Text(_),
            count,
        ]
        | &[
            Value::Text("storage"),
            Value::Global(Global::StorageOf(dtype)),
            Value::Text(key),
            Value::Text(_),
            count,
            Value::None,
        ]) = self.lists[parts].as_slice()
        else {
            return Err("a storage is not said as PyTorch does".to_string());
        };
        let elements = unsigned(count).ok_or_else(|| format!("storage {} has no count", quoted(key)))?;
        let bytes = elements.checked_mul(dtype.bytes());
        let bytes = bytes.ok_or_else(|| format!("storage {} is larger than any file", quoted(key)))?;
        let storage = Storage { key, dtype, elements, bytes };
        let index = *self.by_key.entry(key).or_insert(self.storages.len());
        match self.storages.get(index) {
            None => self.storages.push(storage),
            Some(known) if *known == storage => {}
            Some(_) => return Err(format!("storage {} has two types or sizes", quoted(key))),
        }
        Ok(Value::Storage(index))
    }
}

/// A whole number that is not negative.
pub(super) fn unsigned(value: Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(number).ok(),
        _ => None,
    }
}
