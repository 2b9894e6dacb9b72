//! Kind: the words of verdicts.

use serde::{Deserialize, Serialize};

/// The word of a verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum VerdictKind {
    /// Nothing of this cache was queued or allocated when it was destroyed.
    Clean,
    /// The destroy itself waited for deferred frees.
    Waited,
    /// The destroy failed, or gave memory back, while deferred frees were outstanding.
    Pending,
    /// The destroy failed because of objects that nobody queued.
    Leaked,
    /// A deferred free ran after its cache was gone.
    LateFree,
    /// Nothing was outstanding this time, but no barrier orders the deferred frees before the destroy.
    Unordered,
    /// The cache is shared, and the call only dropped a reference.
    Alias,
    /// An earlier destroy of this cache failed; this call changed nothing.
    Repeated,
    /// A barrier returned while something that it covers was still queued or being freed.
    BarrierEarly,
    /// An object was freed before a grace period had passed since it was queued.
    FreedEarly,
    /// An object was queued once more, or freed, while it was queued already.
    DoubleFree,
    /// The kernel's own result contradicts the events.
    ModelDisagrees,
    /// The module that created the cache went, and never destroyed it.
    Abandoned,
    /// It cannot be decided.
    #[default]
    Inconclusive,
}

impl VerdictKind {
    /// All of them.
    pub const ALL: [VerdictKind; 14] = [
        VerdictKind::Clean,
        VerdictKind::Waited,
        VerdictKind::Pending,
        VerdictKind::Leaked,
        VerdictKind::LateFree,
        VerdictKind::Unordered,
        VerdictKind::Alias,
        VerdictKind::Repeated,
        VerdictKind::BarrierEarly,
        VerdictKind::FreedEarly,
        VerdictKind::DoubleFree,
        VerdictKind::ModelDisagrees,
        VerdictKind::Abandoned,
        VerdictKind::Inconclusive,
    ];

    /// The word, as it is printed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            VerdictKind::Clean => "clean",
            VerdictKind::Waited => "waited",
            VerdictKind::Pending => "pending",
            VerdictKind::Leaked => "leaked",
            VerdictKind::LateFree => "late-free",
            VerdictKind::Unordered => "unordered",
            VerdictKind::Alias => "alias",
            VerdictKind::Repeated => "repeated",
            VerdictKind::BarrierEarly => "barrier-early",
            VerdictKind::FreedEarly => "freed-early",
            VerdictKind::DoubleFree => "double-free",
            VerdictKind::ModelDisagrees => "model-disagrees",
            VerdictKind::Abandoned => "abandoned",
            VerdictKind::Inconclusive => "inconclusive",
        }
    }

    /// Whether it is a fault in this run on this kernel.
    #[must_use]
    pub fn is_flagged(self) -> bool {
        matches!(
            self,
            VerdictKind::Pending
                | VerdictKind::Leaked
                | VerdictKind::LateFree
                | VerdictKind::BarrierEarly
                | VerdictKind::FreedEarly
                | VerdictKind::DoubleFree
                | VerdictKind::ModelDisagrees
                | VerdictKind::Abandoned
        )
    }

    /// Whether it is a fault in some run or on some kernel.
    #[must_use]
    pub fn is_flagged_strictly(self) -> bool {
        self.is_flagged() || matches!(self, VerdictKind::Waited | VerdictKind::Unordered)
    }
}

/// What the slab shutdown returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum KernelResult {
    /// Every slab was given back.
    Empty,
    /// Objects remain.
    ObjectsRemain,
    /// There was no shutdown: the destroy dropped a reference.
    ReferenceDropped,
    /// It was not seen.
    #[default]
    Unseen,
}

/// Whether every deferred free in the cache's life is ordered before its destruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Ordering {
    /// Nothing was ever deferred.
    NothingDeferred,
    /// A barrier that covers all of them ran before the destruction.
    Ordered,
    /// No such barrier ran.
    Unordered,
    /// It is not known what was deferred before the probes were attached.
    #[default]
    Unknown,
}
