//! Btf: a small reader of the kernel's type information (BTF), for sizes, offsets and prototypes. It cannot fail after
//! the first check.
//!
//! krcu reads BTF itself because no crate fits: aya-obj does not publish the offsets of members, btf-rs is under the
//! LGPL while krcu is linked into one static file, and btf finds only one type for a name that several kinds of types have.
//!
//! [`Btf::parse`] checks all bytes once: every record lies inside them, every name ends, every reference to a type
//! leads to one. So a later question has one of two answers: it is there, or it is not there. References can still
//! form a circle, so every walk has a bound.
//!
//! The format is `Documentation/bpf/btf.rst` of the kernel; kinds are those of
//! `include/uapi/linux/btf.h`.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hasher as _};

use thiserror::Error;

mod format;

use format::*;

/// The longest chain of typedefs and qualifiers that is followed; the kernel's own limit is 32.
const CHAIN: usize = 32;
/// The deepest nesting of anonymous structures that is searched.
const NESTING: usize = 16;

/// Why this reader refuses the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BtfError {
    /// The first bytes are not those of little-endian BTF.
    #[error("it does not begin as little-endian BTF does")]
    Magic,
    /// A part lies or ends beyond the last byte.
    #[error("it is cut short: {part} needs byte {end} of {bytes}")]
    Short {
        /// The part that was being read.
        part: &'static str,
        /// The place of the first byte after that part.
        end: usize,
        /// The number of bytes.
        bytes: usize,
    },
    /// A type is of a kind whose length is not known.
    #[error("type {id} is of kind {kind}, which this version of krcu does not know")]
    Kind {
        /// Number of the type.
        id: usize,
        /// The kind found.
        kind: u32,
    },
    /// A type refers to a type or a name that is not there.
    #[error("type {id} refers to {what} {reference}, which is not there")]
    Reference {
        /// Number of the type.
        id: usize,
        /// "type" or "name".
        what: &'static str,
        /// The reference found.
        reference: u32,
    },
}

/// A member of a structure, found by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Bits before it, from the start of the outermost structure.
    pub bit_offset: u32,
    /// Bits it has, when it is a bit field.
    pub bits: Option<u32>,
    /// Its type.
    type_id: u32,
}

impl Member {
    /// Bytes before it; `None` when it does not begin at a byte.
    #[must_use]
    pub fn byte_offset(&self) -> Option<u32> {
        self.bit_offset.is_multiple_of(8).then_some(self.bit_offset / 8)
    }
}

/// The kind of a function's argument, as far as krcu needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A pointer to a function.
    FunctionPointer,
    /// A pointer to anything else.
    Pointer,
    /// No pointer.
    Other,
}

/// Checked BTF.
#[derive(Debug)]
pub struct Btf {
    bytes: Vec<u8>,
    strings: (usize, usize),
    /// Where the record of each type begins; type 0, void, has none.
    records: Vec<u32>,
    /// Numbers of the types of each kind, so that a search reads only those.
    by_kind: Vec<Vec<u32>>,
    /// Of each kind, numbers by the hash of their names. An index is made at the first search.
    by_name: [OnceCell<HashMap<u64, u32>>; KINDS],
}

impl Btf {
    /// Checks `bytes` and indexes their types.
    ///
    /// # Errors
    /// When they are not whole little-endian BTF; see [`BtfError`].
    pub fn parse(bytes: Vec<u8>) -> Result<Btf, BtfError> {
        let word = |part, at| word_at(&bytes, at).ok_or(short(part, at, 4, bytes.len()));
        if word("the header", 0)? & 0xffff != MAGIC {
            return Err(BtfError::Magic);
        }
        let header = word("the header", 4)? as usize;
        if header < HEADER_BYTES {
            return Err(short("the header", 0, HEADER_BYTES, header));
        }
        let section = |part, at| -> Result<(usize, usize), BtfError> {
            let begin = header.saturating_add(word("the header", at)? as usize);
            let end = begin.saturating_add(word("the header", at + 4)? as usize);
            if end > bytes.len() {
                return Err(short(part, end, 0, bytes.len()));
            }
            Ok((begin, end))
        };
        let types = section("the types", 8)?;
        let strings = section("the names", 16)?;
        let mut btf = Btf {
            bytes,
            strings,
            records: Vec::new(),
            by_kind: vec![Vec::new(); KINDS],
            by_name: Default::default(),
        };
        btf.index(types)?;
        btf.check_references()?;
        Ok(btf)
    }

    fn index(&mut self, (begin, end): (usize, usize)) -> Result<(), BtfError> {
        let mut at = begin;
        while at < end {
            let id = self.records.len() + 1;
            let record = self.record_at(at).ok_or(short("a type", at, 12, self.bytes.len()))?;
            let next = following_bytes(record.kind, record.items)
                .ok_or(BtfError::Kind { id, kind: record.kind })?
                .saturating_add(record.after);
            if next > end {
                return Err(short("a type", next, 0, end));
            }
            if let (Ok(place), Ok(number), Some(kind)) =
                (u32::try_from(at), u32::try_from(id), self.by_kind.get_mut(record.kind as usize))
            {
                self.records.push(place);
                kind.push(number);
            }
            at = next;
        }
        Ok(())
    }

    fn check_references(&self) -> Result<(), BtfError> {
        let known = |reference: u32| reference as usize <= self.records.len();
        for (index, place) in self.records.iter().enumerate() {
            let id = index + 1;
            let Some(record) = self.record_at(*place as usize) else { continue };
            if self.name(record.name).is_none() {
                return Err(BtfError::Reference { id, what: "name", reference: record.name });
            }
            let refers = matches!(record.kind, KIND_PTR | KIND_TYPEDEF..=KIND_FUNC_PROTO | KIND_TYPE_TAG);
            let own = refers.then_some(record.size_or_type);
            let theirs = match record.kind {
                KIND_STRUCT | KIND_UNION => {
                    (0..record.items).filter_map(|n| self.item(&record, n, 3, 1)).collect()
                }
                KIND_FUNC_PROTO => (0..record.items).filter_map(|n| self.item(&record, n, 2, 1)).collect(),
                KIND_ARRAY => word_at(&self.bytes, record.after).into_iter().collect(),
                _ => Vec::new(),
            };
            if let Some(reference) = own.into_iter().chain(theirs).find(|reference| !known(*reference)) {
                return Err(BtfError::Reference { id, what: "type", reference });
            }
        }
        Ok(())
    }

    /// Bytes of the structure of this name.
    #[must_use]
    pub fn struct_bytes(&self, structure: &str) -> Option<u32> {
        self.named(KIND_STRUCT, structure).map(|record| record.size_or_type)
    }

    /// The member of a structure, looked for in its anonymous parts too.
    #[must_use]
    pub fn member(&self, structure: &str, member: &str) -> Option<Member> {
        self.member_in(&self.named(KIND_STRUCT, structure)?, member, 0, NESTING)
    }

    /// Elements of an array that is a member of a structure.
    #[must_use]
    pub fn array_length(&self, member: &Member) -> Option<u32> {
        let array = self.resolve(member.type_id).filter(|record| record.kind == KIND_ARRAY)?;
        word_at(&self.bytes, array.after + 8)
    }

    /// Bytes of each element of an array of structures that is a member, and the member of them.
    #[must_use]
    pub fn member_of_element(&self, array: &Member, member: &str) -> Option<(u32, Member)> {
        let array = self.resolve(array.type_id).filter(|record| record.kind == KIND_ARRAY)?;
        let element = self.resolve(word_at(&self.bytes, array.after)?)?;
        let found = self.member_in(&element, member, 0, NESTING)?;
        Some((element.size_or_type, found))
    }

    /// Value of an enumerator of the enumeration of this name.
    #[must_use]
    pub fn enumerator(&self, enumeration: &str, enumerator: &str) -> Option<u32> {
        let record = self.named(KIND_ENUM, enumeration)?;
        (0..record.items)
            .find(|n| {
                self.item(&record, *n, 2, 0).and_then(|name| self.name(name)) == Some(enumerator.as_bytes())
            })
            .and_then(|n| self.item(&record, n, 2, 1))
    }

    /// Number of the structure of this name.
    #[must_use]
    pub fn struct_number(&self, structure: &str) -> Option<u32> {
        self.number(KIND_STRUCT, structure)
    }

    /// Number of the function of this name.
    #[must_use]
    pub fn function_number(&self, function: &str) -> Option<u32> {
        self.number(KIND_FUNC, function)
    }

    /// BTF in which the functions and type names (`typedef`) of these names have the numbers that they have here. All other
    /// types are forward declarations without a name, so whoever searches it for these finds them at once.
    #[must_use]
    pub fn only(&self, names: &BTreeSet<&str>) -> Vec<u8> {
        // BTF has 32 bits for each of these.
        let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let mut kept: BTreeMap<u32, (&str, Record)> = BTreeMap::new();
        for (kind, name) in
            [KIND_FUNC, KIND_TYPEDEF].into_iter().flat_map(|kind| names.iter().map(move |name| (kind, *name)))
        {
            if let Some(id) = self.number(kind, name)
                && let Some(record) = self.record(id)
            {
                kept.insert(id, (name, record));
            }
        }
        let (mut types, mut strings) = (Vec::with_capacity(self.records.len() * 12), vec![0]);
        for id in (1..).take(self.records.len()) {
            let (name, info, reference) = match kept.get(&id) {
                Some((name, record)) => {
                    let at = word(strings.len());
                    strings.extend(name.bytes().chain([0]));
                    (at, record.kind << 24 | word(record.items), record.size_or_type)
                }
                None => (0, KIND_FWD << 24, 0),
            };
            types.extend([name, info, reference].into_iter().flat_map(u32::to_le_bytes));
        }
        let (types_bytes, strings_bytes) = (word(types.len()), word(strings.len()));
        let header = [MAGIC | VERSION << 16, word(HEADER_BYTES), 0, types_bytes, types_bytes, strings_bytes];
        let mut bytes: Vec<u8> = header.into_iter().flat_map(u32::to_le_bytes).collect();
        bytes.append(&mut types);
        bytes.append(&mut strings);
        bytes
    }

    /// Whether there is a function of this name. That does not mean that it can be probed.
    #[must_use]
    pub fn has_function(&self, function: &str) -> bool {
        self.named(KIND_FUNC, function).is_some()
    }

    /// Whether there is a type name (`typedef`) of this name.
    #[must_use]
    pub fn has_typedef(&self, name: &str) -> bool {
        self.named(KIND_TYPEDEF, name).is_some()
    }

    /// The kind of argument `index` of a function, counted from 0.
    #[must_use]
    pub fn argument(&self, function: &str, index: usize) -> Option<Argument> {
        let prototype = self.resolve(self.named(KIND_FUNC, function)?.size_or_type)?;
        if prototype.kind != KIND_FUNC_PROTO || index >= prototype.items {
            return None;
        }
        let argument = self.resolve(self.item(&prototype, index, 2, 1)?)?;
        if argument.kind != KIND_PTR {
            return Some(Argument::Other);
        }
        let target = self.resolve(argument.size_or_type);
        Some(match target {
            Some(target) if target.kind == KIND_FUNC_PROTO => Argument::FunctionPointer,
            _ => Argument::Pointer,
        })
    }

    fn member_in(&self, record: &Record, member: &str, before: u32, depth: usize) -> Option<Member> {
        if !matches!(record.kind, KIND_STRUCT | KIND_UNION) {
            return None;
        }
        (0..record.items).find_map(|n| {
            let name = self.name(self.item(record, n, 3, 0)?)?;
            let type_id = self.item(record, n, 3, 1)?;
            let offset = self.item(record, n, 3, 2)?;
            let (bits, offset) = if record.flag { (offset >> 24, offset & 0xff_ffff) } else { (0, offset) };
            let bit_offset = before.checked_add(offset)?;
            if name == member.as_bytes() {
                return Some(Member { bit_offset, bits: (bits != 0).then_some(bits), type_id });
            }
            if !name.is_empty() || depth == 0 {
                return None;
            }
            self.member_in(&self.resolve(type_id)?, member, bit_offset, depth - 1)
        })
    }

    fn named(&self, kind: u32, name: &str) -> Option<Record> {
        self.record(self.number(kind, name)?)
    }

    /// The first type of this kind and name.
    fn number(&self, kind: u32, name: &str) -> Option<u32> {
        let ids = self.by_kind.get(kind as usize)?;
        let name_of = |id: u32| self.record(id).and_then(|record| self.name(record.name));
        let index = self.by_name.get(kind as usize)?.get_or_init(|| {
            let mut index = HashMap::with_capacity(ids.len());
            for id in ids {
                index.entry(hash(name_of(*id).unwrap_or_default())).or_insert(*id);
            }
            index
        });
        let id = *index.get(&hash(name.as_bytes()))?;
        if name_of(id) == Some(name.as_bytes()) {
            return Some(id);
        }
        // Another name has the same hash.
        ids.iter().copied().find(|id| name_of(*id) == Some(name.as_bytes()))
    }

    /// The type behind typedefs and qualifiers; `None` for void and for a circle.
    fn resolve(&self, mut id: u32) -> Option<Record> {
        for _ in 0..CHAIN {
            let record = self.record(id)?;
            match record.kind {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => {
                    id = record.size_or_type;
                }
                _ => return Some(record),
            }
        }
        None
    }

    fn record(&self, id: u32) -> Option<Record> {
        self.record_at(*self.records.get((id as usize).checked_sub(1)?)? as usize)
    }

    fn record_at(&self, at: usize) -> Option<Record> {
        let info = word_at(&self.bytes, at.checked_add(4)?)?;
        Some(Record {
            name: word_at(&self.bytes, at)?,
            kind: info >> 24 & 0x1f,
            items: (info & 0xffff) as usize,
            flag: info >> 31 == 1,
            size_or_type: word_at(&self.bytes, at.checked_add(8)?)?,
            after: at.checked_add(12)?,
        })
    }

    /// Word `word` of item `n` after a record, each item having `words` of them.
    fn item(&self, record: &Record, n: usize, words: usize, word: usize) -> Option<u32> {
        word_at(&self.bytes, record.after + (n * words + word) * 4)
    }

    fn name(&self, offset: u32) -> Option<&[u8]> {
        let names = self.bytes.get(self.strings.0..self.strings.1)?;
        let from = names.get(offset as usize..)?;
        from.get(..from.iter().position(|byte| *byte == 0)?)
    }
}

fn hash(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name);
    hasher.finish()
}

fn short(part: &'static str, at: usize, more: usize, bytes: usize) -> BtfError {
    BtfError::Short { part, end: at.saturating_add(more), bytes }
}
