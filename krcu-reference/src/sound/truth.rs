//! Truth: what the kernel knows of itself when a destroy or an unload is over, and which verdicts that deserves.

use krcu_model::VerdictKind;

use super::{
    deferral::{Deferral, Stage},
    kernel::{Kernel, kernel_held},
    setup::{Actor, How, Setup},
};

/// A set of verdicts' words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Words(u16);

impl Words {
    /// Every word.
    pub const ALL: Words = Words(u16::MAX);

    pub(super) fn of(words: &[VerdictKind]) -> Words {
        Words(words.iter().fold(0, |all, word| all | 1 << (*word as u16)))
    }

    pub(super) fn has(self, word: VerdictKind) -> bool {
        self.0 & (1 << (word as u16)) != 0
    }

    pub(super) fn and(self, other: Words) -> Words {
        Words(self.0 & other.0)
    }

    fn or(self, other: Words) -> Words {
        Words(self.0 | other.0)
    }

    /// The words in words.
    #[must_use]
    pub fn words(self) -> String {
        let words = VerdictKind::ALL.into_iter().filter(|word| self.has(*word));
        let words: Vec<&str> = words.map(VerdictKind::word).collect();
        if words.is_empty() { "no word".to_owned() } else { words.join(" or ") }
    }
}

/// Deferred frees of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Held {
    /// Objects that are not free.
    pub held: u8,
    /// Calls that have begun and not returned. Their object may be free already.
    pub in_call: u8,
    /// Those that have not begun.
    pub waits: u8,
}

/// What is deferred of the cache at a moment, by the call that deferred it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Outstanding {
    /// By `kfree_rcu()`.
    pub frees: Held,
    /// By `call_rcu()`.
    pub callbacks: Held,
    /// By `call_srcu()`.
    pub others: Held,
    /// By callbacks whose heads lie elsewhere.
    pub elsewhere: Held,
    /// By works that callbacks have queued.
    pub works: Held,
}

impl Outstanding {
    fn all(&self) -> [Held; 5] {
        [self.frees, self.callbacks, self.others, self.elsewhere, self.works]
    }

    /// Objects that are not free.
    pub(super) fn total(&self) -> u8 {
        self.all().iter().map(|held| held.held).sum()
    }

    /// Calls that have begun and not returned.
    pub(super) fn in_call(&self) -> u8 {
        self.all().iter().map(|held| held.in_call).sum()
    }
}

/// What the kernel found as it counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Counted {
    /// Objects that are left.
    pub left: u8,
    /// Of these, objects that are free and were counted all the same.
    pub miscounted: u8,
    /// Objects that nobody has ever deferred.
    pub leaked: u8,
    /// Objects that callbacks have handed on.
    pub handed_on: u8,
    /// What is deferred.
    pub outstanding: Outstanding,
    /// Deferred frees of its life.
    pub ever: u8,
    /// The verdicts that this deserves.
    pub deserves: Words,
}

/// What a destroy met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Look {
    /// Whether it dropped a reference only.
    pub is_alias: bool,
    /// What was deferred at its entry.
    pub at_begin: Outstanding,
    /// Whether it looks at the slabs.
    pub has_begun: bool,
    /// What was deferred when its look began.
    pub outstanding: Outstanding,
    /// Whether that is over, but for the count.
    pub has_ended: bool,
    /// Whether the kernel has found something, or nothing.
    pub has_decided: bool,
    /// Whether it has found something.
    pub has_failed: bool,
    /// Which deferred frees waited when the look was over, although it found nothing.
    pub overlooked: u8,
    /// Objects that were not free when the look began.
    pub held_before: u8,
    /// Objects that were free when the look was over.
    pub free_then: u8,
    /// Objects that nobody had deferred when the look was over.
    pub leaked: u8,
    /// What was deferred then.
    pub outstanding_then: Outstanding,
    /// Objects that were not free when the look was over. What is freed while they are counted makes the count smaller.
    pub held: u8,
    /// What it found.
    pub counted: Option<Counted>,
}

impl Look {
    pub(super) fn new(is_alias: bool, at_begin: Outstanding) -> Look {
        Look {
            is_alias,
            at_begin,
            has_begun: false,
            outstanding: Outstanding::default(),
            has_ended: false,
            has_decided: false,
            has_failed: false,
            overlooked: 0,
            held_before: 0,
            free_then: 0,
            leaked: 0,
            outstanding_then: Outstanding::default(),
            held: 0,
            counted: None,
        }
    }

    /// Whether it looks.
    pub(super) fn is_under_way(&self) -> bool {
        self.has_begun && !self.has_ended
    }

    /// Whether it has looked, and its slabs are not counted.
    pub(super) fn awaits_count(&self) -> bool {
        self.has_ended && self.counted.is_none()
    }

    /// Whether there is something to judge.
    pub(super) fn is_over(&self) -> bool {
        self.is_alias || self.counted.is_some()
    }

    /// The verdicts that it deserves.
    pub(super) fn deserves(&self) -> Words {
        if self.is_alias {
            return Words::of(&[VerdictKind::Alias]);
        }
        self.counted.map_or(Words::default(), |counted| counted.deserves)
    }

    /// The kernel finds something, or nothing.
    pub(super) fn decides(&mut self, setup: &Setup, kernel: &Kernel, overlooks: bool) {
        self.has_decided = true;
        self.has_failed = kernel_held(setup, kernel) > 0 && !overlooks;
    }

    /// The look is over; its event has its place before the slabs are counted.
    pub(super) fn ends(&mut self, setup: &Setup, kernel: &Kernel) {
        self.has_ended = true;
        self.held = kernel_held(setup, kernel);
        let mine = setup.objects.iter().filter(|is_mine| **is_mine).count();
        self.free_then = u8::try_from(mine).unwrap_or(u8::MAX) - self.held;
        self.leaked = leaked(setup, kernel);
        self.outstanding_then = kernel.outstanding(setup);
        for (place, deferral) in kernel.deferrals.iter().enumerate().filter(|_| !self.has_failed) {
            let waits = setup.objects[usize::from(deferral.object)] && deferral.stage == Stage::Queued;
            self.overlooked |= u8::from(waits) << place;
        }
    }

    /// The kernel counts; this many objects that are free are counted as well.
    pub(super) fn count(&mut self, setup: &Setup, kernel: &Kernel, actor: Actor, miscounted: u8) -> Counted {
        let outstanding = kernel.outstanding(setup);
        let is_left = |object: &usize| setup.objects[*object] && !kernel.is_free(*object);
        let left: Vec<usize> = (0..setup.objects.len()).filter(is_left).collect();
        let number = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
        let handed_on = number(kernel.of_mine(setup).filter(|deferral| deferral.has_handed_on()).count());
        let mut counted = Counted {
            left: number(left.len()) + miscounted,
            miscounted,
            leaked: leaked(setup, kernel),
            handed_on,
            outstanding,
            ever: number(kernel.of_mine(setup).count()),
            deserves: Words::default(),
        };
        counted.deserves =
            if self.has_failed { self.failed(&counted) } else { self.emptied(setup, kernel, actor) };
        self.counted = Some(counted);
        counted
    }

    fn failed(&self, counted: &Counted) -> Words {
        let at_count = counted.outstanding.total();
        let moments = [self.outstanding, self.outstanding_then];
        let during: u8 = moments.iter().map(|outstanding| outstanding.total() + outstanding.in_call()).sum();
        let mut words = Vec::new();
        // A call that frees, or a callback, is outstanding until it has returned, whatever it has done.
        if at_count + during > 0 {
            words.push(VerdictKind::Pending);
        }
        // What is deferred while the slabs are counted was nobody's when the look was over.
        let was_nobodys = self.outstanding_then.total() == 0 && self.leaked > counted.leaked;
        if at_count == 0 && counted.leaked > 0 || was_nobodys {
            words.push(VerdictKind::Leaked);
        }
        Words::of(&words)
    }

    fn emptied(&self, setup: &Setup, kernel: &Kernel, actor: Actor) -> Words {
        let broken = [VerdictKind::ModelDisagrees, VerdictKind::LateFree];
        let is_overlooked = |place: usize| self.overlooked & (1 << place) != 0;
        let has_begun =
            |(place, deferral): (usize, &Deferral)| is_overlooked(place) && deferral.stage > Stage::Queued;
        if kernel.deferrals.iter().enumerate().any(has_begun) {
            return Words::of(&broken);
        }
        let words = self.in_order(setup, kernel, actor);
        // What is overlooked shows itself by its free, if its queueing was not seen.
        if self.overlooked > 0 { words.or(Words::of(&broken)) } else { words }
    }

    fn in_order(&self, setup: &Setup, kernel: &Kernel, actor: Actor) -> Words {
        if kernel.of_mine(setup).any(|deferral| !deferral.is_ordered(actor)) {
            return Words::of(&[VerdictKind::Unordered]);
        }
        let has_inner = kernel.of_mine(setup).any(|deferral| deferral.inner);
        if self.at_begin.total() > 0 {
            Words::of(&[VerdictKind::Waited])
        } else if has_inner || self.at_begin.in_call() > 0 {
            Words::of(&[VerdictKind::Waited, VerdictKind::Clean])
        } else {
            Words::of(&[VerdictKind::Clean])
        }
    }
}

/// Objects of the cache that are not free and that nobody has deferred.
fn leaked(setup: &Setup, kernel: &Kernel) -> u8 {
    let is_deferred = |object: &usize| kernel.is_deferred(*object);
    let is_left = |object: &usize| setup.objects[*object] && !kernel.is_free(*object);
    let leaked = (0..setup.objects.len()).filter(|object| is_left(object) && !is_deferred(object));
    u8::try_from(leaked.count()).unwrap_or(u8::MAX)
}

/// What was left of the module's callbacks as its exit returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Unloaded {
    /// Callbacks and works in its text that have not returned.
    pub open: u8,
    /// The verdicts that this deserves; none if no callback was ever queued.
    pub deserves: Option<Words>,
}

impl Unloaded {
    pub(super) fn of(kernel: &Kernel) -> Unloaded {
        let of_text = || {
            let deferrals = kernel.deferrals.iter();
            deferrals.filter(|deferral| deferral.by != Actor::Other && deferral.how != How::KfreeRcu)
        };
        let open = of_text().map(Deferral::open).sum();
        let word = if open > 0 {
            VerdictKind::Pending
        } else if of_text().all(|deferral| deferral.is_ordered(Actor::Exit)) {
            VerdictKind::Clean
        } else {
            VerdictKind::Unordered
        };
        Unloaded { open, deserves: of_text().next().map(|_| Words::of(&[word])) }
    }
}
