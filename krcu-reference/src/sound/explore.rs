//! Explore: takes every history of a world, with a judge that listens, and holds what it says against the truth.
//!
//! A state is a kernel together with all that the judge was told; the judge follows from what it was told. So two
//! histories are one only if nothing that matters differs, and what the judge believes needs no reduction.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
};

use krcu_model::{
    Event, State, Verdict, VerdictKind, Watch,
    event::{Cpu, Site, Task, Time, What},
    of_destroy,
    verdict::{of_unload, verdicts},
};

use super::{
    kernel::{Kernel, Move, Shown},
    promise::{self, Sound},
    says,
    setup::{Actor, Setup},
    told::{digest, names},
    truth::Words,
    watch::{Loss, Plan},
    wrong::Wrong,
};

/// Who listens to a world.
#[derive(Clone, Copy, Debug)]
pub struct Listener {
    /// What it is told.
    pub plan: Plan,
    /// What is lost on the way.
    pub loss: Loss,
    /// What is wrong with it.
    pub wrong: Wrong,
}

impl Listener {
    /// Whether the judge is told of everything. Else `inconclusive` has not to be earned: another plan than the full one, a
    /// loss, and what was before an attach may hide more than these worlds have. There a wrong judge is held against the right
    /// one, and so is every judge in the whole worlds against one that sees the inside.
    #[must_use]
    pub fn is_whole(&self, setup: &Setup) -> bool {
        self.loss == Loss::Nothing && self.plan == Plan::Full && !setup.attaches
    }
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which.
    pub promise: Sound,
    /// The moves, in words.
    pub path: Vec<String>,
    /// What the judge says.
    pub said: String,
    /// What would be right.
    pub deserved: String,
    /// What the judge was told, as a script.
    pub script: String,
}

/// What an exploration found.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Different states.
    pub states: usize,
    /// Different courses of what the judge was told, up to a moment at which something was judged.
    pub histories: usize,
    /// Of these, those that were left open, by the reasons.
    pub open: BTreeMap<String, usize>,
    /// Broken promises, each with a shortest path.
    pub found: Vec<Found>,
}

impl Outcome {
    /// How a promise is broken, if it is.
    #[must_use]
    pub fn breaks(&self, promise: Sound) -> Option<&Found> {
        self.found.iter().find(|found| found.promise == promise)
    }
}

/// What a verdict about an unload is kept as; one about a destroy as the place of its task.
const UNLOAD: u8 = 9;

/// A move, and whether one of the events that it shows is lost.
pub(super) type Step = (Move, Option<u8>);

#[derive(Clone)]
pub(super) struct Node {
    pub(super) kernel: Kernel,
    pub(super) judge: Option<State>,
    /// The judge that it is held against, if any: one that sees the inside; or the right one, beside one that is wrong.
    other: Option<State>,
    /// A digest of all that the judge was told.
    told: u64,
    clock: u64,
    has_lost: bool,
    /// Events that wait behind one whose slabs are being counted.
    held: Option<Vec<Shown>>,
}

/// All histories with the same visible events up to a moment.
struct Group {
    /// What the judge says then.
    verdict: Verdict,
    /// The word of the judge that it is held against. The right one has none where it leaves it open.
    other: Option<VerdictKind>,
    /// The words that all of them deserve.
    deserves: Words,
    /// A path there, if the judge leaves it open.
    open: Option<Vec<Step>>,
}

pub(super) struct Explorer<'a> {
    pub(super) setup: &'a Setup,
    pub(super) listener: Listener,
    /// Each state, with the length of the shortest path there so far.
    known: HashMap<u64, usize>,
    groups: HashMap<(u64, u8), Group>,
    path: Vec<Step>,
    broken: BTreeMap<Sound, (Vec<Step>, String, String)>,
}

/// Explores a world to its end.
#[must_use]
pub fn explore(setup: &Setup, listener: Listener) -> Outcome {
    let mut explorer = Explorer {
        setup,
        listener,
        known: HashMap::new(),
        groups: HashMap::new(),
        path: Vec::new(),
        broken: BTreeMap::new(),
    };
    let first = explorer.first();
    explorer.visit(&first);
    explorer.outcome()
}

impl Explorer<'_> {
    pub(super) fn first(&self) -> Node {
        let kernel = Kernel::new(self.setup);
        let mut node =
            Node { kernel, judge: None, other: None, told: 0, clock: 1000, has_lost: false, held: None };
        if !self.setup.attaches {
            self.attach(&mut node);
            self.introduce(&mut node);
        }
        node
    }

    fn state(&self, plan: Plan, wrong: Wrong, clock: u64) -> State {
        let blind = plan.blind(self.setup.has_graces);
        let mut state =
            State::new(Watch { attached: Time(clock), possible_cpus: 2, blind, ..Watch::default() });
        wrong.begins(&mut state);
        state
    }

    /// The watch begins. Names are told whenever they are first used.
    fn attach(&self, node: &mut Node) {
        let Listener { plan, wrong, .. } = self.listener;
        node.judge = Some(self.state(plan, wrong, node.clock));
        node.other = if self.listener.is_whole(self.setup) {
            Some(self.state(Plan::Inside, wrong, node.clock))
        } else {
            (wrong != Wrong::Nothing).then(|| self.state(plan, Wrong::Nothing, node.clock))
        };
        for what in names() {
            self.tell(node, 0, 0, &what);
        }
    }

    fn introduce(&self, node: &mut Node) {
        self.tell(node, 1, 0, &What::ModuleLoaded { name: "mine".to_owned() });
        self.tell(node, 1, 0, &says::created(1));
        for object in (0..).take(self.setup.objects.len()) {
            let (object, cache) = (says::object_address(object), says::cache_of(self.setup, object));
            self.tell(node, 1, 0, &What::Allocated { object, cache, site: Site(0) });
        }
    }

    /// Tells the judges of an event.
    fn tell(&self, node: &mut Node, task: u32, cpu: u16, what: &What) {
        let event = |clock| Event { time: Time(clock), task: Task(task), cpu: Cpu(cpu), what: what.clone() };
        let is_shown = self.listener.plan.shows(what);
        if let Some(other) = node.other.as_mut().filter(|_| is_shown || self.listener.is_whole(self.setup)) {
            other.step(event(node.clock + u64::from(is_shown) * 1000));
        }
        if let Some(judge) = node.judge.as_mut().filter(|_| is_shown) {
            node.clock += 1000;
            node.told = digest(node.told, task, what);
            if let Some(event) = self.listener.wrong.hears(event(node.clock)) {
                judge.step(event);
            }
        }
    }

    /// The judge does not get an event, and is told so.
    fn lose(&self, node: &mut Node, what: &What) {
        node.clock += 1000;
        node.has_lost = true;
        let gap = What::Gap(self.listener.loss.gap(what, node.clock));
        let (time, task, cpu) = (Time(node.clock), Task(0), Cpu(0));
        let told = format!("{:?}", self.listener.loss.gap(what, 1000).scope);
        let mut hasher = DefaultHasher::new();
        (node.told, told, "gap").hash(&mut hasher);
        node.told = hasher.finish();
        let event = Event { time, task, cpu, what: gap };
        if let Some(other) = &mut node.other {
            other.step(event.clone());
        }
        if let Some(judge) = &mut node.judge
            && let Some(event) = self.listener.wrong.hears(event)
        {
            judge.step(event);
        }
    }

    pub(super) fn take(&self, node: &Node, (chosen, lost): Step) -> (Node, usize) {
        let mut next = node.clone();
        let shown = next.kernel.apply(self.setup, chosen);
        if chosen == Move::Attach {
            self.attach(&mut next);
        }
        let mut visible = 0;
        for shown in shown {
            match shown.what {
                What::ShutdownEnd { empty: None, .. } => {
                    next.held = Some(Vec::new());
                    continue;
                }
                What::ShutdownEnd { .. } => {
                    // What follows it was held back.
                    let held = next.held.take().unwrap_or_default();
                    let is_lost = lost == Some(visible) && next.judge.is_some();
                    if is_lost {
                        self.lose(&mut next, &shown.what);
                    } else {
                        self.tell(&mut next, shown.task, shown.cpu, &shown.what);
                    }
                    visible += u8::from(next.judge.is_some());
                    held.iter().for_each(|held| self.tell(&mut next, held.task, held.cpu, &held.what));
                    continue;
                }
                _ => {}
            }
            if let Some(held) = &mut next.held {
                held.push(shown);
                continue;
            }
            let is_visible = self.listener.plan.shows(&shown.what) && next.judge.is_some();
            if is_visible && lost == Some(visible) {
                self.lose(&mut next, &shown.what);
            } else {
                self.tell(&mut next, shown.task, shown.cpu, &shown.what);
            }
            visible += u8::from(is_visible);
        }
        (next, usize::from(visible))
    }

    fn visit(&mut self, node: &Node) {
        let mut hasher = DefaultHasher::new();
        (&node.kernel, node.told, node.has_lost).hash(&mut hasher);
        for held in node.held.iter().flatten() {
            digest(0, held.task, &held.what).hash(&mut hasher);
        }
        let (state, steps) = (hasher.finish(), self.path.len());
        if self.known.get(&state).is_some_and(|known| *known <= steps) {
            return;
        }
        self.known.insert(state, steps);
        self.hold(node);
        for chosen in node.kernel.moves(self.setup) {
            let mut lost = None;
            loop {
                let step = (chosen, lost);
                let (next, visible) = self.take(node, step);
                let place = lost.map_or(0, |place| usize::from(place) + 1);
                let can_lose = self.listener.loss != Loss::Nothing && !node.has_lost;
                self.path.push(step);
                self.visit(&next);
                self.path.pop();
                if !can_lose || place >= visible {
                    break;
                }
                lost = u8::try_from(place).ok();
            }
        }
    }

    /// Holds what the judge says against the truth.
    fn hold(&mut self, node: &Node) {
        let Some(judge) = &node.judge else { return };
        let is_whole = self.listener.is_whole(self.setup);
        for actor in Actor::ALL {
            let Some(look) = node.kernel.looks[actor as usize].filter(|look| look.is_over()) else {
                continue;
            };
            let by = |state: &State| {
                let destroy = state.destroys().find(|destroy| destroy.caller.task == Task(actor.task()))?;
                Some(of_destroy(state, destroy))
            };
            let deserves = look.deserves();
            let Some(verdict) = self.said(node, actor as u8, by) else { continue };
            let broken = promise::of_destroy(&verdict, &look, is_whole);
            self.takes_note(node, (actor as u8, &verdict, deserves), broken);
        }
        if let Some(unloaded) = node.kernel.unloaded.filter(|_| !judge.unloads().is_empty()) {
            let by = |state: &State| Some(of_unload(state, state.unloads().first()?));
            let Some(verdict) = self.said(node, UNLOAD, by) else { return };
            let broken = promise::of_unload(&verdict, &unloaded, is_whole);
            self.takes_note(node, (UNLOAD, &verdict, unloaded.deserves.unwrap_or_default()), broken);
        }
        if !judge.violations().is_empty() {
            let accuses = |verdict: &Verdict| {
                let kind = verdict.kind();
                matches!(kind, VerdictKind::BarrierEarly | VerdictKind::FreedEarly | VerdictKind::DoubleFree)
            };
            if let Some(accusation) = verdicts(judge).into_iter().find(accuses) {
                self.is_broken(Sound::KernelNotAccused, &accusation, Words::default());
            }
        }
    }

    /// What the judge says here. It says the same in every history in which it was told the same.
    fn said(&mut self, node: &Node, about: u8, by: impl Fn(&State) -> Option<Verdict>) -> Option<Verdict> {
        let key = (node.told, about);
        if let Some(known) = self.groups.get(&key) {
            return Some(known.verdict.clone());
        }
        let verdict = self.listener.wrong.says(by(node.judge.as_ref()?)?);
        let is_whole = self.listener.is_whole(self.setup);
        let other = node.other.as_ref().and_then(&by).filter(|other| is_whole || !promise::is_open(other));
        let other = other.map(|verdict| verdict.kind());
        let group = Group { verdict: verdict.clone(), other, deserves: Words::ALL, open: None };
        self.groups.insert(key, group);
        Some(verdict)
    }

    fn takes_note(&mut self, node: &Node, judged: (u8, &Verdict, Words), broken: Option<Sound>) {
        let (about, verdict, deserves) = judged;
        if let Some(broken) = broken {
            self.is_broken(broken, verdict, deserves);
        }
        let Some(known) = self.groups.get_mut(&(node.told, about)) else { return };
        known.deserves = known.deserves.and(deserves);
        if promise::is_open(verdict) {
            if known.open.as_ref().is_none_or(|path| path.len() > self.path.len()) {
                known.open = Some(self.path.clone());
            }
        } else if let Some(inside) = known.other.filter(|inside| *inside != verdict.kind())
            && self.listener.is_whole(self.setup)
        {
            self.is_broken(Sound::InsightAgrees, verdict, Words::of(&[inside]));
        }
    }

    fn is_broken(&mut self, promise: Sound, verdict: &Verdict, deserves: Words) {
        if self.broken.get(&promise).is_some_and(|(path, ..)| path.len() <= self.path.len()) {
            return;
        }
        let said = promise::words(verdict);
        self.broken.insert(promise, (self.path.clone(), said, deserves.words()));
    }

    fn outcome(mut self) -> Outcome {
        let mut open: BTreeMap<String, usize> = BTreeMap::new();
        let groups = std::mem::take(&mut self.groups);
        let mut lazy: Option<(usize, u64)> = None;
        for (key, group) in &groups {
            let Some(path) = &group.open else { continue };
            let said = promise::words(&group.verdict);
            *open.entry(promise::reason(&group.verdict)).or_default() += 1;
            let is_decidable = if self.listener.is_whole(self.setup) {
                group.deserves != Words::default() && !self.setup.hides
            } else {
                group.other.is_some_and(|right| group.deserves.has(right))
            };
            if is_decidable {
                let place = (path.len(), key.0);
                if lazy.is_none_or(|known| place < known) {
                    lazy = Some(place);
                    let deserved = group.deserves.words();
                    self.broken.insert(Sound::OpenIsNotLazy, (path.clone(), said, deserved));
                }
            }
        }
        let broken = std::mem::take(&mut self.broken);
        let found = broken.into_iter().map(|(promise, (path, said, deserved))| {
            let (path, script) = self.told(&path);
            Found { promise, path, said, deserved, script }
        });
        let found = found.collect();
        Outcome { states: self.known.len(), histories: groups.len(), open, found }
    }
}
