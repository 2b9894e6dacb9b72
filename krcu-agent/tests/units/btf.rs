//! A small blob built by hand, what is read from it, and every way of cutting it short.

use std::collections::BTreeSet;

use krcu_agent::kernel::btf::{Argument, Btf, BtfError};

// The kinds of include/uapi/linux/btf.h.
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;

/// Builds BTF: types are numbered from 1 in the order of adding.
struct Builder {
    types: Vec<u8>,
    names: Vec<u8>,
}

impl Builder {
    fn new() -> Builder {
        Builder { types: Vec::new(), names: vec![0] }
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = u32::try_from(self.names.len()).unwrap();
        self.names.extend_from_slice(name.as_bytes());
        self.names.push(0);
        at
    }

    fn words(&mut self, words: &[u32]) {
        for word in words {
            self.types.extend_from_slice(&word.to_le_bytes());
        }
    }

    /// A type with `items` items and `size_or_type`; what follows it is added with `words`.
    fn add(&mut self, kind: u32, name: &str, items: u32, size_or_type: u32) {
        let name = self.name(name);
        self.words(&[name, kind << 24 | items, size_or_type]);
    }

    fn member(&mut self, name: &str, type_id: u32, offset: u32) {
        let name = self.name(name);
        self.words(&[name, type_id, offset]);
    }

    fn bytes(&self) -> Vec<u8> {
        let types = u32::try_from(self.types.len()).unwrap();
        let names = u32::try_from(self.names.len()).unwrap();
        let header = [0x0001_eb9f, 24, 0, types, types, names];
        let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend_from_slice(&self.types);
        bytes.extend_from_slice(&self.names);
        bytes
    }
}

const BIT_FIELDS: u32 = 1 << 7;

/// `struct slab` with an anonymous union that holds an anonymous structure of bit fields; an array of
/// structures; an enumeration; two functions, the second with a function pointer behind a typedef.
fn sample() -> Builder {
    let mut btf = Builder::new();
    btf.add(1, "unsigned int", 0, 4); // 1
    btf.words(&[32]);
    btf.add(KIND_STRUCT | BIT_FIELDS, "", 2, 4); // 2: struct { inuse:16; objects:15; }
    btf.member("inuse", 1, 16 << 24);
    btf.member("objects", 1, 15 << 24 | 16);
    btf.add(KIND_UNION, "", 2, 8); // 3: union { counters; struct 2; }
    btf.member("counters", 1, 0);
    btf.member("", 2, 32);
    btf.add(KIND_STRUCT, "slab", 2, 16); // 4
    btf.member("flags", 1, 0);
    btf.member("", 3, 64);
    btf.add(KIND_PTR, "", 0, 4); // 5: struct slab *
    btf.add(KIND_STRUCT, "per_node_ptrs", 2, 16); // 6
    btf.member("barn", 5, 0);
    btf.member("node", 5, 64);
    btf.add(KIND_ARRAY, "", 0, 0); // 7: struct per_node_ptrs [1024]
    btf.words(&[6, 1, 1024]);
    btf.add(KIND_STRUCT, "kmem_cache", 1, 16400); // 8
    btf.member("per_node", 7, 128);
    btf.add(KIND_ENUM, "pagetype", 2, 4); // 9
    let (buddy, slab) = (btf.name("PGTY_buddy"), btf.name("PGTY_slab"));
    btf.words(&[buddy, 0xf0, slab, 0xf5]);
    btf.add(KIND_FUNC_PROTO, "", 1, 0); // 10: void (*)(void *)
    btf.words(&[0, 11]);
    btf.add(KIND_PTR, "", 0, 0); // 11: void *
    btf.add(KIND_PTR, "", 0, 10); // 12
    btf.add(KIND_TYPEDEF, "rcu_callback_t", 0, 12); // 13
    btf.add(KIND_FUNC_PROTO, "", 2, 0); // 14
    btf.words(&[0, 11, 0, 13]);
    btf.add(KIND_FUNC, "kvfree_call_rcu", 0, 14); // 15
    btf.add(KIND_FUNC_PROTO, "", 2, 0); // 16
    btf.words(&[0, 1, 0, 11]);
    btf.add(KIND_FUNC, "newer", 0, 16); // 17
    btf
}

#[test]
fn members_are_found_in_anonymous_parts() {
    let btf = Btf::parse(sample().bytes()).unwrap();
    assert_eq!(btf.struct_bytes("slab"), Some(16));
    let inuse = btf.member("slab", "inuse").unwrap();
    assert_eq!((inuse.bit_offset, inuse.bits, inuse.byte_offset()), (96, Some(16), Some(12)));
    let objects = btf.member("slab", "objects").unwrap();
    assert_eq!((objects.bit_offset, objects.bits), (112, Some(15)));
    let flags = btf.member("slab", "flags").unwrap();
    assert_eq!((flags.bit_offset, flags.bits), (0, None));
    assert_eq!(btf.member("slab", "absent"), None);
    assert_eq!(btf.member("absent", "flags"), None);
}

#[test]
fn an_array_of_structures_says_its_step_and_length() {
    let btf = Btf::parse(sample().bytes()).unwrap();
    let array = btf.member("kmem_cache", "per_node").unwrap();
    assert_eq!(btf.array_length(&array), Some(1024));
    let (step, node) = btf.member_of_element(&array, "node").unwrap();
    assert_eq!((step, node.byte_offset(), array.byte_offset()), (16, Some(8), Some(16)));
    assert_eq!(btf.array_length(&btf.member("slab", "flags").unwrap()), None);
}

#[test]
fn enumerators_are_found_in_their_own_enumeration_only() {
    let btf = Btf::parse(sample().bytes()).unwrap();
    assert_eq!(btf.enumerator("pagetype", "PGTY_slab"), Some(0xf5));
    assert_eq!(btf.enumerator("pagetype", "PG_slab"), None);
    assert_eq!(btf.enumerator("pageflags", "PGTY_slab"), None);
}

#[test]
fn a_function_pointer_is_told_from_other_pointers() {
    let btf = Btf::parse(sample().bytes()).unwrap();
    assert_eq!(btf.argument("kvfree_call_rcu", 0), Some(Argument::Pointer));
    assert_eq!(btf.argument("kvfree_call_rcu", 1), Some(Argument::FunctionPointer));
    assert_eq!(btf.argument("newer", 0), Some(Argument::Other));
    assert_eq!(btf.argument("newer", 1), Some(Argument::Pointer));
    assert_eq!(btf.argument("newer", 2), None);
    assert_eq!(btf.argument("absent", 0), None);
    assert!(btf.has_function("newer") && !btf.has_function("rcu_callback_t"));
    assert!(btf.has_typedef("rcu_callback_t") && !btf.has_typedef("newer"));
}

#[test]
fn every_truncation_is_an_error() {
    let whole = sample().bytes();
    for length in 0..whole.len() {
        let error = Btf::parse(whole.get(..length).unwrap().to_vec()).unwrap_err();
        assert!(matches!(error, BtfError::Short { .. }), "{length} bytes: {error}");
    }
}

#[test]
fn names_that_do_not_end_and_types_cut_by_their_section_are_errors() {
    let mut sample = sample();
    let last = sample.names.len() - 1;
    sample.names[last] = b'x';
    // The last name belongs to type 17.
    assert!(matches!(
        Btf::parse(sample.bytes()).unwrap_err(),
        BtfError::Reference { id: 17, what: "name", .. }
    ));
    let mut sample = self::sample();
    sample.types.truncate(sample.types.len() - 4);
    assert!(matches!(Btf::parse(sample.bytes()).unwrap_err(), BtfError::Short { part: "a type", .. }));
}

#[test]
fn any_changed_byte_gives_an_answer_and_no_panic() {
    let whole = sample().bytes();
    let mut parsed = 0;
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let Ok(btf) = Btf::parse(bytes) else { continue };
            parsed += 1;
            let _ = (btf.member("slab", "inuse"), btf.argument("kvfree_call_rcu", 1));
            let _ =
                btf.member("kmem_cache", "per_node").and_then(|array| btf.member_of_element(&array, "node"));
            let _ = btf.enumerator("pagetype", "PGTY_slab");
        }
    }
    assert!(parsed > 0);
}

#[test]
fn circles_end() {
    let mut btf = Builder::new();
    btf.add(KIND_TYPEDEF, "one", 0, 2);
    btf.add(KIND_TYPEDEF, "two", 0, 1);
    btf.add(KIND_STRUCT, "nested", 1, 8);
    btf.member("", 3, 0);
    btf.add(KIND_STRUCT, "looking", 1, 8);
    btf.member("", 1, 0);
    let btf = Btf::parse(btf.bytes()).unwrap();
    assert_eq!(btf.member("nested", "absent"), None);
    assert_eq!(btf.member("looking", "absent"), None);
}

#[test]
fn what_is_not_btf_is_refused_by_name() {
    assert_eq!(Btf::parse(vec![0x7f, b'E', b'L', b'F', 0, 0, 0, 0]).unwrap_err(), BtfError::Magic);
    let mut unknown = Builder::new();
    unknown.add(25, "x", 0, 0);
    assert_eq!(Btf::parse(unknown.bytes()).unwrap_err(), BtfError::Kind { id: 1, kind: 25 });
    let mut dangling = Builder::new();
    dangling.add(KIND_PTR, "", 0, 2);
    let error = BtfError::Reference { id: 1, what: "type", reference: 2 };
    assert_eq!(Btf::parse(dangling.bytes()).unwrap_err(), error);
    let mut nameless = Builder::new();
    nameless.words(&[99, KIND_PTR << 24, 0]);
    let error = BtfError::Reference { id: 1, what: "name", reference: 99 };
    assert_eq!(Btf::parse(nameless.bytes()).unwrap_err(), error);
}

/// Numbers of the sample above.
#[test]
fn what_is_needed_for_attaching_has_its_number_and_everything_else_has_no_name() {
    let btf = Btf::parse(sample().bytes()).unwrap();
    let only = btf.only(&BTreeSet::from(["newer", "rcu_callback_t", "absent"]));
    let read = Btf::parse(only.clone()).unwrap();
    assert_eq!((read.function_number("newer"), read.function_number("kvfree_call_rcu")), (Some(17), None));
    assert_eq!((read.has_typedef("rcu_callback_t"), read.struct_number("slab")), (true, None));
    // The library that attaches reads it.
    assert!(aya::Btf::parse(&only, aya::Endianness::default()).is_ok());
}
