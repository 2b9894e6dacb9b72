//! Reserve, fill, submit; and the account of what found no room.

use core::{
    intrinsics::{AtomicOrdering, atomic_xadd},
    mem::MaybeUninit,
};

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id, generated::bpf_ktime_get_ns};
use krcu_common::{
    Fate, Kind,
    count::RUNNING,
    wire::{Header, Record},
};

use crate::{
    config,
    kernel::Owner,
    maps::{COUNTERS, EVENTS, SEQUENCES},
};

/// `BPF_RB_NO_WAKEUP`: leave the reader asleep.
const NO_WAKEUP: u64 = 1;
/// `BPF_RB_FORCE_WAKEUP`: wake the reader.
const FORCE_WAKEUP: u64 = 2;
/// `BPF_RB_AVAIL_DATA`: ask for the bytes not yet read.
const AVAILABLE_DATA: u64 = 0;

/// Whether the reader should be woken for an event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// At once: rare events, on which a person may be waiting.
    Now,
    /// When enough has gathered; the reader looks by itself every few milliseconds.
    Later,
}

/// The counters of one kind on this CPU.
pub struct Row(*mut u64);

impl Row {
    /// The row of a kind; there always is one, but the verifier wants to hear what else.
    #[inline(always)]
    pub fn of(kind: Kind) -> Option<Row> {
        COUNTERS.get_ptr_mut(kind as u32).map(|row| Row(row.cast()))
    }

    /// Adds one to a counter.
    #[inline(always)]
    pub fn count(&self, fate: Fate) {
        // SAFETY: a row has a word for each fate.
        add(unsafe { self.0.add(fate as usize) }, 1);
    }

    /// Counts one that is not streamed, by what owns it.
    #[inline(always)]
    pub fn count_filtered(&self, owner: &Owner) {
        self.count(Fate::Seen);
        match owner {
            Owner::Kmalloc => self.count(Fate::FilteredKmalloc),
            Owner::Builtin => self.count(Fate::FilteredBuiltin),
            Owner::NotSlab => self.count(Fate::FilteredNotSlab),
            Owner::Streamed(_) => {}
        }
    }

    /// The word by which the copies of a hot program know of each other.
    #[inline(always)]
    pub fn running(&self) -> *mut u64 {
        // SAFETY: a row has this word.
        unsafe { self.0.add(RUNNING as usize) }
    }
}

/// Adds one to the counter of this CPU.
#[inline(always)]
pub fn count(kind: Kind, fate: Fate) {
    if let Some(row) = Row::of(kind) {
        row.count(fate);
    }
}

/// Counts one that is not streamed, by what owns it.
#[inline(always)]
pub fn count_filtered(kind: Kind, owner: &Owner) {
    if let Some(row) = Row::of(kind) {
        row.count_filtered(owner);
    }
}

/// Adds, modulo 2^64. An interrupt may run between load and store, so the sum is made in one instruction; by the
/// intrinsic, because the BPF target has the instruction and core offers no atomics for it.
#[inline(always)]
pub fn add(place: *mut u64, number: u64) {
    // SAFETY: the map's value is eight aligned bytes that live as long as the program.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(place, number) };
}

/// The next sequence number of this CPU.
#[inline(always)]
fn next_sequence() -> u64 {
    let Some(place) = SEQUENCES.get_ptr_mut(0) else { return 0 };
    // Sequentially consistent, though no order is needed: LLVM makes of a relaxed one the instruction
    // that does not fetch, and gives the addend for the value before.
    // SAFETY: as above.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(place, 1) }
}

/// The thread id of the current task.
#[inline(always)]
pub fn task() -> u32 {
    bpf_get_current_pid_tgid() as u32
}

/// Writes one event, or counts its loss. `fill` has to write every byte of the body: ring memory holds
/// what an earlier event left there. It does not run when the event is lost; what depends on the event
/// being written belongs into it, since a result made here would tempt the compiler to test the
/// reservation twice, which older verifiers take for a path that leaks it.
#[inline(always)]
pub fn emit<Body: 'static>(kind: Kind, wake: Wake, fill: impl FnOnce(&mut MaybeUninit<Body>)) {
    let Some(row) = Row::of(kind) else { return };
    row.count(Fate::Seen);
    let Some(mut entry) = EVENTS.reserve::<Record<Body>>(0) else {
        // A number is spent all the same: the hole that it leaves is how the reader learns of the loss.
        next_sequence();
        count(kind, Fate::LostRing);
        return;
    };
    let record: *mut Record<Body> = entry.as_mut_ptr();
    let header = Header {
        // SAFETY: the helper takes no argument and cannot fail.
        time_ns: unsafe { bpf_ktime_get_ns() },
        sequence: next_sequence(),
        task: task(),
        // SAFETY: as above.
        cpu: unsafe { bpf_get_smp_processor_id() } as u16,
        kind: kind as u8,
        reserved: 0,
    };
    // SAFETY: `record` is the reserved memory, aligned to 8 and as long as a Record<Body>.
    unsafe { (&raw mut (*record).header).write(header) };
    // SAFETY: the body's place in the same memory; MaybeUninit promises nothing of what it holds.
    fill(unsafe { &mut *(&raw mut (*record).body).cast::<MaybeUninit<Body>>() });
    entry.submit(if wake == Wake::Now || is_filling() { FORCE_WAKEUP } else { NO_WAKEUP });
    row.count(Fate::Delivered);
}

/// Whether enough waits in the ring to wake its reader.
#[inline(always)]
fn is_filling() -> bool {
    EVENTS.query(AVAILABLE_DATA) >= u64::from(config!(wake_bytes))
}
