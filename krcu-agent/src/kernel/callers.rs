//! Callers: which of the loaded modules call a function, by the bytes of their text.
//!
//! A module that is older than the probes may have handed callbacks to `call_rcu()` before them. Whether it does so at all is
//! in no file of the kernel's. Its ELF file need not be the one that is loaded, and a machine may not have it. Its text is what
//! runs, and the kernel gives it away by `/proc/kcore`, to whom it lets read kernel memory at all.
//!
//! On x86-64 a module calls a function of the kernel by `call` or `jmp` with a distance of 32 bits, or loads its address as a
//! number of 32 bits. So a place is looked for from which such a distance, or at which such a number, leads to the function:
//! at every byte, whatever instruction that may be in. What looks like a call and is none makes one module more that is not
//! known. Where calls are counted, they lead to the room before the function (`callthunks.c`), and where they need no landing
//! pad, behind it (`alternative.c`): [`NEAR`] allows for both. Of arm64, [`arm64`] says.
//!
//! What stays unknown, and is not told: a module that has the function's address in its data only, or that lets other code
//! queue its callbacks; and every module where `/proc/kcore` cannot be read (`CAP_SYS_RAWIO`; lockdown).

mod arm64;

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path};

/// Bytes around the first of a function to which a call may lead.
const NEAR: u64 = 16;
/// The most text that is read of one module.
const MOST: u64 = 16 << 20;

/// A module's memory, which begins with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Module {
    name: String,
    begin: u64,
    end: u64,
}

/// A stretch of kernel memory in `/proc/kcore`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    address: u64,
    bytes: u64,
    offset: u64,
}

/// The loaded modules whose text calls one of these functions, sorted; none where that cannot be read. `arch` is the machine's
/// name, as `uname -m` prints it.
#[must_use]
pub fn calling(root: &Path, arch: &str, functions: &[u64]) -> Vec<String> {
    let calls = if arch == "aarch64" { arm64::calls } else { calls };
    let list = std::fs::read_to_string(root.join("proc/modules")).unwrap_or_default();
    let Ok((memory, segments)) = memory(&root.join("proc/kcore")) else { return Vec::new() };
    let mut names = Vec::new();
    for module in modules(&list) {
        let of_it = |segment: &&Segment| {
            segment.address <= module.begin && module.begin - segment.address < segment.bytes
        };
        let Some(segment) = segments.iter().find(of_it) else { continue };
        let into = module.begin - segment.address;
        let bytes = (module.end - module.begin).min(segment.bytes - into).min(MOST);
        let mut text = vec![0; usize::try_from(bytes).unwrap_or(0)];
        if memory.read_exact_at(&mut text, segment.offset + into).is_ok()
            && calls(&text, module.begin, functions)
        {
            names.push(module.name);
        }
    }
    names.sort();
    names
}

/// The modules of `/proc/modules`. Where the next one begins, a module ends at the latest: newer kernels give the text of all
/// modules a place of its own, and count more than the text.
fn modules(list: &str) -> Vec<Module> {
    let module = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (name, bytes) = (words.next()?, words.next()?.parse::<u64>().ok()?);
        let begin = words.find_map(|word| word.strip_prefix("0x"))?;
        let begin = u64::from_str_radix(begin, 16).ok().filter(|begin| *begin != 0)?;
        Some(Module { name: name.to_owned(), begin, end: begin.checked_add(bytes)? })
    };
    let mut modules: Vec<Module> = list.lines().filter_map(module).collect();
    modules.sort_by_key(|module| module.begin);
    let begins: Vec<u64> = modules.iter().skip(1).map(|module| module.begin).collect();
    for (module, next) in modules.iter_mut().zip(begins) {
        module.end = module.end.min(next);
    }
    modules
}

/// The kernel's memory, and what of it is where in the file: an ELF file of 64 bits, little-endian, whose program headers follow
/// its header.
fn memory(path: &Path) -> io::Result<(File, Vec<Segment>)> {
    let file = File::open(path)?;
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0)?;
    let word = |bytes: &[u8], at: usize| bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
    let number = |bytes: &[u8], at: usize| word(bytes, at).map_or(0, u64::from_le_bytes);
    let (begin, count) = (number(&header, 32), number(&header, 56) & 0xffff);
    let mut segments = Vec::new();
    for index in 0..count {
        let mut entry = [0; 56];
        file.read_exact_at(&mut entry, begin + index * 56)?;
        const LOAD: u64 = 1;
        if number(&entry, 0) & 0xffff_ffff == LOAD {
            let (offset, address, bytes) = (number(&entry, 8), number(&entry, 16), number(&entry, 32));
            segments.push(Segment { address, bytes, offset });
        }
    }
    Ok((file, segments))
}

/// Whether some four bytes of this text are the distance to one of the functions, or its address.
fn calls(text: &[u8], begin: u64, functions: &[u64]) -> bool {
    let mut behind = begin.wrapping_add(4);
    text.windows(4).any(|window| {
        let number = window.try_into().map_or(0, i32::from_le_bytes);
        let number = i64::from(number).cast_unsigned();
        let target = behind.wrapping_add(number);
        behind = behind.wrapping_add(1);
        functions.iter().any(|function| {
            target.wrapping_sub(function.wrapping_sub(NEAR)) <= 2 * NEAR || number == *function
        })
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Module, calling, calls, modules};

    const CALL_RCU: u64 = 0xffff_ffff_8112_3450;
    const TEXT: u64 = 0xffff_ffff_c040_0000;

    /// A text of so many bytes that calls this address from its byte 5.
    fn text_that_calls(target: u64, bytes: usize) -> Vec<u8> {
        let mut text = vec![0x90; bytes];
        let distance = i32::try_from(target.wrapping_sub(TEXT + 10).cast_signed()).unwrap();
        text[5] = 0xe8;
        text[6..10].copy_from_slice(&distance.to_le_bytes());
        text
    }

    #[test]
    fn a_call_is_found_wherever_it_is_and_no_other_is_one() {
        let calls = |text: &[u8]| calls(text, TEXT, &[CALL_RCU, CALL_RCU + 0x4000]);
        for near in [0, 4, 16, u64::MAX - 15] {
            assert!(calls(&text_that_calls(CALL_RCU.wrapping_add(near), 10)), "{near}");
        }
        assert!(calls(&text_that_calls(CALL_RCU + 0x4000, 4096)));
        for far in [17, 0x3000, u64::MAX - 17] {
            assert!(!calls(&text_that_calls(CALL_RCU.wrapping_add(far), 4096)), "{far}");
        }
        // mov $call_rcu, %rdi
        let mut loads = vec![0x48, 0xc7, 0xc7];
        loads.extend(&CALL_RCU.to_le_bytes()[..4]);
        assert!(calls(&loads));
        assert!(!calls(&text_that_calls(CALL_RCU, 4096)[..9]), "it ends before");
        assert!(!calls(&[]));
    }

    #[test]
    fn a_module_ends_where_the_next_begins() {
        let list = "one 16384 1 two, Live 0xffffffffc0401000 (O)\n\
                    hidden 4096 0 - Live 0x0000000000000000\n\
                    two 4096 0 - Live 0xffffffffc0400000 (OE)\n";
        let module = |name: &str, begin, end| Module { name: name.to_owned(), begin, end };
        assert_eq!(
            modules(list),
            [module("two", TEXT, TEXT + 0x1000), module("one", TEXT + 0x1000, TEXT + 0x5000)]
        );
    }

    #[test]
    fn the_callers_are_named_by_what_the_kernel_s_memory_has() {
        let folder = std::env::temp_dir().join(format!("krcu-callers-{}", std::process::id()));
        let proc = folder.join("proc");
        fs::create_dir_all(&proc).unwrap();
        assert_eq!(calling(&folder, "x86_64", &[CALL_RCU]), Vec::<String>::new(), "nothing can be read");
        let list = "calls 4096 0 - Live 0xffffffffc0400000\nidle 4096 0 - Live 0xffffffffc0401000\n\
                    elsewhere 4096 0 - Live 0xffffffffd0000000\n";
        fs::write(proc.join("modules"), list).unwrap();
        let mut kcore = vec![0; 64 + 2 * 56];
        kcore[32] = 64;
        kcore[56] = 2;
        // The first is a note.
        kcore[64] = 4;
        let load = &mut kcore[64 + 56..];
        load[0] = 1;
        load[8..16].copy_from_slice(&4096_u64.to_le_bytes());
        load[16..24].copy_from_slice(&(TEXT - 4096).to_le_bytes());
        load[32..40].copy_from_slice(&(3 * 4096_u64).to_le_bytes());
        kcore.resize(2 * 4096, 0);
        kcore.extend(text_that_calls(CALL_RCU, 4096));
        kcore.extend(vec![0x90; 4096]);
        fs::write(proc.join("kcore"), kcore).unwrap();
        assert_eq!(calling(&folder, "x86_64", &[CALL_RCU]), ["calls"]);
        assert_eq!(calling(&folder, "x86_64", &[]), Vec::<String>::new());
        fs::remove_dir_all(folder).unwrap();
    }
}
