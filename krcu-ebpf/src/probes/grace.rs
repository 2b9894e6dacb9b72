//! Grace: a grace period begins, and ends.
//!
//! The probed functions are chosen so that a free is never taken for an earlier one than it was. A grace
//! period that covers an object takes its number after the object was queued. It reaches the begin here after
//! that, so the begin is later than the queueing. A normal grace period passes the end here before any task
//! can learn that it has ended, and so before the object is freed. An expedited one passes its begin before
//! that. The ring keeps this order between CPUs: a program that reserves room holds the ring's lock, and so
//! sees everything that earlier reservations had seen.
//!
//! Each begin is the entry of a function that is called after the number was taken. A grace period that had
//! passed this function when the probes were attached covers nothing that was queued while they were
//! attached.

use aya_ebpf::{
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use krcu_common::{Kind, wire::Grace};

use crate::{
    config,
    kernel::read,
    ring::{Wake, emit},
};

/// Entry of `rcu_gp_fqs_loop()`, in which the grace-period thread waits for the readers. The grace period has
/// its number, and so has everyone who asks for it.
#[fentry]
pub fn grace_begin(_context: FEntryContext) -> i32 {
    grace(Kind::GraceBegin, 0, config!(gp_seq_address))
}

/// Entry of `rcu_gp_cleanup()`. The readers have left, but nobody knows it yet.
#[fentry]
pub fn grace_end(_context: FEntryContext) -> i32 {
    grace(Kind::GraceEnd, 0, config!(gp_seq_address))
}

/// Entry of `wait_rcu_exp_gp()`, the work that carries out an expedited grace period. The task that asked for
/// it has given it its number.
#[fentry]
pub fn expedited_begin(_context: FEntryContext) -> i32 {
    grace(Kind::GraceBegin, 1, config!(expedited_sequence_address))
}

/// Return of `wait_rcu_exp_gp()`. The grace period has ended, the waiting task was woken, and the next one
/// may have begun. The argument was on the stack of the waiting task and is no longer there.
#[fexit]
pub fn expedited_end(_context: FExitContext) -> i32 {
    grace(Kind::GraceEnd, 1, config!(expedited_sequence_address))
}

#[inline(always)]
fn grace(kind: Kind, expedited: u32, sequence: u64) -> i32 {
    emit::<Grace>(kind, Wake::Later, |body| {
        let gp_seq = if sequence == 0 { 0 } else { read(sequence).unwrap_or(0) };
        body.write(Grace { gp_seq, expedited, reserved: 0 });
    });
    0
}
