//! Kind: the words for what follows from a destroy.

use serde::{Deserialize, Serialize};

/// The verdicts of the design.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum VerdictKind {
    /// Nothing of this cache was queued or allocated when it was destroyed.
    Clean,
    /// The destroy itself waited for deferred frees.
    Waited,
    /// The destroy failed, or gave memory back, with deferred frees outstanding.
    Pending,
    /// Objects that nobody queued.
    Leaked,
    /// A deferred free ran after its cache was gone.
    LateFree,
    /// Nothing was outstanding this time, but no barrier stands between.
    Unordered,
    /// The cache is shared; a reference was dropped.
    Alias,
    /// The cache was destroyed before, which failed: this call changed nothing.
    Repeated,
    /// A barrier returned while something that it covers was queued.
    BarrierEarly,
    /// An object was freed before a grace period had passed since it was queued.
    FreedEarly,
    /// An object was handed over to be freed while it was queued already.
    DoubleFree,
    /// The kernel's own result and ours cannot both be right.
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

    /// Whether it is a fault, on this kernel and on this run.
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

    /// Whether it is a fault on some kernel or on some run.
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
    /// There was none: the destroy dropped a reference.
    ReferenceDropped,
    /// It was not seen.
    #[default]
    Unseen,
}

/// Whether every deferred free of the cache's life is ordered before its destruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Ordering {
    /// Nothing was ever deferred.
    NothingDeferred,
    /// A barrier that covers it stands between.
    Ordered,
    /// No such barrier.
    Unordered,
    /// What was deferred before the probes were attached is not known.
    #[default]
    Unknown,
}
