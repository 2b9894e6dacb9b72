//! Replay: events in, rows out, with the state in between that the live run had.

use krcu_model::{
    Event, State, Watch,
    event::{CacheAddress, ObjectAddress, Time, What},
    state::{Born, Cache, CacheId, Freer, Mark, Outstanding},
};

use super::{
    Sink,
    barriers::Barriers,
    batches::Batches,
    callbacks::{Callbacks, Works},
    graces::Graces,
    identity,
    lives::{self, Free, Life, Orphans},
    since_attach, verdicts, words,
};

/// A replay that keeps records.
#[derive(Debug)]
pub struct Replay<S> {
    state: State,
    sink: S,
    orphans: Orphans,
    callbacks: Callbacks,
    batches: Batches,
    barriers: Barriers,
    graces: Graces,
    first: Option<Time>,
    last: Time,
}

/// What lived at an address before an event that may end it.
struct Before {
    address: CacheAddress,
    row: words::Cache,
    id: CacheId,
    objects: Vec<(ObjectAddress, Outstanding)>,
}

impl<S: Sink> Replay<S> {
    /// Nothing seen yet.
    pub fn new(watch: Watch, sink: S) -> Replay<S> {
        let last = watch.attached;
        Replay {
            state: State::new(watch),
            sink,
            orphans: Orphans::default(),
            callbacks: Callbacks::default(),
            batches: Batches::default(),
            barriers: Barriers::default(),
            graces: Graces::default(),
            first: None,
            last,
        }
    }

    /// Takes one event.
    pub fn step(&mut self, event: Event) {
        let attached = self.state.watch().attached;
        if let What::Gap(gap) = &event.what {
            self.sink.gap(verdicts::gap(attached, gap));
            self.state.step(event);
            return;
        }
        self.first.get_or_insert(event.time);
        self.last = self.last.max(event.time);
        // The place that the state is about to give it.
        let mark = Mark { position: self.state.events() + 1, time: event.time };
        if self.sink.wants_batches()
            && let Some(batch) = self.batches.ended_by(&event, attached)
        {
            self.sink.batch(batch);
        }
        let flushed = self.callback_seen(&event);
        match &event.what {
            What::Queued { object, cache, .. } => self.is_queued(event.time, *object, *cache),
            What::Freed { object, cache, path } => self.is_freed(&event, *object, (*path, *cache)),
            What::GraceBegin { expedited } => self.graces.begins(mark, *expedited),
            What::GraceEnd { expedited } => {
                let keep = self.state.outstanding() > 0 || Callbacks::wait(&self.state);
                self.sink.grace(self.graces.ends(attached, mark, *expedited, keep));
            }
            What::BarrierBegin { barrier, rcu_works_flushed, .. } if barrier.is_for_frees() => {
                let kind = (*barrier, *rcu_works_flushed);
                self.barriers.begins(&self.state, &event, (mark, self.graces.ended()), kind);
            }
            What::BarrierEnd { barrier, cache, .. } if barrier.is_for_frees() => {
                let kind = (*barrier, *cache);
                let row = self.barriers.ends(&self.state, &event, self.graces.ended(), kind);
                row.into_iter().for_each(|row| self.sink.barrier(row));
            }
            _ => {}
        }
        let before = self.before(&event);
        let about = About::of(&event);
        let kept = about.map(|about| (about, event.without_text()));
        self.state.step(event);
        if let Some(before) = before {
            self.is_released(before);
        }
        if let Some(works) = flushed {
            let rows = self.callbacks.cancelled(&self.state, works);
            rows.into_iter().for_each(|row| self.sink.callback(row));
        }
        match kept {
            Some((About::Destroy, event)) => {
                self.barriers.destroy_begins(&self.state, &event, (mark, self.graces.ended()));
            }
            Some((About::Look, event)) => {
                let row = self.barriers.looks(&self.state, &event, self.graces.ended());
                row.into_iter().for_each(|row| self.sink.barrier(row));
            }
            Some((About::Site, _)) => self.sink.site(site(&self.state)),
            None => {}
        }
    }

    /// What is believed so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Who takes the rows.
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// When the first and the last event were, in nanoseconds from the attach.
    pub fn span_ns(&self) -> (i64, i64) {
        let attached = self.state.watch().attached;
        let first = self.first.unwrap_or(attached).min(attached);
        (since_attach(attached, first), since_attach(attached, self.last))
    }

    /// The trace has ended: writes what is still open, and gives back the state and the sink.
    pub fn finish(mut self) -> (State, S) {
        let attached = self.state.watch().attached;
        if self.sink.wants_callbacks() {
            let rows = self.callbacks.rest(&self.state);
            rows.into_iter().for_each(|row| self.sink.callback(row));
        }
        for batch in self.batches.rest(attached) {
            self.sink.batch(batch);
        }
        for barrier in self.barriers.rest(&self.state) {
            self.sink.barrier(barrier);
        }
        for grace in self.graces.open(attached) {
            self.sink.grace(grace);
        }
        for (address, cache) in self.state.caches() {
            let mut objects: Vec<_> = cache.outstanding_objects().collect();
            objects.sort_unstable_by_key(|(_, entry)| entry.queued);
            for (object, queued) in objects {
                let life = Life { object, cache: cache.life.id, queued, late: false };
                let over = self.over_since(queued.queued);
                self.sink.object(lives::row(attached, &life, over, None, ("outstanding", None)));
            }
            self.sink.cache(cache_row(attached, address, cache, None));
        }
        for life in self.orphans.rest() {
            let over = self.over_since(life.queued.queued);
            self.sink.object(lives::row(attached, &life, over, None, ("outstanding", None)));
        }
        for destroy in self.state.destroys() {
            self.sink.destroy(verdicts::destroy(attached, destroy));
        }
        for verdict in verdicts::all(&self.state) {
            self.sink.verdict(verdict);
        }
        (self.state, self.sink)
    }

    /// When the first whole grace period since then had ended, where that is asked.
    fn over_since(&self, queued: Mark) -> Option<Time> {
        if self.sink.wants_graces() { self.graces.over_since(queued) } else { None }
    }

    /// What of a callback's life this event ends; and the works that it may cancel.
    fn callback_seen(&mut self, event: &Event) -> Option<Works> {
        if !self.sink.wants_callbacks() {
            return None;
        }
        if let Some(row) = self.callbacks.see(&self.state, &self.graces, event) {
            self.sink.callback(row);
        }
        Callbacks::before_a_flush(&self.state, event)
    }

    /// What was queued at this address and not seen freed is replaced.
    fn is_queued(&mut self, at: Time, object: ObjectAddress, cache: CacheAddress) {
        let Some(cache) = self.state.cache_at(cache) else { return };
        let Some(queued) = cache.outstanding.get(object) else { return };
        let life = Life { object, cache: cache.life.id, queued, late: false };
        let over = self.over_since(queued.queued);
        self.sink.object(lives::row(self.state.watch().attached, &life, over, None, ("requeued", Some(at))));
    }

    fn is_freed(&mut self, event: &Event, object: ObjectAddress, by: (krcu_common::FreePath, CacheAddress)) {
        let life = self.orphans.life(&self.state, object, by.1);
        let queued = life.as_ref().map(|life| life.queued.queued.time);
        if queued.is_none() && by.0 == krcu_common::FreePath::Single {
            // The module's own: nobody had deferred it.
            return;
        }
        let batch = if self.sink.wants_batches() {
            let since_grace = self.graces.since_last(event.time);
            self.batches.frees(event, by, queued, since_grace)
        } else {
            0
        };
        let Some(life) = life else { return };
        let free = Free { at: event.time, freer: Freer::of(event.task, event.cpu), path: by.0, batch };
        self.barriers.freed(life.cache, life.queued.queued);
        let over = self.over_since(life.queued.queued);
        let end = lives::end_of(&life, &free);
        self.sink.object(lives::row(self.state.watch().attached, &life, over, Some(free), (end, None)));
    }

    /// What may be released by this event.
    fn before(&self, event: &Event) -> Option<Before> {
        let (What::CacheReleased { cache: address } | What::CacheCreated { cache: address, .. }) = event.what
        else {
            return None;
        };
        let cache = self.state.cache_at(address)?;
        let row = cache_row(self.state.watch().attached, address, cache, Some(event.time));
        Some(Before { address, row, id: cache.life.id, objects: cache.outstanding_objects().collect() })
    }

    fn is_released(&mut self, before: Before) {
        if self.state.cache_at(before.address).is_some_and(|cache| cache.life.id == before.id) {
            return;
        }
        self.sink.cache(before.row);
        let attached = self.state.watch().attached;
        let (orphans, forgotten): (Vec<_>, Vec<_>) =
            before.objects.into_iter().partition(|(object, _)| self.state.is_orphan(*object));
        let replaced = self.orphans.take(before.id, orphans);
        let forgotten = forgotten.into_iter().map(|(object, queued)| Life {
            object,
            cache: before.id,
            queued,
            late: true,
        });
        for life in replaced.into_iter().chain(forgotten) {
            let over = self.over_since(life.queued.queued);
            self.sink.object(lives::row(attached, &life, over, None, ("outstanding", None)));
        }
    }
}

/// What is to be noted once the state has taken an event.
#[derive(Clone, Copy)]
enum About {
    Destroy,
    Look,
    Site,
}

impl About {
    fn of(event: &Event) -> Option<About> {
        match event.what {
            What::DestroyBegin { .. } => Some(About::Destroy),
            What::ShutdownBegin { .. } => Some(About::Look),
            What::Site { .. } => Some(About::Site),
            _ => None,
        }
    }
}

/// When, where and in which task.
trait WithoutText {
    fn without_text(&self) -> Event;
}

impl WithoutText for Event {
    fn without_text(&self) -> Event {
        Event { time: self.time, task: self.task, cpu: self.cpu, what: What::Quiet }
    }
}

fn cache_row(attached: Time, address: CacheAddress, cache: &Cache, released: Option<Time>) -> words::Cache {
    let (created_at_ns, site) = match &cache.life.born {
        Born::Watched { at, stack } => (Some(since_attach(attached, at.time)), stack.0),
        Born::BeforeAttach => (None, 0),
    };
    words::Cache {
        cache: cache.life.id.0,
        address: address.0,
        name: cache.life.facts.name.clone(),
        aliases: cache.life.aliases.join(","),
        object_bytes: cache.life.facts.object_size,
        created_at_ns,
        site,
        released_at_ns: released.map(|released| since_attach(attached, released)),
        counted: cache.life.counted,
        queued: cache.past.frees.ever,
        callbacks: cache.past.callbacks.ever,
        outstanding: cache.outstanding.len(),
    }
}

/// The newest stack.
fn site(state: &State) -> words::SiteRow {
    let id = state.newest_stack();
    let stack = state.stack(id);
    let frames: Vec<String> = stack.frames.iter().map(ToString::to_string).collect();
    words::SiteRow {
        site: id.0,
        function: stack.frames.first().map(|frame| frame.function().to_owned()).unwrap_or_default(),
        module: stack.module().map(str::to_owned),
        stack: frames.join(" ← "),
        site_key: identity::site_key(&stack.frames),
    }
}
