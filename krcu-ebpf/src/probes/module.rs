//! Module: loaded and gone.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use krcu_common::{Kind, wire::Module};

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

/// `module:module_free`: the exit function has returned; the memory is freed next.
#[btf_tracepoint]
pub fn module_freed(context: BtfTracePointContext) -> i32 {
    let next = MODULE_EPOCH.get(0).copied().unwrap_or(0) + 1;
    let _ = MODULE_EPOCH.set(0, next, 0);
    module(Kind::ModuleFreed, &context)
}

#[inline(always)]
fn module(kind: Kind, context: &BtfTracePointContext) -> i32 {
    let module: *const u8 = context.arg(0);
    let name = module as u64 + u64::from(config!(module_name_offset));
    emit::<Module>(kind, Wake::Now, |body| {
        kernel::read_name(name, &mut body.write(Module { name: [0; _] }).name);
    });
    0
}
