//! Told: what the judge was told on a path, as a script, and as a digest.

use std::{
    fmt::Write,
    hash::{DefaultHasher, Hash, Hasher},
};

use krcu_model::{
    Event, Watch,
    event::{Cpu, Site, Task, Time, What},
    script,
};

use super::{
    explore::{Explorer, Step},
    kernel::Move,
    says,
};

impl Explorer<'_> {
    /// A path in words, and what the judge was told as a script.
    pub(super) fn told(&self, path: &[Step]) -> (Vec<String>, String) {
        let mut words = Vec::new();
        let mut events = Vec::new();
        let mut node = self.first();
        let mut attached = node.judge.is_some().then_some(1000);
        let hear = |what: What, clock: &mut u64, task: u32, cpu: u16, events: &mut Vec<Event>| {
            *clock += 1000;
            events.push(Event { time: Time(*clock), task: Task(task), cpu: Cpu(cpu), what });
        };
        let mut clock = 1000;
        if attached.is_some() {
            let mut all = names();
            all.push(What::ModuleLoaded { name: "mine".to_owned() });
            all.push(says::created(1));
            for what in all {
                hear(what, &mut clock, 1, 0, &mut events);
            }
        }
        for (chosen, lost) in path {
            let mut text = node.kernel.words(self.setup, *chosen);
            let shown = node.kernel.clone().apply(self.setup, *chosen);
            if *chosen == Move::Attach {
                attached = Some(clock);
                names().into_iter().for_each(|what| hear(what, &mut clock, 0, 0, &mut events));
            }
            let seen = shown.iter().filter(|shown| self.listener.plan.shows(&shown.what));
            for (place, shown) in (0..).zip(seen.filter(|_| attached.is_some())) {
                if *lost == Some(place) {
                    clock += 1000;
                    let gap = What::Gap(self.listener.loss.gap(&shown.what, clock));
                    events.push(Event { time: Time(clock), task: Task(0), cpu: Cpu(0), what: gap });
                    let _ = write!(text, "; this is not seen: {}", self.listener.loss.words());
                } else {
                    hear(shown.what.clone(), &mut clock, shown.task, shown.cpu, &mut events);
                }
            }
            words.push(text);
            node = self.take(&node, (*chosen, *lost)).0;
        }
        let blind = self.listener.plan.blind(self.setup.has_graces);
        let watch =
            Watch { attached: Time(attached.unwrap_or(0)), possible_cpus: 2, blind, ..Watch::default() };
        (words, script::write_with(&watch, &events))
    }
}

/// The names of stacks and functions.
pub(super) fn names() -> Vec<What> {
    let sites: [(u32, &[&str]); 6] = [
        (1, &["mine_exit+0x10/0x20 [mine]", "__do_sys_delete_module+0x1/0x2"]),
        (2, &["mine_work+0x10/0x20 [mine]", "process_one_work+0x1/0x2"]),
        (3, &["theirs_exit+0x10/0x20 [theirs]", "__do_sys_delete_module+0x1/0x2"]),
        (4, &["mine_init+0x10/0x20 [mine]"]),
        (5, &["flush_rcu_work+0x10/0x20", "mine_exit+0x10/0x20 [mine]"]),
        (6, &["call_rcu+0x1/0x2", "mine_free+0x10/0x20 [mine]", "rcu_do_batch+0x1/0x2"]),
    ];
    let sites = sites.into_iter().map(|(site, frames)| What::Site {
        site: Site(site),
        frames: frames.iter().map(|frame| (*frame).to_owned()).collect(),
    });
    let functions = [(0x701, "mine_free+0x0/0x10 [mine]"), (0x702, "theirs_free+0x0/0x10 [theirs]")];
    let more = [(0x703, "mine_work+0x0/0x10 [mine]"), (0x704, "mine_last+0x0/0x10 [mine]")];
    let more = more.into_iter().chain([(0x705, "mine_next+0x0/0x10 [mine]")]);
    let functions = functions.into_iter().chain(more).map(|(address, symbol)| What::Function {
        function: krcu_model::event::FunctionAddress(address),
        symbol: symbol.to_owned(),
    });
    sites.chain(functions).collect()
}

/// A digest of what was told before, and of one event more.
pub(super) fn digest(before: u64, task: u32, what: &What) -> u64 {
    struct Digest(DefaultHasher);
    impl Write for Digest {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut digest = Digest(DefaultHasher::new());
    (before, task).hash(&mut digest.0);
    let _ = write!(digest, "{what:?}");
    digest.0.finish()
}
