//! The kernel's own modules that own slab caches.

use crate::scenarios::Scenario;

/// Its scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[];
