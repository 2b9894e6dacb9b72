//! Callback: one that `call_rcu()` queued runs, and has run.
//!
//! `rcu_do_batch()` takes each callback off its list by `rcu_cblist_dequeue()`, calls it, and asks for the
//! next; when it asks again, or puts back what is left of the list, the one before has returned. It keeps
//! its thread from softirqs meanwhile, so no other list is run in between. SRCU and Tasks RCU take theirs
//! off by the same function: such a callback was never seen to be queued.

use aya_ebpf::{macros::fentry, programs::FEntryContext};
use krcu_common::{FreePath, Kind, wire::CallbackRuns};

use super::{
    argument, first,
    free::{batch_freed, batch_key},
    nested,
};
use crate::{
    config,
    kernel::{self, Owner, read},
    maps::{BATCHES, CALLBACKS_RUNNING},
    ring::{Row, Wake, add, emit},
};

/// `BPF_NOEXIST`: only a new entry.
const NEW: u64 = 1;

/// Entry of `rcu_cblist_dequeue(list)`. As hot as `callback_queued`, and like it mostly counts.
#[fentry]
pub fn callback_runs(context: FEntryContext) -> i32 {
    first(Kind::CallbackRuns, |row| runs(&context, row))
}

/// The second copy of `callback_runs`.
#[fentry]
pub fn callback_runs_nested(context: FEntryContext) -> i32 {
    nested(Kind::CallbackRuns, |row| runs(&context, row))
}

/// Entry of `rcu_segcblist_insert_done_cbs()`, which `rcu_do_batch()` calls after its last callback.
#[fentry]
pub fn callback_runs_end(_context: FEntryContext) -> i32 {
    last_has_run();
    0
}

#[inline(always)]
fn runs(context: &FEntryContext, row: &Row) {
    last_has_run();
    let list = argument(context, 0);
    let head: u64 = read(list + u64::from(config!(callback_head_offset))).unwrap_or(0);
    if head == 0 {
        return;
    }
    let cache = match kernel::owner(head) {
        Owner::Streamed(cache) => cache,
        other => return row.count_filtered(&other),
    };
    emit::<CallbackRuns>(Kind::CallbackRuns, Wake::Later, |body| {
        body.write(CallbackRuns { head, cache });
    });
    if BATCHES.insert(batch_key(FreePath::Callback), 1, NEW).is_ok() {
        running(1);
    }
}

/// The streamed callback that this thread was running, if any, has returned.
#[inline(always)]
fn last_has_run() {
    // SAFETY: the map's value, copied at once. It was counted by this thread, if it counts.
    if CALLBACKS_RUNNING.get_ptr(0).is_some_and(|running| unsafe { running.read_volatile() } != 0)
        && batch_freed(FreePath::Callback)
    {
        running(u64::MAX);
    }
}

#[inline(always)]
fn running(difference: u64) {
    if let Some(place) = CALLBACKS_RUNNING.get_ptr_mut(0) {
        add(place, difference);
    }
}
