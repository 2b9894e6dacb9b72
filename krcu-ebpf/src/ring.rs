//! Reserve, fill, submit; and the account of what found no room.

use core::{
    intrinsics::{AtomicOrdering, atomic_xadd},
    mem::MaybeUninit,
};

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id, generated::bpf_ktime_get_ns};
use krcu_common::{
    Fate, Kind,
    count::{LINE_WORDS, LINES, SEQUENCE, delivered, known, loss_key},
    wire::{Header, Record},
};

use crate::{
    config,
    kernel::{Cell, Owner},
    maps::{COUNTERS, EVENTS, LOSSES, LOST},
};

/// `BPF_RB_NO_WAKEUP`: leave the reader asleep.
const NO_WAKEUP: u64 = 1;
/// `BPF_RB_FORCE_WAKEUP`: wake the reader.
const FORCE_WAKEUP: u64 = 2;
/// `BPF_RB_AVAIL_DATA`: ask for the bytes not yet read.
const AVAILABLE_DATA: u64 = 0;

/// Of so many events of a CPU, one looks how full the ring is.
const LOOK_EVERY: u64 = 16;

/// `BPF_NOEXIST`: only a new entry.
pub const NEW: u64 = 1;

/// Whether the reader should be woken for an event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// At once: rare events, on which a person may be waiting.
    Now,
    /// When enough has gathered; the reader looks by itself every few milliseconds.
    Later,
}

/// The lines of all CPUs ([`krcu_common::count`]).
#[unsafe(link_section = ".bss.lines")]
static COUNTS: Cell<[[u64; LINE_WORDS]; LINES]> = Cell::new([[0; LINE_WORDS]; LINES]);

/// Bytes of a line.
const LINE_BYTES: usize = LINE_WORDS * size_of::<u64>();

/// The line of this CPU.
pub struct Line {
    cpu: u32,
    words: *mut u64,
}

impl Line {
    /// That of the CPU that the program runs on, to its end.
    #[inline(always)]
    pub fn here() -> Line {
        // SAFETY: the helper takes no argument and cannot fail.
        let cpu = unsafe { bpf_get_smp_processor_id() };
        let place = (cpu as usize * LINE_BYTES) & ((LINES - 1) * LINE_BYTES);
        // SAFETY: within the array.
        Line { cpu, words: unsafe { COUNTS.as_ptr().cast::<u64>().byte_add(place) } }
    }

    /// Adds one to a word.
    #[inline(always)]
    pub fn count(&self, word: usize) {
        // SAFETY: a line has this word.
        add(unsafe { self.words.add(word) }, 1);
    }

    /// The next sequence number of this CPU.
    #[inline(always)]
    fn next_sequence(&self) -> u64 {
        // Sequentially consistent, though no order is needed: LLVM makes of a relaxed one the instruction
        // that does not fetch, and gives the addend for the value before.
        // SAFETY: a line has this word, aligned, as long as the program is there.
        unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(self.words.add(SEQUENCE), 1) }
    }
}

/// The place of one counter on this CPU, in the rows.
#[inline(always)]
fn row_of(kind: Kind) -> Option<*mut u64> {
    // There always is one, but the verifier wants to hear what else.
    COUNTERS.get_ptr_mut(kind as u32).map(|row| row.cast())
}

/// Adds one to the counter of this CPU.
#[inline(always)]
pub fn count(kind: Kind, fate: Fate) {
    if let Some(row) = row_of(kind) {
        // SAFETY: a row has a word for each fate.
        add(unsafe { row.add(fate as usize) }, 1);
    }
}

/// Counts one that is not streamed, by what owns it.
#[inline(always)]
pub fn count_filtered(kind: Kind, owner: &Owner) {
    match owner {
        Owner::Kmalloc => match known(kind) {
            Some(word) => Line::here().count(word),
            None => count(kind, Fate::FilteredKmalloc),
        },
        Owner::Builtin => count(kind, Fate::FilteredBuiltin),
        Owner::NotSlab => count(kind, Fate::FilteredNotSlab),
        Owner::Streamed(_) => {}
    }
}

/// Adds, modulo 2^64. An interrupt may run between load and store, so the sum is made in one instruction; by the
/// intrinsic, because the BPF target has the instruction and core offers no atomics for it.
#[inline(always)]
pub fn add(place: *mut u64, number: u64) {
    // SAFETY: the map's value is eight aligned bytes that live as long as the program.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(place, number) };
}

/// The thread id of the current task.
#[inline(always)]
pub fn task() -> u32 {
    bpf_get_current_pid_tgid() as u32
}

/// Counts what was lost of an object of this cache, 0 where it is of none or of several.
#[inline(never)]
pub fn lose(cache: u64, kind: Kind, fate: Fate) {
    if cache != 0 {
        let key = loss_key(cache, fate);
        // Two CPUs may both find no entry: the one that comes late adds to the other's. Where there is no
        // room, the counter below is left to say so.
        if LOST.get_ptr_mut(key).is_none() {
            let _ = LOST.insert(key, 0, NEW);
        }
        if let Some(place) = LOST.get_ptr_mut(key) {
            add(place, 1);
        }
    }
    count(kind, fate);
    if let Some(place) = LOSSES.get_ptr_mut(0) {
        add(place, 1);
    }
}

/// Writes one event that is about no object, or counts its loss.
#[inline(always)]
pub fn emit<Body: 'static>(kind: Kind, wake: Wake, fill: impl FnOnce(&mut MaybeUninit<Body>)) {
    emit_of(0, kind, wake, fill);
}

/// Writes one event, or counts its loss for the cache whose object it is about, 0 for none. `fill` has to write
/// every byte of the body: ring memory holds what an earlier event left there. It does not run when the event is lost; what depends on the event
/// being written belongs into it, since a result made here would tempt the compiler to test the
/// reservation twice, which older verifiers take for a path that leaks it.
#[inline(always)]
pub fn emit_of<Body: 'static>(cache: u64, kind: Kind, wake: Wake, fill: impl FnOnce(&mut MaybeUninit<Body>)) {
    let line = Line::here();
    let Some(mut entry) = EVENTS.reserve::<Record<Body>>(0) else {
        // A number is spent all the same: the hole that it leaves is how the reader learns of the loss.
        line.next_sequence();
        lose(cache, kind, Fate::LostRing);
        return;
    };
    let record: *mut Record<Body> = entry.as_mut_ptr();
    let sequence = line.next_sequence();
    let header = Header {
        // SAFETY: the helper takes no argument and cannot fail.
        time_ns: unsafe { bpf_ktime_get_ns() },
        sequence,
        task: task(),
        cpu: line.cpu as u16,
        kind: kind as u8,
        reserved: 0,
    };
    // SAFETY: `record` is the reserved memory, aligned to 8 and as long as a Record<Body>.
    unsafe { (&raw mut (*record).header).write(header) };
    // SAFETY: the body's place in the same memory; MaybeUninit promises nothing of what it holds.
    fill(unsafe { &mut *(&raw mut (*record).body).cast::<MaybeUninit<Body>>() });
    let now = wake == Wake::Now || sequence.is_multiple_of(LOOK_EVERY) && is_filling();
    entry.submit(if now { FORCE_WAKEUP } else { NO_WAKEUP });
    line.count(delivered(kind));
}

/// Whether enough waits in the ring to wake its reader.
#[inline(always)]
fn is_filling() -> bool {
    EVENTS.query(AVAILABLE_DATA) >= u64::from(config!(wake_bytes))
}
