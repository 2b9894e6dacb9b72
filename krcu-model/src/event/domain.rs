//! Domain: by which call a free was deferred, and what it waits for.

use krcu_common::{Flavour, QueueForm};

/// The kind of RCU that a callback waits for, and of which one where there are several: of `call_srcu()` the `struct
/// srcu_struct`, of works the `struct workqueue_struct`; else 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain {
    /// The kind.
    pub flavour: Flavour,
    /// Its address.
    pub address: u64,
}

/// The call that deferred the free of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeferredBy {
    /// `kfree_rcu()` of an object with an `rcu_head`.
    Head,
    /// `kfree_rcu()` of an object without an `rcu_head`.
    Headless,
    /// `call_rcu()` with a callback that frees the object.
    Callback,
}

impl From<QueueForm> for DeferredBy {
    fn from(form: QueueForm) -> DeferredBy {
        if form == QueueForm::Headless { DeferredBy::Headless } else { DeferredBy::Head }
    }
}
