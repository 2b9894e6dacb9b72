//! Callback: a callback that `call_rcu()` queued begins to run, and has run.
//!
//! `rcu_do_batch()` takes each callback off its list with `rcu_cblist_dequeue()`, calls it, and asks for the
//! next one. When it asks again, or puts back the rest of the list, the previous callback has returned. It
//! keeps its thread free of softirqs meanwhile, so no other list runs in between. SRCU and RCU for tasks use the
//! same function, and ask until the list is empty.

use aya_ebpf::{macros::fentry, programs::FEntryContext};
use krcu_common::{
    Fate, FreePath, Kind,
    wire::{CallbackRuns, ELSEWHERE},
};

use super::{
    Hot, argument, first,
    free::{SEVERAL, batch_freed, batch_key},
    nested,
    queue::{ends_in_module_text, rcu_work_is_next},
};
use crate::{
    config,
    kernel::{self, Owner, read},
    maps::{BATCHES, CALLBACKS_RUNNING},
    ring::{NEW, Wake, add, count_filtered, emit_of, lose},
};

/// Entry of `rcu_cblist_dequeue(list)`. It is as hot as `callback_queued`, and like it mostly counts.
#[fentry]
pub fn callback_runs(context: FEntryContext) -> i32 {
    first(Hot::CallbackRuns, &context, || runs(&context))
}

/// The second copy of `callback_runs`.
#[fentry]
pub fn callback_runs_nested(context: FEntryContext) -> i32 {
    nested(Hot::CallbackRuns, Kind::CallbackRuns, &context, || runs(&context))
}

/// Entry of `rcu_segcblist_insert_done_cbs()`, which `rcu_do_batch()` calls after its last callback.
#[fentry]
pub fn callback_runs_end(_context: FEntryContext) -> i32 {
    last_has_run();
    0
}

#[inline(always)]
fn runs(context: &FEntryContext) {
    last_has_run();
    let list = argument(context, 0);
    let head: u64 = read(list + u64::from(config!(callback_head_offset))).unwrap_or(0);
    if head == 0 {
        return;
    }
    let cache = match kernel::owner(head) {
        Owner::Streamed(cache) => cache,
        other => {
            let function = read(head + u64::from(config!(callback_function_offset))).unwrap_or(0);
            if !ends_in_module_text(function, || head) {
                return count_filtered(Kind::CallbackRuns, &other);
            }
            ELSEWHERE
        }
    };
    emit_of::<CallbackRuns>(cache, Kind::CallbackRuns, Wake::Later, |body| {
        body.write(CallbackRuns { head, cache });
    });
    // Of a callback that is of no cache it is told all the same that it has returned.
    let of = if cache == ELSEWHERE { SEVERAL } else { cache };
    if BATCHES.insert(batch_key(FreePath::Callback), of, NEW).is_ok() {
        running(1);
        rcu_work_is_next(head);
    } else {
        lose(cache, Kind::BatchFreed, Fate::MapFull);
    }
}

/// The streamed callback that this thread was running, if there was one, has returned.
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
