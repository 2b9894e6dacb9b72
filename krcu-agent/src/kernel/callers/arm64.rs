//! arm64: where instructions lead. All have four bytes, at addresses that are multiples of four.
//!
//! A module calls a function of the kernel by `bl`, or `b` at the end of one of its own, with a distance of 26 bits in words.
//! If the function is farther away, it calls a veneer of its own (`arch/arm64/kernel/module-plts.c`). The veneer makes the
//! address as other code does that takes it: `adrp` and `add`.

/// The bits of an instruction, and what they are in a branch with a distance: of `b` and `bl` all but the highest.
const BRANCH: (u32, u32) = (0x7c00_0000, 0x1400_0000);
/// `adrp`: the page of an address, relative to the instruction's own.
const PAGE: (u32, u32) = (0x9f00_0000, 0x9000_0000);
/// `add` of a number of 12 bits to a register of 64.
const ADD: (u32, u32) = (0xffc0_0000, 0x9100_0000);

/// Whether this text, which begins at an address, calls one of the functions or makes its address.
pub(super) fn calls(text: &[u8], begin: u64, functions: &[u64]) -> bool {
    let (mut page, mut at) = (None, begin);
    text.chunks_exact(4).filter_map(|word| word.try_into().ok().map(u32::from_le_bytes)).any(|instruction| {
        let is = |(bits, value): (u32, u32)| instruction & bits == value;
        let target = if is(BRANCH) {
            Some(at.wrapping_add(extended(instruction & 0x03ff_ffff, 26) << 2))
        } else if is(ADD) {
            page.map(|page: u64| page.wrapping_add(u64::from(instruction >> 10 & 0xfff)))
        } else {
            None
        };
        page = is(PAGE).then(|| {
            let pages = (instruction >> 5 & 0x7ffff) << 2 | instruction >> 29 & 3;
            (at & !0xfff).wrapping_add(extended(pages, 21) << 12)
        });
        at = at.wrapping_add(4);
        target.is_some_and(|target| functions.contains(&target))
    })
}

/// A number of so many bits with its sign.
fn extended(number: u32, bits: u32) -> u64 {
    let above = u64::BITS - bits;
    ((u64::from(number) << above).cast_signed() >> above).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::calls;

    const TEXT: u64 = 0xffff_908c_d24d_7000;

    fn text(instructions: &[u32]) -> Vec<u8> {
        instructions.iter().flat_map(|instruction| instruction.to_le_bytes()).collect()
    }

    /// The instructions are those that the assembler makes (`aarch64-linux-gnu-as`).
    #[test]
    fn branches_and_addresses_lead_where_the_assembler_says() {
        const NOP: u32 = 0xd503_201f;
        for (instructions, function) in [
            // bl .+0x1000, behind a nop
            (vec![NOP, 0x9400_0400], TEXT + 4 + 0x1000),
            // bl .-8
            (vec![NOP, 0x97ff_fffe], TEXT - 4),
            // b .+0x7fffffc
            (vec![0x15ff_ffff], TEXT + 0x07ff_fffc),
            // adrp x16, .+0x5000; add x16, x16, #0x123
            (vec![NOP, 0xb000_0030, 0x9104_8e10], TEXT + 0x5123),
            // adrp x0, .-0x1000; add x0, x0, #8
            (vec![0xf0ff_ffe0, 0x9100_2000], TEXT - 0x1000 + 8),
        ] {
            let text = text(&instructions);
            assert!(calls(&text, TEXT, &[1, function]), "{instructions:x?}");
            for other in [function + 4, function - 4, function ^ 1 << 40] {
                assert!(!calls(&text, TEXT, &[other]), "{instructions:x?} {other:x}");
            }
        }
        // Something between the two: nobody's veneer.
        assert!(!calls(&text(&[0xf0ff_ffe0, NOP, 0x9100_2000]), TEXT, &[TEXT - 0x1000 + 8]));
        // cbz, b.eq: no call leads so near.
        assert!(!calls(&text(&[0x3400_0020, 0x5400_0020]), TEXT, &[TEXT + 4, TEXT + 8]));
    }
}
