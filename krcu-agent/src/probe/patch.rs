//! Puts calls of functions of the running kernel into the programs, which aya has no way to ask for.
//!
//! A program that is compiled anywhere can call a helper by its number, but a function of the kernel only by the number
//! that this kernel's BTF gives it. So the programs call a helper of a number that none has, and here such calls become
//! calls of the function.

use zerocopy::IntoBytes as _;

/// First byte of a call: `BPF_JMP | BPF_CALL`.
const CALL: u64 = 0x85;
/// Where an instruction has its source register, which says what kind of call it is.
const KIND_SHIFT: u32 = 12;
/// `BPF_PSEUDO_KFUNC_CALL`.
const KERNEL_FUNCTION: u64 = 2;
/// Where it has the number.
const NUMBER_SHIFT: u32 = 32;

/// A copy of `object`, aligned as it has to be, in which each call of the helper `mark` is one of the kernel's function
/// of this number. The last word may be longer than the object.
pub(super) fn calls(object: &[u8], mark: u32, function: u32) -> Vec<u64> {
    let marked = u64::from(mark) << NUMBER_SHIFT | CALL;
    let call = u64::from(function) << NUMBER_SHIFT | KERNEL_FUNCTION << KIND_SHIFT | CALL;
    let mut words = vec![0_u64; object.len().div_ceil(8)];
    for (byte, from) in words.as_mut_bytes().iter_mut().zip(object) {
        *byte = *from;
    }
    for word in words.iter_mut().filter(|word| u64::from_le(**word) == marked) {
        *word = call.to_le();
    }
    words
}

#[cfg(test)]
mod tests {
    use krcu_common::config::READ_ONLY_CAST_MARK;
    use zerocopy::IntoBytes as _;

    use super::calls;

    #[test]
    fn a_marked_call_and_nothing_else_becomes_one_of_the_function() {
        // An instruction: code, registers (source in the upper half), offset, number.
        let helper = [0x85, 0, 0, 0, 4, 0, 0, 0];
        let marked = [[0x85, 0, 0, 0].as_slice(), &READ_ONLY_CAST_MARK.to_le_bytes()].concat();
        let object = [helper.as_slice(), &marked, &[7]].concat();
        let wanted =
            [helper.as_slice(), &[0x85, 0x20, 0, 0, 0x39, 0x30, 0, 0], &[7, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(calls(&object, READ_ONLY_CAST_MARK, 12345).as_bytes(), wanted);
    }

    #[test]
    fn the_probes_have_such_calls() {
        let patched = calls(super::super::OBJECT, READ_ONLY_CAST_MARK, 12345);
        assert_ne!(patched.as_bytes().get(..super::super::OBJECT.len()), Some(super::super::OBJECT));
    }
}
