//! Charts: the pictures of a report, each drawn once for a wide page and once for a narrow one.

use maud::Markup;

use super::svg::{Picture, Scale};
use crate::show::units;

/// Colours that tell caches apart; those beyond share the last.
pub(super) const COLOURS: usize = 6;

/// How large a chart is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Units of the picture, which are pixels of a page that wide.
    pub(super) width: f64,
    /// For a narrow page: less text.
    pub(super) is_narrow: bool,
}

/// For a page of a desk.
pub(super) const WIDE: Size = Size { width: 960.0, is_narrow: false };
/// For a page of a hand.
pub(super) const NARROW: Size = Size { width: 360.0, is_narrow: true };

/// How many deferred frees of one cache were outstanding, part by part.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The cache.
    pub(super) name: String,
    /// Which of the [`COLOURS`].
    pub(super) colour: usize,
    /// The part of the span, and the count from its end on.
    pub(super) points: Vec<(i64, i64)>,
}

/// Something that happened in a span.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// When it began and ended.
    pub(super) from_ns: i64,
    /// The same as the beginning for a moment.
    pub(super) until_ns: i64,
    /// Whether it is a fault.
    pub(super) is_flagged: bool,
    /// In words.
    pub(super) told: String,
}

/// What the first chart shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Outstanding {
    /// Of the whole trace.
    pub(super) span_ns: (i64, i64),
    /// Into how many parts it is cut.
    pub(super) parts: i64,
    /// By cache.
    pub(super) lines: Vec<Line>,
    /// Destroys.
    pub(super) destroys: Vec<Mark>,
    /// Barriers.
    pub(super) barriers: Vec<Mark>,
}

/// A bar of a chart whose bars lie.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    /// What it is.
    pub(super) name: String,
    /// How long it is.
    pub(super) value_ns: u64,
    /// What comes after it, drawn lighter.
    pub(super) after_ns: u64,
    /// What stands behind it.
    pub(super) note: String,
    /// How it looks.
    pub(super) look: Look,
}

/// How a bar looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A value.
    Plain,
    /// A fault.
    Fault,
    /// A simulated value that says little: it is grey.
    Doubted,
    /// A measured value among simulated ones: a line goes down from it.
    Measured,
}

/// A column of a chart of classes, by colour.
#[derive(Clone, Debug)]
pub(super) struct Class {
    /// The class: from two to the power of a quarter of it nanoseconds on.
    pub(super) class: i32,
    /// How many of each colour.
    pub(super) counts: [u64; COLOURS],
}

#[expect(clippy::cast_precision_loss, reason = "places in a picture")]
fn float(number: i64) -> f64 {
    number as f64
}

fn unsigned(number: u64) -> f64 {
    float(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Outstanding objects over time, with destroys and barriers.
#[must_use]
pub(super) fn outstanding(shown: &Outstanding, size: Size) -> Markup {
    let height = if size.is_narrow { 240.0 } else { 320.0 };
    let (left, right, top, bottom) = (48.0, 12.0, 22.0, 30.0);
    let mut picture = Picture::new(size.width, height, "Outstanding deferred frees over time, by cache");
    let most = shown.lines.iter().flat_map(|line| &line.points).map(|(_, count)| *count).max().unwrap_or(0);
    let (from, until) = shown.span_ns;
    let x = Scale::new((float(from), float(until)), (left, size.width - right));
    let y = Scale::new((0.0, float(most.max(1)) * 1.05), (height - bottom, top));
    for barrier in &shown.barriers {
        let (begin, end) = (x.at(float(barrier.from_ns)), x.at(float(barrier.until_ns)));
        picture.rect("band", (begin, top), ((end - begin).max(1.0), height - bottom - top), &barrier.told);
    }
    for tick in y.ticks(4.0) {
        picture.line("grid", (left, y.at(tick)), (size.width - right, y.at(tick)));
        picture.text("tick", "end", (left - 6.0, y.at(tick) + 4.0), &rounded(tick));
    }
    for tick in x.ticks(if size.is_narrow { 3.0 } else { 8.0 }) {
        picture.line("grid", (x.at(tick), height - bottom), (x.at(tick), height - bottom + 4.0));
        let anchor = anchor(x.at(tick), size);
        picture.text("tick", anchor, (x.at(tick), height - bottom + 18.0), &time(tick, until - from));
    }
    let end_of =
        |part: i64| float(from) + (float(part) + 1.0) * float(until - from) / float(shown.parts.max(1));
    for line in &shown.lines {
        let mut points = vec![(x.at(float(from)), y.at(0.0))];
        let mut last = 0;
        for (part, count) in &line.points {
            let at = x.at(end_of(*part));
            points.push((at, y.at(float(last))));
            points.push((at, y.at(float(*count))));
            last = *count;
        }
        points.push((x.at(float(until)), y.at(float(last))));
        let mut area = points.clone();
        area.push((x.at(float(until)), y.at(0.0)));
        picture.path(&format!("area c{}", line.colour), &area, true);
        picture.path(&format!("stroke c{}", line.colour), &points, false);
    }
    for destroy in &shown.destroys {
        let at = x.at(float(destroy.from_ns));
        let class = if destroy.is_flagged { "destroy bad" } else { "destroy" };
        picture.line(class, (at, top - 6.0), (at, height - bottom));
        picture.dot(class, (at, top - 8.0), 4.0, &destroy.told);
    }
    picture.finish()
}

/// From queueing to free, in classes.
#[must_use]
pub(super) fn distribution(classes: &[Class], size: Size) -> Markup {
    let height = if size.is_narrow { 220.0 } else { 260.0 };
    let (left, right, top, bottom) = (48.0, 12.0, 12.0, 30.0);
    let mut picture = Picture::new(size.width, height, "How long deferred frees took from queueing to free");
    let first = classes.iter().map(|class| class.class).min().unwrap_or(0);
    let last = classes.iter().map(|class| class.class).max().unwrap_or(0) + 1;
    // A few classes alone would be wide beams.
    let room = (16 - (last - first)).max(2) / 2;
    let (first, last) = (f64::from(first - room), f64::from(last + room));
    let most: u64 = classes.iter().map(|class| class.counts.iter().sum()).max().unwrap_or(0);
    let x = Scale::new((first, last), (left, size.width - right));
    let y = Scale::new((0.0, unsigned(most.max(1)) * 1.05), (height - bottom, top));
    for tick in y.ticks(4.0) {
        picture.line("grid", (left, y.at(tick)), (size.width - right, y.at(tick)));
        picture.text("tick", "end", (left - 6.0, y.at(tick) + 4.0), &rounded(tick));
    }
    for class in classes {
        let (begin, end) = (x.at(f64::from(class.class)), x.at(f64::from(class.class) + 1.0));
        let (from, until) = (bound(f64::from(class.class)), bound(f64::from(class.class) + 1.0));
        let mut below = 0u64;
        for (colour, count) in class.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (bottom, top) = (y.at(unsigned(below)), y.at(unsigned(below + count)));
            let told = format!("{} of {from} to {until}", units::count(*count));
            picture.rect(
                &format!("bar c{colour}"),
                (begin + 0.5, top),
                (end - begin - 1.0, bottom - top),
                &told,
            );
            below += count;
        }
    }
    for tick in x.ticks(if size.is_narrow { 3.0 } else { 8.0 }) {
        picture.line("grid", (x.at(tick), height - bottom), (x.at(tick), height - bottom + 4.0));
        picture.text("tick", anchor(x.at(tick), size), (x.at(tick), height - bottom + 18.0), &bound(tick));
    }
    picture.finish()
}

/// Bars that lie, each with its name above on a narrow page and before it on a wide one.
#[must_use]
pub(super) fn bars(bars: &[Bar], title: &str, size: Size) -> Markup {
    let (row, left, behind) = if size.is_narrow { (34.0, 4.0, 168.0) } else { (20.0, 330.0, 210.0) };
    let top = 4.0;
    let height = top + row * unsigned(bars.len() as u64) + 6.0;
    let mut picture = Picture::new(size.width, height, title);
    let most = bars.iter().map(|bar| bar.value_ns.saturating_add(bar.after_ns)).max().unwrap_or(0);
    // One that takes seconds would leave nothing of those that take milliseconds.
    let length = |ns: u64| (unsigned(ns) / 1_000.0).ln_1p();
    let x = Scale::new((0.0, length(most.max(1))), (left, size.width - behind));
    for (place, bar) in bars.iter().enumerate() {
        let line = top + row * unsigned(place as u64);
        let under = if size.is_narrow { line + 14.0 } else { line + 2.0 };
        let (thick, end) = (row - if size.is_narrow { 18.0 } else { 5.0 }, x.at(length(bar.value_ns)));
        let class = match bar.look {
            Look::Plain => "bar c0",
            Look::Fault => "bar bad",
            Look::Doubted => "bar doubted",
            Look::Measured => "bar measured",
        };
        let all = x.at(length(bar.value_ns.saturating_add(bar.after_ns)));
        if bar.after_ns > 0 {
            picture.rect(
                "bar after",
                (end, under),
                (all - end, thick),
                &format!("{} lingers {}", bar.name, units::span(bar.after_ns)),
            );
        }
        picture.rect(
            class,
            (left, under),
            ((end - left).max(1.5), thick),
            &format!("{}: {}", bar.name, bar.note),
        );
        if size.is_narrow {
            picture.text("name", "start", (left, line + 10.0), &bar.name);
        } else {
            picture.text("name", "end", (left - 8.0, line + 14.0), &bar.name);
        }
        let reach = if bar.after_ns > 0 { all } else { end.max(left + 1.5) };
        if bar.look == Look::Measured {
            picture.line("measured", (end, under), (end, height - 6.0));
        }
        let class = match bar.look {
            Look::Fault => "note bad",
            Look::Doubted => "note doubted",
            Look::Plain | Look::Measured => "note",
        };
        picture.text(class, "start", (reach + 6.0, under + thick - 3.0), &bar.note);
    }
    picture.finish()
}

/// Where a text at this place begins or ends, so that it stays on the picture.
fn anchor(place: f64, size: Size) -> &'static str {
    if place > size.width - 34.0 { "end" } else { "middle" }
}

/// The bound of a class.
fn bound(class: f64) -> String {
    let ns = (class / 4.0).exp2();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what is a time")]
    let ns = ns.clamp(0.0, 9e18) as u64;
    let (number, unit) = match ns {
        0..1_000 => (unsigned(ns), "ns"),
        1_000..1_000_000 => (unsigned(ns) / 1e3, "µs"),
        1_000_000..1_000_000_000 => (unsigned(ns) / 1e6, "ms"),
        _ => (unsigned(ns) / 1e9, "s"),
    };
    if number < 10.0 { format!("{number:.1} {unit}") } else { format!("{number:.0} {unit}") }
}

fn rounded(tick: f64) -> String {
    match tick {
        ..1e4 => format!("{tick:.0}"),
        1e4..1e6 => format!("{:.0}k", tick / 1e3),
        _ => format!("{:.1}M", tick / 1e6),
    }
}

fn time(tick: f64, span_ns: i64) -> String {
    match span_ns {
        ..10_000_000 => format!("{:.0} µs", tick / 1e3),
        10_000_000..10_000_000_000 => format!("{:.0} ms", tick / 1e6),
        _ => format!("{:.0} s", tick / 1e9),
    }
}
