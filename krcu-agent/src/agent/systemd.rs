//! Systemd: tells a service manager that the agent is ready, that it is alive, and that it stops.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service manager, if there is one that listens.
#[derive(Debug)]
pub(super) struct Manager {
    /// How often it wants to hear that the agent is alive.
    watchdog: Option<Duration>,
}

impl Manager {
    /// The manager that started this process.
    pub(super) fn new() -> Manager {
        Manager { watchdog: sd_notify::watchdog_enabled() }
    }

    /// How often [`Manager::alive`] has to be called: twice as often as the manager wants it.
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

/// Sends a message. Nothing depends on whether the manager reads it.
fn tell(state: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(state);
}
