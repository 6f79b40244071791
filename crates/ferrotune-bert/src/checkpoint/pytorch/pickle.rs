//! A reader of pickles: the instructions that `torch.save` writes, protocol 2 and what 3 to 5 add to it
//! (<https://docs.python.org/3/library/pickletools.html>). It must not know tensors, nor call anything.

use super::DAMAGED;
use super::objects::{Global, Objects, Value};
use std::collections::HashMap;

/// The instruction with which every pickle of protocol 2 and later begins.
pub(super) const PROTO: u8 = 0x80;
/// Most instructions that are followed. A tensor takes about 40, so this is enough for 25 000 tensors. Each leaves one value at
/// most, which bounds the memory of any pickle.
const INSTRUCTION_CAP: usize = 1 << 20;

/// What a pickle built.
#[derive(Debug)]
pub(super) struct Pickled<'a> {
    pub root: Value<'a>,
    pub objects: Objects<'a>,
    /// Its length in bytes.
    pub length: usize,
}

/// Follows the pickle at the beginning of `bytes`.
///
/// # Errors
/// A name that is not known; anything that Python would not accept, or that weights do not need.
pub(super) fn load(bytes: &[u8]) -> Result<Pickled<'_>, String> {
    let mut machine = Machine { bytes, ..Machine::default() };
    for _ in 0..INSTRUCTION_CAP {
        if let Some(root) = machine.step()? {
            return Ok(Pickled { root, objects: machine.objects, length: machine.at });
        }
    }
    Err(format!("has more than {INSTRUCTION_CAP} instructions in its pickle; {}", super::CONVERT))
}

/// Python's stack machine.
#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    /// Heights of the stack at which an open sequence begins.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    objects: Objects<'a>,
}

impl<'a> Machine<'a> {
    /// One instruction; the result after the last.
    fn step(&mut self) -> Result<Option<Value<'a>>, String> {
        let [code] = self.array()?;
        match code {
            PROTO => {
                let [version] = self.array()?;
                if !(2..=5).contains(&version) {
                    return Err(self.damage(&format!("there is no protocol {version}")));
                }
            }
            // FRAME announces how many bytes follow, for readers that read by pieces.
            0x95 => drop(self.array::<8>()?),
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'J' => self.push_int(i32::from_le_bytes, i128::from)?,
            b'K' => self.push_int(u8::from_le_bytes, i128::from)?,
            b'M' => self.push_int(u16::from_le_bytes, i128::from)?,
            0x8a => self.long()?,
            b'G' => {
                self.array::<8>()?;
                self.stack.push(Value::Float);
            }
            // Texts, and the byte strings of Python 2.
            0x8c | b'U' => self.text::<1>()?,
            b'X' | b'T' => self.text::<4>()?,
            0x8d => self.text::<8>()?,
            b')' => self.push_tuple(Vec::new()),
            0x85..=0x87 => {
                let count = usize::from(code - 0x84);
                let first = self.stack.len().checked_sub(count).filter(|&first| first >= self.floor());
                let first = first.ok_or_else(|| self.damage("the stack is empty"))?;
                let items = self.stack.split_off(first);
                self.push_tuple(items);
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push_tuple(items);
            }
            b']' => {
                let list = self.objects.list();
                self.stack.push(list);
            }
            b'}' => {
                let dict = self.objects.dict();
                self.stack.push(dict);
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set(&items)?;
            }
            b'q' => {
                let [index] = self.array()?;
                self.remember(index.into())?;
            }
            b'r' => {
                let index = u32::from_le_bytes(self.array()?);
                self.remember(index)?;
            }
            // One entry an instruction, and those are counted.
            0x94 => self.remember(self.memo.len() as u32)?,
            b'h' => {
                let [index] = self.array()?;
                self.recall(index.into())?;
            }
            b'j' => {
                let index = u32::from_le_bytes(self.array()?);
                self.recall(index)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.stack.push(Value::Global(Global::named(module, name)?));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(name), Value::Text(module)) = (name, module) else {
                    return Err(self.damage("a name is no text"));
                };
                self.stack.push(Value::Global(Global::named(module, name)?));
            }
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let made = self.objects.call(function, arguments).map_err(|problem| self.unknown(&problem))?;
                self.stack.push(made);
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.objects.persistent(id).map_err(|problem| self.unknown(&problem))?;
                self.stack.push(storage);
            }
            // Attributes of a dictionary: `_metadata`, the versions of modules, which weights do not need.
            b'b' => match (self.pop()?, self.stack.last()) {
                (_, Some(Value::Dict(_))) => {}
                (_, other) => {
                    let kind = other.map_or("nothing", |other| other.kind());
                    return Err(self.unknown(&format!("{kind} is given attributes")));
                }
            },
            other => return Err(self.unknown(&format!("the instruction 0x{other:02x} is not one that weights need"))),
        }
        Ok(None)
    }

    /// What no writer writes.
    fn damage(&self, problem: &str) -> String {
        format!("the pickle makes no sense before byte {}: {problem}; {DAMAGED}", self.at)
    }

    /// What others than PyTorch may have written.
    fn unknown(&self, problem: &str) -> String {
        format!("the pickle is not one of weights, before byte {}: {problem}; {}", self.at, super::CONVERT)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count);
        let Some(taken) = end.and_then(|end| self.bytes.get(self.at..end)) else {
            return Err(format!("the pickle does not end within {} bytes; {DAMAGED}", self.bytes.len()));
        };
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn push_int<const N: usize, T>(&mut self, read: fn([u8; N]) -> T, widen: fn(T) -> i128) -> Result<(), String> {
        let number = widen(read(self.array()?));
        self.stack.push(Value::Int(number));
        Ok(())
    }

    /// A whole number of as many bytes as the first says, little-endian in two's complement.
    fn long(&mut self) -> Result<(), String> {
        let [count] = self.array()?;
        let bytes = self.take(count.into())?;
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut wide = [if negative { 0xff } else { 0 }; 16];
        let Some(low) = wide.get_mut(..bytes.len()) else {
            return Err(self.unknown(&format!("there is a number of {count} bytes")));
        };
        low.copy_from_slice(bytes);
        self.stack.push(Value::Int(i128::from_le_bytes(wide)));
        Ok(())
    }

    /// A text behind its length, a number of `N` bytes.
    fn text<const N: usize>(&mut self) -> Result<(), String> {
        let mut wide = [0; 8];
        wide[..N].copy_from_slice(&self.array::<N>()?);
        let length = usize::try_from(u64::from_le_bytes(wide)).unwrap_or(usize::MAX);
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| self.damage("a text is not UTF-8"))?;
        self.stack.push(Value::Text(text));
        Ok(())
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        let line = self.take(length)?;
        self.array::<1>()?;
        std::str::from_utf8(line).map_err(|_| self.damage("a name is not UTF-8"))
    }

    /// Height below which the open sequence does not reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Value<'a>, String> {
        if self.stack.len() <= self.floor() {
            return Err(self.damage("the stack is empty"));
        }
        self.stack.pop().ok_or_else(|| self.damage("the stack is empty"))
    }

    /// The open sequence, which ends here.
    fn pop_mark(&mut self) -> Result<Vec<Value<'a>>, String> {
        let mark = self.marks.pop().ok_or_else(|| self.damage("a sequence ends that did not begin"))?;
        Ok(self.stack.split_off(mark))
    }

    fn push_tuple(&mut self, items: Vec<Value<'a>>) {
        let tuple = self.objects.tuple(items);
        self.stack.push(tuple);
    }

    fn append(&mut self, items: Vec<Value<'a>>) -> Result<(), String> {
        match self.stack.last() {
            Some(&Value::List(list)) => self.objects.lists[list].extend(items),
            _ => return Err(self.damage("something is appended to what is no list")),
        }
        Ok(())
    }

    /// Keys and values in turn.
    fn set(&mut self, items: &[Value<'a>]) -> Result<(), String> {
        let Some(&Value::Dict(dict)) = self.stack.last() else {
            return Err(self.damage("an entry is made in what is no dictionary"));
        };
        let (pairs, []) = items.as_chunks::<2>() else { return Err(self.damage("a key has no value")) };
        self.objects.dicts[dict].extend(pairs.iter().map(|&[key, value]| (key, value)));
        Ok(())
    }

    fn remember(&mut self, index: u32) -> Result<(), String> {
        let top = *self.stack.last().ok_or_else(|| self.damage("the stack is empty"))?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<(), String> {
        let value = *self.memo.get(&index).ok_or_else(|| self.damage("a value is recalled that was not kept"))?;
        self.stack.push(value);
        Ok(())
    }
}
