//! Stacks: where a call came from, with the symbols that the kernel printed.

use serde::Serialize;

/// Number of a stack in the state; 0 means that no stack was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct StackId(pub u32);

/// One frame, as `%pS` prints it: `symbol+0xoffset/0xsize [module]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// Symbol and offset, or the bare address.
    pub symbol: String,
    /// The module that it is in; `None` for the kernel itself.
    pub module: Option<String>,
}

impl Frame {
    /// Reads what `%pS` printed.
    #[must_use]
    pub fn parse(text: &str) -> Frame {
        let (place, module) = match text.split_once(" [") {
            // `[bpf]` is not a module. A build id may follow the name of a module.
            Some((place, rest)) => {
                (place, rest.split([']', ' ']).next().filter(|name| !name.is_empty() && *name != "bpf"))
            }
            None => (text, None),
        };
        let symbol = place.split_once('/').map_or(place, |(symbol, _size)| symbol);
        Frame { symbol: symbol.to_owned(), module: module.map(str::to_owned) }
    }

    /// The symbol without its offset.
    #[must_use]
    pub fn function(&self) -> &str {
        self.symbol.split_once('+').map_or(self.symbol.as_str(), |(function, _offset)| function)
    }
}

impl core::fmt::Display for Frame {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.module {
            Some(module) => write!(f, "{} [{module}]", self.symbol),
            None => f.write_str(&self.symbol),
        }
    }
}

/// Frames of one call, the caller of the watched function first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stack {
    /// The frames, innermost first.
    pub frames: Vec<Frame>,
}

/// Functions of the kernel that stand between a module and what is watched.
const WATCHED: [&str; 39] = [
    "kmem_cache_alloc",
    "kmem_cache_alloc_noprof",
    "kmem_cache_alloc_bulk",
    "kmem_cache_alloc_bulk_noprof",
    "kmem_cache_alloc_lru_noprof",
    "kvfree_call_rcu",
    "kfree_call_rcu_nolock",
    "call_rcu",
    "call_rcu_hurry",
    "__call_rcu_common",
    "call_srcu",
    "__call_srcu",
    "call_rcu_tasks_generic",
    "call_rcu_tasks",
    "call_rcu_tasks_rude",
    "call_rcu_tasks_trace",
    "queue_rcu_work",
    "__queue_work",
    "queue_work_on",
    "kmem_cache_destroy",
    "kmem_cache_create",
    "kmem_cache_create_usercopy",
    "__kmem_cache_create_args",
    "__kmem_cache_create",
    "__kmem_cache_alias",
    "create_cache",
    "__kmem_cache_shutdown",
    "slab_kmem_cache_release",
    "rcu_barrier",
    "kvfree_rcu_barrier",
    "kvfree_rcu_barrier_on_cache",
    "srcu_barrier",
    "rcu_barrier_tasks_generic",
    "rcu_barrier_tasks",
    "rcu_barrier_tasks_rude",
    "rcu_barrier_tasks_trace",
    "__flush_workqueue",
    "__flush_work",
    "flush_work",
];

/// The stack that stands for one that was not taken.
pub(crate) static NO_STACK: Stack = Stack { frames: Vec::new() };

impl Stack {
    /// Reads the frames that a probe took. Leaves out the probe's own frames and those of the watched
    /// function.
    #[must_use]
    pub fn from_probe(texts: &[String]) -> Stack {
        let frames: Vec<Frame> = texts.iter().map(|text| Frame::parse(text)).collect();
        let own = frames
            .iter()
            .take_while(|frame| frame.is_machinery() || WATCHED.contains(&frame.function()))
            .count();
        Stack { frames: frames.into_iter().skip(own).collect() }
    }

    /// The module of the innermost frame that lies in a module.
    #[must_use]
    pub fn module(&self) -> Option<&str> {
        self.frames.iter().find_map(|frame| frame.module.as_deref())
    }

    /// Every module that a frame is in, the innermost first.
    pub fn modules(&self) -> impl Iterator<Item = &str> {
        self.frames.iter().filter_map(|frame| frame.module.as_deref())
    }

    /// Whether a frame is of this function.
    #[must_use]
    pub fn is_within(&self, function: &str) -> bool {
        self.frames.iter().any(|frame| frame.function() == function)
    }

    /// Whether a callback of this module called it, and no interrupt on top of the callback. A callback that ended by a jump
    /// has no frame.
    pub(crate) fn is_in_callback_of(&self, module: &str) -> bool {
        let is_callback = |frame: &&Frame| frame.module.as_deref() == Some(module) || frame.runs_callbacks();
        let first = self.frames.iter().find(|frame| is_callback(frame) || frame.is_interrupt());
        first.is_some_and(|frame| is_callback(&frame))
    }

    /// Whether a callback of whatever module called it, and no interrupt on top of the callback.
    pub(crate) fn is_in_callback(&self) -> bool {
        let first = self.frames.iter().find(|frame| frame.runs_callbacks() || frame.is_interrupt());
        first.is_some_and(Frame::runs_callbacks)
    }

    /// Whether a module was being unloaded.
    #[must_use]
    pub fn is_module_exit(&self) -> bool {
        self.frames.iter().any(|frame| frame.is_of_delete_module())
    }

    /// The module whose exit function was running, where a frame of it is there.
    #[must_use]
    pub fn exit_of(&self) -> Option<&str> {
        self.called_by(Frame::is_of_delete_module)?.module.as_deref()
    }

    /// The same; empty where an exit was running that has no frame.
    pub(crate) fn within_exit_of(&self) -> Option<&str> {
        self.exit_of().or_else(|| self.is_module_exit().then_some(""))
    }

    /// Whether an init function was running, and of which module: it has no frame where it ended by a jump.
    #[must_use]
    pub fn init_of(&self) -> Option<Option<&str>> {
        let is_caller = |frame: &Frame| matches!(frame.function(), "do_one_initcall" | "do_init_module");
        let is_init = self.frames.iter().any(is_caller);
        is_init.then(|| self.called_by(is_caller)?.module.as_deref())
    }

    /// What the first frame of these has called.
    fn called_by(&self, is_caller: impl Fn(&Frame) -> bool) -> Option<&Frame> {
        let caller = self.frames.iter().position(is_caller)?;
        self.frames.get(caller.checked_sub(1)?)
    }
}

impl Frame {
    fn is_of_delete_module(&self) -> bool {
        self.function().contains("sys_delete_module")
    }

    /// Whether this function calls the callbacks of some kind of RCU.
    fn runs_callbacks(&self) -> bool {
        matches!(self.function(), "rcu_do_batch" | "srcu_invoke_callbacks" | "rcu_tasks_invoke_cbs")
    }

    /// Whether an interrupt calls this function.
    fn is_interrupt(&self) -> bool {
        ["interrupt", "sysvec", "_irq"].iter().any(|part| self.function().contains(part))
    }

    /// Whether this frame is a probe, or a function that calls probes.
    fn is_machinery(&self) -> bool {
        let function = self.function();
        function.starts_with("bpf_prog_")
            || function.starts_with("bpf_trampoline_")
            || function.starts_with("bpf_trace_run")
            || function.starts_with("__bpf_trace_")
            || function.starts_with("__traceiter_")
            || function.starts_with("0x")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(symbol: &str, module: Option<&str>) -> Frame {
        Frame { symbol: symbol.to_owned(), module: module.map(str::to_owned) }
    }

    #[test]
    fn frames_are_read_as_the_kernel_prints_them() {
        for (text, expected) in [
            ("do_syscall_64+0x59/0xc0", frame("do_syscall_64+0x59", None)),
            ("my_exit+0x384/0x3a0 [my_module]", frame("my_exit+0x384", Some("my_module"))),
            ("my_exit+0x1/0x2 [my_module 0123456789abcdef]", frame("my_exit+0x1", Some("my_module"))),
            (
                "bpf_prog_0123456789abcdef_queued+0x4a/0x90 [bpf]",
                frame("bpf_prog_0123456789abcdef_queued+0x4a", None),
            ),
            ("0xffffffffc0a51000", frame("0xffffffffc0a51000", None)),
        ] {
            assert_eq!(Frame::parse(text), expected);
        }
    }

    #[test]
    fn a_stack_taken_at_a_tracepoint_begins_with_the_caller_too() {
        let texts = [
            "bpf_prog_0123456789abcdef_allocated+0x4a/0x90 [bpf]",
            "bpf_trace_run5+0x98/0x130",
            "__bpf_trace_kmem_cache_alloc+0x10/0x20",
            "__traceiter_kmem_cache_alloc+0x3e/0x60",
            "kmem_cache_alloc_noprof+0x1f3/0x2f0",
            "my_alloc+0x51/0x80 [my_module]",
        ];
        let stack = Stack::from_probe(&texts.map(str::to_owned));
        assert_eq!(stack.frames, [frame("my_alloc+0x51", Some("my_module"))]);
    }

    #[test]
    fn a_stack_begins_with_the_caller_of_what_is_watched() {
        let texts = [
            "bpf_prog_0123456789abcdef_queued+0x4a/0x90 [bpf]",
            "bpf_trampoline_6442509281_0+0x4e/0x1000",
            "kvfree_call_rcu+0x5/0x2c0",
            "my_flush+0x51/0x80 [my_module]",
            "__do_sys_delete_module.constprop.0+0x1a3/0x2b0",
        ];
        let stack = Stack::from_probe(&texts.map(str::to_owned));
        assert_eq!(stack.frames.first(), Some(&frame("my_flush+0x51", Some("my_module"))));
        assert_eq!(stack.module(), Some("my_module"));
        assert!(stack.is_module_exit());
    }
}
