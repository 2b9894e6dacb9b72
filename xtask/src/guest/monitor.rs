//! qemu's monitor, by its protocol QMP: one JSON object a line. It stops a machine, writes its memory, and lets it go on.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// A connection to the monitor of one machine.
pub(crate) struct Monitor {
    lines: BufReader<UnixStream>,
    commands: UnixStream,
}

impl Monitor {
    /// Begins to speak with the qemu that has connected.
    ///
    /// # Errors
    ///
    /// When it does not greet as a monitor does.
    pub(crate) fn greet(socket: UnixStream) -> Result<Self> {
        let commands = socket.try_clone().context("a second handle on the monitor's socket")?;
        let mut monitor = Self { lines: BufReader::new(socket), commands };
        if monitor.line()?["QMP"].is_null() {
            bail!("the monitor does not greet");
        }
        monitor.ask("qmp_capabilities", &json!({}))?;
        Ok(monitor)
    }

    /// Has the machine stand still.
    ///
    /// # Errors
    ///
    /// When qemu refuses.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.ask("stop", &json!({}))
    }

    /// Lets the machine go on.
    ///
    /// # Errors
    ///
    /// When qemu refuses.
    pub(crate) fn go_on(&mut self) -> Result<()> {
        self.ask("cont", &json!({}))
    }

    /// Writes the machine's memory into a file, as an ELF core of physical addresses.
    ///
    /// # Errors
    ///
    /// When qemu cannot write it.
    pub(crate) fn write_memory(&mut self, path: &Path) -> Result<()> {
        let protocol = format!("file:{}", path.display());
        self.ask("dump-guest-memory", &json!({ "paging": false, "protocol": protocol }))
    }

    /// Has one command carried out.
    fn ask(&mut self, command: &str, arguments: &Value) -> Result<()> {
        writeln!(self.commands, "{}", json!({ "execute": command, "arguments": arguments }))
            .with_context(|| format!("asking the monitor for {command}"))?;
        loop {
            let line = self.line().with_context(|| format!("waiting for {command}"))?;
            // Events come in between.
            if !line["return"].is_null() {
                return Ok(());
            }
            if !line["error"].is_null() {
                bail!("the monitor refuses {command}: {}", line["error"]);
            }
        }
    }

    fn line(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.lines.read_line(&mut line).context("reading what the monitor says")? == 0 {
            bail!("the monitor is gone");
        }
        serde_json::from_str(&line).with_context(|| format!("the monitor says {line}"))
    }
}
