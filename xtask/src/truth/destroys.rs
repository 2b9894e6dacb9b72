//! Ways to destroy a cache, and to fail at it.

use crate::scenarios::Scenario;

/// Its scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[];
