//! Systemd: tells a service manager that the agent is ready, that it is alive, and that it stops.

use std::{
    env,
    fmt::Write as _,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{ffi::OsStrExt as _, net::SocketAddr, net::UnixDatagram},
    },
    time::Duration,
};

use sd_notify::NotifyState;

/// The service manager, if there is one that listens.
#[derive(Debug)]
pub(super) struct Manager {
    /// How often it wants to hear that the agent is alive.
    watchdog: Option<Duration>,
    /// Where it is told. It is connected once, because the agent gives up opening sockets.
    socket: Option<UnixDatagram>,
}

impl Manager {
    /// The manager that started this process.
    pub(super) fn new() -> Manager {
        Manager { watchdog: sd_notify::watchdog_enabled(), socket: connected().ok().flatten() }
    }

    /// How often [`Manager::alive`] has to be called: twice as often as the manager wants it.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.watchdog.map(|most| most / 2)
    }

    pub(super) fn ready(&self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    pub(super) fn alive(&self) {
        if self.watchdog.is_some() {
            self.tell(&[NotifyState::Watchdog]);
        }
    }

    pub(super) fn reloading(&self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            self.tell(&[NotifyState::Reloading, now]);
        }
    }

    pub(super) fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// Sends a message. Nothing depends on whether the manager reads it.
    fn tell(&self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let mut message = String::new();
        for state in states {
            // Writing to a text in memory does not fail.
            let _ = writeln!(message, "{state}");
        }
        let _ = socket.send(message.as_bytes());
    }
}

/// A socket to the manager that listens at `NOTIFY_SOCKET`; a name that begins with `@` is in no folder.
fn connected() -> io::Result<Option<UnixDatagram>> {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return Ok(None) };
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    Ok(Some(socket))
}
