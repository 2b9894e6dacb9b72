//! Cell: what programs share without a map's look-up.

use core::cell::UnsafeCell;

/// A global that programs change. Every access is an access of memory, in the order of the program.
#[repr(transparent)]
pub struct Cell<T>(UnsafeCell<T>);

// SAFETY: accesses are volatile and of one word each, and each stored value may be overwritten by another
// CPU.
unsafe impl<T> Sync for Cell<T> {}

impl<T> Cell<T> {
    pub const fn new(value: T) -> Self {
        Cell(UnsafeCell::new(value))
    }

    /// The address of the value.
    #[inline(always)]
    pub const fn as_ptr(&self) -> *mut T {
        self.0.get()
    }

    #[inline(always)]
    pub fn get(&self) -> T {
        // SAFETY: a static is valid, aligned and initialised.
        unsafe { core::ptr::read_volatile(self.0.get()) }
    }

    #[inline(always)]
    pub fn set(&self, value: T) {
        // SAFETY: as above.
        unsafe { core::ptr::write_volatile(self.0.get(), value) }
    }
}
