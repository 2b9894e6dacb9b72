//! Queue: an object is handed to `kfree_rcu()`, or a callback in it to `call_rcu()`.

use aya_ebpf::{macros::fentry, programs::FEntryContext};
use krcu_common::{
    Kind, QueueForm,
    config::OBJECT_IS_POINTER,
    wire::{CallbackQueued, Queued},
};

use super::{argument, first, nested, untyped_argument};
use crate::{
    config,
    kernel::{self, Owner},
    ring::{Row, Wake, emit},
    site::{name, site},
};

/// Entry of `kvfree_call_rcu()`, both forms.
#[fentry]
pub fn queued(context: FEntryContext) -> i32 {
    first(Kind::Queued, |row| queue(&context, row, false))
}

/// The second copy of `queued`.
#[fentry]
pub fn queued_nested(context: FEntryContext) -> i32 {
    nested(Kind::Queued, |row| queue(&context, row, false))
}

/// Entry of `kfree_call_rcu_nolock()`, whose fallback comes by `kvfree_call_rcu()` once more.
#[fentry]
pub fn queued_nolock(context: FEntryContext) -> i32 {
    if let Some(row) = Row::of(Kind::Queued) {
        queue(&context, &row, true);
    }
    0
}

#[inline(always)]
fn queue(context: &FEntryContext, row: &Row, nolock: bool) {
    let object = if config!(object_argument) == OBJECT_IS_POINTER {
        untyped_argument(context, 1)
    } else {
        let second = argument(context, 1);
        match argument(context, 0) {
            0 => second,
            head => head - second,
        }
    };
    let cache = match kernel::owner(object) {
        Owner::Streamed(cache) => cache,
        other => return row.count_filtered(&other),
    };
    let form = if nolock { QueueForm::Nolock } else { QueueForm::of(argument(context, 0) == 0) };
    let site = if config!(queue_stacks) != 0 { site(context) } else { 0 };
    emit::<Queued>(Kind::Queued, Wake::Later, |body| {
        body.write(Queued { object, cache, site, form: form as u32 });
    });
}

/// Entry of `call_rcu(head, function)`. Hot on a busy kernel: nearly every head lies in an object of a
/// cache that is never destroyed, and is only counted.
#[fentry]
pub fn callback_queued(context: FEntryContext) -> i32 {
    first(Kind::CallbackQueued, |row| callback(&context, row))
}

/// The second copy of `callback_queued`.
#[fentry]
pub fn callback_queued_nested(context: FEntryContext) -> i32 {
    nested(Kind::CallbackQueued, |row| callback(&context, row))
}

/// Entry of `call_rcu_hurry()`, where it has a body of its own.
#[fentry]
pub fn callback_queued_hurry(context: FEntryContext) -> i32 {
    if let Some(row) = Row::of(Kind::CallbackQueued) {
        callback(&context, &row);
    }
    0
}

#[inline(always)]
fn callback(context: &FEntryContext, row: &Row) {
    let head = argument(context, 0);
    let cache = match kernel::owner(head) {
        Owner::Streamed(cache) => cache,
        other => return row.count_filtered(&other),
    };
    let function = argument(context, 1);
    name(function);
    let site = if config!(queue_stacks) != 0 { site(context) } else { 0 };
    emit::<CallbackQueued>(Kind::CallbackQueued, Wake::Later, |body| {
        body.write(CallbackQueued { head, cache, function, site, reserved: 0 });
    });
}
