//! Script: event sequences as text, for tests, counter-examples and bug reports.
//!
//! Each line has one event: the time (nanoseconds of CLOCK_MONOTONIC), the task and the CPU, the kind, and
//! its fields. A line that begins with `#` is a comment. The first line is `krcu-script 1`; a line `watch`
//! says when the probes were attached and what they cannot see.
//!
//! ```text
//! krcu-script 1
//! watch attached=0 possible_cpus=2
//! # TIME TASK@CPU WHAT FIELDS
//! 10 1@0 cache_created cache=0x1 name="mine" refcount=1
//! 20 1@0 queued object=0x10 cache=0x1
//! 30 1@0 destroy_begin cache=0x1 name="mine" refcount=1 comm="rmmod"
//! 31 1@0 shutdown_begin cache=0x1
//! 32 1@0 shutdown_end empty=no objects=1 listed=1
//! ```
//!
//! [`read`] is the inverse of [`write()`]. If [`read`] cannot take a line, its error says which line and why.

mod fields;
mod read;
mod write;

use crate::{
    event::{Event, Watch},
    state::State,
};

pub use fields::Word;
pub use read::{ScriptError, read};
pub use write::{line, write, write_with};

/// The contents of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// What the watcher knew when it began.
    pub watch: Watch,
    /// The events.
    pub events: Vec<Event>,
}

impl Script {
    /// The state after all of its events.
    #[must_use]
    pub fn replay(&self) -> State {
        let mut state = State::new(self.watch.clone());
        self.events.iter().for_each(|event| state.step(event.clone()));
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{
            CacheAddress, CacheFacts, Cpu, FunctionAddress, Gap, Leftover, LossReason, ObjectAddress, Scope,
            Site, Task, Time, What,
        },
        state::Blind,
    };
    use krcu_common::{BarrierKind, FreePath, QueueForm};

    /// One event of each kind, with every field different from what it is when it is left out.
    fn one_of_each() -> Vec<What> {
        let (cache, object) = (CacheAddress(0xffff_8880_0000_1000), ObjectAddress(0x20));
        let facts = CacheFacts { name: "a \"b\" \\c\n".to_owned(), object_size: 64, refcount: -1 };
        let text = Some("mod".to_owned());
        let function = FunctionAddress(0xffff_ffff_c000_0010);
        let gap = |reason, scope| {
            let programs = if reason == LossReason::ProbeMissed {
                vec!["a".to_owned(), "b_end".to_owned()]
            } else {
                Vec::new()
            };
            What::Gap(Gap { reason, events: 3, from: Time(1), until: Time(2), scope, programs })
        };
        vec![
            What::CacheCreated { cache, facts: facts.clone(), asked_name: "other".to_owned(), site: Site(3) },
            What::DestroyBegin { cache, facts, site: Site(4), comm: "rm mod".to_owned(), counted: true },
            What::ShutdownBegin { cache, rcu_works_flushed: 4 },
            What::ShutdownEnd { empty: Some(true), left: None },
            What::ShutdownEnd { empty: None, left: None },
            What::ShutdownEnd { empty: Some(false), left: Some(Leftover { objects: 7, listed: 2 }) },
            What::CacheReleased { cache },
            What::Queued { object, cache, site: Site(5), form: QueueForm::Headless },
            What::Queued { object, cache, site: Site(5), form: QueueForm::Nolock },
            What::CallbackQueued {
                object,
                cache,
                function,
                text: text.clone(),
                domain: crate::event::Domain { flavour: krcu_common::Flavour::Srcu, address: 0x77 },
                site: Site(6),
            },
            What::CallbackRuns { object, cache },
            What::Function { function, symbol: "f+0x0/0x2 [mod]".to_owned() },
            What::FreedAtOnce { object, cache },
            What::Freed { object, cache, path: FreePath::Sheaf },
            What::BatchFreed { path: FreePath::Bulk },
            What::BarrierBegin {
                barrier: BarrierKind::Rcu,
                rcu_works_flushed: 1,
                site: Site(7),
                comm: "rmmod".to_owned(),
            },
            What::BarrierEnd { barrier: BarrierKind::KvfreeOnCache, cache: Some(cache), of: 0 },
            What::BarrierEnd { barrier: BarrierKind::Srcu, cache: None, of: 0x77 },
            What::WorkRan { object },
            What::ModuleGoing { name: "mine".to_owned() },
            What::ModuleLoaded { name: "mod".to_owned() },
            What::ModuleFreed { name: "mod".to_owned() },
            What::Site { site: Site(7), frames: vec!["f+0x1/0x2 [mod]".to_owned(), "g".to_owned()] },
            gap(LossReason::ProbeMissed, Scope::Everything),
            gap(LossReason::RingFull, Scope::Cache(cache)),
            gap(LossReason::MapFull, Scope::Grace),
            gap(LossReason::ProbeMissed, Scope::Queueing),
            gap(LossReason::ProbeMissed, Scope::Freeing),
            gap(LossReason::ProbeMissed, Scope::Barriers),
            gap(LossReason::NotInTrace, Scope::Everything),
            What::GraceBegin { expedited: false },
            What::GraceEnd { expedited: true },
            What::Allocated { object, cache, site: Site(9) },
            What::QueueReturned { object },
            What::CallbackRan { object, text },
            What::ReadLock { object: Some(object), cache: Some(cache) },
            What::ReadLock { object: None, cache: None },
            What::ReadUnlock,
            What::Lingers { cache },
            What::Reported { cache },
            What::DestructionAwaited { cache: Some(cache) },
            What::DestructionAwaited { cache: None },
            What::SlabsFreed { cache },
            What::Quiet,
        ]
    }

    #[test]
    fn what_is_written_reads_as_it_was() {
        let events = (0..).zip(one_of_each()).map(|(time, what)| Event {
            time: Time(time),
            task: Task(10),
            cpu: Cpu(1),
            what,
        });
        let watch = Watch {
            attached: Time(5),
            possible_cpus: 2,
            blind: vec![Blind::Frees, Blind::CallbackRuns],
            deferring: vec!["nf_tables".to_owned(), "mine".to_owned()],
        };
        let script = Script { watch, events: events.collect() };
        assert_eq!(read(&write_with(&script.watch, &script.events)), Ok(script));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, complaint) in [
            ("", 1, "`krcu-script 1`"),
            ("krcu-script 2\n", 1, "`krcu-script 1`"),
            ("krcu-script 1\n1 1@0 queued object=0x1\n", 2, "`cache`"),
            ("krcu-script 1\n\n1 1@0 queued object=0x1 cache=0x2 colour=red\n", 3, "`colour`"),
            ("krcu-script 1\n1 1@0 queued object=one cache=0x2\n", 2, "`one`"),
            ("krcu-script 1\n1 1@0 queued object=0x1 object=0x1 cache=0x2\n", 2, "twice"),
            ("krcu-script 1\n1 1@0 fired object=0x1\n", 2, "`fired`"),
            ("krcu-script 1\n1 1 queued object=0x1 cache=0x2\n", 2, "TASK@CPU"),
            ("krcu-script 1\nx 1@0 quiet\n", 2, "`x`"),
            ("krcu-script 1\n1 1@0 module_freed name=\"open\n", 2, "quote"),
            ("krcu-script 1\n1 1@0 quiet\nwatch attached=0\n", 3, "`watch`"),
            ("krcu-script 1\nwatch blind=eyes\n", 2, "`eyes`"),
            ("krcu-script 1\n1 1@99999 quiet\n", 2, "`99999`"),
        ] {
            let error = read(text).expect_err(text);
            assert_eq!(error.line, line, "{text:?}: {error}");
            assert!(error.to_string().contains(complaint), "{text:?}: {error}");
        }
    }
}
