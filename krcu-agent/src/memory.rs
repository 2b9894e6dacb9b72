//! Memory given back: reading the kernel's type information takes some megabytes, once.

/// Gives the allocator's free memory back to the system, where it has a way to.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the function takes no pointer and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
