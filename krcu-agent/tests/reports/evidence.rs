//! Evidence: the lines of it that are rare, each in the text of a run of a few events.

use krcu_agent::{
    outcome::{Outcome, Policy, Setting},
    report::text,
};
use krcu_common::{BarrierKind, FreePath, QueueForm};
use krcu_model::{
    Event, State, Watch,
    event::{
        CacheAddress, CacheFacts, Cpu, Domain, FunctionAddress, Leftover, ObjectAddress, Site, Task, Time,
        What,
    },
    state::Blind,
};
use krcu_report::verdicts;

const CACHE: CacheAddress = CacheAddress(1);
const FUNCTION: FunctionAddress = FunctionAddress(0xffff_ffff_c000_0000);
const BEGIN: What = What::BarrierBegin {
    barrier: BarrierKind::Rcu,
    rcu_works_flushed: 0,
    site: Site(0),
    comm: String::new(),
};
const END: What = What::BarrierEnd { barrier: BarrierKind::Rcu, cache: None, of: 0 };
const EMPTY: What = What::ShutdownEnd { empty: Some(true), left: None };

fn left(objects: u64) -> What {
    What::ShutdownEnd { empty: Some(false), left: Some(Leftover { objects, listed: objects }) }
}

fn callback(object: u64) -> What {
    let object = ObjectAddress(object * 64);
    What::CallbackQueued {
        object,
        cache: CACHE,
        function: FUNCTION,
        text: None,
        domain: Domain::default(),
        site: Site(1),
    }
}

fn ran(object: u64) -> [What; 2] {
    let object = ObjectAddress(object * 64);
    [What::CallbackRuns { object, cache: CACHE }, What::BatchFreed { path: FreePath::Callback }]
}

fn queued(object: u64, site: u32) -> What {
    let object = ObjectAddress(object * 64);
    What::Queued { object, cache: CACHE, site: Site(site), form: QueueForm::Head }
}

/// What is said of a cache whose destroy comes after `before`, and looks after `inside`.
fn screen(before: Vec<What>, inside: Vec<What>, end: What) -> String {
    let facts = CacheFacts { name: "my_cache".to_owned(), object_size: 64, refcount: 1 };
    let site = |site, frame: &str| What::Site { site: Site(site), frames: vec![frame.to_owned()] };
    let mut events = vec![
        site(1, "my_put+0x51/0x80 [my_module]"),
        site(2, "my_get+0x22/0x80 [my_module]"),
        What::Function { function: FUNCTION, symbol: "my_free+0x0/0x20 [my_module]".to_owned() },
    ];
    let (cache, asked_name) = (CACHE, "my_cache".to_owned());
    events.push(What::CacheCreated { cache, facts: facts.clone(), asked_name, site: Site(1) });
    events.extend(before);
    let comm = "rmmod".to_owned();
    events.push(What::DestroyBegin { cache, facts, site: Site(2), comm, counted: false });
    events.extend(inside);
    events.push(What::ShutdownBegin { cache, rcu_works_flushed: 0 });
    events.push(end);
    let watch = Watch { attached: Time(0), possible_cpus: 2, blind: vec![Blind::Inside], ..Watch::default() };
    let mut state = State::new(watch);
    for (time, what) in (1..).zip(events) {
        state.step(Event { time: Time(time * 1000), task: Task(412), cpu: Cpu(0), what });
    }
    let outcome = Outcome {
        setting: Setting::default(),
        release: "7.3".to_owned(),
        probes: 16,
        events: state.events(),
        losses: krcu_model::event::Losses::default(),
        without_site: 0,
        accounts: Vec::new(),
        attach_ns: 0,
        duration_ns: 1,
        verdicts: verdicts(&state),
        command_status: 0,
        events_cut_short: false,
        incomplete: None,
        failed: None,
        policy: Policy { strict: false, exit_flagged: 10, ..Policy::default() },
    };
    let screen = text::render(&outcome);
    assert!(screen.lines().all(|line| line.chars().count() <= 100), "{screen}");
    // One blank between words, so that it does not matter where a line is wrapped.
    screen.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn says(screen: &str, words: &[&str]) {
    for words in words {
        assert!(screen.contains(words), "{words} is not in\n{screen}");
    }
}

#[test]
fn callbacks_that_wait_are_named() {
    let screen = screen((0..3).map(callback).collect(), vec![], left(3));
    says(
        &screen,
        &[
            "PENDING my_cache destroyed with 3 callbacks outstanding my_module",
            "queued by call_rcu 3 oldest",
            "3 × my_put+0x51 [my_module] callbacks 3 × my_free [my_module]",
            "ordering no rcu_barrier() stands between the last call_rcu() and the destroy",
            "it may run after the module is gone",
            "what to do nothing here waits for call_rcu(): call rcu_barrier()",
        ],
    );
}

#[test]
fn callbacks_that_finished_by_luck_are_named_with_their_module() {
    let before = [vec![callback(0)], ran(0).to_vec()].concat();
    says(
        &screen(before, vec![], EMPTY),
        &[
            "UNORDERED my_cache",
            "nothing outstanding, by luck: the last callback was 3.00 µs before",
            "queued by call_rcu 1 in all",
            "callbacks my_free [my_module]",
            "my_free() is in the text of my_module",
            "call rcu_barrier() before kmem_cache_destroy()",
        ],
    );
}

#[test]
fn a_wait_for_callbacks_says_how_many_and_through_what() {
    let graces = [What::GraceBegin { expedited: false }, What::GraceEnd { expedited: false }];
    let inside = [vec![BEGIN], graces.to_vec(), ran(0).to_vec(), ran(1).to_vec(), vec![END]].concat();
    says(
        &screen(vec![callback(0), callback(1)], inside, EMPTY),
        &[
            "the destroy waited 9.00 µs for 2 callbacks of call_rcu()",
            "callbacks 2 × my_free [my_module]",
            "by the rcu_barrier() inside the destroy, and by none before it; 1 grace period ended meanwhile",
        ],
    );
}

#[test]
fn a_double_free_shows_both_places_and_a_leak_where_it_came_from() {
    let allocated = |object: u64| {
        let object = ObjectAddress(object * 64);
        What::Allocated { object, cache: CACHE, site: Site(2) }
    };
    let before = vec![queued(0, 1), queued(0, 2), allocated(1), allocated(2)];
    says(
        &screen(before, vec![], left(3)),
        &[
            "PENDING my_cache destroyed with 1 deferred free outstanding",
            "leaked 2",
            "allocated by 2 × my_get+0x22 [my_module]",
            "DOUBLE-FREE my_cache 1 object was handed over to be freed while queued already",
            "queued by 1 × my_get+0x22 [my_module] 1 × my_put+0x51 [my_module]",
        ],
    );
}
