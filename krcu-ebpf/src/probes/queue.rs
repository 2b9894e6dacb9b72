//! Queue: an object is handed to `kfree_rcu()`, or a callback in it to `call_rcu()`.

use aya_ebpf::{macros::fentry, programs::FEntryContext};
use krcu_common::{
    Kind, QueueForm,
    config::OBJECT_IS_HEAD_LESS_OFFSET,
    wire::{CallbackQueued, Queued},
};

use super::{Hot, argument, first, nested};
use crate::{
    config,
    kernel::{self, Owner},
    ring::{Wake, count_filtered, emit_of},
    site::{name, site},
};

/// Entry of `kvfree_call_rcu()`, both forms.
#[fentry]
pub fn queued(context: FEntryContext) -> i32 {
    first(Hot::Queued, &context, || queue(&context, false))
}

/// The second copy of `queued`.
#[fentry]
pub fn queued_nested(context: FEntryContext) -> i32 {
    nested(Hot::Queued, Kind::Queued, &context, || queue(&context, false))
}

/// Entry of `kfree_call_rcu_nolock()`, whose fallback comes by `kvfree_call_rcu()` once more.
#[fentry]
pub fn queued_nolock(context: FEntryContext) -> i32 {
    first(Hot::QueuedNolock, &context, || queue(&context, true))
}

/// The second copy of `queued_nolock`.
#[fentry]
pub fn queued_nolock_nested(context: FEntryContext) -> i32 {
    nested(Hot::QueuedNolock, Kind::Queued, &context, || queue(&context, true))
}

#[inline(always)]
fn queue(context: &FEntryContext, nolock: bool) {
    let head = argument(context, 0);
    let second = argument(context, 1);
    let object = if config!(object_argument) == OBJECT_IS_HEAD_LESS_OFFSET && head != 0 {
        head - second
    } else {
        second
    };
    let cache = match kernel::owner(object) {
        Owner::Streamed(cache) => cache,
        other => return count_filtered(Kind::Queued, &other),
    };
    let form = if nolock { QueueForm::Nolock } else { QueueForm::of(head == 0) };
    let site = if config!(queue_stacks) != 0 { site(context, Kind::Queued) } else { 0 };
    emit_of::<Queued>(cache, Kind::Queued, Wake::Later, |body| {
        body.write(Queued { object, cache, site, form: form as u32 });
    });
}

/// Entry of `call_rcu(head, function)`. Hot on a busy kernel: nearly every head lies in an object of a
/// cache that is never destroyed, and is only counted.
#[fentry]
pub fn callback_queued(context: FEntryContext) -> i32 {
    first(Hot::CallbackQueued, &context, || callback(&context))
}

/// The second copy of `callback_queued`.
#[fentry]
pub fn callback_queued_nested(context: FEntryContext) -> i32 {
    nested(Hot::CallbackQueued, Kind::CallbackQueued, &context, || callback(&context))
}

/// Entry of `call_rcu_hurry()`, where it has a body of its own.
#[fentry]
pub fn callback_queued_hurry(context: FEntryContext) -> i32 {
    first(Hot::CallbackQueuedHurry, &context, || callback(&context))
}

/// The second copy of `callback_queued_hurry`.
#[fentry]
pub fn callback_queued_hurry_nested(context: FEntryContext) -> i32 {
    nested(Hot::CallbackQueuedHurry, Kind::CallbackQueued, &context, || callback(&context))
}

#[inline(always)]
fn callback(context: &FEntryContext) {
    let head = argument(context, 0);
    let cache = match kernel::owner(head) {
        Owner::Streamed(cache) => cache,
        other => return count_filtered(Kind::CallbackQueued, &other),
    };
    let function = argument(context, 1);
    name(function);
    let site = if config!(queue_stacks) != 0 { site(context, Kind::CallbackQueued) } else { 0 };
    emit_of::<CallbackQueued>(cache, Kind::CallbackQueued, Wake::Later, |body| {
        body.write(CallbackQueued { head, cache, function, site, reserved: 0 });
    });
}
