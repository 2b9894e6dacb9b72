//! Runs: however a stream of events is cut into runs, the state is the one that single steps lead to.
//!
//! The streams are those that kernels left, whole and with losses, and random ones that hardly any kernel would send.

#![expect(clippy::unwrap_used, reason = "a step that fails is a failed test")]

use std::{fs, path::PathBuf};

use krcu_common::{BarrierKind, FreePath, QueueForm};
use krcu_model::{
    Event, State, Watch,
    event::{
        Blind, CacheAddress, CacheFacts, Cpu, Done, FunctionAddress, Gap, LossReason, ObjectAddress, Run,
        Scope, Site, Task, Time, What,
    },
    script, verdicts,
};

/// A generator of numbers (Knuth's MMIX constants).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()].clone()
    }
}

/// What the events of a run share, and the object of this one.
fn shared(event: &Event) -> Option<((Task, Cpu, CacheAddress, Done), ObjectAddress)> {
    let (cache, done, object) = match event.what {
        What::Queued { object, cache, site, form } => (cache, Done::Queued { site, form }, object),
        What::Freed { object, cache, path } => (cache, Done::Freed { path }, object),
        _ => return None,
    };
    Some(((event.task, event.cpu, cache, done), object))
}

/// The state after these events, taken in runs of at most this many events, or of a random number of them.
fn in_runs(watch: &Watch, events: &[Event], most: u64, random: &mut Random) -> State {
    let mut state = State::new(watch.clone());
    let mut rest = events;
    while let Some(first) = rest.first() {
        let Some((like, _)) = shared(first) else {
            state.step(first.clone());
            rest = &rest[1..];
            continue;
        };
        let most = usize::try_from(1 + random.below(most)).unwrap();
        let objects: Vec<u64> = rest
            .iter()
            .map_while(|event| shared(event).filter(|(other, _)| *other == like).map(|(_, object)| object.0))
            .take(most)
            .collect();
        let times: Vec<u64> = rest.iter().take(objects.len()).map(|event| event.time.0).collect();
        let (task, cpu, cache, done) = like;
        let run = Run { task, cpu, cache, done, times_ns: &times, objects: &objects };
        assert!(run.events().eq(rest[..objects.len()].iter().cloned()));
        state.step_run(run);
        rest = &rest[objects.len()..];
    }
    state
}

fn are_the_same(name: &str, watch: &Watch, events: &[Event], random: &mut Random) {
    let mut single = State::new(watch.clone());
    events.iter().for_each(|event| single.step(event.clone()));
    for most in [3, 1000] {
        let runs = in_runs(watch, events, most, random);
        assert_eq!(verdicts(&runs), verdicts(&single), "{name}, runs of up to {most}");
        assert_eq!(format!("{runs:?}"), format!("{single:?}"), "{name}, runs of up to {most}");
    }
}

fn gap(random: &mut Random, at: Time, scope: Scope) -> Event {
    let (from, until) = (Time(at.0.saturating_sub(random.below(1000))), Time(at.0 + random.below(1000)));
    let reason = random.one_of(&[LossReason::RingFull, LossReason::ProbeMissed, LossReason::MapFull]);
    let gap = Gap { reason, events: 1 + random.below(5), from, until, scope, programs: Vec::new() };
    Event { time: at, task: Task(0), cpu: Cpu(0), what: What::Gap(gap) }
}

/// Loses events of a stream, now and then several in a row, and mostly says so.
fn with_losses(events: &[Event], random: &mut Random) -> Vec<Event> {
    let mut kept = Vec::new();
    let mut lost = 0;
    for event in events {
        if lost == 0 && random.below(30) == 0 {
            lost = 1 + random.below(6);
            if random.below(4) > 0 {
                let scopes = [Scope::Everything, Scope::Freeing, Scope::Queueing, Scope::Grace];
                let scope = random.one_of(&scopes);
                kept.push(gap(random, event.time, scope));
            }
        }
        if lost > 0 {
            lost -= 1;
        } else {
            kept.push(event.clone());
        }
    }
    kept
}

#[test]
fn what_kernels_left_is_judged_the_same_in_runs_of_any_cut() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join("traces");
    let (mut random, mut files, mut in_a_row) = (Random(1), 0, 0);
    for folder in [folder.clone(), folder.join("truth")] {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "script") {
                continue;
            }
            let script = script::read(&fs::read_to_string(&path).unwrap()).unwrap();
            let name = path.display().to_string();
            are_the_same(&name, &script.watch, &script.events, &mut random);
            let lossy = with_losses(&script.events, &mut random);
            are_the_same(&format!("{name} with losses"), &script.watch, &lossy, &mut random);
            files += 1;
            let like = |pair: &&[Event]| {
                shared(&pair[0]).is_some_and(|(one, _)| shared(&pair[1]).is_some_and(|(two, _)| one == two))
            };
            in_a_row += script.events.windows(2).filter(like).count();
        }
    }
    assert!(files > 140 && in_a_row > 20_000, "{files} files, {in_a_row} events that continue a run");
}

/// Something happens in a small world, so that everything meets everything.
fn anything(random: &mut Random, sees_all: bool) -> What {
    let object = ObjectAddress(0x1000 + random.below(64) * 32);
    let cache = CacheAddress(0xc000 + random.below(2) * 0x100);
    let site = Site(u32::try_from(random.below(3)).unwrap());
    let facts = CacheFacts { name: "a_cache".to_owned(), object_size: 32, refcount: 1 };
    let (comm, expedited) = ("rmmod".to_owned(), random.below(4) == 0);
    let barrier = random.one_of(&[BarrierKind::Rcu, BarrierKind::Kvfree, BarrierKind::KvfreeOnCache]);
    let path = random.one_of(&[FreePath::Bulk, FreePath::Single, FreePath::Sheaf]);
    match random.below(if sees_all { 36 } else { 31 }) {
        0..8 => {
            let form = random.one_of(&[QueueForm::Head, QueueForm::Headless, QueueForm::Nolock]);
            What::Queued { object, cache, site, form }
        }
        8..16 => What::Freed { object, cache, path },
        16..18 => What::BatchFreed { path },
        18 => What::BatchFreed { path: FreePath::Callback },
        19..21 => What::GraceBegin { expedited },
        21..23 => What::GraceEnd { expedited },
        23 => What::BarrierBegin { barrier, rcu_works_flushed: 0, site, comm },
        24 => What::BarrierEnd { barrier, cache: Some(cache), of: 0 },
        25 => What::DestroyBegin { cache, facts, site, comm, counted: false },
        26 => What::ShutdownBegin { cache, rcu_works_flushed: 0 },
        27 => What::ShutdownEnd { empty: Some(random.below(2) == 0), left: None },
        28 => What::CacheCreated { cache, facts, asked_name: "a_cache".to_owned(), site },
        29 => {
            let (function, domain) = (FunctionAddress(0xf00), krcu_model::event::Domain::default());
            What::CallbackQueued { object, cache, function, text: None, domain, site }
        }
        30 => What::CallbackRuns { object, cache },
        31 => What::CacheReleased { cache },
        32 => What::Allocated { object, cache, site },
        33 => What::QueueReturned { object },
        34 => What::ReadLock { object: Some(object), cache: Some(cache) },
        _ => What::ReadUnlock,
    }
}

/// A random stream, in which one queues or frees some objects in a row.
fn any_stream(random: &mut Random, sees_all: bool) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let (mut time, mut turns) = (1000, 60);
    while turns > 0 {
        turns -= 1;
        let what = anything(random, sees_all);
        let task = Task(u32::try_from(random.below(3)).unwrap());
        let cpu = Cpu(u16::try_from(random.below(2)).unwrap());
        let longest = random.one_of(&[1, 5, 40]);
        for place in 0..=random.below(longest) {
            let what = match what.clone() {
                What::Queued { object, cache, site, form } => {
                    What::Queued { object: ObjectAddress(object.0 + place * 32), cache, site, form }
                }
                What::Freed { object, cache, path } => {
                    What::Freed { object: ObjectAddress(object.0 + place * 32), cache, path }
                }
                _ if place > 0 => break,
                what => what,
            };
            // Times of two CPUs may be out of order.
            time += random.below(20);
            events.push(Event { time: Time(time - random.below(15)), task, cpu, what });
        }
        if random.below(20) == 0 {
            events.push(gap(random, Time(time), Scope::Everything));
        }
    }
    events
}

#[test]
fn random_events_lead_to_the_same_state_in_runs_of_any_cut() {
    let mut random = Random(2);
    for seed in 0..400 {
        let blind = match seed % 4 {
            0 => vec![],
            1 => vec![Blind::CallbackRuns, Blind::Inside],
            2 => vec![Blind::Frees],
            _ => vec![Blind::Inside],
        };
        let watch = Watch { possible_cpus: 2, blind: blind.into_iter().collect(), ..Watch::default() };
        let events = any_stream(&mut random, seed % 8 < 2);
        are_the_same(&format!("seed {seed}"), &watch, &events, &mut random);
        let lossy = with_losses(&events, &mut random);
        are_the_same(&format!("seed {seed} with losses"), &watch, &lossy, &mut random);
    }
}
