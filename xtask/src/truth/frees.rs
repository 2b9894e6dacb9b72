//! Every way in which an object handed to `kfree_rcu()` is freed.

use crate::scenarios::Scenario;

/// Its scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[];
