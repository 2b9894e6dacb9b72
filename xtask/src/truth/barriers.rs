//! Barriers: which of them order what, who waits for whom.

use crate::scenarios::Scenario;

/// Its scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[];
