//! The safetensors header: parsed from a reader and the file's size, with every number in it checked before use.
//! Our own parser, because the `safetensors` crate lets duplicate names win silently, accepts any name, and overflows on
//! hostile offsets. Format: 8 bytes little-endian header length, JSON, then the data without gaps
//! (<https://github.com/huggingface/safetensors#format>). It must not know what the tensors are for.

use super::sniff::known_wrong_weights;
use super::stored::{DIMENSION_CAP, Dtype, HEADER_CAP, Header, RANK_CAP, StoredTensor, check_name};
use crate::error::{BertError, one_line, quoted};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::Read;
use std::path::Path;

const LENGTH_BYTES: u64 = 8;
/// What to make of a header that is JSON but contradicts itself.
const FAULTY: &str = "the file is damaged or was made by a faulty writer, fetch it again or save it anew";

/// Reads and checks the header of a file of `file_bytes` bytes. Allocates a small multiple of the header's size at most, which [`HEADER_CAP`] bounds.
pub(crate) fn read_header(reader: &mut dyn Read, file_bytes: u64, path: &Path) -> Result<Header, BertError> {
    let bad = |problem: String| BertError::Format { file: path.to_path_buf(), problem };
    let io = |cause| BertError::io("read", path, cause);
    let mut first = Vec::new();
    reader.take(64).read_to_end(&mut first).map_err(io)?;
    let explain = |problem: String| match known_wrong_weights(&first) {
        Some(kind) => bad(kind.to_string()),
        None => bad(format!("{problem}; the file is damaged or was not fully downloaded, fetch it again")),
    };
    if first.is_empty() {
        return Err(explain("the file is empty".to_string()));
    }
    let Some(length) = first.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes)) else {
        return Err(explain(format!("has {file_bytes} bytes, too few for a safetensors header")));
    };
    let room = file_bytes.saturating_sub(LENGTH_BYTES);
    if length > room {
        return Err(explain(format!("claims a header of {length} bytes, but {room} bytes follow")));
    }
    if length > HEADER_CAP {
        return Err(explain(format!("claims a header of {length} bytes, the limit is {HEADER_CAP}")));
    }
    if length < 2 {
        return Err(explain(format!("claims a header of {length} bytes, too few for a JSON object")));
    }
    let mut text = Vec::new();
    let mut rest = (&first[8..]).chain(reader);
    (&mut rest).take(length).read_to_end(&mut text).map_err(io)?;
    if text.len() as u64 != length {
        return Err(explain(format!("ends inside its header: {} of {length} bytes are there", text.len())));
    }
    // The format allows padding with spaces at the end, and nothing before the brace.
    let last = text.iter().rev().find(|&&byte| byte != b' ');
    if text[0] != b'{' || last != Some(&b'}') {
        return Err(explain("the header does not begin with { and end with }".to_string()));
    }
    let entries: Entries = serde_json::from_slice(&text)
        .map_err(|error| explain(format!("the header is not valid: {}", one_line(&error.to_string(), 300))))?;
    let tensors = check_layout(entries.tensors, LENGTH_BYTES + length, file_bytes).map_err(bad)?;
    Ok(Header { tensors, metadata: entries.metadata })
}

/// Turns header entries into stored tensors, or says which rule the first offender breaks.
fn check_layout(entries: Vec<(String, Entry)>, data_start: u64, file_bytes: u64) -> Result<Vec<StoredTensor>, String> {
    let mut tensors = Vec::with_capacity(entries.len());
    for (name, entry) in entries {
        let at = |problem: String| format!("tensor {}: {problem}; {FAULTY}", quoted(&name));
        check_name(&name).map_err(at)?;
        let dtype = Dtype::from_name(&entry.dtype).ok_or_else(|| {
            let (name, dtype) = (quoted(&name), quoted(&entry.dtype));
            format!("tensor {name}: element type {dtype} is not known; convert the model to F32, F16 or BF16")
        })?;
        if entry.shape.len() > RANK_CAP {
            return Err(at(format!("has more than {RANK_CAP} dimensions, which are the most that are allowed")));
        }
        if let Some(size) = entry.shape.iter().find(|&&size| size > DIMENSION_CAP) {
            return Err(at(format!("has a dimension of {size}, at most {DIMENSION_CAP} is allowed")));
        }
        let bytes = entry.shape.iter().try_fold(dtype.bytes(), |product, &size| product.checked_mul(size));
        let bytes = bytes.ok_or_else(|| at(format!("shape {:?} is larger than any file", entry.shape)))?;
        let [begin, end] = entry.data_offsets;
        let stored = end.checked_sub(begin).ok_or_else(|| at(format!("ends at {end} before it begins at {begin}")))?;
        if stored != bytes {
            return Err(at(format!(
                "occupies {stored} bytes, but its shape {:?} of {} needs {bytes}",
                entry.shape,
                dtype.name()
            )));
        }
        let begin = data_start.checked_add(begin).filter(|begin| begin.checked_add(bytes).is_some());
        let begin = begin.ok_or_else(|| at("lies beyond the end of any file".to_string()))?;
        let shape: Result<Vec<usize>, _> = entry.shape.iter().map(|&size| usize::try_from(size)).collect();
        let shape = shape.map_err(|_| at("has a dimension that this machine cannot address".to_string()))?;
        tensors.push(StoredTensor { name, dtype, shape, strides: None, begin, bytes });
    }
    // Empty tensors come before the one that begins at the same byte, so that the walk below meets them first.
    tensors.sort_by(|a, b| (a.begin, a.bytes, &a.name).cmp(&(b.begin, b.bytes, &b.name)));
    let mut position = data_start;
    for tensor in &tensors {
        if tensor.begin != position {
            let fault =
                if tensor.begin < position { "overlaps the tensor before it" } else { "leaves a gap before it" };
            return Err(format!(
                "tensor {} {fault}: it begins at byte {}, expected {position}; {FAULTY}",
                quoted(&tensor.name),
                tensor.begin
            ));
        }
        position += tensor.bytes;
    }
    if position != file_bytes {
        let fault = if position > file_bytes { "is truncated" } else { "has bytes after its last tensor" };
        return Err(format!(
            "{fault}: its header describes {position} bytes, the file has {file_bytes}; fetch it again"
        ));
    }
    Ok(tensors)
}

/// One entry of the header as written.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    #[serde(deserialize_with = "few")]
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// Dimensions, no more of them than one too many: [`check_layout`] says so with the tensor's name, and a hostile list takes no memory.
fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    struct Few;
    impl<'de> Visitor<'de> for Few {
        type Value = Vec<u64>;
        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("a sequence")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Vec<u64>, A::Error> {
            let mut shape = Vec::new();
            while let Some(size) = all.next_element()? {
                if shape.len() <= RANK_CAP {
                    shape.push(size);
                }
            }
            Ok(shape)
        }
    }
    deserializer.deserialize_seq(Few)
}

/// Lets `Entry` be read from an object only: a derived struct would also accept an array of its fields.
struct ObjectEntry(Entry);

impl<'de> Deserialize<'de> for ObjectEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor;
        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = ObjectEntry;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object with dtype, shape and data_offsets")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ObjectEntry, A::Error> {
                Entry::deserialize(MapAccessDeserializer::new(map)).map(ObjectEntry)
            }
        }
        deserializer.deserialize_map(EntryVisitor)
    }
}

/// The header's top level, in which every key must be unique.
struct Entries {
    tensors: Vec<(String, Entry)>,
    metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut seen = HashSet::new();
        let mut entries = Entries { tensors: Vec::new(), metadata: BTreeMap::new() };
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                return Err(de::Error::custom(format_args!("{} occurs twice", quoted(&name))));
            }
            if name == "__metadata__" {
                let Metadata(pairs) = map.next_value()?;
                entries.metadata = pairs;
            } else {
                let named = |error| de::Error::custom(format_args!("tensor {}: {error}", quoted(&name)));
                let ObjectEntry(entry) = map.next_value().map_err(named)?;
                entries.tensors.push((name, entry));
            }
        }
        Ok(entries)
    }
}

/// `__metadata__`: strings to strings, keys unique.
struct Metadata(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MetadataVisitor;
        impl<'de> Visitor<'de> for MetadataVisitor {
            type Value = Metadata;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object of strings as __metadata__")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                let mut pairs = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    if pairs.contains_key(&key) {
                        return Err(de::Error::custom(format_args!("{} occurs twice in __metadata__", quoted(&key))));
                    }
                    pairs.insert(key, value);
                }
                Ok(Metadata(pairs))
            }
        }
        deserializer.deserialize_map(MetadataVisitor)
    }
}
