//! Module: loaded and gone.

use aya_ebpf::{
    macros::{btf_tracepoint, fentry},
    programs::{BtfTracePointContext, FEntryContext},
};
use krcu_common::{Kind, wire::Module};

use super::argument;
use crate::{
    config, kernel,
    maps::MODULE_EPOCH,
    ring::{Wake, emit},
};

/// `module:module_load`: the module is linked; its init function runs next.
#[btf_tracepoint]
pub fn module_loaded(context: BtfTracePointContext) -> i32 {
    module(Kind::ModuleLoaded, &context)
}

/// `MODULE_STATE_GOING`: the exit function has returned, or loading has failed.
const GOING: u64 = 2;

/// Entry of `blocking_notifier_call_chain(list, state, module)`, by which the kernel tells that a module's exit function has
/// returned.
#[fentry]
pub fn module_going(context: FEntryContext) -> i32 {
    if argument(&context, 0) == config!(module_notify_list) && argument(&context, 1) == GOING {
        told(Kind::ModuleGoing, argument(&context, 2));
    }
    0
}

/// `module:module_free`: the exit function has returned; the memory is freed next.
#[btf_tracepoint]
pub fn module_freed(context: BtfTracePointContext) -> i32 {
    MODULE_EPOCH.set(MODULE_EPOCH.get() + 1);
    module(Kind::ModuleFreed, &context)
}

#[inline(always)]
fn module(kind: Kind, context: &BtfTracePointContext) -> i32 {
    let module: *const u8 = context.arg(0);
    told(kind, module as u64);
    0
}

#[inline(always)]
fn told(kind: Kind, module: u64) {
    let name = module + u64::from(config!(module_name_offset));
    emit::<Module>(kind, Wake::Now, |body| {
        kernel::read_name(name, &mut body.write(Module { name: [0; _] }).name);
    });
}
