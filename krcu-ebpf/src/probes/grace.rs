//! Grace: a grace period begins, and ends.
//!
//! The places are chosen so that no free can be taken for an earlier one than it was. A grace period that
//! covers an object takes its number after the object was queued. From there it reaches the begin here,
//! which is thus later than the queueing. A normal one passes the end here before anybody can learn that
//! it has ended, and so before the object is freed; an expedited one passes its begin before that. On
//! another CPU the ring keeps this order: who reserves in it holds its lock, and so sees whatever those
//! who came earlier had done by then.
//!
//! Each begin is the entry of a function that is called after the number was taken. A grace period that
//! had passed it when the probes came covers nothing that was queued under their eyes.

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

/// Entry of `rcu_gp_fqs_loop()`, in which the thread of the grace periods waits for the readers: the
/// grace period has its number, and so has everyone who asks for it.
#[fentry]
pub fn grace_begin(_context: FEntryContext) -> i32 {
    grace(Kind::GraceBegin, 0, config!(gp_seq_address))
}

/// Entry of `rcu_gp_cleanup()`: the readers are gone, and nobody knows it yet.
#[fentry]
pub fn grace_end(_context: FEntryContext) -> i32 {
    grace(Kind::GraceEnd, 0, config!(gp_seq_address))
}

/// Entry of `wait_rcu_exp_gp()`, the work that drives an expedited grace period to its end: who asked for
/// it has given it its number.
#[fentry]
pub fn expedited_begin(_context: FEntryContext) -> i32 {
    grace(Kind::GraceBegin, 1, config!(expedited_sequence_address))
}

/// Return of `wait_rcu_exp_gp()`: it has ended, and who waited for it was woken; the next one may have
/// begun. Its argument lay on the stack of who asked, and is not there any more.
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
