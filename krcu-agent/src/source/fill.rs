//! Fill: how many bytes of the ring are unread, from the two positions that the kernel shows.
//!
//! The kernel's `ringbuf_map_mmap_kern()` maps two pages, one after the other: that of the reader's position and that
//! of the writers' position. Both can be mapped once more for reading.

use std::{
    num::NonZeroUsize,
    os::fd::AsFd,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// The two positions.
pub(super) struct Fill {
    pages: NonNull<std::ffi::c_void>,
    page_bytes: usize,
}

impl Fill {
    /// The positions of this descriptor's ring; none if they cannot be mapped.
    pub(super) fn of(ring: impl AsFd) -> Option<Fill> {
        let bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
        let page_bytes = usize::try_from(bytes).ok()?;
        let two = NonZeroUsize::new(page_bytes.checked_mul(2)?)?;
        // SAFETY: a new mapping, at an address that the kernel chooses, to be read only.
        let pages = unsafe { mmap(None, two, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, ring, 0) };
        Some(Fill { pages: pages.ok()?, page_bytes })
    }

    /// The word at the beginning of a page.
    fn position(&self, page: usize) -> u64 {
        // SAFETY: both pages lie within the mapping.
        let word = unsafe { self.pages.byte_add(page * self.page_bytes) }.cast::<AtomicU64>();
        // SAFETY: a page is aligned, lives as long as `self`, and whoever writes its first word, the kernel or
        // the ring's reader, does it as a whole.
        let word = unsafe { word.as_ref() };
        word.load(Ordering::Acquire)
    }

    /// The number of bytes that are reserved or written, and not read.
    pub(super) fn used_bytes(&self) -> u64 {
        let read = self.position(0);
        self.position(1).saturating_sub(read)
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's own, and nothing of it is lent.
        let _ = unsafe { munmap(self.pages, 2 * self.page_bytes) };
    }
}
