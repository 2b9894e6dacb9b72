//! What a service manager is told: that the agent is ready, that it lives, that it stops.

use std::time::Duration;

use sd_notify::NotifyState;

/// The manager, if there is one that wants to know.
#[derive(Debug)]
pub(super) struct Manager {
    /// How often it wants to hear that the agent lives.
    watchdog: Option<Duration>,
}

impl Manager {
    /// The one that started this process.
    pub(super) fn new() -> Manager {
        Manager { watchdog: sd_notify::watchdog_enabled() }
    }

    /// How often [`Manager::alive`] is to be called: twice as often as it is waited for.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.watchdog.map(|most| most / 2)
    }

    pub(super) fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    pub(super) fn alive(&self) {
        if self.watchdog.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
    }

    pub(super) fn reloading(&self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            tell(&[NotifyState::Reloading, now]);
        }
    }

    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }
}

/// Who does not listen is not told; nothing depends on it.
fn tell(state: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(state);
}
