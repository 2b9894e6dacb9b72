//! Translate: what a tracepoint tells, as events. The forms are those of `include/trace/events/{rcu,kmem,module}.h`.

use std::{collections::BTreeMap, fmt::Write as _};

use krcu_common::{BarrierKind, FreePath, QueueForm};
use krcu_model::{
    Event,
    event::{
        CacheAddress, Cpu, Domain, FunctionAddress, Gap, LossReason, ObjectAddress, Scope, Site, Task, Time,
        What,
    },
};

use super::line::{self, Printed};

/// Stands for the cache that no tracepoint tells.
const UNTOLD: CacheAddress = CacheAddress(0);

/// The tracepoint that counts objects and names none.
const ARRAYS: &str = "rcu_invoke_kfree_bulk_callback";

/// What has been read.
#[derive(Debug, Default)]
pub(super) struct Translate {
    /// Events taken, by tracepoint.
    taken: BTreeMap<String, u64>,
    /// Events of other tracepoints.
    passed: u64,
    /// Objects of arrays, of which only the number is told.
    in_arrays: u64,
    last: Time,
}

impl Translate {
    /// The events of a line.
    ///
    /// # Errors
    /// When the line is of a tracepoint that is known and does not tell what it should.
    pub(super) fn line(&mut self, text: &str) -> Result<Vec<Event>, String> {
        // An event that may be another one is as good as lost.
        let ambiguous = || line::is_ambiguous(text).then_some((0, 1));
        if let Some((cpu, events)) = line::lost(text).or_else(ambiguous) {
            let gap = Gap {
                reason: LossReason::RingFull,
                events,
                from: self.last,
                until: self.last,
                scope: Scope::Everything,
                programs: Vec::new(),
            };
            return Ok(vec![Event { time: self.last, task: Task(0), cpu: Cpu(cpu), what: What::Gap(gap) }]);
        }
        let Some(printed) = line::read(text) else { return Ok(Vec::new()) };
        self.last = Time(printed.time_ns);
        match self.what(&printed)? {
            Some(what) => {
                *self.taken.entry(printed.name.to_owned()).or_default() += 1;
                let (time, task, cpu) = (Time(printed.time_ns), Task(printed.task), Cpu(printed.cpu));
                Ok(vec![Event { time, task, cpu, what }])
            }
            None => {
                self.passed += u64::from(printed.name != ARRAYS);
                Ok(Vec::new())
            }
        }
    }

    fn what(&mut self, printed: &Printed<'_>) -> Result<Option<What>, String> {
        let told = Told { name: printed.name, words: printed.told };
        let head = || told.number("rhp").map(ObjectAddress);
        Ok(Some(match printed.name {
            "rcu_kvfree_callback" | "rcu_kfree_callback" => {
                What::Queued { object: head()?, cache: UNTOLD, site: Site(0), form: QueueForm::Head }
            }
            "rcu_invoke_kvfree_callback" | "rcu_invoke_kfree_callback" => {
                What::Freed { object: head()?, cache: UNTOLD, path: FreePath::Single }
            }
            ARRAYS => {
                self.in_arrays = self.in_arrays.saturating_add(told.decimal("nr_records")?);
                *self.taken.entry(ARRAYS.to_owned()).or_default() += 1;
                return Ok(None);
            }
            "rcu_callback" => What::CallbackQueued {
                object: head()?,
                cache: UNTOLD,
                function: FunctionAddress(0),
                text: None,
                domain: Domain::default(),
                site: Site(0),
            },
            "rcu_invoke_callback" => What::CallbackRuns { object: head()?, cache: UNTOLD },
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
                What::Allocated { object: ObjectAddress(told.number("ptr")?), cache: UNTOLD, site: Site(0) }
            }
            "kmem_cache_free" => {
                What::FreedAtOnce { object: ObjectAddress(told.number("ptr")?), cache: UNTOLD }
            }
            "module_load" => What::ModuleLoaded { name: told.word(0)?.to_owned() },
            "module_free" => What::ModuleFreed { name: told.word(0)?.to_owned() },
            _ => return Ok(None),
        }))
    }

    /// What was taken, and what was not.
    pub(super) fn account(&self) -> String {
        let mut text = String::new();
        for (name, count) in &self.taken {
            let _ = writeln!(text, "{count:>9}  {name}");
        }
        if self.passed > 0 {
            let _ = writeln!(text, "{:>9}  of other tracepoints, passed over", self.passed);
        }
        if self.in_arrays > 0 {
            let _ =
                writeln!(text, "{:>9}  objects freed in arrays, which no tracepoint names", self.in_arrays);
        }
        text
    }
}

/// What stands behind the tracepoint's name.
struct Told<'a> {
    name: &'a str,
    words: &'a str,
}

impl<'a> Told<'a> {
    fn word(&self, place: usize) -> Result<&'a str, String> {
        let word = self.words.split_whitespace().nth(place);
        word.ok_or_else(|| format!("{} does not tell its word {}", self.name, place + 1))
    }

    fn field(&self, field: &str) -> Result<&'a str, String> {
        let mut fields = self.words.split_whitespace();
        let found = fields.find_map(|word| word.strip_prefix(field)?.strip_prefix('='));
        found.ok_or_else(|| format!("{} does not tell `{field}=`", self.name))
    }

    /// An address, which is printed in hexadecimal digits with `0x` or without.
    fn number(&self, field: &str) -> Result<u64, String> {
        let text = self.field(field)?;
        let digits = text.strip_prefix("0x").unwrap_or(text);
        u64::from_str_radix(digits, 16).map_err(|_| format!("{}: `{field}={text}` is no address", self.name))
    }

    fn decimal(&self, field: &str) -> Result<u64, String> {
        let text = self.field(field)?;
        text.parse().map_err(|_| format!("{}: `{field}={text}` is no number", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of one line, by their lines of a script without time, task and CPU.
    fn told(text: &str) -> Result<Vec<String>, String> {
        let line = format!("task-7 [001] d.... 5.000001: {text}");
        let events = Translate::default().line(&line)?;
        let rest = |event: &Event| krcu_model::script::line(event).splitn(3, ' ').nth(2).map(str::to_owned);
        Ok(events.iter().filter_map(rest).collect())
    }

    #[test]
    fn each_tracepoint_becomes_what_it_tells() {
        for (text, expected) in [
            ("rcu_kvfree_callback: rcu_preempt rhp=0xff10 func=16 3", "queued object=0xff10 cache=0x0"),
            (
                "rcu_kvfree_callback: rcu_preempt rhp=000000000000ff10 func=16 3",
                "queued object=0xff10 cache=0x0",
            ),
            ("rcu_barrier: rcu_preempt Begin cpu -1 remaining 0 # 12", "barrier_begin"),
            ("rcu_grace_period: rcu_preempt 4321 start", "grace_begin"),
            ("module_free: krcu_pending", "module_freed name=\"krcu_pending\""),
        ] {
            let events = told(text).unwrap();
            assert!(events.len() == 1 && events[0].starts_with(expected), "{text}: {events:?}");
        }
        for text in [
            "rcu_barrier: rcu_preempt Inc1 cpu -1 remaining 0 # 12",
            "rcu_grace_period: rcu_preempt 4321 fqswait",
            "rcu_invoke_kfree_bulk_callback: rcu_preempt bulk=0x1 nr_records=3",
            "sched_switch: prev_comm=a",
        ] {
            assert_eq!(told(text), Ok(Vec::new()), "{text}");
        }
    }

    #[test]
    fn a_tracepoint_that_is_cut_off_is_an_error_that_names_it() {
        assert_eq!(
            told("rcu_kvfree_callback: rcu_preempt"),
            Err("rcu_kvfree_callback does not tell `rhp=`".to_owned())
        );
        assert_eq!(
            told("rcu_callback: rcu_preempt rhp=(nil) func=x 1"),
            Err("rcu_callback: `rhp=(nil)` is no address".to_owned())
        );
    }
}
