//! Memory: gives memory back to the kernel, and says how much the probes take of it. Reading the type information and
//! loading the probes takes some megabytes, once.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};

/// Gives the allocator's free memory back to the kernel, if the allocator can do that.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the function takes no pointer and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Makes this process use small pages only: one used byte of a huge page takes two megabytes.
pub fn small_pages() {
    // A system without huge pages has nothing to turn off.
    let _ = nix::sys::prctl::set_thp_disable(true);
}

/// Tells the kernel that a constant of the program is not needed soon. If it is read again, its pages come back from
/// the program's file.
pub fn not_needed(constant: &'static [u8]) {
    let Ok(Some(page)) = sysconf(SysconfVar::PAGE_SIZE) else { return };
    let Ok(page) = usize::try_from(page) else { return };
    let skipped = constant.as_ptr().align_offset(page);
    let Some(rest) = constant.get(skipped..) else { return };
    let whole = rest.len() - rest.len() % page;
    if whole == 0 {
        return;
    }
    let begin = rest.as_ptr().cast_mut().cast();
    // SAFETY: these are whole pages within a constant. Nothing has ever written to them, so the file has the same bytes.
    // If the kernel refuses, the pages stay.
    unsafe {
        libc::madvise(begin, whole, libc::MADV_DONTNEED);
    }
}

/// How many bytes the kernel keeps for the programs and maps that this process has open, as their `fdinfo` says.
/// `None` if the files cannot be read.
#[must_use]
pub fn of_probes() -> Option<u64> {
    let open = fs::read_dir("/proc/self/fdinfo").ok()?;
    // A descriptor may be closed meanwhile.
    let texts = open.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    Some(texts.filter_map(|text| kept(&text)).sum())
}

/// The bytes of one program or map. Linux 6.1 does not count the bytes of a ring, which its number of entries is.
fn kept(fdinfo: &str) -> Option<u64> {
    const RING: u64 = 27;
    let value = |key: &str| -> Option<u64> {
        fdinfo.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
    };
    let memory = value("memlock:")?;
    let ring = value("max_entries:").filter(|_| value("map_type:") == Some(RING));
    Some(memory.max(ring.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_ring_is_counted_where_the_kernel_does_not() {
        let map = |kind: u32, memory: u64| {
            format!(
                "pos:\t0\nmap_type:\t{kind}\nkey_size:\t0\nmax_entries:\t4194304\nmemlock:\t{memory}\nmap_id:\t7\n"
            )
        };
        assert_eq!(kept(&map(27, 0)), Some(4_194_304));
        assert_eq!(kept(&map(27, 4_207_192)), Some(4_207_192));
        assert_eq!(kept(&map(2, 4096)), Some(4096));
        assert_eq!(kept("pos:\t0\nflags:\t02\nprog_type:\t26\nmemlock:\t8192\nprog_id:\t9\n"), Some(8192));
        assert_eq!(kept("pos:\t0\nflags:\t02\n"), None);
    }

    static TEXT: &[u8; 64 << 10] = &[7; 64 << 10];

    #[test]
    fn what_is_not_needed_is_there_all_the_same() {
        for skipped in [0, 1, 4096, (64 << 10) - 100, 64 << 10] {
            not_needed(&TEXT[skipped..]);
            assert!(TEXT.iter().all(|byte| *byte == 7));
        }
    }
}
