//! Events to text.

use std::fmt::Write as _;

use krcu_common::QueueForm;

use super::fields::{HEADING, Word};
use crate::event::{
    CacheAddress, CacheFacts, Event, FunctionAddress, ObjectAddress, Scope, Site, Watch, What,
};

/// A script of a watch that sees everything, from the first moment.
#[must_use]
pub fn write(events: &[Event]) -> String {
    write_with(&Watch::default(), events)
}

/// A script.
#[must_use]
pub fn write_with(watch: &Watch, events: &[Event]) -> String {
    let mut text =
        format!("{HEADING}\nwatch attached={} possible_cpus={}", watch.attached.0, watch.possible_cpus);
    if !watch.blind.is_empty() {
        let words: Vec<&str> = watch.blind.iter().map(|blind| blind.word()).collect();
        let _ = write!(text, " blind={}", words.join(","));
    }
    text.push('\n');
    for event in events {
        text.push_str(&line(event));
        text.push('\n');
    }
    text
}

/// The line of one event.
#[must_use]
pub fn line(event: &Event) -> String {
    let mut line = Line(format!("{} {}@{} ", event.time.0, event.task.0, event.cpu.0));
    line.what(&event.what);
    line.0
}

struct Line(String);

impl Line {
    fn verb(&mut self, verb: &str) -> &mut Line {
        self.0.push_str(verb);
        self
    }

    fn field(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Line {
        let _ = write!(self.0, " {name}={value}");
        self
    }

    /// A field that is left out when it says nothing.
    fn number(&mut self, name: &str, value: impl std::fmt::Display + Default + PartialEq) -> &mut Line {
        if value == Default::default() { self } else { self.field(name, value) }
    }

    fn flag(&mut self, name: &str, value: bool) -> &mut Line {
        if value { self.field(name, value.word()) } else { self }
    }

    fn quoted(&mut self, name: &str, value: &str) -> &mut Line {
        let _ = write!(self.0, " {name}=\"");
        for letter in value.chars() {
            match letter {
                '"' | '\\' => self.0.extend(['\\', letter]),
                '\n' => self.0.push_str("\\n"),
                _ => self.0.push(letter),
            }
        }
        self.0.push('"');
        self
    }

    fn cache(&mut self, cache: CacheAddress) -> &mut Line {
        self.field("cache", format_args!("{:#x}", cache.0))
    }

    fn object(&mut self, object: ObjectAddress) -> &mut Line {
        self.field("object", format_args!("{:#x}", object.0))
    }

    fn function(&mut self, function: FunctionAddress) -> &mut Line {
        if function.0 == 0 { self } else { self.field("function", format_args!("{:#x}", function.0)) }
    }

    /// Left out for a loss that concerns everything.
    fn scope(&mut self, scope: Scope) -> &mut Line {
        match scope {
            Scope::Everything => self,
            Scope::Cache(cache) => self.cache(cache),
            Scope::Grace => self.flag("grace", true),
            Scope::Queueing => self.flag("queueing", true),
            Scope::Freeing => self.flag("freeing", true),
            Scope::Barriers => self.flag("barriers", true),
        }
    }

    fn site(&mut self, site: Site) -> &mut Line {
        self.number("site", site.0)
    }

    fn facts(&mut self, facts: &CacheFacts) -> &mut Line {
        self.quoted("name", &facts.name);
        self.number("object_size", facts.object_size).number("refcount", facts.refcount)
    }

    fn text(&mut self, text: Option<&String>) -> &mut Line {
        match text {
            Some(text) => self.quoted("text", text),
            None => self,
        }
    }

    fn what(&mut self, what: &What) -> &mut Line {
        match what {
            What::CacheCreated { cache, facts, asked_name, site } => {
                self.verb("cache_created").cache(*cache).facts(facts);
                self.quoted("asked_name", asked_name).site(*site)
            }
            What::DestroyBegin { cache, facts, site, comm, counted } => {
                self.verb("destroy_begin").cache(*cache).facts(facts);
                self.quoted("comm", comm).site(*site).flag("counted", *counted)
            }
            What::ShutdownBegin { cache, rcu_works_flushed } => {
                self.verb("shutdown_begin").cache(*cache).number("rcu_works_flushed", *rcu_works_flushed)
            }
            What::ShutdownEnd { empty, left } => {
                self.verb("shutdown_end");
                if let Some(empty) = empty {
                    self.field("empty", empty.word());
                }
                match left {
                    Some(left) => self.field("objects", left.objects).field("listed", left.listed),
                    None => self,
                }
            }
            What::CacheReleased { cache } => self.verb("cache_released").cache(*cache),
            What::Queued { object, cache, site, form } => {
                let line = self.verb("queued").object(*object).cache(*cache).site(*site);
                match form {
                    QueueForm::Head => line,
                    QueueForm::Headless => line.flag("headless", true),
                    QueueForm::Nolock => line.flag("nolock", true),
                }
            }
            What::CallbackQueued { object, cache, function, text, site } => {
                let line = self.verb("callback_queued").object(*object).cache(*cache);
                line.function(*function).text(text.as_ref()).site(*site)
            }
            What::CallbackRuns { object, cache } => self.verb("callback_runs").object(*object).cache(*cache),
            What::Function { function, symbol } => {
                self.verb("function").function(*function).quoted("symbol", symbol)
            }
            What::FreedAtOnce { object, cache } => self.verb("freed_at_once").object(*object).cache(*cache),
            What::Freed { object, cache, path } => {
                self.verb("freed").object(*object).cache(*cache).field("path", path.word())
            }
            What::BatchFreed { path } => self.verb("batch_freed").field("path", path.word()),
            What::BarrierBegin { barrier, rcu_works_flushed, site, comm } => {
                let line = self.verb("barrier_begin").field("barrier", barrier.word());
                line.number("rcu_works_flushed", *rcu_works_flushed).site(*site);
                if comm.is_empty() { line } else { line.quoted("comm", comm) }
            }
            What::BarrierEnd { barrier, cache } => {
                let line = self.verb("barrier_end").field("barrier", barrier.word());
                match cache {
                    Some(cache) => line.cache(*cache),
                    None => line,
                }
            }
            What::ModuleLoaded { name } => self.verb("module_loaded").quoted("name", name),
            What::ModuleFreed { name } => self.verb("module_freed").quoted("name", name),
            What::Site { site, frames } => {
                self.verb("site").field("site", site.0);
                frames.iter().fold(self, |line, frame| line.quoted("frame", frame))
            }
            What::Gap(gap) => {
                let line = self.verb("gap").field("reason", gap.reason.word()).field("events", gap.events);
                line.field("from", gap.from.0).field("until", gap.until.0).scope(gap.scope);
                if gap.programs.is_empty() { line } else { line.field("programs", gap.programs.join(",")) }
            }
            What::GraceBegin { expedited } => self.verb("grace_begin").flag("expedited", *expedited),
            What::GraceEnd { expedited } => self.verb("grace_end").flag("expedited", *expedited),
            What::Allocated { object, cache, site } => {
                self.verb("allocated").object(*object).cache(*cache).site(*site)
            }
            What::QueueReturned { object } => self.verb("queue_returned").object(*object),
            What::CallbackRan { object, text } => {
                self.verb("callback_ran").object(*object).text(text.as_ref())
            }
            What::ReadLock { object, cache } => {
                self.verb("read_lock");
                if let Some(object) = object {
                    self.object(*object);
                }
                match cache {
                    Some(cache) => self.cache(*cache),
                    None => self,
                }
            }
            What::ReadUnlock => self.verb("read_unlock"),
            What::Lingers { cache } => self.verb("lingers").cache(*cache),
            What::Reported { cache } => self.verb("reported").cache(*cache),
            What::DestructionAwaited { cache } => {
                self.verb("destruction_awaited");
                match cache {
                    Some(cache) => self.cache(*cache),
                    None => self,
                }
            }
            What::SlabsFreed { cache } => self.verb("slabs_freed").cache(*cache),
            What::Quiet => self.verb("quiet"),
        }
    }
}
