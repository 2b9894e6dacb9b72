//! Queue: an object is handed to `kfree_rcu()`, or a callback in it to `call_rcu()`. These programs are the
//! hottest, so they recognise and count what is not streamed as cheaply as possible.

use core::{ffi::c_void, ptr};

use aya_ebpf::{
    EbpfContext,
    macros::{btf_tracepoint, fentry},
    programs::{BtfTracePointContext, FEntryContext},
};
use krcu_common::{
    Fate, Flavour, FreePath, Kind, QueueForm,
    config::{HELPER_WAY_MARK, OBJECT_IS_POINTER, QUEUE_STACKS_MARK},
    count::known,
    wire::{CallbackQueued, ELSEWHERE, Queued, WorkRan, WorkRuns},
};

use super::{address_argument, argument, free::batch_key, traced, untyped_argument};
use crate::{
    config, followed,
    kernel::{self, Owner, read},
    maps::{BATCHES, CALLBACK_RUNS, CALLBACKS_RUNNING, WORKING, WORKS, Working},
    patched::{is_plain, patched},
    ring::{Line, Wake, count_filtered, emit, emit_of, lose, task},
    short::{Kept, Words, streamed_or_counted, words_or},
    site::{StackTaken, name, site, site_of},
};

/// The words that count the calls whose object is of a known kmalloc cache.
const QUEUED_KNOWN: usize = known(Kind::Queued).unwrap();
const CALLBACK_KNOWN: usize = known(Kind::CallbackQueued).unwrap();

/// Entry of `kvfree_call_rcu()`, both forms.
#[fentry]
pub fn queued(context: FEntryContext) -> i32 {
    let words = match words_or(|| queue_by_helper(context.as_ptr())) {
        Ok(words) => words,
        Err(answer) => return answer,
    };
    let mut kept = Kept::of(&context);
    match streamed_or_counted::<QUEUED_KNOWN>(&mut kept, words, |context| untyped_argument(context, 1)) {
        Some(cache) if takes_stacks() => {
            let (taken, context, cache) = kept.stack(cache);
            let object = untyped_argument(&FEntryContext::new(context), 1);
            stream(context, object, cache, None, taken)
        }
        Some(cache) => {
            let object = untyped_argument(&kept.context(), 1);
            stream(kept.as_ptr(), object, cache, None, StackTaken::NOT)
        }
        None => queue(kept.as_ptr(), None),
    }
}

/// Where there is no short way.
#[inline(always)]
fn queue_by_helper(context: *mut c_void) -> i32 {
    match queued_not_known(context) {
        left if left.is_null() => 0,
        left => queue(left, None),
    }
}

/// The context again, or NULL if the object was found to be of a known kmalloc cache, and counted: then nothing is left to
/// do. This is a sub-program because it has to keep the context while it calls helpers, and a program that does saves
/// registers at each call, even where it never comes here.
#[inline(never)]
fn queued_not_known(context: *mut c_void) -> *mut c_void {
    if patched::<HELPER_WAY_MARK>() != 0
        && kernel::is_known_by_helper(|| head_and_inside(&FEntryContext::new(context)).1)
    {
        Line::here().count(QUEUED_KNOWN);
        return ptr::null_mut();
    }
    context
}

/// Whether queueing calls have stacks: where they have none, the verifier takes what depends on it out of the program.
#[inline(always)]
fn takes_stacks() -> bool {
    patched::<QUEUE_STACKS_MARK>() != 0
}

/// Entry of `kfree_call_rcu_nolock()`, whose fallback calls `kvfree_call_rcu()` again.
#[fentry]
pub fn queued_nolock(context: FEntryContext) -> i32 {
    queue(context.as_ptr(), Some(QueueForm::Nolock))
}

/// The head among the arguments of `kvfree_call_rcu()`, and an address in the object.
#[inline(always)]
fn head_and_inside(context: &FEntryContext) -> (u64, u64) {
    let head = address_argument(context, 0);
    // A head lies in the slab of its object. It is the one argument that can be read without a helper.
    let inside = match head {
        _ if config!(object_argument) == OBJECT_IS_POINTER => untyped_argument(context, 1),
        0 => argument(context, 1),
        head => head,
    };
    (head, inside)
}

/// The long way to an object's cache. `form` is as in [`stream`].
#[inline(never)]
fn queue(context: *mut c_void, form: Option<QueueForm>) -> i32 {
    let context = FEntryContext::new(context);
    let (head, inside) = head_and_inside(&context);
    match kernel::owner(inside) {
        Owner::Streamed(cache) => {
            let is_object = config!(object_argument) == OBJECT_IS_POINTER || head == 0;
            let object = if is_object { inside } else { head - argument(&context, 1) };
            stream(context.as_ptr(), object, cache, form, StackTaken::NOT)
        }
        other => not_streamed(Kind::Queued, &other),
    }
}

/// `None` for a form that the arguments show.
#[inline(never)]
fn stream(context: *mut c_void, object: u64, cache: u64, form: Option<QueueForm>, taken: StackTaken) -> i32 {
    if !kernel::is_in_direct_map(object) {
        return not_streamed(Kind::Queued, &Owner::NotSlab);
    }
    let context = FEntryContext::new(context);
    let form = form.unwrap_or(QueueForm::of(address_argument(&context, 0) == 0)) as u32;
    let site = if config!(queue_stacks) != 0 { site_of(&context, Kind::Queued, taken) } else { 0 };
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
    let words = match words_or(|| callback_by_helper(context.as_ptr())) {
        Ok(words) => words,
        Err(answer) => return answer,
    };
    let mut kept = Kept::of(context);
    // The function is looked at first, and read again where it is streamed: to keep it would be one more instruction each time.
    if !is_plain(kept.argument(words, context.as_ptr(), 1)) {
        return callback_not_plain(kept);
    }
    match streamed_or_counted::<CALLBACK_KNOWN>(&mut kept, Words::again(), |context| {
        address_argument(context, 0)
    }) {
        Some(_) if takes_stacks() => {
            let (taken, context, _) = kept.stack(0);
            queue_any_callback(context, taken)
        }
        _ => queue_any_callback(kept.as_ptr(), StackTaken::NOT),
    }
}

#[inline(always)]
fn callback_not_plain(mut kept: Kept) -> i32 {
    if takes_stacks() {
        let context = kept.as_ptr();
        if followed::is_module_text(kept.argument(Words::again(), context, 1)) {
            let (taken, context, _) = kept.stack(0);
            return queue_other_callback(context, taken);
        }
    }
    queue_other_callback(kept.as_ptr(), StackTaken::NOT)
}

/// Where there is no short way.
#[inline(always)]
fn callback_by_helper(context: *mut c_void) -> i32 {
    match callback_not_known(context) {
        left if left.is_null() => 0,
        left => queue_any_callback(left, StackTaken::NOT),
    }
}

/// As [`queued_not_known`].
#[inline(never)]
fn callback_not_known(context: *mut c_void) -> *mut c_void {
    if patched::<HELPER_WAY_MARK>() != 0 {
        let arguments = FEntryContext::new(context);
        if is_plain(argument(&arguments, 1)) && kernel::is_known_by_helper(|| address_argument(&arguments, 0))
        {
            Line::here().count(CALLBACK_KNOWN);
            return ptr::null_mut();
        }
    }
    context
}

/// Entry of `call_srcu(domain, head, function)`. Newer kernels make it of `call_rcu_tasks_trace()`, with a domain of their own.
#[fentry]
pub fn callback_queued_srcu(context: FEntryContext) -> i32 {
    let domain = argument(&context, 0);
    let flavour = srcu_flavour(domain);
    callback_of(&context, flavour, domain, (argument(&context, 1), argument(&context, 2)))
}

/// Entry of `call_rcu_tasks_generic(head, function, tasks)`, which queues for each kind of RCU for tasks.
#[fentry]
pub fn callback_queued_tasks(context: FEntryContext) -> i32 {
    let flavour = tasks_flavour(argument(&context, 2));
    callback_of(&context, flavour, 0, (argument(&context, 0), argument(&context, 1)))
}

/// The flavour of a domain of `call_srcu()`.
#[inline(always)]
pub fn srcu_flavour(domain: u64) -> Flavour {
    let of_tasks = config!(rcu_tasks_trace_srcu_address);
    if of_tasks != 0 && domain == of_tasks { Flavour::TasksTrace } else { Flavour::Srcu }
}

/// The flavour of a `struct rcu_tasks`.
#[inline(always)]
fn tasks_flavour(tasks: u64) -> Flavour {
    if tasks == config!(rcu_tasks_rude_address) {
        Flavour::TasksRude
    } else if tasks == config!(rcu_tasks_trace_address) {
        Flavour::TasksTrace
    } else {
        Flavour::Tasks
    }
}

/// A callback of another kind of RCU. These are rare, so they take the long way.
#[inline(always)]
fn callback_of(context: &FEntryContext, flavour: Flavour, domain: u64, (head, function): (u64, u64)) -> i32 {
    let cache = match kernel::owner(head) {
        Owner::Streamed(cache) => cache,
        _ if followed::is_module_text(function) => ELSEWHERE,
        other => return not_streamed(Kind::CallbackQueued, &other),
    };
    let site = if config!(queue_stacks) != 0 { site(context, Kind::CallbackQueued) } else { 0 };
    tell(CallbackQueued { head, cache, function, site, flavour: flavour as u32, domain });
    0
}

/// `workqueue:workqueue_queue_work(cpu, pool, work)`: a callback that this thread is running may hand its object on to
/// a work, and that work to another.
#[btf_tracepoint]
pub fn work_queued(context: BtfTracePointContext) -> i32 {
    let (pool, work) = (traced(&context, 1), traced(&context, 2));
    let function = kernel::work_function(work);
    if !followed::is_module_text(function) || !(runs_callback() || runs_followed_work()) {
        return 0;
    }
    // Of a work that belongs to queue_rcu_work() it was told already, and its callback is the one that this thread runs.
    // Any other entry is of a work that was cancelled, or whose begin was not seen: its memory may be another work's now.
    // SAFETY: the value is copied at once.
    let known = unsafe { WORKS.get(work) }.copied().unwrap_or(work);
    if known & CALLBACK_RUNS != 0 && WORKS.insert(work, known & !CALLBACK_RUNS, 0).is_ok() {
        return 0;
    }
    if WORKS.insert(work, work, 0).is_err() {
        lose(0, Kind::WorkRan, Fate::MapFull);
        return 0;
    }
    let domain = read(pool + u64::from(config!(pool_queue_offset))).unwrap_or(0);
    let site = if config!(queue_stacks) != 0 { site(&context, Kind::CallbackQueued) } else { 0 };
    let flavour = Flavour::Work as u32;
    tell(CallbackQueued { head: work, cache: ELSEWHERE, function, site, flavour, domain });
    0
}

/// The callback of a work that belongs to `queue_rcu_work()` begins to run, and queues the work next.
#[inline(always)]
pub fn rcu_work_is_next(head: u64) {
    let function = read(head + u64::from(config!(callback_function_offset))).unwrap_or(0);
    if is_rcu_work(function) {
        let work = kernel::rcu_work_of(head);
        // SAFETY: the value is copied at once.
        if unsafe { WORKS.get(work) }.copied() == Some(head) {
            let _ = WORKS.insert(work, head | CALLBACK_RUNS, 0);
        }
    }
}

/// Whether this thread is running a callback that is streamed.
#[inline(always)]
fn runs_callback() -> bool {
    // SAFETY: the map's value, copied at once. A callback that this thread is running counts.
    CALLBACKS_RUNNING.get_ptr(0).is_some_and(|running| unsafe { running.read_volatile() } != 0)
        && BATCHES.get_ptr(batch_key(FreePath::Callback)).is_some()
}

/// Whether this worker is running a work that a callback has led to.
#[inline(always)]
fn runs_followed_work() -> bool {
    // SAFETY: only this task changes its entry, and the value is copied at once.
    unsafe { WORKING.get(task()) }.copied().is_some_and(|working| working.followed != 0)
}

/// `workqueue:workqueue_execute_end(work, function)`: the memory of the work may be gone.
#[btf_tracepoint]
pub fn work_ran(context: BtfTracePointContext) -> i32 {
    if !followed::is_module_text(traced(&context, 1)) {
        return 0;
    }
    let task = task();
    // SAFETY: only this task changes its entry, and the value is copied at once.
    let Some(working) = (unsafe { WORKING.get(task) }).copied() else { return 0 };
    let _ = WORKING.remove(task);
    if working.told != 0 {
        emit::<WorkRan>(Kind::WorkRan, Wake::Later, |body| {
            body.write(WorkRan { head: working.head });
        });
    }
    0
}

/// `workqueue:workqueue_execute_start(work)`: from now on it may be queued again.
#[btf_tracepoint]
pub fn work_runs(context: BtfTracePointContext) -> i32 {
    let work = traced(&context, 0);
    let function = kernel::work_function(work);
    if !followed::is_module_text(function) {
        return 0;
    }
    // SAFETY: the value is copied at once.
    let known = unsafe { WORKS.get(work) }.copied().map(|known| known & !CALLBACK_RUNS);
    let followed = u32::from(known.is_some());
    let working = Working { head: known.unwrap_or(work), function, told: followed, followed };
    if known.is_some() {
        let _ = WORKS.remove(work);
        tell_work_runs(&working);
    }
    if WORKING.insert(task(), working, 0).is_err() && known.is_some() {
        lose(0, Kind::WorkRan, Fate::MapFull);
    }
    0
}

/// This task is about to wait for something: if it runs a module's work, that is told before.
#[inline(always)]
pub fn work_waits() {
    let task = task();
    // SAFETY: only this task changes its entry, and the value is copied at once.
    let Some(working) = (unsafe { WORKING.get(task) }).copied() else { return };
    if working.told == 0 && WORKING.insert(task, Working { told: 1, ..working }, 0).is_ok() {
        tell_work_runs(&working);
    }
}

#[inline(always)]
fn tell_work_runs(working: &Working) {
    let (head, function) = (working.head, working.function);
    name(function);
    emit::<WorkRuns>(Kind::WorkRuns, Wake::Later, |body| {
        body.write(WorkRuns { head, function });
    });
}

/// The long way for any function.
#[inline(never)]
fn queue_any_callback(context: *mut c_void, taken: StackTaken) -> i32 {
    queue_callback(context, taken, is_plain)
}

/// The long way for a function that is known not to be plain.
#[inline(never)]
fn queue_other_callback(context: *mut c_void, taken: StackTaken) -> i32 {
    queue_callback(context, taken, |_| false)
}

/// The long way to the cache of the object that a head lies in.
///
/// If the head lies in no object that is streamed, a callback in a module's text is streamed all the same: the text goes
/// with the module, and the callback may free objects of the module's caches.
#[inline(always)]
fn queue_callback(context: *mut c_void, taken: StackTaken, is_plain: impl Fn(u64) -> bool) -> i32 {
    let context = FEntryContext::new(context);
    let (head, function) = (address_argument(&context, 0), argument(&context, 1));
    let cache = match kernel::owner(head) {
        Owner::Streamed(cache) => cache,
        _ if !is_plain(function) && ends_in_module_text(function, || head) => ELSEWHERE,
        other => return not_streamed(Kind::CallbackQueued, &other),
    };
    let site = if config!(queue_stacks) != 0 { site_of(&context, Kind::CallbackQueued, taken) } else { 0 };
    if is_rcu_work(function) {
        return stream_rcu_work(head, cache, site);
    }
    tell(CallbackQueued { head, cache, function, site, flavour: Flavour::Rcu as u32, domain: 0 });
    0
}

/// The callback of `queue_rcu_work()`, which queues the work: people know the function of the work.
#[inline(never)]
fn stream_rcu_work(head: u64, cache: u64, site: u32) -> i32 {
    let work = kernel::rcu_work_of(head);
    let domain = read(work + u64::from(config!(rcu_work_queue_offset))).unwrap_or(0);
    let function = kernel::work_function(work);
    if WORKS.insert(work, head, 0).is_err() {
        lose(cache, Kind::WorkRan, Fate::MapFull);
    }
    tell(CallbackQueued { head, cache, function, site, flavour: Flavour::RcuWork as u32, domain });
    0
}

/// Whether a callback is a module's function, or queues a work that is one. The head of the latter is in its `struct rcu_work`.
#[inline(always)]
pub fn ends_in_module_text(function: u64, head: impl FnOnce() -> u64) -> bool {
    followed::is_module_text(function)
        || is_rcu_work(function) && kernel::is_module_work(kernel::rcu_work_of(head()))
}

/// Whether this is the callback of `queue_rcu_work()`.
#[inline(always)]
fn is_rcu_work(function: u64) -> bool {
    let known = config!(rcu_work_function);
    known != 0 && function == known
}

#[inline(always)]
fn tell(queued: CallbackQueued) {
    name(queued.function);
    emit_of::<CallbackQueued>(queued.cache, Kind::CallbackQueued, Wake::Later, |body| {
        body.write(queued);
    });
}

#[inline(always)]
fn not_streamed(kind: Kind, owner: &Owner) -> i32 {
    count_filtered(kind, owner);
    0
}
