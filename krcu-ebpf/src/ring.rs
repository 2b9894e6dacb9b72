//! Reserves, fills and submits records, and counts what found no room.

use core::{
    arch::asm,
    intrinsics::{AtomicOrdering, atomic_xadd},
    mem::MaybeUninit,
};

use aya_ebpf::{
    bindings::bpf_func_id::BPF_FUNC_get_smp_processor_id,
    helpers::{bpf_get_current_pid_tgid, bpf_get_smp_processor_id, generated::bpf_ktime_get_ns},
};
use krcu_common::{
    Fate, Kind,
    count::{LINE_WORDS, LINES, SEQUENCE, delivered, known, loss_key},
    wire::{Header, Record},
};

use crate::{
    cell::Cell,
    config,
    kernel::Owner,
    maps::{COUNTERS, EVENTS, LOSSES, LOST},
};

/// `BPF_RB_NO_WAKEUP`: leave the reader asleep.
const NO_WAKEUP: u64 = 1;
/// `BPF_RB_FORCE_WAKEUP`: wake the reader.
const FORCE_WAKEUP: u64 = 2;
/// `BPF_RB_AVAIL_DATA`: ask for the bytes not yet read.
const AVAILABLE_DATA: u64 = 0;

/// One of this many events of a CPU checks how full the ring is.
const LOOK_EVERY: u64 = 16;

/// `BPF_NOEXIST`: only a new entry.
pub const NEW: u64 = 1;

/// Whether the reader should be woken for an event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// At once: for rare events, which a person may be waiting for.
    Now,
    /// When enough has gathered. The reader looks by itself every few milliseconds.
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
    /// The line of the CPU that the program runs on.
    #[inline(always)]
    pub fn here() -> Line {
        // SAFETY: the helper takes no argument and cannot fail.
        let cpu = unsafe { bpf_get_smp_processor_id() };
        let place = (cpu as usize * LINE_BYTES) & ((LINES - 1) * LINE_BYTES);
        // SAFETY: this is within the array.
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
        // No order is needed. But for a relaxed operation LLVM emits the instruction that does not fetch, and
        // returns the addend in the place of the value before.
        // SAFETY: a line has this word, aligned, as long as the program is there.
        unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(self.words.add(SEQUENCE), 1) }
    }
}

/// The row of a kind on this CPU.
#[inline(always)]
fn row_of(kind: Kind) -> Option<*mut u64> {
    // There always is one, but the verifier demands a check.
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

/// If `one` is 1, adds it to the word `WORD` of this CPU's line, and *ends the program*. Otherwise does nothing.
///
/// A kernel that knows the bounds of a CPU's number takes the check of it out of the program, and like in
/// [`Kept`](crate::short::Kept) the stores and loads around the call.
#[inline(always)]
pub fn count_one_and_end<const WORD: usize>(one: u64) {
    // SAFETY: what is added to is within the array. After the call, the program ends here in any case.
    unsafe {
        asm!(
            "if r1 != 1 goto +13",
            "*(u64 *)(r10 - 24) = r1",
            "*(u64 *)(r10 - 32) = r2",
            "call {cpu}",
            "r2 = *(u64 *)(r10 - 32)",
            "r1 = *(u64 *)(r10 - 24)",
            "if r0 < {lines} goto +2",
            "r0 = 0",
            "exit",
            "r0 <<= {line_shift}",
            "r2 += r0",
            "lock *(u64 *)(r2 + {word}) += r1",
            "r0 = 0",
            "exit",
            in("r1") one,
            in("r2") COUNTS.as_ptr(),
            cpu = const BPF_FUNC_get_smp_processor_id,
            lines = const LINES,
            line_shift = const LINE_BYTES.trailing_zeros(),
            word = const WORD * size_of::<u64>(),
            out("r0") _,
        );
    }
}

/// Counts an object that is not streamed, by its owner.
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

/// Adds, modulo 2^64. An interrupt may come between a load and a store, so the sum is made in one
/// instruction. An intrinsic does it, because the BPF target has the instruction but core offers no atomics
/// for it.
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

/// Counts the loss of an event about an object of this cache; 0 means no cache, or several.
#[inline(never)]
pub fn lose(cache: u64, kind: Kind, fate: Fate) {
    if cache != 0 {
        let key = loss_key(cache, fate);
        // Two CPUs may both find no entry; the later one adds to the other's. If there is no room, only the
        // counter below records the loss.
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

/// Writes one event that is not about an object, or counts its loss.
#[inline(always)]
pub fn emit<Body: 'static>(kind: Kind, wake: Wake, fill: impl FnOnce(&mut MaybeUninit<Body>)) {
    emit_of(0, kind, wake, fill);
}

/// Writes one event, or counts its loss for the cache of its object (0 for none). `fill` must write every
/// byte of the body, because ring memory still holds what an earlier event left there. `fill` does not run if
/// the event is lost. Everything that depends on the event being written belongs in `fill`: with a result
/// made here, the compiler might test the reservation twice, and older verifiers would take that for a path
/// that leaks it.
#[inline(always)]
pub fn emit_of<Body: 'static>(cache: u64, kind: Kind, wake: Wake, fill: impl FnOnce(&mut MaybeUninit<Body>)) {
    let line = Line::here();
    let Some(mut entry) = EVENTS.reserve::<Record<Body>>(0) else {
        // A sequence number is used up anyway: the reader learns of the loss from the hole.
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
