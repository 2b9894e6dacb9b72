//! Says what is going on, on standard error, and runs commands that take a while without leaving anybody in the dark.
//!
//! On a terminal a running command has one line with its elapsed seconds; elsewhere a plain line every fifteen
//! seconds. A command that fails is shown with the last lines of its output and with what to do about it.
//! `indicatif` is not used because it draws on a terminal only.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Seek as _, Write as _};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How often a running command is looked at.
const GLANCE: Duration = Duration::from_millis(50);
/// How long a command may run before anything is said about it.
const PATIENCE: Duration = Duration::from_secs(4);
/// How often a line is printed where there is no terminal.
const PLAIN_LINE: Duration = Duration::from_secs(15);
/// How many lines of a failed command's output are shown.
const TAIL_LINES: usize = 25;

/// One line about something that is being done or was found.
pub(crate) fn say(text: &str) {
    eprintln!("xtask: {text}");
}

/// A command, what it is for, and what to do when it fails.
pub(crate) struct Job<'a> {
    /// What is being done, as a person says it: "unpacking linux-image-…".
    pub(crate) what: &'a str,
    /// What to do when it fails; may be empty.
    pub(crate) advice: &'a str,
}

impl Job<'_> {
    /// Runs the command to its end and gives back what it printed on standard output.
    ///
    /// # Errors
    ///
    /// When it cannot be started or does not succeed: the command, the last lines of its output, the advice.
    pub(crate) fn run(&self, command: &mut Command) -> Result<String> {
        let line = command_line(command);
        let file = || tempfile::tempfile().context("creating a file for what a command prints");
        let (mut stdout, mut stderr) = (file()?, file()?);
        let shared = |file: &File| file.try_clone().context("handing a file to a command");
        command.stdin(Stdio::null()).stdout(shared(&stdout)?).stderr(shared(&stderr)?);
        let mut child = command.spawn().with_context(|| format!("{}: starting `{line}`", self.what))?;
        let mut shown = Elapsed::new(self.what);
        let status = loop {
            if let Some(status) = child.try_wait().context("waiting for a command")? {
                break status;
            }
            shown.tick();
            thread::sleep(GLANCE);
        };
        shown.clear();
        let stdout = read_lossy(&mut stdout);
        if status.success() {
            return Ok(stdout);
        }
        let output = format!("{stdout}{}", read_lossy(&mut stderr));
        let tail = tail_of(&output, TAIL_LINES);
        let advice =
            if self.advice.is_empty() { String::new() } else { format!("\nwhat to do: {}", self.advice) };
        bail!("{} failed ({status})\n  command: {line}\n{tail}{advice}", self.what);
    }
}

/// Runs a command that answers at once and gives back its standard output.
///
/// # Errors
///
/// When it cannot be started or does not succeed.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let line = command_line(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting `{line}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed ({})\n{}", output.status, tail_of(&said, TAIL_LINES));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The last `count` lines of a text, each set in by two spaces.
pub(crate) fn tail_of(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(count);
    lines
        .get(from..)
        .unwrap_or_default()
        .iter()
        .map(|line| format!("  | {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A command as a person would type it (arguments with spaces in quotes).
pub(crate) fn command_line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    for argument in command.get_args() {
        let word = argument.to_string_lossy();
        words.push(if word.contains(char::is_whitespace) { format!("'{word}'") } else { word.into_owned() });
    }
    words.join(" ")
}

fn read_lossy(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    read.map(|_| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The line that shows how long something has been running.
pub(crate) struct Elapsed {
    what: String,
    since: Instant,
    said: Instant,
    terminal: bool,
    drawn: bool,
}

impl Elapsed {
    /// Starts the clock; nothing is shown yet.
    pub(crate) fn new(what: &str) -> Self {
        let now = Instant::now();
        Self {
            what: what.to_owned(),
            since: now,
            said: now,
            terminal: io::stderr().is_terminal(),
            drawn: false,
        }
    }

    /// Shows the elapsed seconds when it is time to.
    pub(crate) fn tick(&mut self) {
        let now = Instant::now();
        let running = now - self.since;
        if self.terminal
            && running > PATIENCE
            && (now - self.said > Duration::from_millis(500) || !self.drawn)
        {
            eprint!("\r\x1b[Kxtask: {} … {} s", self.what, running.as_secs());
            drop(io::stderr().flush());
            self.drawn = true;
            self.said = now;
        } else if !self.terminal && (now - self.said > PLAIN_LINE || (!self.drawn && running > PATIENCE)) {
            eprintln!("xtask: {} … {} s", self.what, running.as_secs());
            self.drawn = true;
            self.said = now;
        }
    }

    /// Takes the line away again; without a terminal, says how long it took if anything was said at all.
    pub(crate) fn clear(&mut self) {
        let seconds = self.since.elapsed().as_secs_f32();
        if self.drawn && self.terminal {
            eprint!("\r\x1b[K");
        }
        if self.drawn {
            eprintln!("xtask: {} took {seconds:.1} s", self.what);
        }
    }
}
