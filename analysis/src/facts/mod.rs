//! Facts: the replay, and what it leaves behind as rows.
//!
//! [`Replay`] hands each event to [`krcu_model::State::step`], as the live run did, and asks the state before and after
//! what became of which object, so that a row can never say something else than a verdict. Rows go to a [`Sink`] as
//! soon as they are complete: what stays in memory is what is outstanding.

mod barriers;
mod batches;
mod callbacks;
pub mod dictionary;
mod graces;
pub mod identity;
mod lives;
mod replay;
pub mod row;
pub mod runs;
mod verdicts;
pub mod words;

pub use replay::Replay;

/// Who takes the rows. A failure is remembered by the sink and told at its end: a replay does not stop for it.
pub trait Sink {
    /// A deferred free's life is over.
    fn object(&mut self, row: words::Object);
    /// A callback's life is over.
    fn callback(&mut self, row: words::Callback);
    /// A call that frees has returned.
    fn batch(&mut self, row: words::Batch);
    /// A barrier has returned.
    fn barrier(&mut self, row: words::Barrier);
    /// A destroy, when the trace has ended.
    fn destroy(&mut self, row: words::Destroy);
    /// A verdict, when the trace has ended.
    fn verdict(&mut self, row: words::VerdictRow);
    /// A cache's life is over.
    fn cache(&mut self, row: words::Cache);
    /// A grace period has ended.
    fn grace(&mut self, row: words::Grace);
    /// Events were not seen.
    fn gap(&mut self, row: words::Gap);
    /// A stack was met.
    fn site(&mut self, row: words::SiteRow);
    /// The whole trace, when it has ended.
    fn run(&mut self, row: words::Run);
    /// A module's version, when the trace has ended.
    fn module(&mut self, row: words::Module);
    /// Whether anybody asks when an object's grace period was over: that is a search for each.
    fn wants_graces(&self) -> bool {
        true
    }
    /// Whether anybody asks which objects were freed together.
    fn wants_batches(&self) -> bool {
        true
    }
    /// Whether anybody asks when callbacks ran.
    fn wants_callbacks(&self) -> bool {
        true
    }
}

/// Nanoseconds from the attach to a moment, below 0 before it.
pub(crate) fn since_attach(attached: krcu_model::event::Time, at: krcu_model::event::Time) -> i64 {
    let after = i64::try_from(at.since(attached)).unwrap_or(i64::MAX);
    let before = i64::try_from(attached.since(at)).unwrap_or(i64::MAX);
    after - before
}
