//! Memory: gives memory back to the kernel. Reading the type information and loading the probes takes some megabytes,
//! once.

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

#[cfg(test)]
mod tests {
    use super::*;

    static TEXT: &[u8; 64 << 10] = &[7; 64 << 10];

    #[test]
    fn what_is_not_needed_is_there_all_the_same() {
        for skipped in [0, 1, 4096, (64 << 10) - 100, 64 << 10] {
            not_needed(&TEXT[skipped..]);
            assert!(TEXT.iter().all(|byte| *byte == 7));
        }
    }
}
