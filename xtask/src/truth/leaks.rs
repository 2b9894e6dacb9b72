//! Objects that nobody will free, told from those that are merely late.

use crate::scenarios::Scenario;

/// Its scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[];
