//! Translate: what a tracepoint tells, as events. The forms are those of `include/trace/events/{rcu,kmem,module}.h`.

use std::mem;

use krcu_common::{BarrierKind, FreePath, QueueForm};
use krcu_model::{
    Event,
    event::{
        CacheAddress, Cpu, Domain, FunctionAddress, Gap, LossReason, ObjectAddress, Scope, Site, Task, Time,
        What,
    },
};

use super::{
    account::{Account, Odd},
    line::{self, Line, Printed},
};

/// Stands for the cache that no tracepoint tells.
const UNTOLD: CacheAddress = CacheAddress(0);

/// The tracepoint that counts objects and names none.
const ARRAYS: &str = "rcu_invoke_kfree_bulk_callback";
/// What libtraceevent prints where it does not understand the form of a tracepoint: the fields follow as they are.
const AS_FIELDS: &str = "[FAILED TO PARSE]";

/// What has been read.
#[derive(Debug, Default)]
pub(super) struct Translate {
    /// What became of the lines so far.
    pub(super) account: Account,
    /// Whether times went back.
    pub(super) went_back: bool,
    /// Losses so far: after which event, on which CPU, how many.
    lost: Vec<(Time, Cpu, u64)>,
    last: Time,
}

impl Translate {
    /// The events of a line.
    pub(super) fn line(&mut self, text: &str, is_long: bool) -> Vec<Event> {
        self.account.lines += 1;
        let number = self.account.lines;
        if is_long {
            self.odd(Odd::Long, number);
            return Vec::new();
        }
        match line::read(text) {
            Line::Heading => self.account.headings += 1,
            Line::Lost(cpu, events) => {
                self.account.lost_marks += 1;
                self.account.lost = self.account.lost.saturating_add(events);
                self.lose(Cpu(cpu), events);
            }
            Line::Odd(odd) => self.odd(odd, number),
            Line::Events(all) => {
                self.account.run_together += u64::from(all.len() > 1);
                return all.iter().filter_map(|printed| self.event(printed, number)).collect();
            }
        }
        Vec::new()
    }

    /// The losses, none of them before the first event.
    pub(super) fn gaps(&mut self, first_ns: u64) -> Vec<Event> {
        let gap = |(time, cpu, events): (Time, Cpu, u64)| {
            let time = Time(time.0.max(first_ns));
            let reason = LossReason::RingFull;
            let scope = Scope::Everything;
            let gap = Gap { reason, events, from: time, until: time, scope, programs: Vec::new() };
            Event { time, task: Task(0), cpu, what: What::Gap(gap) }
        };
        mem::take(&mut self.lost).into_iter().map(gap).collect()
    }

    /// Counts what is not taken. An event that cannot be read is as good as lost.
    fn odd(&mut self, odd: Odd, line: u64) {
        self.account.note(odd, line);
        if odd != Odd::Form {
            self.lose(Cpu(0), 1);
        }
    }

    fn lose(&mut self, cpu: Cpu, events: u64) {
        match self.lost.last_mut() {
            Some((time, at, lost)) if (*time, *at) == (self.last, cpu) => *lost = lost.saturating_add(events),
            _ => self.lost.push((self.last, cpu, events)),
        }
    }

    fn event(&mut self, printed: &Printed<'_>, line: u64) -> Option<Event> {
        if !printed.is_known {
            *self.account.passed.entry(printed.name.to_owned()).or_default() += 1;
            return None;
        }
        let time = Time(printed.time_ns);
        self.went_back |= time < self.last;
        self.last = self.last.max(time);
        match self.what(printed) {
            Ok(Some(what)) => {
                *self.account.taken.entry(printed.name.to_owned()).or_default() += 1;
                Some(Event { time, task: Task(printed.task), cpu: Cpu(printed.cpu), what })
            }
            Ok(None) if printed.name == ARRAYS => None,
            Ok(None) => {
                *self.account.passed.entry(printed.name.to_owned()).or_default() += 1;
                None
            }
            Err(odd) => {
                self.odd(odd, line);
                None
            }
        }
    }

    /// What a tracepoint tells; nothing where it tells of something else.
    fn what(&mut self, printed: &Printed<'_>) -> Result<Option<What>, Odd> {
        let told = Told { words: printed.told };
        let mut hashed = 0;
        let mut pointer = |field: &str, offset: u64| {
            let pointer = told.pointer(field)?;
            hashed += u64::from(pointer.is_hashed);
            // A hash has no object at an offset from it.
            let offset = if pointer.is_hashed { 0 } else { offset };
            Ok::<ObjectAddress, Odd>(ObjectAddress(pointer.value.checked_sub(offset).ok_or(Odd::Cut)?))
        };
        let what = match printed.name {
            // The head is `func` bytes behind the object's begin.
            "rcu_kvfree_callback" | "rcu_kfree_callback" => {
                let object = pointer("rhp", told.offset()?)?;
                What::Queued { object, cache: UNTOLD, site: Site(0), form: QueueForm::Head }
            }
            "rcu_invoke_kvfree_callback" | "rcu_invoke_kfree_callback" => {
                let object = pointer("rhp", told.offset()?)?;
                What::Freed { object, cache: UNTOLD, path: FreePath::Single }
            }
            ARRAYS => {
                self.account.in_arrays = self.account.in_arrays.saturating_add(told.decimal("nr_records")?);
                *self.account.taken.entry(ARRAYS.to_owned()).or_default() += 1;
                return Ok(None);
            }
            "rcu_callback" => What::CallbackQueued {
                object: pointer("rhp", 0)?,
                cache: UNTOLD,
                function: FunctionAddress(0),
                text: None,
                domain: Domain::default(),
                site: Site(0),
            },
            "rcu_invoke_callback" => What::CallbackRuns { object: pointer("rhp", 0)?, cache: UNTOLD },
            "rcu_barrier" => match told.word(1)? {
                "Begin" => What::BarrierBegin {
                    barrier: BarrierKind::Rcu,
                    rcu_works_flushed: 0,
                    site: Site(0),
                    comm: String::new(),
                },
                // After the wait; or at once, when another's had done it all.
                "Inc2" | "EarlyExit" => What::BarrierEnd { barrier: BarrierKind::Rcu, cache: None, of: 0 },
                _ => return Ok(None),
            },
            "rcu_grace_period" => match told.word(2)? {
                "start" => What::GraceBegin { expedited: false },
                "end" => What::GraceEnd { expedited: false },
                _ => return Ok(None),
            },
            "kmem_cache_alloc" | "kmem_cache_alloc_node" => {
                // Nothing was allocated where there was no memory.
                if told.is_null("ptr") {
                    return Ok(None);
                }
                What::Allocated { object: pointer("ptr", 0)?, cache: UNTOLD, site: Site(0) }
            }
            "kmem_cache_free" => What::FreedAtOnce { object: pointer("ptr", 0)?, cache: UNTOLD },
            "module_load" => What::ModuleLoaded { name: told.word(0)?.to_owned() },
            "module_free" => What::ModuleFreed { name: told.word(0)?.to_owned() },
            // The name itself is cut.
            _ => return Err(Odd::Cut),
        };
        self.account.hashed += hashed;
        Ok(Some(what))
    }
}

/// A pointer as it was printed.
struct Pointer {
    value: u64,
    is_hashed: bool,
}

/// What stands behind the tracepoint's name.
struct Told<'a> {
    words: &'a str,
}

impl<'a> Told<'a> {
    /// A word by its place, which there is only where the form of the tracepoint was understood.
    fn word(&self, place: usize) -> Result<&'a str, Odd> {
        if self.words.starts_with(AS_FIELDS) {
            return Err(Odd::Cut);
        }
        self.words.split_whitespace().nth(place).ok_or(Odd::Cut)
    }

    fn field(&self, field: &str) -> Result<&'a str, Odd> {
        let mut fields = self.words.split_whitespace();
        fields.find_map(|word| word.strip_prefix(field)?.strip_prefix('=')).ok_or(Odd::Cut)
    }

    /// An address, which is printed in hexadecimal digits with `0x` or without. One that is hashed has 32 bits.
    fn pointer(&self, field: &str) -> Result<Pointer, Odd> {
        let text = self.field(field)?;
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let value = u64::from_str_radix(digits, 16).map_err(|_| Odd::Pointer)?;
        if value == 0 {
            return Err(Odd::Pointer);
        }
        let is_hashed = text.len() == 16 && value >> 32 == 0;
        Ok(Pointer { value, is_hashed })
    }

    fn is_null(&self, field: &str) -> bool {
        let text = self.field(field).unwrap_or_default();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        ["(null)", "(nil)"].contains(&text)
            || (!digits.is_empty() && digits.bytes().all(|digit| digit == b'0'))
    }

    /// Where in its object the head of `kfree_rcu()` is.
    fn offset(&self) -> Result<u64, Odd> {
        self.decimal("func").or_else(|_| self.decimal("offset"))
    }

    fn decimal(&self, field: &str) -> Result<u64, Odd> {
        self.field(field)?.parse().map_err(|_| Odd::Cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of one line, by their lines of a script without time, task and CPU; and what was odd.
    fn told(text: &str) -> (Vec<String>, Vec<Odd>) {
        let mut translate = Translate::default();
        let events = translate.line(&format!("task-7 [001] d.... 5.000001: {text}"), false);
        let rest = |event: &Event| krcu_model::script::line(event).splitn(3, ' ').nth(2).map(str::to_owned);
        (events.iter().filter_map(rest).collect(), translate.account.odd.into_keys().collect())
    }

    #[test]
    fn each_tracepoint_becomes_what_it_tells() {
        for (text, expected) in [
            ("rcu_kvfree_callback: rcu_preempt rhp=0xff10 func=16 3", "queued object=0xff00 cache=0x0"),
            (
                "rcu_invoke_kvfree_callback: rcu_preempt rhp=ffff88810000ff10 func=16",
                "freed object=0xffff88810000ff00 cache=0x0",
            ),
            (
                "rcu_kvfree_callback: [FAILED TO PARSE] rcuname=rcu_preempt rhp=0xffff88810000ff10 offset=8 qlen=2",
                "queued object=0xffff88810000ff08 cache=0x0",
            ),
            // A hash has no offset.
            (
                "rcu_kvfree_callback: rcu_preempt rhp=000000000000ff10 func=16 3",
                "queued object=0xff10 cache=0x0",
            ),
            ("rcu_barrier: rcu_preempt Begin cpu -1 remaining 0 # 12", "barrier_begin"),
            ("rcu_grace_period: rcu_preempt 4321 start", "grace_begin"),
            ("module_free: krcu_pending", "module_freed name=\"krcu_pending\""),
        ] {
            let (events, odd) = told(text);
            assert!(events.len() == 1 && events[0].starts_with(expected), "{text}: {events:?}");
            assert_eq!(odd, [], "{text}");
        }
        for text in [
            "rcu_barrier: rcu_preempt Inc1 cpu -1 remaining 0 # 12",
            "rcu_grace_period: rcu_preempt 4321 fqswait",
            "rcu_invoke_kfree_bulk_callback: rcu_preempt bulk=0x1 nr_records=3",
            "kmem_cache_alloc: call_site=f+0x1/0x2 ptr=(null) name=x bytes_req=8",
            "sched_switch: prev_comm=a",
        ] {
            assert_eq!(told(text), (Vec::new(), Vec::new()), "{text}");
        }
    }

    #[test]
    fn a_tracepoint_that_does_not_tell_all_is_odd_and_no_event() {
        for (text, odd) in [
            ("rcu_kvfree_callback: rcu_preempt", Odd::Cut),
            ("rcu_kvfree_callback: rcu_preempt rhp=0xff10 fu", Odd::Cut),
            ("rcu_kvfree_callback: rcu_preempt rhp=0x10 func=16000 1", Odd::Cut),
            ("rcu_kvfree_cal", Odd::Cut),
            ("rcu_grace_period: [FAILED TO PARSE] rcuname=rcu_preempt gp_seq=4 gpevent=start", Odd::Cut),
            ("rcu_callback: rcu_preempt rhp=(nil) func=x 1", Odd::Pointer),
            ("rcu_callback: rcu_preempt rhp=(____ptrval____) func=x 1", Odd::Pointer),
            ("kmem_cache_free: call_site=f+0x1/0x2 ptr=0000000000000000 name=x", Odd::Pointer),
        ] {
            assert_eq!(told(text), (Vec::new(), vec![odd]), "{text}");
        }
    }
}
