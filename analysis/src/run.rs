//! Run: one verb from begin to end.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal as _, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use krcu_report::words::shown;
use krcu_ship::layout::Fleet;
use polars::prelude::{DataFrame, LazyFrame, PolarsResult};

use crate::{
    ask::{self, By, Needs},
    cli::{Asked, Cli, Form, Narrow, Verb},
    compare, export, fleet, import,
    load::{self, Loaded},
    report, show,
    show::{Cut, Format},
    sql,
    tables::{Tables, collect},
    whatif::{self, Question},
};

/// Rows that a person is shown when nobody asked for all.
const SHOWN_ROWS: usize = 40;
/// Characters of a text that a person is shown when nobody asked for all.
const SHOWN_TEXT: usize = 72;

/// Does what was asked.
///
/// # Errors
/// When the trace cannot be read, the question cannot be answered, or the answer cannot be written.
pub fn run(cli: &Cli) -> Result<()> {
    match &cli.verb {
        Verb::Caches(asked) => answer(asked, "cache", Needs::CACHES, ask::caches),
        Verb::Objects { asked, by, .. } if *by != By::Cache && asked.narrow.cache.is_some() => {
            bail!("--cache: the rows of this answer are not about one cache each; leave --by out")
        }
        Verb::Objects { asked, by, rows } => {
            let kind = if *rows { "object" } else { "objects" };
            answer(asked, kind, Needs::ALL, |tables| ask::objects(tables, *by, *rows))
        }
        Verb::Barriers { asked, by_cause: false } => answer(asked, "barrier", Needs::SMALL, ask::barriers),
        Verb::Barriers { asked, by_cause: true } => {
            answer(asked, "barriers", Needs::SMALL, ask::barriers_by_cause)
        }
        Verb::Verdicts(asked) => {
            if asked.form.format == Format::Text {
                verdicts_for_a_person(asked)
            } else {
                answer(asked, "verdict", Needs::SMALL, ask::verdicts)
            }
        }
        Verb::Callbacks { asked, rows } => {
            let kind = if *rows { "callback" } else { "callbacks" };
            answer(asked, kind, Needs::CALLBACKS, |tables| ask::callbacks(tables, *rows))
        }
        Verb::Batches(asked) => answer(asked, "batch", Needs::BATCHES, ask::batches),
        Verb::Sites(asked) => answer(asked, "site", Needs::SITES, ask::sites),
        Verb::Sql { query, traces, form } => in_sql(query, traces, form),
        Verb::Worst { trace, cache, top } => {
            let narrow = Narrow { cache: cache.clone(), sort: None, top: Some(*top) };
            worst(trace, &narrow, &mut io::stdout().lock())
        }
        Verb::Whatif { asked, approach, seed, rows, together } => {
            let question = Question { approach: approach.clone(), seed: *seed };
            what_if(asked, &question, *rows, *together)
        }
        Verb::Report { trace, output, together } => report::write(trace, output.as_deref(), *together),
        Verb::Compare { one, other, format, picture } => {
            show::check_destination(*format, io::stdout().is_terminal())?;
            compare::compare([one, other], *format, picture.as_deref(), &mut io::stdout().lock())
        }
        Verb::Export { trace, kind, output } => export::export(trace, *kind, output),
        Verb::Facts { fleet, again, traces } => {
            fleet::facts::replay_all(&Fleet::new(fleet), traces, *again, &mut io::stdout())
        }
        Verb::Import { text, output } => import::import(text, output),
    }
}

/// Whether somebody closed what we wrote to, as `head` does.
#[must_use]
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

fn answer(
    asked: &Asked,
    kind: &str,
    needs: Needs,
    question: impl FnOnce(&Tables) -> PolarsResult<LazyFrame>,
) -> Result<()> {
    check(&asked.form)?;
    let loaded = load::load(&asked.trace, needs, None)?;
    let frame = collect(question(&loaded.tables)?)?;
    print(asked, kind, frame)?;
    said(&loaded)
}

fn in_sql(query: &str, traces: &[PathBuf], form: &Form) -> Result<()> {
    check(form)?;
    let (traces, frame) = sql::ask(query, traces)?;
    written(form, &Narrow::default(), "sql", &frame)?;
    traces.iter().try_for_each(said)
}

/// Prints what cost the most.
///
/// # Errors
/// When the trace cannot be read, or the answer not be written.
pub fn worst(trace: &Path, narrow: &Narrow, out: &mut impl Write) -> Result<()> {
    let loaded = load::load(trace, Needs::ALL, None)?;
    for (heading, kind, part) in ask::worst(&loaded.tables)? {
        writeln!(out, "{heading}")?;
        let frame = ask::narrow(collect(part)?, narrow)?;
        show::show(&frame, kind, Format::Text, Cut { rows: usize::MAX, text: SHOWN_TEXT }, &mut *out)?;
        writeln!(out)?;
    }
    said(&loaded)
}

fn verdicts_for_a_person(asked: &Asked) -> Result<()> {
    let loaded = load::load(&asked.trace, Needs::SMALL, None)?;
    let frame = ask::narrow(collect(ask::verdicts(&loaded.tables)?)?, &asked.narrow)?;
    let text = show::verdicts::text(&frame)?;
    destination(&asked.form)?.write_all(text.as_bytes()).context("writing the verdicts")?;
    said(&loaded)
}

fn what_if(asked: &Asked, question: &Question, rows: bool, together: u64) -> Result<()> {
    check(&asked.form)?;
    let loaded = load::load(&asked.trace, Needs::SMALL, Some(together))?;
    let workload = loaded.asked.as_ref().context("a what-if needs a workload")?;
    let workload = workload.as_ref().map_err(ToString::to_string).map_err(anyhow::Error::msg)?;
    let answer = whatif::ask(workload, question)?;
    let (kind, mut frame) = whatif::frame(&answer, rows)?;
    let form = &asked.form;
    if form.format == Format::Text && !rows && !form.all {
        frame = whatif::for_a_person(&answer)?;
    }
    print(asked, kind, frame)?;
    if form.format == Format::Text {
        destination_of(None)?.write_all(whatif::below(&answer).as_bytes())?;
    } else {
        eprint!("{}", whatif::below(&answer));
    }
    said(&loaded)
}

fn check(form: &Form) -> Result<()> {
    let to_terminal = form.output.is_none() && io::stdout().is_terminal();
    show::check_destination(form.format, to_terminal)
}

fn print(asked: &Asked, kind: &str, frame: DataFrame) -> Result<()> {
    let frame = ask::narrow(frame, &asked.narrow)?;
    written(&asked.form, &asked.narrow, kind, &frame)
}

fn written(form: &Form, narrow: &Narrow, kind: &str, frame: &DataFrame) -> Result<()> {
    // Who says how many rows gets them.
    let rows = if form.all || narrow.top.is_some() { usize::MAX } else { SHOWN_ROWS };
    let cut = Cut { rows, text: if form.all { usize::MAX } else { SHOWN_TEXT } };
    let mut out = destination(form)?;
    show::show(frame, kind, form.format, cut, &mut out)?;
    out.flush().context("writing the answer")
}

fn destination(form: &Form) -> Result<Box<dyn Write>> {
    destination_of(form.output.as_deref())
}

fn destination_of(output: Option<&Path>) -> Result<Box<dyn Write>> {
    Ok(match output {
        Some(path) => {
            let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
            Box::new(BufWriter::new(file))
        }
        None => Box::new(BufWriter::new(io::stdout())),
    })
}

/// What the reader of an answer has to know of the trace.
fn said(loaded: &Loaded) -> Result<()> {
    let gaps = collect(loaded.tables.scan("gaps")?)?;
    if gaps.height() > 0 {
        let events = gaps.column("events")?.u64()?.iter().flatten().fold(0, u64::saturating_add);
        let events = if events > 0 { show::units::count(events) } else { "some".to_owned() };
        eprintln!("note: {events} events were not seen: what an answer counts is at least that");
    }
    if let Some(ending) = loaded.meta.ending.as_deref().filter(|ending| ending.starts_with("no goodbye")) {
        eprintln!("note: this trace ends with {}", shown(ending));
    }
    loaded.is_whole()
}
