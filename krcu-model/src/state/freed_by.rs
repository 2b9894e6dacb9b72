//! Freed by: how many objects each way of freeing has freed.

use krcu_common::FreePath;
use serde::{Deserialize, Serialize};

/// Deferred objects that were freed, by how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FreedBy {
    /// As one of an array of pointers.
    pub bulk: u64,
    /// One by one, from the list for objects that find no room in an array.
    pub list: u64,
    /// With a sheaf.
    pub sheaf: u64,
    /// By a callback of `call_rcu()`.
    pub callback: u64,
    /// By the call of `kfree_rcu_mightsleep()` itself.
    pub within_call: u64,
}

impl FreedBy {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.bulk + self.list + self.sheaf + self.callback + self.within_call
    }
}

impl FreedBy {
    /// Counts one more free, by a path other than the queueing call itself.
    pub(crate) fn count(&mut self, path: FreePath) {
        self.count_many(path, 1);
    }

    /// The same for so many frees.
    pub(crate) fn count_many(&mut self, path: FreePath, frees: u64) {
        *match path {
            FreePath::Bulk => &mut self.bulk,
            FreePath::Single => &mut self.list,
            FreePath::Sheaf => &mut self.sheaf,
            FreePath::Callback => &mut self.callback,
        } += frees;
    }
}
