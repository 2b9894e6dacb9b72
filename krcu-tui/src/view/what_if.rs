//! What if: each approach of "Waiting for kfree_rcu()" on the workload of one destroy.

use krcu_reference::simulate::{self, InputKind, Origin, Splat, Trust};
use krcu_report::{Question, words::count};
use ratatui::{layout::Rect, text::Line};

use super::{
    Canvas, Theme,
    table::{Field, Row, rest, whole},
    text::{brief, bytes, clip, evidence, narrow, span_of},
};
use crate::{
    state::{App, Column},
    what_if::{Answer, AnswerRow},
};

/// Rows about the selected approach.
const ABOUT: u16 = 5;
/// From this width on, each row has the error beside its time. It is above the table in any case.
const ERROR: u16 = 76;
/// From this width on, all numbers are shown.
const WIDE: u16 = 120;

pub(crate) fn draw(canvas: &mut Canvas<'_, '_>, area: Rect, app: &App) {
    let theme = *canvas.theme;
    let Some(answer) = app.shown_answer() else {
        canvas.lines(area, evidence(theme, "", without_answer(app), area.width.into()));
        return;
    };
    let trust = answer.trust();
    let mut lines = evidence(theme, "what if", &about(&answer.question), area.width.into());
    lines.extend(evidence(theme, "how sure", &how_sure(answer), area.width.into()));
    if let Some(refused) = &answer.refused {
        lines.extend(evidence(theme, "refused", refused, area.width.into()));
    }
    lines.push(Line::default());
    let above = u16::try_from(lines.len()).unwrap_or(0);
    canvas.lines(area, lines);
    let fields = fields(area.width);
    let table = Rect { y: area.y + above, height: area.height.saturating_sub(above), ..area };
    let order = app.sift().order;
    canvas.headings(table, &fields, Some((order.column, order.is_reversed)));
    let about = if table.height > 2 * ABOUT { ABOUT } else { 0 };
    let body = Rect { y: table.y + 1, height: table.height.saturating_sub(1 + about), ..table };
    let shown = app.approach_rows();
    let rows: Vec<Row> = shown.iter().map(|row| approach(theme, row, answer, &fields)).collect();
    canvas.rows(body, &fields, &rows, app.what_if);
    let below = Rect { y: body.bottom(), height: about, ..area };
    canvas.line(below, 0, Line::styled(theme.rule(area.width), theme.quiet()));
    let mut lines = Vec::new();
    if let Some(AnswerRow { row, same, .. }) = shown.get(app.what_if.selected) {
        let names = same.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        if !names.is_empty() {
            lines.extend(evidence(theme, "the same", &names, area.width.into()).into_iter().take(1));
        }
        lines.extend(evidence(theme, "for modules", row.api_changes, area.width.into()).into_iter().take(1));
        lines.extend(evidence(theme, "this run", &told(row, trust), area.width.into()).into_iter().take(1));
    }
    lines.extend(evidence(theme, "rests on", &inputs(answer), area.width.into()).into_iter().take(2));
    canvas.lines(Rect { y: below.y + 1, height: about.saturating_sub(1), ..below }, lines);
}

/// Why there is no table.
fn without_answer(app: &App) -> &'static str {
    const GONE: &str = "this destroy is no longer kept: select another one among the verdicts, and press w";
    let mut rows = app.verdicts().iter();
    match app.asked.map(|asked| rows.find(|row| row.destroy == Some(asked))) {
        None if app.is_verdict_gone => GONE,
        None if app.selected_verdict().is_some() => {
            "this verdict is not about a destroy: there is nothing to simulate"
        }
        None => "select a destroyed cache among the verdicts, and press w",
        Some(None) if app.has_all_verdicts() => GONE,
        Some(Some(row)) if row.verdict.wait_ns.is_none() => {
            "this destroy never looked at its slabs: there is nothing to simulate"
        }
        Some(_) => "simulating",
    }
}

fn about(question: &Question) -> String {
    let (cache, place) = question.asked().map_or(("?", None), |(_, asked)| {
        let name = question.cache_of(asked).map_or("?", |cache| cache.name.as_str());
        (name, Some(asked.cache))
    });
    let own = question.deferred.iter().filter(|free| Some(free.2) == place).count() as u64;
    let mut words = format!(
        "what each approach would have cost {cache}, simulated with {} deferred frees of its own and {} of others",
        count(own),
        count(question.deferred.len() as u64 - own),
    );
    if question.left_out.own > 0 || question.left_out.others {
        words += &format!("; CUT: the {} oldest of its own", count(question.left_out.own));
        words += if question.left_out.others { " and some of others are left out" } else { " are left out" };
    }
    words
}

/// The measured wait, and what the machine makes of the same.
fn how_sure(answer: &Answer) -> String {
    let measured = answer.question.asked().and_then(|(_, asked)| asked.measured_ns);
    let measured = match measured {
        Some(ns) => format!("measured on this kernel: {} until it looked at its slabs", span_of(ns)),
        None => "not measured: it only dropped a reference".to_owned(),
    };
    let trust = answer.trust();
    let tested = match (answer.pair(), &answer.back_test) {
        (Some(pair), _) => {
            let given =
                if pair.is_given { ", with the unseen callbacks that it waited for given" } else { "" };
            format!("the machine says {} of the same, {}{given}", span_of(pair.simulated_ns), trust.word())
        }
        (None, Some(_)) => {
            format!("on the other destroys of this run the machine is off by {}", trust.word())
        }
        (None, None) => "the machine is untested here, since this kernel's destroys do not wait".to_owned(),
    };
    let grey = if trust.is_far_off() { "; times are grey, since they say little" } else { "" };
    format!("{measured}; {tested}{grey}")
}

fn inputs(answer: &Answer) -> String {
    let words = answer.inputs.iter().map(|row| {
        let name = name(row.input);
        match row.origin {
            Origin::Observed => format!("{name}: {} observed", count(row.samples)),
            Origin::Assumed => format!("{name}: assumed, {}", row.source),
        }
    });
    words.collect::<Vec<_>>().join(" · ")
}

fn name(input: InputKind) -> &'static str {
    match input {
        InputKind::Grace => "grace periods",
        InputKind::BetweenGrace => "between them",
        InputKind::Free => "frees",
        InputKind::WorkerDelay => "workers",
        InputKind::SoftirqDelay => "softirqs",
        InputKind::Drain => "the monitor",
        InputKind::FullPageDrain => "of a full page",
        InputKind::LingerTimeout => "the timeout",
        InputKind::GraceStart => "their beginning",
        InputKind::FlushStart => "beginning of flushes",
    }
}

/// The columns of the table, for a screen of this width.
pub(crate) fn fields(columns: u16) -> Vec<Field> {
    let is_wide = columns >= WIDE;
    let mut numbers = vec![
        Field::number("waits", 9).sorts(Column::Wait),
        Field::number("lingers", 9).sorts(Column::Lingers),
        Field::number("own", 7),
        Field::number("others", 7),
    ];
    if columns >= ERROR {
        numbers.insert(1, Field::number("error", 8));
    }
    if is_wide {
        numbers.insert(2, Field::number("measured", 9));
        numbers.extend([
            Field::number("graces", 7),
            Field::number("bystanders", 10),
            Field::number("kept", 9),
        ]);
    }
    numbers.push(Field::text("report", 9));
    let mut fields = vec![Field::text("", 1)];
    let taken: Vec<Field> = fields.iter().chain(&numbers).copied().collect();
    let name = rest(columns, &taken).saturating_sub(1).min(64);
    fields.push(Field::text("approach", name).sorts(Column::Name));
    fields.extend(numbers);
    whole(columns, fields)
}

fn approach(theme: Theme, cost: &AnswerRow, answer: &Answer, fields: &[Field]) -> Row {
    let trust = answer.trust();
    let measured = answer.question.asked().and_then(|(_, asked)| asked.measured_ns);
    let AnswerRow { row, same, bystander_wait_ns } = cost;
    let (report, is_false) = match row.splat {
        Splat::None => ("", false),
        Splat::TrueLeak => ("leak", false),
        Splat::False => ("FALSE", true),
    };
    let (mark, style) = match (row.is_unsafe || is_false, row.caller_wait_ns) {
        (true, _) => ('!', theme.bad()),
        (false, None) => ('!', theme.bad()),
        (false, Some(_)) if trust.is_far_off() => (' ', theme.quiet()),
        (false, Some(_)) => (' ', theme.plain()),
    };
    let ended = |ns: Option<u64>, never: &str| match ns {
        Some(0) => "·".to_owned(),
        Some(ns) => trust.span(ns),
        None => never.to_owned(),
    };
    let some = |number: u64| if number == 0 { "·".to_owned() } else { narrow(number, 7) };
    let cells = fields.iter().map(|field| match field.heading {
        "" => mark.to_string(),
        "approach" if same.is_empty() => row.approach.clone(),
        "approach" => format!("{} +{}", row.approach, same.len()),
        "error" => trust.word(),
        "measured" => measured.map_or_else(String::new, brief),
        "waits" => ended(row.caller_wait_ns, "for ever"),
        "lingers" => ended(row.linger_ns, "for ever"),
        "own" => some(row.waited_for_own),
        "others" => some(row.waited_for_other),
        "graces" => some(row.grace_periods_forced),
        "bystanders" => ended(Some(*bystander_wait_ns), ""),
        "kept" if row.kept_bytes == 0 => "·".to_owned(),
        "kept" => bytes(row.kept_bytes),
        _ if row.is_unsafe && report.is_empty() => "unsafe".to_owned(),
        _ => report.to_owned(),
    });
    Row::plain(cells.collect(), style)
}

/// The numbers of an approach, in words.
fn told(row: &simulate::Row, trust: Trust) -> String {
    let mut parts = Vec::new();
    if row.is_unsafe {
        parts.push(
            "unsafe: memory was given back, or the cache given up, while objects were queued".to_owned(),
        );
    }
    parts.push(match row.caller_wait_ns {
        None => "it never ends".to_owned(),
        Some(0) => "it waits for nothing".to_owned(),
        Some(ns) => format!("it waits {}", trust.span(ns)),
    });
    if row.splat == Splat::False {
        parts.push("it reports a leak that does not exist".to_owned());
    }
    if row.kept_bytes > 0 {
        parts.push(format!("{} are never given back", bytes(row.kept_bytes)));
    }
    clip(&parts.join("; "), 200)
}
