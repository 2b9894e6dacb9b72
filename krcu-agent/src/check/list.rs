//! The list of `krcu check --each`: a line is `NAME COMMAND`, or `NAME OPTIONS -- COMMAND`.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use clap::Parser;

use crate::{quantity, report::Format};

/// One line of the list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The name of its files, without their endings.
    pub(super) name: String,
    /// Its options.
    pub(super) own: Own,
    /// The command, for a shell.
    pub(super) command: String,
}

/// The options that a line may have.
#[derive(Debug, Parser, PartialEq, Eq)]
#[command(no_binary_name = true, disable_help_flag = true)]
pub(super) struct Own {
    #[arg(long)]
    pub(super) strict: bool,
    #[arg(long, value_enum)]
    pub(super) format: Option<Format>,
    #[arg(long, value_parser = quantity::span)]
    pub(super) settle: Option<Duration>,
    #[arg(long)]
    pub(super) exit_flagged: Option<u8>,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(super) require_destroy: Vec<String>,
}

/// Reads `NAME COMMAND` or `NAME OPTIONS -- COMMAND`. Returns none for an empty line, and for one that begins with `#`.
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

/// The most bytes of a line.
const LONGEST_LINE: u64 = 1 << 20;

/// The lines of a list, read one at a time: if the list is a pipe, its writer may still be at work.
pub(super) struct Lines {
    source: Box<dyn BufRead + Send>,
    path: PathBuf,
    number: u64,
    names: BTreeSet<String>,
}

impl Lines {
    /// Opens a list; `-` is standard input.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn open(list: &Path) -> anyhow::Result<Lines> {
        let source: Box<dyn BufRead + Send> = if list == Path::new("-") {
            Box::new(BufReader::new(std::io::stdin()))
        } else {
            let file = File::open(list);
            Box::new(BufReader::new(file.with_context(|| format!("cannot read {}", list.display()))?))
        };
        Ok(Lines { source, path: list.to_owned(), number: 0, names: BTreeSet::new() })
    }

    /// Reads the next line that has a command; none at the end.
    ///
    /// # Errors
    /// When it cannot be read, or is wrong.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Line>> {
        loop {
            let mut text = String::new();
            let place = || format!("{}, line {}", self.path.display(), self.number + 1);
            if self.source.by_ref().take(LONGEST_LINE).read_line(&mut text).with_context(place)? == 0 {
                return Ok(None);
            }
            if text.len() as u64 == LONGEST_LINE {
                return Err(anyhow!("it is longer than {LONGEST_LINE} bytes")).with_context(place);
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn plain(name: &str, command: &str) -> Line {
        let own = Own {
            strict: false,
            format: None,
            settle: None,
            exit_flagged: None,
            require_destroy: Vec::new(),
        };
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
            require_destroy: vec!["my_cache".to_owned(), String::new()],
        };
        let read_own = read(
            "two.b --strict --format tap --settle 2s --exit-flagged 42 --require-destroy=my_cache --require-destroy -- sh -c 'a -- b'",
        );
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
            ("one --settle 1x -- true", "no unit of time `x`"),
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
}
