//! Needs: what a question asks of the tables that grow with the trace. The others are always there.

/// Columns of `objects`, and whether `batches` and `callbacks` are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Columns of `objects`: none at all, these, or every one.
    pub objects: Columns,
    /// Whether `batches` is needed.
    pub batches: bool,
    /// Whether `callbacks` is needed.
    pub callbacks: bool,
}

/// Columns of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// The table is not asked for.
    None,
    /// These.
    These(&'static [&'static str]),
    /// Every one.
    All,
}

impl Columns {
    /// Whether it is one of them.
    #[must_use]
    pub fn has(self, name: &str) -> bool {
        match self {
            Columns::None => false,
            Columns::These(names) => names.contains(&name),
            Columns::All => true,
        }
    }
}

impl Needs {
    /// Every table, whole.
    pub const ALL: Needs = Needs { objects: Columns::All, batches: true, callbacks: true };
    /// The tables that do not grow with the objects.
    pub const SMALL: Needs = Needs { objects: Columns::None, batches: false, callbacks: false };
    /// `caches`.
    pub const CACHES: Needs = Needs::of(&["cache", "age_ns"]);
    /// `sites`.
    pub const SITES: Needs = Needs::of(&["cache", "site", "freed_at_ns", "age_ns"]);
    /// Ages by cache and site.
    pub const AGES: Needs = Needs::of(&["cache", "site", "age_ns"]);
    /// `batches`.
    pub const BATCHES: Needs = Needs { batches: true, ..Needs::SMALL };
    /// `callbacks`.
    pub const CALLBACKS: Needs = Needs { callbacks: true, ..Needs::SMALL };
    /// What is outstanding over time.
    pub const OUTSTANDING: Needs = Needs::of(&["cache", "queued_at_ns", "over_at_ns"]);

    const fn of(objects: &'static [&'static str]) -> Needs {
        Needs { objects: Columns::These(objects), ..Needs::SMALL }
    }
}
