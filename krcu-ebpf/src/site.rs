//! The place that a call came from: a small number in the event, and once the frames with their symbols.
//!
//! The kernel itself prints the frames (`%pS`) at the moment of the call. So a module's symbols are there
//! even if the module is gone soon after.

use aya_ebpf::{
    EbpfContext,
    helpers::generated::{bpf_get_stack, bpf_snprintf},
    programs::tracing::StackIdContext,
};
use aya_log_ebpf::warn;
use krcu_common::{
    Fate, Kind,
    wire::{FRAME_BYTES, Function, SITE_FRAMES, Site},
};

use crate::{
    config,
    maps::{FUNCTIONS, MODULE_EPOCH, SITES, STACKS},
    ring::{Wake, count, emit},
};

/// How the kernel prints one address: symbol, offset, size and module.
#[unsafe(no_mangle)]
static FRAME_FORMAT: [u8; 4] = *b"%pS\0";

/// What `bpf_get_stackid()` said before, as a number that is negative if the stack could not be taken.
#[derive(Clone, Copy)]
pub struct StackTaken(pub i64);

impl StackTaken {
    /// It was not asked.
    pub const NOT: StackTaken = StackTaken(-1);
}

/// The number of the current stack, for an event of this kind; 0 if there is none.
#[inline(always)]
pub fn site<Context: EbpfContext + StackIdContext>(context: &Context, kind: Kind) -> u32 {
    site_of(context, kind, StackTaken::NOT)
}

/// The same, if the stack may have been taken before.
#[inline(always)]
pub fn site_of<Context: EbpfContext + StackIdContext>(
    context: &Context,
    kind: Kind,
    taken: StackTaken,
) -> u32 {
    // This does not use BPF_F_REUSE_STACKID, so that a number never changes its meaning within an epoch. If
    // another stack has taken the place of this one, the loop tries again with fewer of the probe's own
    // frames, which gives another hash.
    let id = match taken {
        StackTaken(id @ 0..) => Ok(id),
        _ => context
            .get_stackid(&STACKS, 0)
            .or_else(|_| context.get_stackid(&STACKS, 1))
            .or_else(|_| context.get_stackid(&STACKS, 2)),
    };
    let id = match id {
        Ok(id) => id,
        Err(error) => {
            if config!(probe_log) != 0 {
                warn!(context, "a call has no site: bpf_get_stackid() gives {}", error);
            }
            count(kind, Fate::NoSite);
            return 0;
        }
    };
    let site = id as u32 + 1;
    let epoch = MODULE_EPOCH.get();
    // SAFETY: the value is copied at once; a racing update stores the same epoch.
    let known = unsafe { SITES.get(site) }.copied();
    if known != Some(epoch) {
        send(context, site, epoch);
    }
    site
}

#[inline(never)]
fn send<Context: EbpfContext>(context: &Context, site: u32, epoch: u32) {
    let mut addresses = [0_u64; SITE_FRAMES];
    let bytes = size_of_val(&addresses) as u32;
    // SAFETY: the helper writes at most `bytes` bytes into the array.
    let taken = unsafe { bpf_get_stack(context.as_ptr(), addresses.as_mut_ptr().cast(), bytes, 0) };
    if taken <= 0 {
        return;
    }
    emit::<Site>(Kind::Site, Wake::Later, |body| {
        let body = body.as_mut_ptr();
        // SAFETY: `body` is reserved memory for a Site; every byte of it is written below.
        unsafe { (&raw mut (*body).site).write(site) };
        // SAFETY: as above.
        unsafe { (&raw mut (*body).frames).write((taken as u32) / 8) };
        for (index, address) in addresses.iter().enumerate() {
            // SAFETY: as above; `index` is below SITE_FRAMES.
            let frame = unsafe { (&raw mut (*body).frame[index]).cast::<u8>() };
            // SAFETY: `frame` has FRAME_BYTES bytes.
            unsafe { print(frame, address) };
        }
        // The frames are sent, and the next event from here needs none. If this insert fails, they are sent
        // again.
        let _ = SITES.insert(site, epoch, 0);
    });
}

/// Sends the symbol of a callback, once in each epoch.
#[inline(always)]
pub fn name(function: u64) {
    let epoch = MODULE_EPOCH.get();
    // SAFETY: the value is copied at once; a racing update stores the same epoch.
    let known = unsafe { FUNCTIONS.get(function) }.copied();
    if known != Some(epoch) {
        send_name(function, epoch);
    }
}

#[inline(never)]
fn send_name(function: u64, epoch: u32) {
    emit::<Function>(Kind::Function, Wake::Later, |body| {
        let body = body.as_mut_ptr();
        // SAFETY: `body` is reserved memory for a Function; every byte of it is written here and below.
        unsafe { (&raw mut (*body).address).write(function) };
        // SAFETY: as above.
        let symbol = unsafe { (&raw mut (*body).symbol).cast::<u8>() };
        // SAFETY: `symbol` has FRAME_BYTES bytes.
        unsafe { print(symbol, &function) };
        // If this insert fails, the symbol is sent again.
        let _ = FUNCTIONS.insert(function, epoch, 0);
    });
}

/// Makes the kernel print an address as text.
///
/// # Safety
/// `text` has room for [`FRAME_BYTES`] bytes.
#[inline(always)]
unsafe fn print(text: *mut u8, address: &u64) {
    // SAFETY: the room is the caller's promise; the format has one argument of eight bytes.
    unsafe {
        bpf_snprintf(
            text.cast(),
            FRAME_BYTES as u32,
            FRAME_FORMAT.as_ptr().cast(),
            (&raw const *address).cast_mut().cast(),
            8,
        )
    };
}
