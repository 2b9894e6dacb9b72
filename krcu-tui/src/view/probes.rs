//! Probes: the plan, and what each probe costs by the kernel's own statistics.

use krcu_report::{
    ProbeRow, ProbeState,
    words::{count, span},
};
use ratatui::{layout::Rect, text::Line};

use super::{
    Canvas, Theme,
    table::{Field, Row, rest, whole},
    text::{evidence, narrow, rate},
};
use crate::state::{App, Column};

/// Rows about the selected probe.
const ABOUT: u16 = 7;
/// From this width on, the table says how each probe is attached.
const WIDE: u16 = 100;

pub(crate) fn draw(canvas: &mut Canvas<'_, '_>, area: Rect, app: &App) {
    let Some(report) = &app.report else { return };
    let theme = *canvas.theme;
    if report.probes.is_empty() {
        let words = "the probes are not known: a script has only events";
        canvas.line(area, 0, Line::styled(words, theme.quiet()));
        return;
    }
    let fields = fields(area.width);
    let order = app.sift().order;
    canvas.headings(area, &fields, Some((order.column, order.is_reversed)));
    let about = if area.height > 2 * ABOUT { ABOUT } else { 0 };
    let body = Rect { y: area.y + 1, height: area.height - 1 - about, ..area };
    let has_way = area.width >= WIDE;
    let shown = app.probe_rows();
    let rows: Vec<Row> = shown.iter().map(|probe| row(theme, app, probe, has_way)).collect();
    let below = Rect { y: body.bottom(), height: about, ..area };
    canvas.line(below, 0, Line::styled(theme.rule(area.width), theme.quiet()));
    let mut lines = Vec::new();
    if let Some(probe) = shown.get(app.probes.selected) {
        lines.extend(
            evidence(theme, &probe_state(probe), &about_one(probe), area.width.into()).into_iter().take(2),
        );
    }
    lines.extend(total(theme, app, &report.probes, area.width.into()));
    let undecidable = app.hello.iter().flat_map(|hello| &hello.undecidable);
    for (place, sentence) in undecidable.enumerate() {
        let label = if place == 0 { "undecidable" } else { "" };
        lines.extend(evidence(theme, label, sentence, area.width.into()));
    }
    canvas.lines(Rect { y: below.y + 1, height: about.saturating_sub(1), ..below }, lines);
    canvas.rows(body, &fields, &rows, app.probes);
}

/// The columns of the table, for a screen of this width.
pub(crate) fn fields(columns: u16) -> Vec<Field> {
    let mut fields = vec![
        Field::text("", 1),
        Field::text("program", 20).sorts(Column::Name),
        Field::text("at", 0),
        Field::number("runs", 10).sorts(Column::Runs),
        Field::number("a second", 8).sorts(Column::RunRate),
        Field::number("each", 7).sorts(Column::Each),
        Field::number("% CPU", 6).sorts(Column::Share),
    ];
    fields[2] = Field::text("at", rest(columns, &fields).min(60));
    whole(columns, fields)
}

fn row(theme: Theme, app: &App, probe: &ProbeRow, has_way: bool) -> Row {
    let (mark, style) = match probe.state {
        ProbeState::Attached if probe.missed > 0 => ('!', theme.bad()),
        ProbeState::Attached => (theme.mark('●', '*'), theme.plain()),
        ProbeState::NotNeeded => (' ', theme.quiet()),
        ProbeState::NotOffered => ('?', theme.unknown()),
        ProbeState::NotLookedAt => ('?', theme.unknown()),
    };
    let cost = app.histories.probe(&probe.program);
    let way = if probe.way.is_empty() || !has_way { String::new() } else { format!("{} ", probe.way) };
    let each = probe.runs.zip(probe.run_time_ns).and_then(|(runs, ns)| ns.checked_div(runs));
    let share = match cost.share * 100.0 {
        hundredths if hundredths <= 0.0 => "·".to_owned(),
        hundredths if hundredths < 999.0 => format!("{hundredths:.2}"),
        // Ten CPUs and more.
        hundredths => format!("{hundredths:.0}"),
    };
    let cells = vec![
        mark.to_string(),
        probe.program.clone(),
        format!("{way}{}", probe.function),
        probe.runs.map_or_else(|| "·".to_owned(), |runs| narrow(runs, 10)),
        rate(cost.runs),
        each.map_or_else(|| "·".to_owned(), span),
        share,
    ];
    Row::plain(cells, style)
}

fn probe_state(probe: &ProbeRow) -> String {
    match probe.state {
        ProbeState::Attached => "attached",
        ProbeState::NotNeeded => "not needed",
        ProbeState::NotOffered => "not offered",
        ProbeState::NotLookedAt => "not known",
    }
    .to_owned()
}

fn about_one(probe: &ProbeRow) -> String {
    let way = if probe.way.is_empty() { String::new() } else { format!("{} ", probe.way) };
    let mut words = format!("{} at {way}{}", probe.program, probe.function);
    if let Some(why) = &probe.why {
        words += &format!(": {why}");
    }
    if probe.missed > 0 {
        words += &format!("; the kernel skipped {} of its runs", count(probe.missed));
    }
    words
}

/// How many probes are attached, and what all of them cost; or how to make the kernel count that.
fn total(theme: Theme, app: &App, probes: &[ProbeRow], columns: usize) -> Vec<Line<'static>> {
    let attached = probes.iter().filter(|probe| probe.state == ProbeState::Attached).count();
    let missing = probes.iter().filter(|probe| probe.state == ProbeState::NotOffered).count();
    let mut words = format!("{attached} attached");
    if missing > 0 {
        words += &format!(", {missing} not offered by this kernel");
    }
    let is_counted = probes.iter().any(|probe| probe.runs.is_some());
    if is_counted {
        let share: f64 = probes.iter().map(|probe| app.histories.probe(&probe.program).share).sum();
        words += &format!(" · all together {:.2} % of one CPU", share * 100.0);
    }
    let mut lines = vec![Line::styled(words, theme.quiet())];
    let how = match (is_counted, app.replay.is_some()) {
        (true, _) => return lines,
        (false, true) => "a trace has none",
        (false, false) => {
            "counted while the agent runs with probes.statistics = true, or after sysctl kernel.bpf_stats_enabled=1"
        }
    };
    lines.extend(evidence(theme, "costs", how, columns));
    lines
}
