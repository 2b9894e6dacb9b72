//! The bytes of BTF: its header, the kinds of its types, and how long each is.

/// First two bytes of little-endian BTF, as a number.
pub(super) const MAGIC: u32 = 0xeb9f;
/// The version, third byte.
pub(super) const VERSION: u32 = 1;
/// The length of the header that this reader knows, in bytes. It accepts a longer one, and refuses a shorter one.
pub(super) const HEADER_BYTES: usize = 24;
pub(super) const KIND_PTR: u32 = 2;
pub(super) const KIND_ARRAY: u32 = 3;
pub(super) const KIND_STRUCT: u32 = 4;
pub(super) const KIND_UNION: u32 = 5;
pub(super) const KIND_ENUM: u32 = 6;
pub(super) const KIND_FWD: u32 = 7;
pub(super) const KIND_TYPEDEF: u32 = 8;
pub(super) const KIND_VOLATILE: u32 = 9;
pub(super) const KIND_CONST: u32 = 10;
pub(super) const KIND_RESTRICT: u32 = 11;
pub(super) const KIND_FUNC: u32 = 12;
pub(super) const KIND_FUNC_PROTO: u32 = 13;
pub(super) const KIND_DECL_TAG: u32 = 17;
pub(super) const KIND_TYPE_TAG: u32 = 18;
pub(super) const KINDS: usize = 20;

/// The twelve bytes that every type begins with.
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) name: u32,
    pub(super) kind: u32,
    pub(super) items: usize,
    /// Whether members have the size of their bit fields (`kind_flag`).
    pub(super) flag: bool,
    /// Size, or type referred to.
    pub(super) size_or_type: u32,
    /// The place of the first byte after it.
    pub(super) after: usize,
}

/// The little-endian word at a place, if all of its bytes are there.
pub(super) fn word_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    four.try_into().ok().map(u32::from_le_bytes)
}

/// Bytes that follow the record of a type of this kind with `items` items.
pub(super) fn following_bytes(kind: u32, items: usize) -> Option<usize> {
    match kind {
        // int, var, declaration tag
        1 | 14 | KIND_DECL_TAG => Some(4),
        // structure, union, section, 64-bit enumeration
        KIND_STRUCT | KIND_UNION | 15 | 19 => Some(items * 12),
        KIND_ENUM | KIND_FUNC_PROTO => Some(items * 8),
        KIND_ARRAY => Some(12),
        // forward declaration and float among those that nothing follows
        KIND_PTR | KIND_FWD..=KIND_FUNC | 16 | KIND_TYPE_TAG => Some(0),
        _ => None,
    }
}
