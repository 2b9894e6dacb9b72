//! Writes events as text.

use std::fmt::Write as _;

use krcu_common::{BarrierKind, Flavour, FreePath, QueueForm};

use super::fields::{HEADING, Word};
use crate::event::{
    CacheAddress, CacheFacts, Domain, Event, FunctionAddress, Gap, Leftover, ObjectAddress, Scope, Site,
    Watch, WriteFields,
};

/// Writes a script of a watch that sees everything from the beginning.
#[must_use]
pub fn write(events: &[Event]) -> String {
    write_with(&Watch::default(), events)
}

/// Writes a script.
#[must_use]
pub fn write_with(watch: &Watch, events: &[Event]) -> String {
    let mut text =
        format!("{HEADING}\nwatch attached={} possible_cpus={}", watch.attached.0, watch.possible_cpus);
    if !watch.blind.is_empty() {
        let words: Vec<&str> = watch.blind.iter().map(|blind| blind.word()).collect();
        let _ = write!(text, " blind={}", words.join(","));
    }
    if !watch.deferring.is_empty() {
        let _ = write!(text, " deferring={}", watch.deferring.join(","));
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
    let (time, task, cpu) = (event.time.0, event.task.0, event.cpu.0);
    let mut line = Line(format!("{time} {task}@{cpu} {}", event.what.kind().word()));
    event.what.write(&mut line);
    line.0
}

struct Line(String);

impl Line {
    fn field(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Line {
        let _ = write!(self.0, " {name}={value}");
        self
    }

    /// Writes a field, unless it has its default value.
    fn number<T: std::fmt::Display + Default + PartialEq>(&mut self, name: &str, value: &T) -> &mut Line {
        if *value == T::default() { self } else { self.field(name, value) }
    }

    fn flag(&mut self, name: &str, value: &bool) -> &mut Line {
        if *value { self.word(name, value) } else { self }
    }

    fn word<T: Word>(&mut self, name: &str, value: &T) -> &mut Line {
        self.field(name, value.word())
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
}

/// Writes fields that have the same name in a script as in an event.
macro_rules! named {
    ($($field:ident $holds:ty = $how:ident;)*) => {
        $(fn $field(&mut self, value: &$holds) {
            self.$how(stringify!($field), value);
        })*
    };
}

impl WriteFields for Line {
    named! {
        asked_name String = quoted;
        comm String = quoted;
        counted bool = flag;
        rcu_works_flushed u32 = number;
        symbol String = quoted;
        path FreePath = word;
        barrier BarrierKind = word;
        expedited bool = flag;
        name String = quoted;
    }

    fn cache(&mut self, cache: &CacheAddress) {
        self.field("cache", format_args!("{:#x}", cache.0));
    }

    fn comm_if_any(&mut self, comm: &String) {
        if !comm.is_empty() {
            self.comm(comm);
        }
    }

    fn cache_if_any(&mut self, cache: &Option<CacheAddress>) {
        cache.iter().for_each(|cache| self.cache(cache));
    }

    fn object(&mut self, object: &ObjectAddress) {
        self.field("object", format_args!("{:#x}", object.0));
    }

    fn object_if_any(&mut self, object: &Option<ObjectAddress>) {
        object.iter().for_each(|object| self.object(object));
    }

    fn site(&mut self, site: &Site) {
        self.number("site", &site.0);
    }

    fn site_of_frames(&mut self, site: &Site) {
        self.field("site", site.0);
    }

    fn function(&mut self, function: &FunctionAddress) {
        if function.0 != 0 {
            self.field("function", format_args!("{:#x}", function.0));
        }
    }

    fn facts(&mut self, facts: &CacheFacts) {
        self.name(&facts.name);
        self.number("object_size", &facts.object_size).number("refcount", &facts.refcount);
    }

    fn empty(&mut self, empty: &Option<bool>) {
        if let Some(empty) = empty {
            self.word("empty", empty);
        }
    }

    fn left(&mut self, left: &Option<Leftover>) {
        if let Some(left) = left {
            self.field("objects", left.objects).field("listed", left.listed);
        }
    }

    fn form(&mut self, form: &QueueForm) {
        if *form != QueueForm::Head {
            self.flag(form.word(), &true);
        }
    }

    fn text(&mut self, text: &Option<String>) {
        if let Some(text) = text {
            self.quoted("text", text);
        }
    }

    fn domain(&mut self, domain: &Domain) {
        if domain.flavour != Flavour::Rcu {
            self.word("flavour", &domain.flavour);
        }
        if domain.address != 0 {
            self.field("domain", format_args!("{:#x}", domain.address));
        }
    }

    fn of(&mut self, of: &u64) {
        if *of != 0 {
            self.field("of", format_args!("{of:#x}"));
        }
    }

    fn frames(&mut self, frames: &Vec<String>) {
        for frame in frames {
            self.quoted("frame", frame);
        }
    }

    /// Writes a loss. The scope is left out if the loss concerns everything.
    fn gap(&mut self, gap: &Gap) {
        self.word("reason", &gap.reason).field("events", gap.events);
        self.field("from", gap.from.0).field("until", gap.until.0);
        match gap.scope {
            Scope::Everything => {}
            Scope::Cache(cache) => self.cache(&cache),
            scope => {
                self.flag(scope.word(), &true);
            }
        }
        if !gap.programs.is_empty() {
            self.field("programs", gap.programs.join(","));
        }
    }
}
