//! `krcu check --each`: attaches once, then runs commands one after the other, each judged by itself.
//!
//! Between two commands the replay ends and another begins ([`Watcher::part`]), which knows nothing of what was before,
//! as if the probes had been attached at that moment. What happens between commands is nobody's.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use clap::Parser;
use krcu_trace::{CutShort, How, Limits, Writer};
use tokio::{
    process::Command,
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use super::{CheckError, Options, Run, attach, parse_span, report, settle, until_exit};
use crate::{
    command::{self, CommandError},
    recording::Recording,
    report::{EXIT_FAILED, EXIT_INCONCLUSIVE, Format, Policy},
    signals::Signals,
    sinks::Sinks,
    trace,
    watcher::{LOOK_EVERY, Watcher, now},
};

/// One line of the list.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    name: String,
    own: Own,
    command: String,
}

/// The options that a line may have of its own.
#[derive(Debug, Parser, PartialEq, Eq)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Own {
    #[arg(long)]
    strict: bool,
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[arg(long, value_parser = parse_span)]
    settle: Option<Duration>,
    #[arg(long)]
    exit_flagged: Option<u8>,
}

/// Reads `NAME COMMAND` or `NAME OPTIONS -- COMMAND`; nothing of an empty line and of one that begins with `#`.
fn read(line: &str) -> Result<Option<Line>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._+-".contains(letter);
    if !name.starts_with(|first: char| first.is_ascii_alphanumeric()) || !name.chars().all(is_plain) {
        return Err(format!(
            "{name:?} cannot name a file of each report: use letters, digits and any of ._+-"
        ));
    }
    let rest = format!("{} ", rest.trim());
    let (options, command) = match rest.split_once("-- ") {
        Some((options, command)) if rest.starts_with("--") => (options, command),
        _ => ("", rest.as_str()),
    };
    let own = Own::try_parse_from(options.split_whitespace()).map_err(|error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        format!("{name}: {}", first.trim_start_matches("error: "))
    })?;
    let command = command.trim();
    if command.starts_with("--") {
        return Err(format!("{name}: options end with `--`: a line is `NAME OPTIONS -- COMMAND`"));
    }
    if command.is_empty() {
        return Err(format!("{name} has no command: a line is `NAME COMMAND`"));
    }
    Ok(Some(Line { name: name.to_owned(), own, command: command.to_owned() }))
}

/// The lines of a list, each as it is asked for: a list that is a pipe is written meanwhile.
struct Lines {
    source: Box<dyn BufRead + Send>,
    path: PathBuf,
    number: u64,
    names: BTreeSet<String>,
}

impl Lines {
    fn open(list: &Path) -> anyhow::Result<Lines> {
        let source: Box<dyn BufRead + Send> = if list == Path::new("-") {
            Box::new(BufReader::new(std::io::stdin()))
        } else {
            let file = File::open(list);
            Box::new(BufReader::new(file.with_context(|| format!("cannot read {}", list.display()))?))
        };
        Ok(Lines { source, path: list.to_owned(), number: 0, names: BTreeSet::new() })
    }

    fn next(&mut self) -> anyhow::Result<Option<Line>> {
        loop {
            let mut text = String::new();
            let place = || format!("{}, line {}", self.path.display(), self.number + 1);
            if self.source.read_line(&mut text).with_context(place)? == 0 {
                return Ok(None);
            }
            let line = read(&text).map_err(|why| anyhow!(why)).with_context(place)?;
            self.number += 1;
            let Some(line) = line else { continue };
            if !self.names.insert(line.name.clone()) {
                return Err(anyhow!("there are two {}: each needs a name of its own", line.name))
                    .with_context(|| format!("{}, line {}", self.path.display(), self.number));
            }
            return Ok(Some(line));
        }
    }
}

/// Runs the commands of a list; gives the status to exit with: that of a fault if there is one, else that of what is
/// undecided, else that of the last command that failed.
///
/// # Errors
/// As [`super::run`].
pub(super) fn run(options: &Options, list: &Path) -> Result<u8, CheckError> {
    // A file is read before anything is attached, so that no command runs if one of them is wrong.
    if list.is_file() {
        let mut lines = Lines::open(list)?;
        while lines.next().map_err(|error| usage(&error))?.is_some() {}
    }
    let lines = Lines::open(list)?;
    for folder in [&options.report, &options.events, &options.output].into_iter().flatten() {
        fs::create_dir_all(folder).with_context(|| {
            format!("cannot write into {}: name a folder that can be made", folder.display())
        })?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(watch(options, lines))
}

fn usage(error: &anyhow::Error) -> CheckError {
    CheckError::Usage(CommandError::Config(format!("{error:#}")))
}

/// What was asked for, and what may be said of every command.
struct Session<'a> {
    options: &'a Options,
    release: String,
    probes: usize,
    attach_ns: u64,
    meta: krcu_trace::Meta,
}

/// Asks for the next line in a thread of its own, which a list that is a pipe holds up.
fn asked(mut lines: Lines) -> (mpsc::Sender<()>, mpsc::Receiver<anyhow::Result<Option<Line>>>) {
    let (ask, mut asked) = mpsc::channel(1);
    let (tell, told) = mpsc::channel(1);
    thread::spawn(
        move || {
            while asked.blocking_recv().is_some() && tell.blocking_send(lines.next()).is_ok() {}
        },
    );
    (ask, told)
}

async fn watch(options: &Options, lines: Lines) -> Result<u8, CheckError> {
    let attached = attach(options)?;
    let session = Session {
        options,
        release: attached.release(),
        probes: attached.probes.attached(),
        attach_ns: attached.watch.attached.since(attached.begun),
        meta: trace::meta(&attached.facts, attached.probes.plan(), &attached.watch, &[])?,
    };
    let mut run = attached.begin(Sinks::default());
    let outcome = session.each(&mut run, lines).await;
    run.finish(None).await?;
    outcome
}

impl Session<'_> {
    async fn each(&self, run: &mut Watcher, lines: Lines) -> Result<u8, CheckError> {
        let (ask, mut told) = asked(lines);
        let mut signals = Signals::new()?;
        let mut worst = Worst::default();
        loop {
            // Whoever was to hear it has ended with an error, which comes next.
            let _ = ask.send(()).await;
            let Some(line) = next(run, &mut told, &mut signals, &mut worst).await? else { break };
            let status = self.one(run, &line, &mut signals, &mut worst).await?;
            println!("{} {status}", line.name);
            worst.ran += 1;
            if worst.is_interrupted {
                break;
            }
        }
        if worst.is_interrupted {
            eprintln!("krcu: a signal ended the list after {} of its commands", worst.ran);
        }
        Ok(worst.status(self.options.exit_flagged))
    }

    /// Runs one command and writes what comes of it; gives the status that `krcu check` would exit with.
    async fn one(
        &self,
        run: &mut Watcher,
        line: &Line,
        signals: &mut Signals,
        worst: &mut Worst,
    ) -> anyhow::Result<u8> {
        run.part().await?;
        let trace_error = self.keep(run, line)?;
        // The list may be what this program reads, and a signal has to reach all that the command has started.
        let child = Command::new("/bin/sh")
            .args([OsString::from("-c"), line.command.clone().into()])
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start /bin/sh")?;
        let is_interrupted = &mut worst.is_interrupted;
        let status = until_exit(run, child, signals, |signal, child| {
            signal.forward_to_group(child);
            *is_interrupted = true;
        })
        .await?;
        settle(run, line.own.settle.unwrap_or(self.options.settle)).await?;
        let end = now()?;
        let finished = run.part().await?;
        let of_run = Run {
            release: self.release.clone(),
            probes: self.probes,
            attach_ns: self.attach_ns,
            end,
            command_status: command::shell_status(status),
            policy: Policy {
                strict: line.own.strict || self.options.strict,
                exit_flagged: line.own.exit_flagged.unwrap_or(self.options.exit_flagged),
            },
        };
        let report = report(of_run, finished, How::Exit, trace_error)?;
        let format = line.own.format.unwrap_or(self.options.format);
        if let Some(folder) = &self.options.report {
            let path = folder.join(format!("{}.{}", line.name, format.ending()));
            let text = format.render(&report).context("cannot write the report as JSON")?;
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        worst.is_flagged |= report.flagged() > 0;
        let status = report.exit_status();
        worst.is_open |= status == EXIT_INCONCLUSIVE;
        if status != 0 {
            worst.last = status;
        }
        Ok(status)
    }

    /// Begins the files of a command; its trace may have no room.
    fn keep(&self, run: &mut Watcher, line: &Line) -> anyhow::Result<Option<CutShort>> {
        let watch = run.pipeline.state().watch().clone();
        let mut sinks = Sinks::default();
        if let Some(folder) = &self.options.events {
            let path = folder.join(format!("{}.events", line.name));
            let recording = Recording::create(&path);
            let mut recording = recording.with_context(|| format!("cannot write {}", path.display()))?;
            recording.begin(&watch, &self.release);
            sinks.recording = Some(recording);
        }
        let mut trace_error = None;
        if let Some(folder) = &self.options.output {
            let folder = folder.join(format!("{}.krcu", line.name));
            trace::claim(&folder)?;
            let mut meta = self.meta.clone();
            meta.trace = format!("{}-{}", meta.trace, line.name);
            meta.watch = krcu_trace::meta::Seen::of(&watch);
            meta.command = vec![line.command.clone()];
            match Writer::create(&folder, meta, Limits::default()) {
                Ok(writer) => sinks.trace = Some(writer),
                Err(error) => trace_error = Some(CutShort::new(&folder, error)),
            }
        }
        *run.pipeline.sinks() = sinks;
        Ok(trace_error)
    }
}

/// Takes what comes meanwhile; none when the list or krcu is told to end.
async fn next(
    run: &mut Watcher,
    told: &mut mpsc::Receiver<anyhow::Result<Option<Line>>>,
    signals: &mut Signals,
    worst: &mut Worst,
) -> Result<Option<Line>, CheckError> {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            line = told.recv() => return line.unwrap_or(Ok(None)).map_err(|error| usage(&error)),
            _ = signals.next() => {
                worst.is_interrupted = true;
                return Ok(None);
            }
            ready = run.readable() => ready?,
            _ = look.tick() => {}
        }
        run.take().await?;
    }
}

/// The worst that came.
#[derive(Debug, Default)]
struct Worst {
    is_flagged: bool,
    is_open: bool,
    /// The status of the last command that did not end with 0.
    last: u8,
    /// Whether a signal ended the list.
    is_interrupted: bool,
    /// Commands that ran.
    ran: usize,
}

impl Worst {
    fn status(&self, exit_flagged: u8) -> u8 {
        match self {
            Worst { is_flagged: true, .. } => exit_flagged,
            Worst { is_open: true, .. } => EXIT_INCONCLUSIVE,
            Worst { is_interrupted: true, last: 0, .. } => EXIT_FAILED,
            Worst { last, .. } => *last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(name: &str, command: &str) -> Line {
        let own = Own { strict: false, format: None, settle: None, exit_flagged: None };
        Line { name: name.to_owned(), own, command: command.to_owned() }
    }

    #[test]
    fn a_line_is_a_name_and_a_command_with_options_between() {
        assert_eq!(
            read("one insmod a.ko && rmmod -f a -- b\n"),
            Ok(Some(plain("one", "insmod a.ko && rmmod -f a -- b")))
        );
        let own = Own {
            strict: true,
            format: Some(Format::Tap),
            settle: Some(Duration::from_secs(2)),
            exit_flagged: Some(42),
        };
        let read_own = read("two.b --strict --format tap --settle 2s --exit-flagged 42 -- sh -c 'a -- b'");
        assert_eq!(read_own, Ok(Some(Line { own, ..plain("two.b", "sh -c 'a -- b'") })));
        assert_eq!(read("three -- true"), Ok(Some(plain("three", "true"))));
        assert_eq!(read("  "), Ok(None));
        assert_eq!(read("# a remark"), Ok(None));
    }

    #[test]
    fn a_wrong_line_says_what_is_wrong() {
        for (line, said) in [
            ("one", "no command"),
            ("one --strict -- ", "no command"),
            ("../one true", "cannot name a file"),
            (".one true", "cannot name a file"),
            ("one --strct -- true", "--strct"),
            ("one --settle 1h -- true", "1h"),
            ("one --strict true", "options end with"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(said) && error.lines().count() == 1, "{line}: {error}");
        }
    }

    #[test]
    fn a_list_names_the_line_that_is_wrong() {
        let path = std::env::temp_dir().join(format!("krcu-each-{}", std::process::id()));
        fs::write(&path, "one true\n\none false\n").unwrap();
        let mut lines = Lines::open(&path).unwrap();
        assert_eq!(lines.next().unwrap(), Some(plain("one", "true")));
        let error = format!("{:#}", lines.next().unwrap_err());
        fs::remove_file(&path).unwrap();
        assert!(error.contains("line 3") && error.contains("two one"), "{error}");
    }

    #[test]
    fn the_worst_decides() {
        assert_eq!(Worst::default().status(10), 0);
        assert_eq!(Worst { last: 7, ..Worst::default() }.status(10), 7);
        assert_eq!(Worst { is_open: true, last: 7, ..Worst::default() }.status(10), 11);
        assert_eq!(Worst { is_flagged: true, is_open: true, last: 7, ..Worst::default() }.status(42), 42);
        assert_eq!(Worst { is_interrupted: true, ..Worst::default() }.status(10), 1);
    }
}
