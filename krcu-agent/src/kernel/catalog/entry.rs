//! Entry: the type of a row of the catalog of probes.

use krcu_common::Kind;
use krcu_model::state::Blind;
use serde::Serialize;

use crate::kernel::layout::Layout;

/// The words for the steps of a life, as everywhere in krcu.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// A cache is created, destroyed, looked at, released.
    Cache,
    /// An object is handed to a deferred free.
    Queue,
    /// A grace period begins and ends.
    Grace,
    /// A deferred free runs, alone or with others.
    Free,
    /// A barrier is entered and returns.
    Barrier,
    /// A module is loaded and gone.
    Module,
}

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attach {
    /// At the entry of a function, by its type.
    Fentry,
    /// At the return of a function, by its type.
    Fexit,
    /// At a tracepoint, by its type.
    BtfTracepoint,
}

impl Attach {
    /// The word for it in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Attach::Fentry => "fentry",
            Attach::Fexit => "fexit",
            Attach::BtfTracepoint => "tracepoint",
        }
    }
}

impl Word {
    /// The word itself.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Word::Cache => "cache",
            Word::Queue => "queue",
            Word::Grace => "grace",
            Word::Free => "free",
            Word::Barrier => "barrier",
            Word::Module => "module",
        }
    }
}

/// What it means if a kernel has neither a symbol nor a type of a probe's function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The function is exported or its address is taken, so it cannot have been inlined. This kernel does not do
    /// what the function does, and nothing is lost.
    NothingToSee,
    /// The compiler may have inlined the function, so krcu does not see what it does.
    Unseen,
}

/// Whether a watch needs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// krcu refuses to run without it.
    Required,
    /// krcu runs without it.
    Optional,
    /// It is attached only when allocations are asked for.
    OnRequest,
    /// It is left out if this program is offered, which does the same job better.
    InsteadOf(&'static str),
}

/// In which group a probe is detached. Groups go one after the other, in this order; those of one group go side by
/// side, since none of them concludes anything from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leaving {
    /// The end of a module, from which a verdict about its teardown follows. It goes before everything that a teardown
    /// may do: a destroy that is not seen would make a cache look abandoned, and a barrier its callbacks unordered.
    Module,
    /// The entry of a destroy: no other destroy comes into the watch.
    Destroy,
    /// The ends of destroys and barriers, from which a verdict follows at once. They go before the begins, so that
    /// what runs meanwhile is seen to have begun and not to have ended, which proves nothing; without its begin, an
    /// end would be that of a call that is older than the probes.
    Conclusion,
    /// Their begins, and what happens within them.
    Course,
    /// The queueing, and what gives names: what is queued is seen to be freed, or is not seen at all.
    Queueing,
    /// The begins of frees. Until here each object that is outstanding is truly so. A batch that is seen to begin is
    /// seen to end.
    Free,
    /// The ends of frees.
    FreeEnd,
    /// The begins of grace periods: every free that was seen had its grace period seen. One that is seen to begin is
    /// seen to end.
    Grace,
    /// The ends of grace periods.
    GraceEnd,
}

/// What it means if the kernel skipped a run of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// An event of this kind is missing or incomplete, unless a second copy ran.
    Misses(Kind),
    /// Nothing that a verdict depends on.
    Nothing,
    /// The program is the second copy of this one. It does the work if the kernel skipped the first copy. The count
    /// of the first copy includes what both missed.
    SecondOf(&'static str),
}

/// What is lost without a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Without {
    /// What cannot be decided, as a sentence.
    pub sentence: &'static str,
    /// What the judge does not see then.
    pub blind: Option<Blind>,
}

impl Without {
    pub(super) const fn says(sentence: &'static str) -> Without {
        Without { sentence, blind: None }
    }

    pub(super) const fn blinds(blind: Blind, sentence: &'static str) -> Without {
        Without { sentence, blind: Some(blind) }
    }

    /// The same for a program that sees only an end: krcu still sees the begin.
    pub(super) const fn but_sees(self) -> Without {
        Without { blind: None, ..self }
    }
}

/// A member of a structure that a program reads.
#[derive(Clone, Copy, Debug)]
pub struct Reads {
    /// Its offset, from the type information.
    pub offset: fn(&Layout) -> Option<u32>,
    /// Its name.
    pub name: &'static str,
}

/// One program and what it is for.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Name of the program in the object of the probes.
    pub program: &'static str,
    /// How it is attached.
    pub attach: Attach,
    /// The functions that it may be attached to. krcu takes the first one that the kernel offers.
    pub targets: &'static [&'static str],
    /// Whether krcu can run without it.
    pub need: Need,
    /// What it means if the kernel has none of the targets.
    pub absence: Absence,
    /// The word it belongs to.
    pub word: Word,
    /// The group with which it is detached.
    pub leaves: Leaving,
    /// What a skipped run means.
    pub skipped: Skipped,
    /// What is lost without it.
    pub without: Without,
    /// The members that it reads, which the type information has to have.
    pub reads: &'static [Reads],
}
