//! Patch: puts numbers of the running kernel into instructions. aya cannot do that.
//!
//! A program calls a helper by a number that is the same everywhere, but a function of the kernel by the number that
//! this kernel's BTF has for it. So the compiled programs call a helper with a number that no helper has, and this file
//! turns such calls into calls of the function. It also puts some values of the configuration into instructions of the
//! programs that run most: reading them from read-only data would take two instructions.

use krcu_common::Config;
use krcu_common::config::{
    HELPER_WAY_MARK, KERNEL_BETWEEN_MARK, LINE_SHIFT_MARK, PAGE_SHIFT_MARK, PLAIN_BYTES_MARK, PLAIN_MARK,
    QUEUE_STACKS_MARK, READ_ONLY_CAST_MARK, SHORT_WAY_MARK, WORDS_TYPE_MARK,
};
use zerocopy::IntoBytes as _;

/// First byte of a call: `BPF_JMP | BPF_CALL`.
const CALL: u64 = 0x85;
/// First byte of a load of a number into a register: `BPF_ALU64 | BPF_MOV | BPF_K`.
const LOAD: u64 = 0xb7;
/// First byte of an addition of a number to the lower half of a register: `BPF_ALU | BPF_ADD | BPF_K`.
const ADD: u64 = 0x04;
/// First bytes of jumps if the lower half of a register is below a number, or not: `BPF_JMP32 | BPF_JLT | BPF_K` and
/// `BPF_JGE`.
const IF_BELOW: u64 = 0xa6;
const IF_NOT_BELOW: u64 = 0x36;
/// The same for "not above" and "above": `BPF_JLE` and `BPF_JGT`.
const IF_NOT_ABOVE: u64 = 0xb6;
const IF_ABOVE: u64 = 0x26;
/// First byte of a shift of a register to the right: `BPF_ALU64 | BPF_RSH | BPF_K`.
const SHIFT: u64 = 0x77;
/// The same, bringing in the highest bit: `BPF_ALU64 | BPF_ARSH | BPF_K`.
const SHIFT_SIGNED: u64 = 0xc7;
/// The destination register of an instruction, and how far it jumps.
const KEPT: u64 = 0xffff_0f00;
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
    let with = |number: u32, code: u64| u64::from(number) << NUMBER_SHIFT | code;
    let shift = |number: u32| u64::from(number) << NUMBER_SHIFT | SHIFT;
    let shift_signed = |number: u32| u64::from(number) << NUMBER_SHIFT | SHIFT_SIGNED;
    let (plain, plain_bytes) = config.plain_functions();
    let (is_plain, is_other) = (with(plain_bytes, IF_BELOW), with(plain_bytes, IF_NOT_BELOW));
    let function = match config.read_only_cast {
        0 => u64::from(READ_ONLY_CAST_MARK) << NUMBER_SHIFT | CALL,
        number => u64::from(number) << NUMBER_SHIFT | KERNEL_FUNCTION << KIND_SHIFT | CALL,
    };
    let patches = [
        (u64::from(READ_ONLY_CAST_MARK) << NUMBER_SHIFT | CALL, function),
        (load(WORDS_TYPE_MARK), load(config.words_type)),
        (load(SHORT_WAY_MARK), load(config.short_way)),
        (with(PLAIN_MARK, ADD), with(plain, ADD)),
        // The compiler may write each comparison with the next lower number, which zero does not have.
        (with(PLAIN_BYTES_MARK, IF_BELOW), is_plain),
        (with(PLAIN_BYTES_MARK - 1, IF_NOT_ABOVE), is_plain),
        (with(PLAIN_BYTES_MARK, IF_NOT_BELOW), is_other),
        (with(PLAIN_BYTES_MARK - 1, IF_ABOVE), is_other),
        (load(KERNEL_BETWEEN_MARK), load(u32::from(config.kernel_start != 0))),
        (load(QUEUE_STACKS_MARK), load(config.queue_stacks)),
        (load(HELPER_WAY_MARK), load(u32::from(config.has_helper_way()))),
        (shift(PAGE_SHIFT_MARK), shift(config.page_shift)),
        (shift_signed(LINE_SHIFT_MARK), shift_signed(config.line_shift)),
    ];
    let mut words = vec![0_u64; object.len().div_ceil(8)];
    for (byte, from) in words.as_mut_bytes().iter_mut().zip(object) {
        *byte = *from;
    }
    for word in &mut words {
        let kept = u64::from_le(*word) & KEPT;
        let rest = u64::from_le(*word) & !KEPT;
        if let Some((_, patch)) = patches.iter().find(|(marked, _)| *marked == rest) {
            *word = (patch | kept).to_le();
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use krcu_common::Config;
    use krcu_common::config::{
        HELPER_WAY_MARK, KERNEL_BETWEEN_MARK, LINE_SHIFT_MARK, PAGE_SHIFT_MARK, PLAIN_BYTES_MARK, PLAIN_MARK,
        QUEUE_STACKS_MARK, READ_ONLY_CAST_MARK, SHORT_WAY_MARK, WORDS_TYPE_MARK,
    };
    use object::{File, Object as _, ObjectSection as _, ObjectSymbol as _};
    use zerocopy::IntoBytes as _;

    use super::object;
    use crate::kernel::catalog::PROBES;

    /// Numbers of helpers.
    const BPF_GET_SMP_PROCESSOR_ID: u32 = 8;
    const BPF_GET_STACKID: u32 = 27;

    /// An instruction: code, registers (source in the upper half), offset, number.
    fn instruction(code: u8, registers: u8, number: u32) -> Vec<u8> {
        [[code, registers, 0, 0].as_slice(), &number.to_le_bytes()].concat()
    }

    /// The same, with the number of instructions that it jumps over.
    fn jump(code: u8, registers: u8, over: i16, number: u32) -> Vec<u8> {
        [[code, registers].as_slice(), &over.to_le_bytes(), &number.to_le_bytes()].concat()
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
            instruction(0x04, 3, PLAIN_MARK),
            jump(0xa6, 4, 100, PLAIN_BYTES_MARK),
            jump(0x36, 4, -2, PLAIN_BYTES_MARK),
            jump(0x26, 4, 3, PLAIN_BYTES_MARK - 1),
            jump(0xb6, 4, 3, PLAIN_BYTES_MARK - 1),
            jump(0x26, 4, 3, PLAIN_BYTES_MARK),
            instruction(0x04, 3, PLAIN_BYTES_MARK),
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
            instruction(0x04, 3, 0x7eff_f000),
            jump(0xa6, 4, 100, 0x4000),
            jump(0x36, 4, -2, 0x4000),
            // "above 0x3fff" is "not below 0x4000", and the other way round.
            jump(0x36, 4, 3, 0x4000),
            jump(0xa6, 4, 3, 0x4000),
            jump(0x26, 4, 3, PLAIN_BYTES_MARK),
            instruction(0x04, 3, PLAIN_BYTES_MARK),
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
            (0xffff_8000_8011_0010, 0xffff_8000_8200_0000, 0xffff_8000_8120_0000, false),
        ] {
            let config = Config { rcu_work_function, rodata_end, ..Config::ZERO };
            let (add, bytes) = config.plain_functions();
            let lower = u32::try_from(function & u64::from(u32::MAX)).unwrap();
            let is_plain = lower.wrapping_add(add) < bytes;
            assert_eq!(is_plain, wanted, "{rcu_work_function:x} {rodata_end:x} {function:x}");
        }
    }

    #[test]
    fn one_call_of_a_helper_reads_both_words_where_they_are_near() {
        for (page_bytes, page_compound_offset, slab_cache_offset, wanted) in [
            (64, 8, 24, true),
            (64, 8, 8, false),
            (64, 8, 32, false),
            (56, 8, 24, false),
            (64, u32::MAX, 15, false),
        ] {
            let config = Config { page_bytes, page_compound_offset, slab_cache_offset, ..Config::ZERO };
            assert_eq!(config.has_helper_way(), wanted, "{page_bytes} {page_compound_offset}");
            let words = object(&instruction(0xb7, 2, HELPER_WAY_MARK), &config);
            assert_eq!(words[0].as_bytes(), instruction(0xb7, 2, u32::from(wanted)));
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
        let plain = [(0x04, PLAIN_MARK), (0xa6, PLAIN_BYTES_MARK), (0x36, PLAIN_BYTES_MARK)];
        let plain_or_below = [(0xb6, PLAIN_BYTES_MARK - 1), (0x26, PLAIN_BYTES_MARK - 1)];
        let [sums, asked @ ..] = plain.map(|(code, mark)| count(code, mark));
        let asked: usize = asked.iter().chain(&plain_or_below.map(|(code, mark)| count(code, mark))).sum();
        // Each sum is compared, and nothing else is.
        assert!(sums > 0 && sums == asked);
        let shifts = [count(0x77, PAGE_SHIFT_MARK), count(0xc7, LINE_SHIFT_MARK)];
        assert!(shifts.iter().all(|shifts| *shifts > 0));
        let loads =
            [WORDS_TYPE_MARK, SHORT_WAY_MARK, KERNEL_BETWEEN_MARK, QUEUE_STACKS_MARK, HELPER_WAY_MARK];
        let loads = loads.map(|mark| count(0xb7, mark));
        assert!(loads.iter().all(|loads| *loads > 0));
        let all = loads.iter().chain(&shifts).sum::<usize>() + sums + asked;
        assert_eq!(changed, all);
    }

    /// The compiler does not know that they keep registers on the stack (`krcu-ebpf/src/short.rs`).
    #[test]
    fn the_hottest_programs_have_nothing_on_the_stack_but_what_they_keep_over_a_call() {
        let file = File::parse(super::super::OBJECT).unwrap();
        for name in ["queued", "callback_queued", "callback_queued_hurry"] {
            let program = file.symbol_by_name(name).unwrap();
            let section = file.section_by_index(program.section_index().unwrap()).unwrap();
            let code = section.data_range(program.address(), program.size()).unwrap().unwrap();
            // Which register goes to which place: "stack[r10 - 8] = r3" and back.
            let place = |word: &[u8]| match (word[0], word[1] & 15, word[1] >> 4) {
                (0x7b, 10, from) => Some((true, word[2], from)),
                (0x79, to, 10) => Some((false, word[2], to)),
                _ => None,
            };
            let words: Vec<&[u8]> = code.chunks_exact(8).collect();
            let calls = |number: u32| {
                let instruction =
                    move |word: &[u8]| word[0] == 0x85 && word[1] == 0 && word[4..] == number.to_le_bytes();
                words.iter().enumerate().filter(move |(_, word)| instruction(word)).map(|(at, _)| at)
            };
            let near = |at: usize, before: usize, after: usize| {
                [at.checked_sub(before), at.checked_add(after)]
                    .map(|at| at.and_then(|at| words.get(at)).and_then(|word| place(word)))
            };
            let mut kept = 0;
            for at in calls(READ_ONLY_CAST_MARK).chain(calls(BPF_GET_SMP_PROCESSOR_ID)) {
                // From the call outwards, each load is of what was stored, and the lowest place comes first. Otherwise the
                // kernel takes none of them out. Where a call had fewer, the kernel would keep room for the other.
                for (distance, lowest) in [(1, 0xe0), (2, 0xe8)] {
                    let [before, after] = near(at, distance, distance);
                    let (Some((true, to, from)), Some((false, of, into))) = (before, after) else {
                        panic!("{name}: {before:?} and {after:?} around the call at {at}");
                    };
                    assert!((to, from) == (of, into) && to == lowest, "{name}: around the call at {at}");
                    kept += 2;
                }
            }
            for at in calls(BPF_GET_STACKID) {
                // What is kept for longer lies above, and comes back at once.
                for (before, after, there) in [(6, 1, 0xf8), (5, 2, 0xf0)] {
                    let [before, after] = near(at, before, after);
                    let is_kept = matches!((before, after), (Some((true, to, _)), Some((false, of, _)))
                        if to == there && of == there);
                    assert!(is_kept, "{name}: {before:?} and {after:?} around the call at {at}");
                    kept += 2;
                }
            }
            let all = words.iter().filter(|word| place(word).is_some() || uses_stack_pointer(word)).count();
            assert!(kept > 0 && kept == all, "{name}: {kept} of {all}");
        }
    }

    /// Whether an instruction has the stack pointer as an operand, and is no part of a wide load.
    fn uses_stack_pointer(word: &[u8]) -> bool {
        let (destination, source) = (word[1] & 15, word[1] >> 4);
        destination == 10 || source == 10
    }

    #[test]
    fn the_object_has_every_program_of_the_catalog() {
        let names: BTreeSet<&[u8]> = super::super::OBJECT.split(|byte| *byte == 0).collect();
        for entry in PROBES {
            assert!(names.contains(entry.program.as_bytes()), "{}", entry.program);
        }
    }
}
