//! Queue: an object is handed to `kfree_rcu()`, or a callback in it to `call_rcu()`. These programs are the
//! hottest, so they recognise and count what is not streamed as cheaply as possible.

use core::ffi::c_void;

use aya_ebpf::{EbpfContext, macros::fentry, programs::FEntryContext};
use krcu_common::{
    Kind, QueueForm,
    config::OBJECT_IS_POINTER,
    wire::{CallbackQueued, ELSEWHERE, Queued},
};

use super::{address_argument, argument, untyped_argument};
use crate::{
    config, followed,
    kernel::{self, Owner},
    ring::{Wake, count_filtered, emit_of},
    site::{name, site},
};

/// Entry of `kvfree_call_rcu()`, both forms.
#[fentry]
pub fn queued(context: FEntryContext) -> i32 {
    match kernel::known_owner(|| untyped_argument(&context, 1)) {
        Some(Owner::Kmalloc) => not_streamed(Kind::Queued, &Owner::Kmalloc),
        Some(Owner::Streamed(cache)) => stream(context.as_ptr(), untyped_argument(&context, 1), cache, None),
        _ => queue(context.as_ptr(), None),
    }
}

/// Entry of `kfree_call_rcu_nolock()`, whose fallback calls `kvfree_call_rcu()` again.
#[fentry]
pub fn queued_nolock(context: FEntryContext) -> i32 {
    queue(context.as_ptr(), Some(QueueForm::Nolock))
}

/// The long way to an object's cache. `form` is as in [`stream`].
#[inline(never)]
fn queue(context: *mut c_void, form: Option<QueueForm>) -> i32 {
    let context = FEntryContext::new(context);
    let by_pointer = config!(object_argument) == OBJECT_IS_POINTER;
    let head = address_argument(&context, 0);
    // A head lies in the slab of its object. It is the one argument that can be read without a helper.
    let inside = match head {
        _ if by_pointer => untyped_argument(&context, 1),
        0 => argument(&context, 1),
        head => head,
    };
    match kernel::owner(inside) {
        Owner::Streamed(cache) => {
            let object = if by_pointer || head == 0 { inside } else { head - argument(&context, 1) };
            stream(context.as_ptr(), object, cache, form)
        }
        other => not_streamed(Kind::Queued, &other),
    }
}

/// `None` for a form that the arguments show.
#[inline(never)]
fn stream(context: *mut c_void, object: u64, cache: u64, form: Option<QueueForm>) -> i32 {
    if !kernel::is_in_direct_map(object) {
        return not_streamed(Kind::Queued, &Owner::NotSlab);
    }
    let context = FEntryContext::new(context);
    let form = form.unwrap_or(QueueForm::of(address_argument(&context, 0) == 0)) as u32;
    let site = if config!(queue_stacks) != 0 { site(&context, Kind::Queued) } else { 0 };
    emit_of::<Queued>(cache, Kind::Queued, Wake::Later, |body| {
        body.write(Queued { object, cache, site, form });
    });
    0
}

/// Entry of `call_rcu(head, function)`. This is hot on a busy kernel: nearly every head lies in an object of
/// a cache that is never destroyed, and is only counted.
#[fentry]
pub fn callback_queued(context: FEntryContext) -> i32 {
    callback(&context)
}

/// Entry of `call_rcu_hurry()`, if it has its own body.
#[fentry]
pub fn callback_queued_hurry(context: FEntryContext) -> i32 {
    callback(&context)
}

#[inline(always)]
fn callback(context: &FEntryContext) -> i32 {
    match kernel::known_owner(|| address_argument(context, 0)) {
        Some(Owner::Kmalloc) => queue_elsewhere(context, &Owner::Kmalloc),
        Some(Owner::Streamed(cache)) => stream_callback(context.as_ptr(), cache),
        _ => queue_callback(context.as_ptr()),
    }
}

/// The long way to the cache of the object that a head lies in.
#[inline(never)]
fn queue_callback(context: *mut c_void) -> i32 {
    match kernel::owner(address_argument(&FEntryContext::new(context), 0)) {
        Owner::Streamed(cache) => stream_callback(context, cache),
        other => queue_elsewhere(&FEntryContext::new(context), &other),
    }
}

/// The head lies in no object that is streamed. A callback in a module's text is streamed all the same: the text goes
/// with the module, and the callback may free objects of the module's caches.
#[inline(always)]
fn queue_elsewhere(context: &FEntryContext, owner: &Owner) -> i32 {
    if followed::is_module_text(argument(context, 1)) {
        return stream_callback(context.as_ptr(), ELSEWHERE);
    }
    not_streamed(Kind::CallbackQueued, owner)
}

#[inline(never)]
fn stream_callback(context: *mut c_void, cache: u64) -> i32 {
    let context = FEntryContext::new(context);
    let (head, function) = (address_argument(&context, 0), argument(&context, 1));
    if cache != ELSEWHERE && !kernel::is_in_direct_map(head) {
        return not_streamed(Kind::CallbackQueued, &Owner::NotSlab);
    }
    name(function);
    let site = if config!(queue_stacks) != 0 { site(&context, Kind::CallbackQueued) } else { 0 };
    emit_of::<CallbackQueued>(cache, Kind::CallbackQueued, Wake::Later, |body| {
        body.write(CallbackQueued { head, cache, function, site, reserved: 0 });
    });
    0
}

#[inline(always)]
fn not_streamed(kind: Kind, owner: &Owner) -> i32 {
    count_filtered(kind, owner);
    0
}
