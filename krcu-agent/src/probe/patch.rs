//! Patch: puts numbers of the running kernel into instructions. aya cannot do that.
//!
//! A program calls a helper by a number that is the same everywhere, but a function of the kernel by the number that
//! this kernel's BTF has for it. So the compiled programs call a helper with a number that no helper has, and this file
//! turns such calls into calls of the function. It also puts some values of the configuration into instructions of the
//! programs that run most: reading them from read-only data would take two instructions.

use krcu_common::Config;
use krcu_common::config::{
    KERNEL_BETWEEN_MARK, LINE_SHIFT_MARK, PAGE_SHIFT_MARK, PLAIN_BYTES_MARK, PLAIN_MARK, READ_ONLY_CAST_MARK,
    SHORT_WAY_MARK, WORDS_TYPE_MARK,
};
use zerocopy::IntoBytes as _;

/// First byte of a call: `BPF_JMP | BPF_CALL`.
const CALL: u64 = 0x85;
/// First byte of a load of a number into a register: `BPF_ALU64 | BPF_MOV | BPF_K`.
const LOAD: u64 = 0xb7;
/// First byte of an addition of a number to a register: `BPF_ALU64 | BPF_ADD | BPF_K`.
const ADD: u64 = 0x07;
/// First byte of a shift of a register to the right: `BPF_ALU64 | BPF_RSH | BPF_K`.
const SHIFT: u64 = 0x77;
/// The same, bringing in the highest bit: `BPF_ALU64 | BPF_ARSH | BPF_K`.
const SHIFT_SIGNED: u64 = 0xc7;
/// The destination register of an instruction.
const DESTINATION: u64 = 0x0f00;
/// The source register of an instruction, which says what kind of call it is.
const KIND_SHIFT: u32 = 12;
/// `BPF_PSEUDO_KFUNC_CALL`.
const KERNEL_FUNCTION: u64 = 2;
/// The place of the number in an instruction.
const NUMBER_SHIFT: u32 = 32;

/// An aligned copy of `object` in which each marked instruction has the value of this configuration. The last word may
/// reach beyond the object.
///
/// A marked load may use any register. If the kernel does not have the function, its marked call stays, and the
/// loaded values make the program jump over it.
pub(super) fn object(object: &[u8], config: &Config) -> Vec<u64> {
    let load = |number: u32| u64::from(number) << NUMBER_SHIFT | LOAD;
    let add = |number: u32| u64::from(number) << NUMBER_SHIFT | ADD;
    let shift = |number: u32| u64::from(number) << NUMBER_SHIFT | SHIFT;
    let shift_signed = |number: u32| u64::from(number) << NUMBER_SHIFT | SHIFT_SIGNED;
    let (plain, plain_bytes) = config.plain_functions();
    let function = match config.read_only_cast {
        0 => u64::from(READ_ONLY_CAST_MARK) << NUMBER_SHIFT | CALL,
        number => u64::from(number) << NUMBER_SHIFT | KERNEL_FUNCTION << KIND_SHIFT | CALL,
    };
    let patches = [
        (u64::from(READ_ONLY_CAST_MARK) << NUMBER_SHIFT | CALL, function),
        (load(WORDS_TYPE_MARK), load(config.words_type)),
        (load(SHORT_WAY_MARK), load(config.short_way)),
        (add(PLAIN_MARK), add(plain.cast_unsigned())),
        (load(PLAIN_BYTES_MARK), load(plain_bytes.cast_unsigned())),
        (load(KERNEL_BETWEEN_MARK), load(u32::from(config.kernel_start != 0))),
        (shift(PAGE_SHIFT_MARK), shift(config.page_shift)),
        (shift_signed(LINE_SHIFT_MARK), shift_signed(config.line_shift)),
    ];
    let mut words = vec![0_u64; object.len().div_ceil(8)];
    for (byte, from) in words.as_mut_bytes().iter_mut().zip(object) {
        *byte = *from;
    }
    for word in &mut words {
        let register = u64::from_le(*word) & DESTINATION;
        let rest = u64::from_le(*word) & !DESTINATION;
        if let Some((_, patch)) = patches.iter().find(|(marked, _)| *marked == rest) {
            *word = (patch | register).to_le();
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use krcu_common::Config;
    use krcu_common::config::{
        KERNEL_BETWEEN_MARK, LINE_SHIFT_MARK, PAGE_SHIFT_MARK, PLAIN_BYTES_MARK, PLAIN_MARK,
        READ_ONLY_CAST_MARK, SHORT_WAY_MARK, WORDS_TYPE_MARK,
    };
    use zerocopy::IntoBytes as _;

    use super::object;
    use crate::kernel::catalog::PROBES;

    /// An instruction: code, registers (source in the upper half), offset, number.
    fn instruction(code: u8, registers: u8, number: u32) -> Vec<u8> {
        [[code, registers, 0, 0].as_slice(), &number.to_le_bytes()].concat()
    }

    fn patched(function: u32, from: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let config = Config {
            read_only_cast: function,
            words_type: 777,
            short_way: 0,
            rcu_work_function: 0xffff_ffff_8100_0fff,
            rodata_end: 0xffff_ffff_8100_5000,
            kernel_start: 0xffff_ffff_8000_0000,
            page_shift: 14,
            line_shift: 8,
            ..Config::ZERO
        };
        let words = object(&from.concat(), &config);
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn marked_instructions_and_no_others_are_patched() {
        let from = [
            instruction(0x85, 0, 4),
            instruction(0x85, 0, READ_ONLY_CAST_MARK),
            instruction(0xb7, 2, WORDS_TYPE_MARK),
            instruction(0xb7, 9, SHORT_WAY_MARK),
            instruction(0xb7, 2, 5),
            instruction(0x07, 3, PLAIN_MARK),
            instruction(0xb7, 4, PLAIN_BYTES_MARK),
            instruction(0x07, 3, PLAIN_BYTES_MARK),
            instruction(0x77, 5, PAGE_SHIFT_MARK),
            instruction(0xc7, 6, LINE_SHIFT_MARK),
            instruction(0xb7, 1, PAGE_SHIFT_MARK),
            instruction(0xb7, 1, KERNEL_BETWEEN_MARK),
            vec![7; 3],
        ];
        let wanted = [
            instruction(0x85, 0, 4),
            instruction(0x85, 0x20, 12345),
            instruction(0xb7, 2, 777),
            instruction(0xb7, 9, 0),
            instruction(0xb7, 2, 5),
            instruction(0x07, 3, 0x7eff_f000),
            instruction(0xb7, 4, 0x4000),
            instruction(0x07, 3, PLAIN_BYTES_MARK),
            instruction(0x77, 5, 14),
            instruction(0xc7, 6, 8),
            instruction(0xb7, 1, PAGE_SHIFT_MARK),
            instruction(0xb7, 1, 1),
            vec![7, 7, 7, 0, 0, 0, 0, 0],
        ];
        assert_eq!(patched(12345, &from), wanted);
    }

    #[test]
    fn without_the_function_its_calls_stay() {
        let from = [instruction(0x85, 0, READ_ONLY_CAST_MARK), instruction(0xb7, 1, WORDS_TYPE_MARK)];
        assert_eq!(patched(0, &from), [from[0].clone(), instruction(0xb7, 1, 777)]);
    }

    #[test]
    fn a_plain_function_is_no_module_s_and_queues_no_work() {
        let (work, end) = (0xffff_ffff_8110_0010_u64, 0xffff_ffff_8200_0000);
        for (rcu_work_function, rodata_end, function, wanted) in [
            (work, end, work + 16, true),
            (work, end, end - 16, true),
            (work, end, work, false),
            (work, end, end, false),
            (work, end, 0xffff_ffff_c010_0000, false),
            // Below it nothing is said.
            (work, end, work - 16, false),
            (0, end, work, true),
            (0, end, end, false),
            (0, 0, work, false),
            (work, 0, work + 16, false),
            (0, 0x1000_0000_0000, work, false),
        ] {
            let config = Config { rcu_work_function, rodata_end, ..Config::ZERO };
            let (add, bytes) = config.plain_functions();
            let extended = |number: i32| i64::from(number).cast_unsigned();
            let is_plain = function.wrapping_add(extended(add)) < extended(bytes);
            assert_eq!(is_plain, wanted, "{rcu_work_function:x} {rodata_end:x} {function:x}");
        }
    }

    #[test]
    fn the_probes_have_all_marks() {
        let words = object(super::super::OBJECT, &Config::ZERO);
        let original = super::super::OBJECT.chunks_exact(8);
        let changed = original.zip(&words).filter(|(from, word)| *from != word.as_bytes()).count();
        let count = |code: u8, mark: u32| {
            let instructions = super::super::OBJECT.chunks_exact(8);
            instructions.filter(|word| word[0] == code && word[4..] == mark.to_le_bytes()).count()
        };
        assert!(count(0x85, READ_ONLY_CAST_MARK) > 0);
        assert!(count(0xb7, SHORT_WAY_MARK) > 0);
        assert!(count(0x07, PLAIN_MARK) > 0);
        let shifts = [count(0x77, PAGE_SHIFT_MARK), count(0xc7, LINE_SHIFT_MARK)];
        assert!(shifts.iter().all(|shifts| *shifts > 0));
        let loads = [WORDS_TYPE_MARK, SHORT_WAY_MARK, PLAIN_BYTES_MARK, KERNEL_BETWEEN_MARK];
        let loads = loads.map(|mark| count(0xb7, mark));
        let all = loads.iter().chain(&shifts).sum::<usize>() + count(0x07, PLAIN_MARK);
        assert_eq!(changed, all);
    }

    #[test]
    fn the_object_has_every_program_of_the_catalog() {
        let names: BTreeSet<&[u8]> = super::super::OBJECT.split(|byte| *byte == 0).collect();
        for entry in PROBES {
            assert!(names.contains(entry.program.as_bytes()), "{}", entry.program);
        }
    }
}
