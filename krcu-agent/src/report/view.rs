//! View: what a report depends on besides its run.

/// What a report depends on besides the run.
#[derive(Clone, Debug)]
pub struct View {
    /// The highest number of columns of a line of text.
    pub columns: usize,
    /// Whether text has colours.
    pub colour: bool,
    /// Whether text leaves out the verdicts that need no doing.
    pub flagged: bool,
    /// The build in a KCIDB document, as `ORIGIN:ID`.
    pub kcidb_build: String,
}

/// The columns of a report that is not on a terminal.
pub(super) const COLUMNS: usize = 100;

impl Default for View {
    fn default() -> View {
        View { columns: COLUMNS, colour: false, flagged: false, kcidb_build: "krcu:unknown".to_owned() }
    }
}
