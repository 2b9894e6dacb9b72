//! Rows: a live judge listens to the machine of each approach, in worlds that are small enough to keep all that it was told.
//!
//! Two CPUs, and one module with two objects, which exits by the approach's own path. The judge gets what probes would show of
//! that machine. What the machine tells of itself is held against the verdict.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use krcu_common::FreePath;
use krcu_model::{
    Event, State, Verdict, VerdictKind, Watch,
    event::{Blind, CacheAddress, Time, What},
    of_destroy,
    promise::Promise,
    verdict::verdicts,
};

use super::{
    promise::{self, Sound},
    told::digest,
};
use crate::{
    approach::{Approach, row_name},
    check::{
        essence::essence,
        world::{Step, World},
    },
    machine::{
        CacheIndex, CacheSetup, Disturbances, Life, ObjectIndex, ObjectSetup, Setup, TaskSetup, facts::Sizes,
        op::Op,
    },
};

/// What was found in a row's worlds.
pub struct Heard {
    /// The row.
    pub name: String,
    /// Different states.
    pub states: usize,
    /// Different courses of what the judge was told, up to the end of a destroy.
    pub courses: usize,
    /// How often each word was said there.
    pub says: BTreeMap<String, usize>,
    /// Broken promises, each with a shortest path and what the judge says there.
    pub broken: BTreeMap<Sound, (Vec<String>, String)>,
    /// What is expected to be broken, and why.
    pub expected: &'static [(Sound, &'static str)],
}

impl Heard {
    /// Whether a promise is broken and should hold, or holds and should be broken.
    #[must_use]
    pub fn is_wrong(&self, promise: Sound) -> bool {
        let is_expected = self.expected.iter().any(|(expected, _)| *expected == promise);
        self.broken.contains_key(&promise) != is_expected
    }
}

/// The promises that are asked of the judge here. Whether `inconclusive` is lazy is asked in the small kernels.
pub const ASKED: [Sound; 5] = [
    Sound::CleanIsClean,
    Sound::FlagIsEarned,
    Sound::CountsAreTrue,
    Sound::KernelNotAccused,
    Sound::InsightAgrees,
];

/// What is expected of a row, by its name: kernels that nobody has built give a new meaning to what probes show.
fn expected(name: &str) -> &'static [(Sound, &'static str)] {
    match name {
        "counted" => &[(
            Sound::FlagIsEarned,
            "the destroy calls no barrier where its count says that nothing is queued, and no probe sees that count",
        )],
        _ => &[],
    }
}

/// Listens to a row.
#[must_use]
pub fn listen(approach: &dyn Approach) -> Heard {
    let name = row_name(approach);
    let mut heard = Heard {
        expected: expected(&name),
        name,
        states: 0,
        courses: 0,
        says: BTreeMap::new(),
        broken: BTreeMap::new(),
    };
    for kind in [Kind::Plenty, Kind::Leak, Kind::Pressure] {
        let setup = Arc::new(setup(approach, kind));
        let mut explorer = Explorer {
            is_ordered: is_ordered(approach),
            known: HashMap::new(),
            courses: HashMap::new(),
            path: Vec::new(),
            heard: &mut heard,
        };
        explorer.visit(&Node::new(&setup));
        let (states, courses) = (explorer.known.len(), explorer.courses.len());
        let said = explorer.courses;
        heard.states += states;
        heard.courses += courses;
        said.into_values().for_each(|word| *heard.says.entry(word).or_default() += 1);
    }
    heard
}

/// Whether a module of this row waits for all that it has deferred.
fn is_ordered(approach: &dyn Approach) -> bool {
    let waits = |ops: Vec<Op>| ops.iter().any(|op| matches!(op, Op::Leave(_)));
    let breaks = approach.breaks().iter().any(|(promise, _)| *promise == Promise::MemoryOutlivesObjects);
    !breaks && waits(approach.exit(CacheIndex(0)))
}

/// The difference between the worlds of one row.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Memory is plentiful.
    Plenty,
    /// One of the objects is leaked.
    Leak,
    /// Memory is short.
    Pressure,
}

fn setup(approach: &dyn Approach, kind: Kind) -> Setup {
    let cache =
        |name: &str, type_safe| CacheSetup { name: name.to_owned(), type_safe, users: 1, slab_objects: 4 };
    let (a, b) = (CacheIndex(0), CacheIndex(1));
    let object =
        |cache: CacheIndex| ObjectSetup { cache: Some(cache), owner: Some(cache), slab: u32::from(cache.0) };
    let has_type_safe = approach.has_type_safe_cache();
    let mut program = vec![approach.free(ObjectIndex(0))];
    program.extend((kind != Kind::Leak).then(|| approach.free(ObjectIndex(1))));
    program.extend(approach.exit(a));
    program.push(Op::Unload(a));
    if has_type_safe {
        // Such a row is about the second module.
        program.push(Op::Free(ObjectIndex(2)));
        program.extend(approach.second(b));
        program.push(Op::Unload(b));
    }
    let caches = vec![cache("cache-a", false), cache("cache-b", has_type_safe)];
    Setup {
        generation: approach.generation(),
        sizes: Sizes::SMALL,
        cpus: 2,
        caches: caches.into_iter().take(1 + usize::from(has_type_safe)).collect(),
        objects: [a, a, b].into_iter().take(2 + usize::from(has_type_safe)).map(object).collect(),
        tasks: vec![TaskSetup { name: "exit", program, cpu: None }],
        disturbances: Disturbances {
            pressure: kind == Kind::Pressure || approach.has_shrinker(),
            shrinks: u8::from(approach.has_shrinker()),
            ..Disturbances::default()
        },
        fault: None,
    }
}

/// What a destroy left when it looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Left {
    queued: u64,
    leaked: u64,
}

#[derive(Clone)]
struct Node {
    world: World,
    live: State,
    told: u64,
    clock: u64,
    ended: BTreeMap<CacheAddress, Left>,
}

impl Node {
    fn new(setup: &Arc<Setup>) -> Node {
        let world = World::new(setup);
        let blind = vec![Blind::Inside, Blind::Grace];
        let possible_cpus = u32::from(setup.cpus);
        let live = State::new(Watch { attached: Time(1000), possible_cpus, blind, ..Watch::default() });
        let mut node = Node { world, live, told: 0, clock: 1000, ended: BTreeMap::new() };
        node.tell(node.world.machine.introduction());
        node
    }

    /// Tells the live judge what probes would show.
    fn tell(&mut self, seen: Vec<Event>) {
        for event in seen {
            let Event { task, cpu, .. } = event;
            for what in shown(event.what) {
                self.clock += 1000;
                self.told = digest(self.told, task.0, &what);
                self.live.step(Event { time: Time(self.clock), task, cpu, what });
            }
        }
    }

    fn take(&self, step: Step) -> Node {
        let mut next = self.clone();
        let seen = next.world.take(step);
        next.tell(seen.clone());
        let ends: Vec<CacheAddress> = seen.iter().filter_map(|event| next.ends(event)).collect();
        for address in ends {
            let left = next.left(address);
            next.ended.entry(address).or_insert(left);
        }
        next
    }

    /// The cache whose destroy this event ends.
    fn ends(&self, event: &Event) -> Option<CacheAddress> {
        match event.what {
            What::CacheReleased { cache } => Some(cache),
            What::ShutdownEnd { .. } => {
                self.live.destroys().rfind(|destroy| destroy.caller.task == event.task).map(|d| d.address)
            }
            _ => None,
        }
    }

    /// What the machine has left of this cache.
    fn left(&self, address: CacheAddress) -> Left {
        let machine = &self.world.machine;
        let mut left = Left::default();
        for (place, life) in (0..).zip(machine.objects()) {
            match life {
                _ if machine.cache_address_of(ObjectIndex(place)) != address => {}
                Life::Queued => left.queued += 1,
                Life::Allocated => left.leaked += 1,
                Life::Free => {}
            }
        }
        left
    }
}

/// What probes would show of what a machine tells of itself.
fn shown(what: What) -> Vec<What> {
    match what {
        What::Allocated { .. }
        | What::QueueReturned { .. }
        | What::ReadLock { .. }
        | What::ReadUnlock
        | What::Reported { .. }
        | What::DestructionAwaited { .. }
        | What::SlabsFreed { .. }
        | What::GraceBegin { .. }
        | What::GraceEnd { .. }
        | What::Quiet => Vec::new(),
        What::CallbackRan { object, .. } => {
            // Objects of the machine lie in caches by their numbers, which the queueing has told.
            vec![
                What::CallbackRuns { object, cache: CacheAddress(1) },
                What::BatchFreed { path: FreePath::Callback },
            ]
        }
        what => vec![what],
    }
}

struct Explorer<'a> {
    /// Whether the teardown waits for everything.
    is_ordered: bool,
    known: HashMap<u64, usize>,
    /// What the judge said, by what it was told.
    courses: HashMap<(u64, CacheAddress), String>,
    path: Vec<Step>,
    heard: &'a mut Heard,
}

impl Explorer<'_> {
    fn visit(&mut self, node: &Node) {
        let mut hasher = DefaultHasher::new();
        (essence(&node.world), node.told, &node.ended).hash(&mut hasher);
        let (state, steps) = (hasher.finish(), self.path.len());
        if self.known.get(&state).is_some_and(|known| *known <= steps) {
            return;
        }
        self.known.insert(state, steps);
        self.hold(node);
        let mut steps = Vec::new();
        node.world.steps(&mut steps);
        for step in steps.into_iter().filter(|step| *step != Step::Quiet) {
            self.path.push(step);
            self.visit(&node.take(step));
            self.path.pop();
        }
    }

    /// Holds what the judge says against what the machine knows.
    fn hold(&mut self, node: &Node) {
        for destroy in node.live.destroys() {
            let Some(left) = node.ended.get(&destroy.address) else { continue };
            let verdict = of_destroy(&node.live, destroy);
            if let Some(broken) = self.breaks(&verdict, *left, node) {
                self.is_broken(broken, &verdict, node);
            }
            let inside = node.world.state.destroys().find(|inside| inside.address == destroy.address);
            let inside = inside.map(|inside| of_destroy(&node.world.state, inside).kind());
            let is_open = promise::is_open(&verdict);
            if !is_open && inside.is_some_and(|inside| inside != verdict.kind()) {
                self.is_broken(Sound::InsightAgrees, &verdict, node);
            }
            self.courses.insert((node.told, destroy.address), promise::reason(&verdict));
        }
        if node.live.violations().is_empty() || !node.world.state.violations().is_empty() {
            return;
        }
        let kinds = [VerdictKind::BarrierEarly, VerdictKind::FreedEarly, VerdictKind::DoubleFree];
        if let Some(found) = verdicts(&node.live).into_iter().find(|verdict| kinds.contains(&verdict.kind()))
        {
            self.is_broken(Sound::KernelNotAccused, &found, node);
        }
    }

    fn breaks(&self, verdict: &Verdict, left: Left, node: &Node) -> Option<Sound> {
        let (kind, said) = (verdict.kind(), verdict.decision.left);
        let word = match kind {
            VerdictKind::Clean | VerdictKind::Waited | VerdictKind::Unordered
                if left.queued + left.leaked > 0 =>
            {
                Some(Sound::CleanIsClean)
            }
            VerdictKind::Pending if left.queued == 0 => Some(Sound::FlagIsEarned),
            VerdictKind::Leaked if left.leaked == 0 => Some(Sound::FlagIsEarned),
            VerdictKind::Unordered if self.is_ordered => Some(Sound::FlagIsEarned),
            VerdictKind::ModelDisagrees | VerdictKind::LateFree
                if node.world.state.violations().is_empty() =>
            {
                Some(Sound::KernelNotAccused)
            }
            _ => None,
        };
        word.or_else(|| {
            let queued = said.frees + said.callbacks.unwrap_or(0) + said.others;
            let is_queued = said.callbacks.is_none() || queued == left.queued;
            let is_leaked =
                said.leaked.is_none_or(|leaked| (leaked..=leaked + said.undecided).contains(&left.leaked));
            let is_told = matches!(kind, VerdictKind::Pending | VerdictKind::Leaked);
            (is_told && !(is_queued && is_leaked)).then_some(Sound::CountsAreTrue)
        })
    }

    fn is_broken(&mut self, broken: Sound, verdict: &Verdict, node: &Node) {
        if self.heard.broken.get(&broken).is_some_and(|(path, _)| path.len() <= self.path.len()) {
            return;
        }
        let mut world = World::new(&node.world.machine.setup);
        let mut words = Vec::new();
        for step in &self.path {
            if let Step::Move(chosen) = step {
                words.push(world.machine.words(*chosen));
            }
            world.take(*step);
        }
        self.heard.broken.insert(broken, (words, promise::words(verdict)));
    }
}
